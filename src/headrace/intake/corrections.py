"""Labels that a person has corrected come back as a source: tables of id, label and why, applied while records are written."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from headrace.errors import DataError, FormatError, ParamsError
from headrace.formats.opening import iter_lines
from headrace.formats.record import SourceFile
from headrace.params import Report, did_you_mean

COLUMNS = ("id", "label", "why")

GIVEN = pa.field("given_label", pa.string())
"""The extra column of a data set with corrections: the class that the record came with ('' for none), null where nobody changed it."""

MAX_NAMED = 5


class CorrectionReport(Report):
    """What became of the corrections."""

    ids: int
    """Records with a correction, by content: copies of one are one."""
    changed: dict[str, int]
    """Rows by 'old -> new'."""
    agreed: int
    """Rows that had the label already."""
    reasons: dict[str, int]
    """Ids by what stands under `why`."""


@dataclass(frozen=True)
class _Correction:
    label: str
    why: str
    where: str


@dataclass
class Corrections:
    """The corrected labels by id, and what came of them so far."""

    by_id: Mapping[str, _Correction]
    _met: set[str] = field(default_factory=set)
    _changed: dict[str, int] = field(default_factory=dict)
    _agreed: int = 0

    def check(self, classes: Sequence[str]) -> None:
        """Refuse labels that are no class of the data.

        Raises:
            DataError: names the first.
        """
        if not classes:
            raise DataError(
                "collect.corrections: records of this task have no classes, so there is no label to correct. Leave it out."
            )
        for correction in self.by_id.values():
            if correction.label not in classes:
                raise DataError(
                    f"{correction.where}: '{correction.label}' is no class of the data ({', '.join(classes[:20])}). Correct the line, "
                    "or name the class in collect.classes."
                )

    def apply(self, rows: pa.Table, classes: Sequence[str]) -> pa.Table:
        """Rows with the corrected labels, and with the column of the labels they came with."""
        labels, faults = rows["label"].to_pylist(), rows["fault"].to_pylist()
        given: list[str | None] = [None] * len(labels)
        numbers = {name: index for index, name in enumerate(classes)}
        for row, record_id in enumerate(rows["id"].to_pylist()):
            if (correction := self.by_id.get(record_id)) is None:
                continue
            self._met.add(record_id)
            old = classes[labels[row]] if labels[row] >= 0 else ""
            if old == correction.label:
                self._agreed += 1
                continue
            change = f"{old or 'no class'} -> {correction.label}"
            self._changed[change] = self._changed.get(change, 0) + 1
            given[row], labels[row] = old, numbers[correction.label]
            if faults[row].startswith("unknown class:"):
                faults[row] = ""
        for name, values in (("label", labels), ("fault", faults)):
            at = rows.schema.get_field_index(name)
            rows = rows.set_column(at, rows.schema.field(at), pa.array(values, rows.schema.field(at).type))
        return rows.append_column(GIVEN, pa.array(given, GIVEN.type))

    def finish(self) -> CorrectionReport:
        """Count.

        Raises:
            DataError: an id is of no record.
        """
        lost = [(record_id, found.where) for record_id, found in self.by_id.items() if record_id not in self._met]
        if lost:
            named = "; ".join(f"{where}: {record_id}" for record_id, where in lost[:MAX_NAMED])
            more = f" and {len(lost) - MAX_NAMED} more" if len(lost) > MAX_NAMED else ""
            raise DataError(
                f"collect.corrections names records that the sources do not have: {named}{more}. An id is a digest of the record's "
                "content: copy it from the list of suspects, or take the line out if the record is gone."
            )
        reasons: dict[str, int] = {}
        for correction in self.by_id.values():
            reasons[correction.why] = reasons.get(correction.why, 0) + 1
        return CorrectionReport(
            ids=len(self.by_id),
            changed=dict(sorted(self._changed.items())),
            agreed=self._agreed,
            reasons=dict(sorted(reasons.items())),
        )


def names_of_records(sources: Sequence[str], corrections: str | None) -> list[str]:
    """The sources that are records.

    Raises:
        ParamsError: there is no such source of corrections, or no other one.
    """
    if corrections is not None and corrections not in sources:
        raise ParamsError(
            f"params.yaml: 'collect.corrections' is '{corrections}', and collect.sources has no source of that name."
            f"{did_you_mean(corrections, sources)} Add one, such as `- {{kind: files, name: {corrections}, paths: [...]}}`."
        )
    left = [name for name in sources if name != corrections]
    if not left:
        raise ParamsError("params.yaml: 'collect.sources' has corrections and no records. Add the source of the records.")
    return left


def read_corrections(files: Sequence[SourceFile]) -> Corrections:
    """Read all tables; a line without a label was looked at and left as it is. Columns beyond id, label and why are passed over.

    Raises:
        FormatError: a file is no UTF-8 CSV with these columns.
        DataError: one id has two labels.
    """
    found: dict[str, _Correction] = {}
    for file in files:
        for number, row in _lines(file):
            where = f"{file.name}:{number}"
            record_id, label, why = ((row.get(name) or "").strip() for name in COLUMNS)
            if not label:
                continue
            if not record_id:
                raise FormatError(f"{where}: a label without an id. Copy the id from the list of suspects.")
            before = found.get(record_id)
            if before and before.label != label:
                raise DataError(
                    f"{where}: record {record_id} is '{label}' here and '{before.label}' in {before.where}. Decide for one of them."
                )
            found.setdefault(record_id, _Correction(label, why, where))
    return Corrections(found)


def _lines(file: SourceFile) -> Iterator[tuple[int, dict[str, str]]]:
    reader = csv.DictReader((f"{line}\n" for line in iter_lines(file)), strict=True)
    try:
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise FormatError(
                f"{file} has no column '{missing[0]}'. Corrections are a table of id, label and why, with a header."
            )
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise FormatError(f"{file}, line {reader.line_num}: {error}.") from None
