"""The whitening stem."""

import torch

from headrace.networks import whitened_cnn


def test_stem_whitens_patches():
    """Outputs of the stem over the images it was made from have the identity as second moment, in both signs."""
    torch.manual_seed(0)
    mixing = torch.tensor([[1.0, 0.9, 0.0], [0.0, 0.5, 0.5], [0.2, 0.0, 1.0]])
    images = torch.einsum("ij,njhw->nihw", mixing, torch.randn(200, 3, 12, 12))
    network = whitened_cnn.build(whitened_cnn.Options(), input_shape=(12, 12, 3), num_classes=2)
    whitened_cnn.initialise(network, images)
    outputs = network.stem(images).permute(0, 2, 3, 1).reshape(-1, 24)
    moments = outputs[:, :12].T @ outputs[:, :12] / len(outputs)

    torch.testing.assert_close(moments.detach(), torch.eye(12), atol=0.02, rtol=0)
    torch.testing.assert_close(outputs[:, 12:], -outputs[:, :12])


def test_stem_is_not_trained():
    """Its weights are a measurement, not a guess to be improved."""
    network = whitened_cnn.build(whitened_cnn.Options(), input_shape=(32, 32, 3), num_classes=2)

    assert not network.stem.weight.requires_grad


def test_flat_images_give_finite_weights():
    """Black training images have no variance; the small constant keeps the inverse finite."""
    network = whitened_cnn.build(whitened_cnn.Options(), input_shape=(32, 32, 1), num_classes=2)
    whitened_cnn.initialise(network, torch.zeros(10, 1, 32, 32))

    assert torch.isfinite(network.stem.weight).all()
