"""Classical models of records that are float32 features (N, F), such as pixels."""

from typing import Any, Literal

from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from headrace.params import Section

NAMES = ("majority", "logistic_regression", "linear_svm", "rbf_svm", "random_forest")


class Config(Section):
    """Settings of the classical models; those of a model that is not fitted have no effect."""

    scaling: Literal["none", "standard"] = "none"
    """standard: each feature to mean 0 and variance 1 over the fitted records; none suits pixels, which share one scale."""
    logistic_c: float = 1.0
    """Inverse strength of the L2 penalty."""
    linear_svm_c: float = 1.0
    rbf_svm_c: float = 10.0
    rbf_svm_gamma: Literal["scale", "auto"] | float = "scale"
    forest_trees: int = 300
    max_iterations: int = 1000
    """Steps after which logistic regression and the linear SVM stop, converged or not; the report says which."""


def make(name: str, config: Config, *, seed: int) -> Any:
    """An unfitted classifier of float features."""
    models = {
        "majority": lambda: DummyClassifier(strategy="prior"),
        "logistic_regression": lambda: LogisticRegression(C=config.logistic_c, max_iter=config.max_iterations),
        "linear_svm": lambda: LinearSVC(C=config.linear_svm_c, max_iter=config.max_iterations, random_state=seed),
        "rbf_svm": lambda: SVC(kernel="rbf", C=config.rbf_svm_c, gamma=config.rbf_svm_gamma),
        "random_forest": lambda: RandomForestClassifier(n_estimators=config.forest_trees, random_state=seed),
    }
    model = models[name]()
    return make_pipeline(StandardScaler(), model) if config.scaling == "standard" and name != "majority" else model
