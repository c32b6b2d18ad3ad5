"""Metrics as the page names and writes them."""

from typing import Any

from headrace.evaluation import measures
from headrace.evaluation.measures import ERRORS, IN_UNIT_OF_TARGET
from headrace.evaluation.page.evidence import number
from headrace.evaluation.titles import area

NO_NUMBER = "\N{EN DASH}"
METRIC_WORDS = {
    "accuracy": "accuracy",
    "precision_macro": "precision, mean over classes",
    "recall_macro": "recall, mean over classes",
    "f1_macro": "F1, mean over classes",
    "f1_weighted": "F1, weighted by class size",
    "roc_auc_macro": "ROC AUC, one class against the rest",
    "average_precision_macro": "average precision, mean over classes",
    "log_loss": "log loss, nats",
    "ece": "calibration error (ECE)",
    "log_likelihood_per_byte": "log-likelihood per byte, nats",
    "loss_per_character": "loss per character, nats",
    "validation_loss_per_character": "loss per character on the validation split, nats",
    "bits_per_byte": "bits per byte",
    "perplexity_per_character": "perplexity per character",
    "perplexity_per_word": "perplexity per word",
    "negative_mae": "mean absolute error",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "r2": "R\N{SUPERSCRIPT TWO}, share of the variance that is told",
    "median_absolute_error": "median absolute error",
    "bias": "mean of predicted minus true",
}
PERCENT_METRICS = {"accuracy", "precision_macro", "recall_macro", "f1_macro", "f1_weighted", "ece"}
AREA_METRICS = {"roc_auc_macro", "average_precision_macro"}


def percent(share: Any, digits: int = 1) -> str:
    """Such as '98.7 %'; a dash when there is no number."""
    value = number(share)
    return NO_NUMBER if value is None else f"{100 * value:.{digits}f}\N{NO-BREAK SPACE}%"


def points(share: Any, digits: int = 1) -> str:
    """A difference of shares in points, with its sign."""
    value = number(share)
    return NO_NUMBER if value is None else f"{100 * value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def score_text(name: str, value: Any, digits: int = 1) -> str:
    """The score, or an end of its interval: a share in percent, another number as it is."""
    found = number(value)
    if name in ERRORS and found is not None:
        return figure(-found)
    return percent(found, digits) if name in PERCENT_METRICS or found is None else f"{found:.4f}".replace("-", "\N{MINUS SIGN}")


def figure(value: float, *, sign: bool = False) -> str:
    """A number of any unit, to four digits."""
    return measures.figure(value, sign=sign).replace("-", "\N{MINUS SIGN}")


def interval_text(name: str, low: Any, high: Any, digits: int = 1) -> str:
    """An interval of the score, the smaller number first."""
    ends = [score_text(name, end, digits) for end in (low, high)]
    return " to ".join(reversed(ends) if name in ERRORS else ends)


def gap_text(name: str, value: Any, digits: int = 1) -> str:
    """A difference of two scores, with its sign: of shares in points, of errors above zero where there is more of them."""
    found = number(value)
    if name in ERRORS and found is not None:
        return figure(-found, sign=True)
    return points(found, digits) if name in PERCENT_METRICS or found is None else f"{found:+.4f}".replace("-", "\N{MINUS SIGN}")


def gap_interval(name: str, low: Any, high: Any, digits: int = 1) -> str:
    """An interval of a difference, the smaller number first."""
    ends = [gap_text(name, end, digits) for end in (low, high)]
    return " to ".join(reversed(ends) if name in ERRORS else ends)


def metric_text(name: str, value: Any, digits: int = 1) -> str:
    """A metric as the page writes it."""
    found = number(value)
    if found is None:
        return "undefined"
    if name in PERCENT_METRICS:
        return percent(found, 2 if name == "ece" else digits)
    if name in IN_UNIT_OF_TARGET:
        return figure(found)
    return area(found) if name in AREA_METRICS else f"{found:.4f}"
