"""Texts: linear models on TF-IDF of words and word pairs, fitted on the training split."""

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from headrace.params import Section

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

NAMES = ("majority", "tfidf_logistic_regression", "tfidf_linear_svm", "nb_svm")


class Config(Section):
    """Settings of the models."""

    words: Literal[1, 2, 3] = 2
    """Longest run of words that counts as one feature."""
    min_documents: int = Field(default=2, ge=1)
    """Training texts that a word or run must occur in."""
    max_features: int = Field(default=200_000, ge=1)
    """The most frequent ones are kept."""
    logistic_c: float = Field(default=10.0, gt=0)
    """Inverse strength of the L2 penalty."""
    linear_svm_c: float = Field(default=1.0, gt=0)
    nb_svm_c: float = Field(default=1.0, gt=0)
    nb_svm_smoothing: float = Field(default=1.0, gt=0)
    """Added to every count before class ratios are taken."""
    max_iterations: int = Field(default=1000, ge=1)


class NaiveBayesSvm(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Linear SVM on word presence, each word weighted by how much more often one class has it than the others.

    Args:
        C: inverse strength of the penalty.
        smoothing: added to every count.
        max_iter: steps of the solver.
        random_state: of the solver.

    Source: Wang and Manning 2012, "Baselines and Bigrams".
    """

    def __init__(self, C: float = 1.0, smoothing: float = 1.0, max_iter: int = 1000, random_state: int = 0) -> None:  # noqa: N803
        self.C, self.smoothing, self.max_iter, self.random_state = C, smoothing, max_iter, random_state

    def fit(self, x: "csr_matrix", y: np.ndarray) -> Self:
        """One SVM a class against the rest; x holds 0 and 1."""
        self.classes_ = np.unique(y)
        self._ratios, self._models = [], []
        for label in self.classes_:
            inside = y == label
            counts = [np.asarray(x[part].sum(axis=0)).ravel() + self.smoothing for part in (inside, ~inside)]
            ratio = np.log(counts[0] / counts[0].sum()) - np.log(counts[1] / counts[1].sum())
            model = LinearSVC(C=self.C, max_iter=self.max_iter, random_state=self.random_state)
            self._ratios.append(ratio)
            self._models.append(model.fit(x.multiply(ratio).tocsr(), inside))
        return self

    def predict(self, x: "csr_matrix") -> np.ndarray:
        """The class whose SVM is surest."""
        scores = [
            model.decision_function(x.multiply(ratio).tocsr()) for ratio, model in zip(self._ratios, self._models, strict=True)
        ]
        chosen: np.ndarray = self.classes_[np.argmax(np.stack(scores), axis=0)]
        return chosen


def make(name: str, config: Config, *, seed: int) -> Any:
    """An unfitted classifier of texts."""
    counted: dict[str, Any] = {
        "ngram_range": (1, config.words),
        "min_df": config.min_documents,
        "max_features": config.max_features,
        "token_pattern": r"(?u)\b\w+\b",
    }
    models = {
        "majority": lambda: DummyClassifier(strategy="prior"),
        "tfidf_logistic_regression": lambda: make_pipeline(
            TfidfVectorizer(sublinear_tf=True, **counted), LogisticRegression(C=config.logistic_c, max_iter=config.max_iterations)
        ),
        "tfidf_linear_svm": lambda: make_pipeline(
            TfidfVectorizer(sublinear_tf=True, **counted),
            LinearSVC(C=config.linear_svm_c, max_iter=config.max_iterations, random_state=seed),
        ),
        "nb_svm": lambda: make_pipeline(
            CountVectorizer(binary=True, dtype=np.float64, **counted),
            NaiveBayesSvm(
                C=config.nb_svm_c, smoothing=config.nb_svm_smoothing, max_iter=config.max_iterations, random_state=seed
            ),
        ),
    }
    return models[name]()
