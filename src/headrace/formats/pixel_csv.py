"""Images as rows of numbers: one image a line, its pixels row by row and a column with the label."""

from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from headrace.errors import FormatError
from headrace.formats.opening import broken, iter_lines
from headrace.formats.record import RawRecord, SourceFile
from headrace.params import Section


class Options(Section):
    """How the rows are laid out."""

    height: int = Field(gt=0, le=65_536)
    """Rows of an image."""
    width: int = Field(gt=0, le=65_536)
    """Columns of an image."""
    channels: int = Field(default=1, ge=1, le=4)
    """Values per pixel, standing side by side."""
    label: int | None = -1
    """Column of the label, counted from 0, from the end when negative; null when the rows have none."""
    max_value: float = Field(default=255, gt=0)
    """The value that means white; pixels are scaled so that it becomes 255."""
    header: bool = False
    """Whether the first line names the columns."""
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    encoding: str = "utf-8"

    @model_validator(mode="after")
    def _label_is_a_column(self) -> Self:
        columns = self.height * self.width * self.channels + 1
        if self.label is not None and not -columns <= self.label < columns:
            raise ValueError(
                f"label is column {self.label}, but a row of {self.height} x {self.width} pixels has {columns} columns"
            )
        return self


def read(files: Sequence[SourceFile], options: Options) -> Iterator[RawRecord]:
    """One record a line, in the order of the files.

    Raises:
        FormatError: a file has no row, or every row has another number of columns than the options say.
    """
    for file in files:
        yield from _read_file(file, options)


def _read_file(file: SourceFile, options: Options) -> Iterator[RawRecord]:
    expected = options.height * options.width * options.channels + (options.label is not None)
    rows = good = 0
    for number, line in enumerate(iter_lines(file, encoding=options.encoding), start=1):
        if (options.header and number == 1) or not line.strip():
            continue
        rows += 1
        record = _read_row(line, number, file, expected, options)
        good += not record.fault
        if rows == 1 and record.fault.startswith("columns"):
            # The first row decides whether the description of the file is wrong; a later row is a bad row.
            raise FormatError(
                f"{file}, line {number}: {record.fault.removeprefix('columns: ')}. "
                "Correct height, width, channels, label or delimiter in collect.options."
            )
        yield record
    if not rows:
        raise FormatError(f"{file} holds no row{' below its header' if options.header else ''}.")
    if not good:
        raise FormatError(f"{file}: not one of {rows} rows can be read. Check collect.options.")


def _read_row(line: str, number: int, file: SourceFile, expected: int, options: Options) -> RawRecord:
    position = f"row {number}"
    cells = line.split(options.delimiter)
    content = line.encode()
    if len(cells) != expected:
        return broken(file, position, f"columns: found {len(cells)}, expected {expected}", content=content)
    label = cells.pop(options.label).strip().strip('"') if options.label is not None else None
    if label == "":
        return broken(file, position, "label: empty", content=content)
    try:
        values = np.array(list(map(float, cells)))
    except ValueError as error:
        return broken(file, position, f"not a number: {error}"[:200], content=content)
    if not (values.min() >= 0 and values.max() <= options.max_value):  # written so that NaN fails too
        return broken(file, position, f"range: a pixel is outside 0 to {options.max_value:g}", content=content)
    # Round half up: 16 levels give 0, 16, 32 ... on every machine; numpy's round-half-even would depend on the last bit.
    pixels = np.floor(values * (255 / options.max_value) + 0.5).astype(np.uint8)
    return RawRecord(
        payload=pixels.reshape(options.height, options.width, options.channels),
        label=label,
        split=file.split,
        source=file.source,
        origin=f"{file.name}:{position}",
        # The label stands beside the pixels, so the digest of a record is of the pixels as they came.
        content=options.delimiter.join(cells).encode(),
    )
