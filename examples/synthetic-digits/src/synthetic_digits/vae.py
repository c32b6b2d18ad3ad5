"""A class-conditional variational autoencoder of small pictures (Kingma and Welling 2013; Sohn et al. 2015), in torch alone."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

Change = Callable[[Tensor, Tensor, int, torch.Generator], Tensor]
"""`(pictures (B, C, H, W) in [0, 1], their indices (B,), step, generator) -> pictures`."""


class ConditionalVae(nn.Module):
    """Pictures (B, pixels) in [0, 1] of known classes to a normal distribution of `latent` numbers, and back."""

    def __init__(self, pixels: int, classes: int, *, hidden: int, latent: int) -> None:
        super().__init__()
        self.classes, self.latent = classes, latent
        self.encoder = _mlp(pixels + classes, hidden, 2 * latent)
        self.decoder = _mlp(latent + classes, hidden, pixels)

    def encode(self, pictures: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of each picture's latent numbers."""
        mean, log_variance = self.encoder(torch.cat([pictures, self._one_hot(labels)], 1)).chunk(2, 1)
        return mean, log_variance

    def decode(self, latent: Tensor, labels: Tensor) -> Tensor:
        """Logits of the pixels."""
        logits: Tensor = self.decoder(torch.cat([latent, self._one_hot(labels)], 1))
        return logits

    def _one_hot(self, labels: Tensor) -> Tensor:
        return functional.one_hot(labels, self.classes).float()


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def fit(
    model: ConditionalVae,
    pictures: Tensor,
    labels: Tensor,
    *,
    steps: int,
    batch_size: int,
    peak_lr: float,
    generator: torch.Generator,
    change: Change | None = None,
    each_step: Callable[[], object] = lambda: None,
) -> float:
    """Maximise the evidence lower bound; returns its negative in nats per picture, mean of the last tenth of the steps.

    Args:
        model: with its first weights.
        pictures: (N, C, H, W) float32 in [0, 1].
        labels: (N,) int64.
        steps: batches, drawn with replacement.
        batch_size: pictures of one step.
        peak_lr: of AdamW, one cycle.
        generator: of batches, changes and latent noise.
        change: random changes of the pictures before they are seen.
        each_step: called after every step.
    """
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak_lr, total_steps=steps)
    losses = []
    for step in range(steps):
        drawn = torch.randint(len(pictures), (batch_size,), generator=generator)
        seen = pictures[drawn]
        if change is not None:
            seen = change(seen, drawn, step, generator)
        seen, classes = seen.flatten(1), labels[drawn]
        mean, log_variance = model.encode(seen, classes)
        latent = mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=generator)
        wrong = functional.binary_cross_entropy_with_logits(model.decode(latent, classes), seen, reduction="sum")
        told = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
        loss = (wrong + told) / batch_size
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        each_step()
    last = losses[-max(1, steps // 10) :]
    return sum(last) / len(last)


@torch.inference_mode()
def draw(model: ConditionalVae, labels: Tensor, *, generator: torch.Generator) -> Tensor:
    """New pictures (N, pixels) in [0, 1] of these classes: latent numbers from the standard normal, decoded."""
    return torch.sigmoid(model.decode(torch.randn(len(labels), model.latent, generator=generator), labels))
