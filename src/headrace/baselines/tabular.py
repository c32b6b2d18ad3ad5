"""Rows of a table: classical models on one number a category and scaled numbers, fitted on the training split."""

from typing import Any

from pydantic import Field
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headrace.params import Section

NAMES = ("majority", "logistic_regression", "random_forest", "boosted_trees")


class Config(Section):
    """Settings of the models."""

    logistic_c: float = Field(default=1.0, gt=0)
    """Inverse strength of the L2 penalty."""
    max_iterations: int = Field(default=1000, ge=1)
    forest_trees: int = Field(default=300, ge=1)
    boosting_rounds: int = Field(default=100, ge=1)
    boosting_learning_rate: float = Field(default=0.05, gt=0)
    boosting_leaves: int = Field(default=15, ge=2)
    """Leaves of one tree."""


def make(name: str, config: Config, *, seed: int) -> Any:
    """An unfitted classifier of rows as the task's `features` gives them; a category it was not fitted on is none of those it knows."""
    models = {
        "majority": lambda: DummyClassifier(strategy="prior"),
        "logistic_regression": lambda: LogisticRegression(C=config.logistic_c, max_iter=config.max_iterations),
        "random_forest": lambda: RandomForestClassifier(n_estimators=config.forest_trees, min_samples_leaf=3, random_state=seed),
        "boosted_trees": lambda: HistGradientBoostingClassifier(
            max_iter=config.boosting_rounds,
            learning_rate=config.boosting_learning_rate,
            max_leaf_nodes=config.boosting_leaves,
            early_stopping=False,
            random_state=seed,
        ),
    }
    model = models[name]()
    return model if name == "majority" else make_pipeline(DictVectorizer(sparse=False), StandardScaler(), model)
