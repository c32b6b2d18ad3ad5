"""The program around a network: stored images in, probabilities out."""

import numpy as np
import pytest
import torch
from torch import nn

from headrace.training.image_classification import (
    ImageClassifier,
    PredictionOptions,
    Preprocessing,
    from_description,
    measure,
    prepare,
)

PLAIN = Preprocessing(mean=[0.5], std=[0.25])


class Corner(nn.Module):
    """Scores that depend on where the pixels are."""

    def forward(self, x):
        return torch.stack([x[:, 0, 0, 0], x[:, 0, 0, -1]], dim=1)


def images(count: int = 4) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (count, 6, 6, 1)).astype(np.uint8))


def test_measures_equal_numpy():
    """Mean and deviation over all pixels of a channel."""
    stack = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (50, 4, 5, 3)).astype(np.uint8))
    found = measure(stack)

    np.testing.assert_allclose(found.mean, (stack.numpy() / 255).mean(axis=(0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(found.std, (stack.numpy() / 255).std(axis=(0, 1, 2)), atol=1e-6)


def test_constant_channel_has_deviation_one():
    """Black images must not become NaN."""
    assert measure(torch.zeros(3, 2, 2, 1, dtype=torch.uint8)).std == [1.0]


def test_the_program_normalises_as_training_does():
    """Training and serving must not disagree by a pixel."""
    seen = []

    class Spy(nn.Module):
        def forward(self, x):
            seen.append(x)
            return torch.zeros(len(x), 2)

    program = ImageClassifier(Spy(), PLAIN, PredictionOptions())
    program(images())

    assert torch.equal(seen[0], program.normalise(prepare(images())))


@pytest.mark.parametrize("options", [{}, {"flip": True}, {"shift": 1}, {"flip": True, "shift": 2}])
def test_probabilities_sum_to_one(options):
    """Whatever is averaged, the answer is a distribution in float32."""
    probabilities = ImageClassifier(Corner(), PLAIN, PredictionOptions(**options))(images())

    assert probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(4))


def test_flip_makes_mirror_images_equal():
    """That is what averaging over both sides means."""
    program = ImageClassifier(Corner(), PLAIN, PredictionOptions(flip=True))

    torch.testing.assert_close(program(images()), program(images().flip(2)))


@pytest.mark.parametrize("options", [{"flip": False}, {"flip": True, "shift": 1}])
def test_the_program_exports_with_a_dynamic_batch(options):
    """The package holds exactly this program as .pt2."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    program = ImageClassifier(network, PLAIN, PredictionOptions(**options)).eval()
    exported = torch.export.export(program, (images(3),), dynamic_shapes=({0: torch.export.Dim("batch")},), strict=False)

    torch.testing.assert_close(exported.module()(images(5)), program(images(5)))


def test_described_program_is_the_same():
    """model.json is enough to build it again."""
    network = Corner()
    program = ImageClassifier(network, PLAIN, PredictionOptions(flip=True, shift=1))
    description = {"preprocessing": program.preprocessing.model_dump(), "prediction": program.prediction.model_dump()}

    assert torch.equal(from_description(network, description)(images()), program(images()))
