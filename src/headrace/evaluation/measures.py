"""Scores as people say them: an error is kept with a minus, so that higher is better as for every score, and said without it."""

ERRORS = {"negative_mae": "MAE"}
"""Scores that are errors with a minus, and what the error is called."""


def say_name(score: str) -> str:
    """What a score is called."""
    return ERRORS.get(score, score)


def say_value(score: str, value: float) -> float:
    """The score, or a difference of two, as it is said."""
    return -value if score in ERRORS else value


def say_ends(score: str, low: float, high: float) -> tuple[float, float]:
    """An interval of scores or of differences, the smaller number first."""
    return (-high, -low) if score in ERRORS else (low, high)
