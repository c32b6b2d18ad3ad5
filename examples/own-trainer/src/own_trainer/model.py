"""A model that was here before Headrace: scikit-learn only, knows nothing of stages, folders or torch."""

import numpy as np
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline


def fit(pixels: np.ndarray, labels: np.ndarray, *, gamma: float, components: int, c: float, seed: int) -> Pipeline:
    """A kernel machine: distances to some training images, then logistic regression. `pixels` is float32 (N, F) in [0, 1]."""
    kernel = Nystroem(gamma=gamma, n_components=components, random_state=seed)
    return make_pipeline(kernel, LogisticRegression(C=c, max_iter=2000)).fit(pixels, labels)
