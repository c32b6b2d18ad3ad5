"""Rows of a table with a number each: classical models on one number a category and scaled numbers, fitted on the training split."""

from typing import Any

from pydantic import Field
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headrace.params import Section

NAMES = ("mean", "median", "ridge", "nearest_neighbours", "random_forest", "boosted_trees")


class Config(Section):
    """Settings of the models."""

    ridge_alpha: float = Field(default=1.0, ge=0)
    """Strength of the L2 penalty, on scaled columns."""
    neighbours: int = Field(default=10, ge=1)
    """Training records whose mean is the prediction."""
    forest_trees: int = Field(default=300, ge=1)
    boosting_rounds: int = Field(default=100, ge=1)
    boosting_learning_rate: float = Field(default=0.05, gt=0)
    boosting_leaves: int = Field(default=15, ge=2)
    """Leaves of one tree."""


def make(name: str, config: Config, *, seed: int) -> Any:
    """An unfitted regressor of rows as the task's `features` gives them; a category it was not fitted on is none of those it knows."""
    models = {
        "mean": lambda: DummyRegressor(strategy="mean"),
        "median": lambda: DummyRegressor(strategy="median"),
        "ridge": lambda: Ridge(alpha=config.ridge_alpha),
        "nearest_neighbours": lambda: KNeighborsRegressor(n_neighbors=config.neighbours),
        "random_forest": lambda: RandomForestRegressor(n_estimators=config.forest_trees, min_samples_leaf=3, random_state=seed),
        "boosted_trees": lambda: HistGradientBoostingRegressor(
            max_iter=config.boosting_rounds,
            learning_rate=config.boosting_learning_rate,
            max_leaf_nodes=config.boosting_leaves,
            early_stopping=False,
            random_state=seed,
        ),
    }
    model = models[name]()
    return model if name in ("mean", "median") else make_pipeline(DictVectorizer(sparse=False), StandardScaler(), model)
