"""`train.encoding` of tables, typed without torch: networks and trees read the same numbers."""

from typing import Literal

from pydantic import Field

from headrace.params import Section


class EncodingOptions(Section):
    """`train.encoding`: how rows become numbers; all of it is measured on the training split."""

    min_count: int = Field(default=5, ge=1)
    """Training rows below which a category is treated as one that was never seen."""
    max_categories: int = Field(default=1000, ge=1)
    """Categories of one column at most, the most frequent ones."""
    fill: Literal["median", "mean", "zero"] = "median"
    """What stands for a missing number, date or ordered category; where training has missing ones, the model is told as well."""
