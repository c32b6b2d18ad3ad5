"""Our training loop against a hand-written, tensor-resident torch loop of the same network.

    python benchmarks/training_loop.py                     all cases, five pairs
    python benchmarks/training_loop.py small_cnn --pairs 9

The two run in turns in one process (A B A B ...), on the same synthetic images, with the same optimizer, batch size and
augmentation. Time is that of the loop alone, without loading or validation. The ratio is ours / hand-written, in samples per
second of CPU time: above 1 is faster. CPU time, because it is less disturbed by other work on the machine than the clock is.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from headrace.augmentation.policy import PolicyConfig, build_policy
from headrace.training.data import Batches
from headrace.training.image_classification import prepare
from headrace.training.loop import fit
from headrace.training.losses import cross_entropy
from headrace.training.network import build_network
from headrace.training.options import FitConfig

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Case:
    """One network, with the way it is trained."""

    network: str
    options: dict[str, Any]
    shape: tuple[int, int, int]
    samples: int
    batch_size: int
    pad: int = 0
    """Pixels of a random crop, one offset for each half of a batch."""
    flip: bool = False
    precision: str = "fp32"


CASES = {
    "mlp": Case("mlp", {"hidden": [128], "dropout": 0.2}, (28, 28, 1), 60_000, 32),
    "small_cnn": Case("small_cnn", {"width": 16}, (28, 28, 1), 15_000, 250, pad=2),
    "whitened_cnn": Case("whitened_cnn", {"widths": [32, 128, 128]}, (32, 32, 3), 5_120, 512, pad=2, flip=True, precision="bf16"),
}


def network_of(case: Case) -> nn.Module:
    """The same first weights for both loops."""
    torch.manual_seed(0)
    network, _ = build_network(case.network, case.options, input_shape=case.shape, num_classes=10)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def normalised(x: Tensor) -> Tensor:
    """Floats in [0, 1] to about zero mean and unit deviation."""
    return (x - 0.5) / 0.29


def hand_written(case: Case, images: Tensor, labels: Tensor) -> Callable[[], None]:
    """A plain loop over floats that are prepared and padded before the clock starts."""
    x = normalised(prepare(images))
    if case.pad:
        x = functional.pad(x, (case.pad,) * 4)
    x = x.contiguous(memory_format=torch.channels_last)
    network = network_of(case)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    steps = len(x) // case.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps + 1)
    height, width, _ = case.shape
    flips = torch.rand(len(x)) < 0.5

    def loop() -> None:
        for chosen in torch.split(torch.randperm(len(x)), case.batch_size):
            if len(chosen) < case.batch_size:
                break
            batch = x[chosen]
            if case.flip:
                batch = torch.where(flips[chosen].view(-1, 1, 1, 1), batch.flip(3), batch)
            if case.pad:
                half = len(batch) // 2
                (top, other_top), (left, other_left) = torch.randint(0, 2 * case.pad + 1, (2, 2)).tolist()
                first = batch[:half, :, top : top + height, left : left + width]
                second = batch[half:, :, other_top : other_top + height, other_left : other_left + width]
                batch = torch.cat([first, second]).contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=case.precision == "bf16"):
                scores = network(batch)
            functional.cross_entropy(scores.float(), labels[chosen]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()

    return loop


def ours(case: Case, images: Tensor, labels: Tensor) -> Callable[[], None]:
    """The loop of headrace.training, with its own data, augmentation and schedule."""
    policy = PolicyConfig.model_validate(
        ({"random_crop": {"pad": case.pad}} if case.pad else {}) | ({"flip": "alternating"} if case.flip else {})
    )
    height, width, channels = case.shape
    config = FitConfig.model_validate(
        {"epochs": 1, "batch_size": case.batch_size, "precision": case.precision, "optimizer": {"peak_lr": 1e-3}}
    )
    batches = Batches(
        images,
        labels,
        batch_size=case.batch_size,
        seed=0,
        device=CPU,
        prepare=prepare,
        normalise=normalised,
        augment=None if policy.is_empty() else build_policy(policy, (channels, height, width)),
        memory_format=torch.channels_last,
        cache_bytes=2**30,
    )
    network = network_of(case)
    return lambda: void(fit(config, network, batches, cross_entropy, device=CPU))


def void(result: object) -> None:
    """Forget a result."""
    del result


def samples_per_cpu_second(case: Case, loop: Callable[[], None]) -> tuple[float, float]:
    """Samples per second of CPU time and of wall time."""
    samples = case.samples // case.batch_size * case.batch_size
    cpu, wall = time.process_time(), time.perf_counter()
    loop()
    return samples / (time.process_time() - cpu), samples / (time.perf_counter() - wall)


def main() -> None:
    """Print one row for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=list(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--pairs", type=int, default=5)
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
    print(f"{'network':14}{'ours/s':>10}{'by hand/s':>11}{'ratio':>8}{'lowest':>8}{'highest':>9}{'by wall':>9}   pairs")
    for name in arguments.cases:
        case = CASES[name]
        torch.manual_seed(0)
        images = torch.randint(0, 256, (case.samples, *case.shape), dtype=torch.uint8)
        labels = torch.randint(0, 10, (case.samples,))
        rows = []
        for _ in range(arguments.pairs):
            one = samples_per_cpu_second(case, ours(case, images, labels))
            other = samples_per_cpu_second(case, hand_written(case, images, labels))
            rows.append((*one, *other))
        ratios = sorted(row[0] / row[2] for row in rows)
        wall = statistics.median(row[1] / row[3] for row in rows)
        mine, theirs = statistics.median(row[0] for row in rows), statistics.median(row[2] for row in rows)
        print(
            f"{name:14}{mine:10.0f}{theirs:11.0f}{statistics.median(ratios):8.3f}{ratios[0]:8.3f}{ratios[-1]:9.3f}{wall:9.3f}"
            f"   {arguments.pairs}",
            flush=True,
        )


if __name__ == "__main__":
    main()
