"""Texts: linear models on TF-IDF of words and word pairs, fitted on the training split."""

from typing import Any, Literal

import numpy as np
from pydantic import Field
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from headrace.baselines.nb_svm import NaiveBayesSvm
from headrace.params import Section

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
    nb_svm_interpolation: float = Field(default=1.0, ge=0, le=1)
    """Share of the SVM's own weights; the rest is their mean size, which alone is Naive Bayes. Short texts like little: 0.1 to 0.25."""
    max_iterations: int = Field(default=1000, ge=1)


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
                C=config.nb_svm_c,
                smoothing=config.nb_svm_smoothing,
                max_iter=config.max_iterations,
                random_state=seed,
                interpolation=config.nb_svm_interpolation,
            ),
        ),
    }
    return models[name]()
