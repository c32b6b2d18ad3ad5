"""Predictions at rest: what a trainer and the baselines leave for `evaluate`, read with every promise checked.

reports/predictions.parquet: id, split, label, probabilities (fixed-size list of float32, one per class), and what the task measured of
                             a record, such as its length; of the worst mistakes on texts `attributions`.
reports/baselines.parquet:   id, label, model, predicted, probabilities (null for a model that gives only a decision).
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import DataError

SUM_TOLERANCE = 1e-3
"""How far a row of probabilities may be from 1: float32 sums over 1,000 classes stay well inside, logits do not."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """One model's predicted classes on one split, in the order of the ids."""

    ids: list[str]
    labels: np.ndarray
    """int64 (N,)."""
    predicted: np.ndarray
    """int64 (N,)."""

    @property
    def correct(self) -> np.ndarray:
        """Whether each record was predicted right, bool (N,)."""
        return np.asarray(self.predicted == self.labels)

    @property
    def values(self) -> np.ndarray:
        """What a comparison of two models is about: on each record right (1) or wrong (0)."""
        return self.correct

    def digest(self) -> str:
        """sha256 of ids and labels in the order of the ids: two results of one digest were measured on the same records."""
        lines = sorted(zip(self.ids, self.labels.tolist(), strict=True))
        return hashlib.sha256("".join(f"{key} {label}\n" for key, label in lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Predictions(Decisions):
    """Decisions with the probabilities behind them."""

    probabilities: np.ndarray
    """float32 (N, K), as saved."""


def read_predictions(path: Path, split: str, *, classes: int) -> Predictions:
    """The trained model's predictions on one split; the predicted class is the most probable one, the first of equals.

    Raises:
        DataError: file missing or damaged, no rows of the split, an id twice, a label outside the classes, or
            probabilities that are NaN, negative, or do not sum to 1.
    """
    table = read_table(path, ["id", "split", "label", "probabilities"])
    table = table.filter(pa.array([value == split for value in table.column("split").to_pylist()], pa.bool_()))
    if not table.num_rows:
        raise DataError(f"{path} has no rows of split '{split}': there is nothing to evaluate. Rerun `train`.")
    ids, labels = table.column("id").to_pylist(), table.column("label").to_numpy()
    check_ids(ids, path, f"split '{split}'")
    _check_range(labels, ids, path, "label", classes)
    probabilities = _probabilities(table.column("probabilities"), ids, path, classes)
    return Predictions(ids, labels, probabilities.argmax(axis=1).astype(np.int64), probabilities)


def read_measured(path: Path, ids: Sequence[str]) -> dict[str, np.ndarray]:
    """What was measured of these records, in their order, by column: numbers or words that are nowhere missing.

    Raises:
        DataError: the file is missing or damaged.
    """
    table = read_table(path, ["id"], others=True)
    place = {key: row for row, key in enumerate(table.column("id").to_pylist())}
    rows = pa.array([place[key] for key in ids])
    return {
        name: table.column(name).take(rows).to_numpy(zero_copy_only=False)
        for name in table.column_names
        if name not in ("id", "split", "label", "probabilities", "score")
        and (pa.types.is_integer(kind := table.schema.field(name).type) or pa.types.is_floating(kind) or pa.types.is_string(kind))
        and not table.column(name).null_count
    }


def read_attributions(path: Path) -> dict[str, list[dict[str, Any]]]:
    """By id, for the records that have any: `start`, `end` and `weight` of the pieces of a record that its prediction is due to.

    Raises:
        DataError: the file is missing or damaged.
    """
    table = read_table(path, ["id"], others=True)
    if "attributions" not in table.column_names:
        return {}
    rows = zip(table.column("id").to_pylist(), table.column("attributions").to_pylist(), strict=True)
    return {key: value for key, value in rows if value}


def read_baselines(path: Path, like: Decisions, *, classes: int) -> dict[str, Decisions]:
    """Each baseline's predictions, in the order of `like`'s ids.

    Raises:
        DataError: as `read_predictions`, or another set of ids or other labels than `like` has.
    """
    table = read_table(path, ["id", "label", "model", "predicted"])
    found = {}
    for name, rows in by_model(table, like.ids, path):
        labels, predicted = rows.column("label").to_numpy(), rows.column("predicted").to_numpy()
        if (labels != like.labels).any():
            bad = like.ids[int(np.argmax(labels != like.labels))]
            raise DataError(
                f"{path}: record {bad} has another label than in the candidate's predictions. Rerun `baseline` and `train`."
            )
        _check_range(predicted, like.ids, path, "predicted class", classes)
        found[name] = Decisions(like.ids, labels, predicted)
    return found


def write_baselines(path: Path, outcomes: Mapping[str, Decisions]) -> None:
    """Write one row per model and test record, models in the given order; equal outcomes give equal bytes."""
    # A list of any length, because Arrow writes nulls of a fixed-size list that it cannot read back (pyarrow 25).
    kind = pa.list_(pa.float32())
    fields = [
        ("id", pa.string()),
        ("label", pa.int64()),
        ("model", pa.string()),
        ("predicted", pa.int64()),
        ("probabilities", kind),
    ]
    schema = pa.schema(fields)
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as file:
        for name, outcome in outcomes.items():
            rows = len(outcome.ids)
            probabilities = pa.nulls(rows, kind)
            if isinstance(outcome, Predictions):
                offsets = np.arange(rows + 1, dtype=np.int32) * outcome.probabilities.shape[1]
                probabilities = pa.ListArray.from_arrays(offsets, pa.array(outcome.probabilities.ravel(), pa.float32()))
            columns = [outcome.ids, outcome.labels, [name] * rows, outcome.predicted, probabilities]
            file.write_table(pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema))


def read_table(path: Path, columns: list[str], *, others: bool = False) -> pa.Table:
    """These columns of a file, or all where `others`; none of them (but probabilities) has an empty value.

    Raises:
        DataError: the file is missing or damaged, or lacks a column.
    """
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Run the stage that writes it.") from None
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path} is damaged ({error}). Delete it and rerun the stage that writes it.") from None
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise DataError(f"{path} has no column '{missing[0]}'; it needs {', '.join(columns)}.")
    for name in columns:
        if name != "probabilities" and table.column(name).null_count:
            raise DataError(f"{path}: column '{name}' has {table.column(name).null_count} empty values.")
    return (table if others else table.select(columns)).combine_chunks()


def by_model(table: pa.Table, ids: list[str], path: Path) -> Iterator[tuple[str, pa.Table]]:
    """Each baseline's rows in the order of the candidate's ids; refuses a set of records that is not the candidate's."""
    place = {key: index for index, key in enumerate(ids)}
    names = np.array(table.column("model").to_pylist(), dtype=object)
    for name in dict.fromkeys(names.tolist()):
        rows = table.filter(pa.array(names == name, pa.bool_()))
        measured = rows.column("id").to_pylist()
        check_ids(measured, path, f"model '{name}'")
        if set(measured) != set(place):
            raise DataError(
                f"{path}: model '{name}' was measured on {len(measured)} test records, the candidate on {len(place)}, and "
                f"{len(set(measured) ^ set(place))} ids are in only one of them. Both must use the same split: "
                f"rerun `baseline` and `train`."
            )
        yield name, rows.take(np.argsort([place[key] for key in measured]))


def check_ids(ids: list[str], path: Path, where: str) -> None:
    """Refuse an id that stands twice."""
    if len(set(ids)) != len(ids):
        twice = next(key for key in ids if ids.count(key) > 1)
        raise DataError(
            f"{path}: record {twice} stands twice in {where}, so it would count twice. Rerun the stage that wrote it."
        )


def _check_range(values: np.ndarray, ids: list[str], path: Path, what: str, classes: int) -> None:
    bad = (values < 0) | (values >= classes)
    if bad.any():
        first = int(np.argmax(bad))
        raise DataError(f"{path}: {what} {values[first]} of record {ids[first]} is outside the model's {classes} classes.")


def _probabilities(column: pa.ChunkedArray, ids: list[str], path: Path, classes: int) -> np.ndarray:
    kind = column.type
    if not pa.types.is_fixed_size_list(kind) or kind.list_size != classes:
        raise DataError(
            f"{path}: probabilities are {kind}, expected {classes} numbers a record, one for each class of the model."
        )
    if column.null_count:
        raise DataError(f"{path}: {column.null_count} records have no probabilities.")
    flat = pa.concat_arrays([chunk.flatten() for chunk in column.chunks]) if column.num_chunks else pa.array([], kind.value_type)
    # A null inside a list reads as NaN, so that one check finds both.
    values: np.ndarray = flat.cast(pa.float32()).to_numpy(zero_copy_only=False).reshape(-1, classes)
    for bad, what in (
        (~np.isfinite(values).all(axis=1), "probabilities that are NaN or infinite"),
        ((values < 0).any(axis=1), "a negative probability"),
        (np.abs(values.sum(axis=1, dtype=np.float64) - 1) > SUM_TOLERANCE, "probabilities that do not sum to 1"),
    ):
        if bad.any():
            first = int(np.argmax(bad))
            raise DataError(
                f"{path}: {int(bad.sum())} of {len(values)} records have {what}, such as {ids[first]} with "
                f"{[round(float(v), 4) for v in values[first][:6]]}. The model is broken, or these are no probabilities."
            )
    return values
