"""Tables as one JSON object a line."""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from headrace.errors import FormatError
from headrace.formats.kinds import EMPTY, LOOKED_AT, add_file, kind_of, together
from headrace.formats.opening import INVALID, iter_lines
from headrace.formats.record import RawRecord, SourceFile
from headrace.formats.tables import ColumnOptions, RowReader, tables_among

TABLES = (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz")


class Options(ColumnOptions):
    """What the keys mean."""

    encoding: str = "utf-8"


def read(files: Sequence[SourceFile], options: Options) -> Iterator[RawRecord]:
    """One record a line; a line that is no JSON object, or misses a key that the first one has, is a faulty record.

    Raises:
        FormatError: there is no line, the first line is no object, or it misses a key that the options name.
    """
    for file in tables_among(files, TABLES, options):
        yield from _read_table(file, files, options)


def columns(files: Sequence[SourceFile], options: Options) -> dict[str, dict[str, str]]:
    """Keys of each source, and the kind of what stands under them; a line that is no object tells nothing."""
    given: dict[str, dict[str, str]] = {}
    for file in tables_among(files, TABLES, options):
        found: dict[str, str] = {}
        lines = iter_lines(file, encoding=options.encoding, keep_invalid=options.invalid_bytes == "quarantine")
        for line in islice(filter(str.strip, lines), LOOKED_AT):
            for name, value in (_parse(line)[0] or {}).items():
                found[name] = together(found.get(name, EMPTY), kind_of(value))
        add_file(given, file.source, found)
    return given


def _read_table(file: SourceFile, files: Sequence[SourceFile], options: Options) -> Iterator[RawRecord]:
    reader: RowReader | None = None
    names: list[str] = []
    for number, line in enumerate(
        iter_lines(file, encoding=options.encoding, keep_invalid=options.invalid_bytes == "quarantine"), start=1
    ):
        if not line.strip():
            continue
        position = f"line {number}"
        row, fault = _parse(line)
        if reader is None:
            if row is None:
                raise FormatError(f"{file}, {position}: {fault}. Set collect.format to what the file is.")
            names = list(row)
            reader = RowReader(file, names, options, files)
        if row is None:
            yield reader.fault(position, fault, line)
        elif INVALID.search(line):
            yield reader.fault(position, f"encoding: a byte is not {options.encoding}", line)
        elif missing := [name for name in names if name not in row]:
            yield reader.fault(position, f"keys: {', '.join(missing)[:100]} missing", row)
        else:
            yield reader.record(row, position)
    if reader is None:
        raise FormatError(f"{file} holds no line.")


def _parse(line: str) -> tuple[dict[str, Any] | None, str]:
    try:
        row = json.loads(line, object_pairs_hook=_distinct, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        return None, f"not JSON: {error}"
    return (row, "") if isinstance(row, dict) else (None, f"not JSON: a {type(row).__name__}, expected an object")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise ValueError("a key stands twice")
    return row


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")
