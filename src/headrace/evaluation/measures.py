"""Scores as people say them: an error is kept with a minus, so that higher is better as for every score, and said without it."""

ERRORS = {"negative_mae": "MAE"}
"""Scores that are errors with a minus, and what the error is called."""
IN_UNIT_OF_TARGET = {*ERRORS, "mae", "rmse", "median_absolute_error", "bias"}
"""Scores and metrics of any size."""


def say_name(score: str) -> str:
    """What a score is called."""
    return ERRORS.get(score, score)


def say_value(score: str, value: float) -> float:
    """The score, or a difference of two, as it is said."""
    return -value if score in ERRORS else value


def say_ends(score: str, low: float, high: float) -> tuple[float, float]:
    """An interval of scores or of differences, the smaller number first."""
    return (-high, -low) if score in ERRORS else (low, high)


def write_value(name: str, value: float, *, sign: bool = False) -> str:
    """A score or metric, as it is said: four decimals, and of one in the unit of the target four digits."""
    plus = "+" if sign else ""
    return figure(value, sign=sign) if name in IN_UNIT_OF_TARGET else f"{value:{plus}.4f}"


def write_difference(score: str, difference: float, low: float, high: float) -> str:
    """Such as 'difference +0.0123, interval -0.0010 to +0.0250'; of errors it is above zero where there is more of them."""
    ends = (write_value(score, end, sign=True) for end in say_ends(score, low, high))
    named = f" in {say_name(score)}" if score in ERRORS else ""
    return f"difference{named} {write_value(score, say_value(score, difference), sign=True)}, interval {' to '.join(ends)}"


def figure(value: float, *, sign: bool = False) -> str:
    """A number of any unit, to four digits."""
    plus = "+" if sign else ""
    value = value or 0.0  # not -0
    return f"{value:{plus},.0f}" if 9999.5 <= abs(value) < 1e15 else f"{value:{plus}#,.4g}".rstrip(".")
