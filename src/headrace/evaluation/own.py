"""Metrics of the user's own, beside those of an evaluation."""

import math
from collections.abc import Mapping
from typing import Any

from headrace.errors import ParamsError
from headrace.plugins import resolve


def own_metrics(named: Mapping[str, str], measured: Mapping[str, object], **known: Any) -> dict[str, float]:
    """Call each function with what is known of the test records.

    Args:
        named: `module:function` by the metric's name (`evaluate.options.metrics` in params.yaml).
        measured: metrics that are there already.
        known: arguments of the functions, such as `labels` and `probabilities`.

    Raises:
        ParamsError: a name is taken, or a function fails or gives no finite number.
    """
    found = {}
    for name, function in named.items():
        where = f"evaluate.options.metrics.{name}"
        if name in measured:
            raise ParamsError(f"{where}: a metric of that name is there already. Choose another name.")
        if ":" not in function:
            raise ParamsError(f"{where} is '{function}'; a metric of your own is `module:function`.")
        metric = resolve("evaluation", function, None, where="evaluate.options.metrics")
        try:
            value = float(metric(**known))
        except (TypeError, ValueError, ArithmeticError, LookupError) as error:
            raise ParamsError(f"{where}: {function} failed with {type(error).__name__}: {error}.") from None
        if not math.isfinite(value):
            raise ParamsError(f"{where}: {function} gave {value}, which is no number that a gate could hold.")
        found[name] = value
    return found
