"""Naive Bayes and a linear SVM in one: a strong classifier of texts."""

from typing import TYPE_CHECKING, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.svm import LinearSVC

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


class NaiveBayesSvm(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Linear SVM on word presence, each word weighted by how much more often one class has it than the others.

    Args:
        C: inverse strength of the penalty.
        smoothing: added to every count.
        max_iter: steps of the solver.
        random_state: of the solver.
        interpolation: share of each SVM's own weights; the rest is their mean size, which alone is Naive Bayes. 1 is the SVM alone.

    Source: Wang and Manning 2012, "Baselines and Bigrams".
    """

    def __init__(
        self,
        C: float = 1.0,  # noqa: N803
        smoothing: float = 1.0,
        max_iter: int = 1000,
        random_state: int = 0,
        interpolation: float = 1.0,
    ) -> None:
        self.C, self.smoothing, self.max_iter, self.random_state = C, smoothing, max_iter, random_state
        self.interpolation = interpolation

    def fit(self, x: "csr_matrix", y: np.ndarray) -> Self:
        """One SVM a class against the rest; x holds 0 and 1."""
        self.classes_ = np.unique(y)
        self._ratios, self._models = [], []
        for label in self.classes_:
            inside = y == label
            counts = [np.asarray(x[part].sum(axis=0)).ravel() + self.smoothing for part in (inside, ~inside)]
            ratio = np.log(counts[0] / counts[0].sum()) - np.log(counts[1] / counts[1].sum())
            model = LinearSVC(C=self.C, max_iter=self.max_iter, random_state=self.random_state)
            model.fit(x.multiply(ratio).tocsr(), inside)
            if self.interpolation < 1:
                model.coef_ = self.interpolation * model.coef_ + (1 - self.interpolation) * np.abs(model.coef_).mean()
            self._ratios.append(ratio)
            self._models.append(model)
        return self

    def predict(self, x: "csr_matrix") -> np.ndarray:
        """The class whose SVM is surest."""
        chosen: np.ndarray = self.classes_[np.argmax(self.decision_function(x), axis=1)]
        return chosen

    def decision_function(self, x: "csr_matrix") -> np.ndarray:
        """How sure each class's SVM is, (N, classes)."""
        scores = [
            model.decision_function(x.multiply(ratio).tocsr()) for ratio, model in zip(self._ratios, self._models, strict=True)
        ]
        return np.stack(scores, axis=1)

    @property
    def coef_(self) -> np.ndarray:
        """Weight of each column for each class, (classes, F), ratios included."""
        return np.stack([ratio * model.coef_[0] for ratio, model in zip(self._ratios, self._models, strict=True)])

    @property
    def intercept_(self) -> np.ndarray:
        """(classes,)."""
        return np.array([model.intercept_[0] for model in self._models])
