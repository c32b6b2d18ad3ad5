"""A first look at pictures with classes: folders named after their classes, or an archive of them."""

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

from headrace.errors import ParamsError
from headrace.formats import image_folder
from headrace.formats.record import RawRecord
from headrace.intake import image_classification as intake
from headrace.starting.cells import first_counts
from headrace.starting.columns import table_format
from headrace.starting.contract import FirstLook, Request
from headrace.starting.measured import Measured, bad_fraction, check_classes, fault_checks, measure, rules
from headrace.starting.texts import base_suite, judged_changes

MAX_DECODED = 20_000
"""Pictures that are decoded for a first look."""
MAX_SIDE = 64
"""Pixels of a side for a first training of minutes on two cores."""


def look(request: Request) -> FirstLook:
    """Infer classes, one size for all, limits, and the size of a first training."""
    if request.text or request.label or request.split:
        raise ParamsError("--text, --label and --split name columns of a table; the class of a picture is the folder it lies in.")
    if table_format(request.files):
        raise ParamsError(
            f"{request.data} is a table. Give a folder with a folder of pictures for each class, or an archive of it."
        )

    def read() -> Iterator[RawRecord]:
        yield from image_folder.read(request.files, image_folder.Options())

    record, sizes = _record(read)
    measured = measure(read, intake, intake.RecordOptions(**record), limit=MAX_DECODED, what=str(request.data))
    checks = check_classes(measured, str(request.data))
    if "fit" in record:
        checks.append(
            f"The pictures have {len(sizes)} sizes ({first_counts(sizes, 3)}): all become {record['height']} x {record['width']} pixels, "
            "their edges cut (collect.record.fit: crop, pad or stretch)."
        )
    checks.append(
        "train.augmentation turns and shifts pictures a little. Is a turned picture still of its class? Is a mirrored one?"
    )
    suite, refused = rules(measured, base_suite("image_classification"))
    checks += fault_checks(measured)
    collect = {"task": "image_classification", "format": "image_folder", "record": record, "classes": list(measured.classes)}
    changes = judged_changes(measured) | _training(measured, record)
    if allowed := bad_fraction(measured, refused):
        changes["validate.max_bad_fraction"] = allowed
    if measured.rows >= MAX_DECODED:
        checks.append(f"Only the first {MAX_DECODED:,} pictures were looked at: limits and classes are theirs.")
    found = [
        f"{measured.rows:,} pictures, {len(measured.classes)} classes: {first_counts(measured.classes)}",
        f"sizes: {first_counts(sizes, 3)}",
    ]
    return FirstLook(measured.rows, collect, "mnist", changes, suite, found, checks)


def _record(read: Any) -> tuple[dict[str, Any], dict[str, int]]:
    """One size and number of channels for all, and the sizes that occur, most frequent first."""
    rows = intake.make_rows(list(islice(read(), 2048)), {}, intake.RecordOptions(height=8, width=8, channels=3, fit="stretch"))
    height, width, channels = (rows[name].to_pylist() for name in ("height", "width", "channels"))
    seen = Counter((h, w) for h, w in zip(height, width, strict=True) if h and w)
    colours = Counter(1 if c in (1, 2) else 3 for c in channels if c)
    if not seen:
        # `collect` would say the same; its message names the reason of the first one.
        intake.settle(intake.RecordOptions(), list(islice(read(), 256)))
    side_h, side_w = seen.most_common(1)[0][0]
    record: dict[str, Any] = {
        "height": min(side_h, MAX_SIDE),
        "width": min(side_w, MAX_SIDE),
        "channels": 3 if colours[3] else 1,
    }
    if len(seen) > 1 or (side_h, side_w) != (record["height"], record["width"]):
        record["fit"] = "crop"
    return record, {f"{h} x {w}": count for (h, w), count in seen.most_common()}


def _training(measured: Measured, record: dict[str, Any]) -> dict[str, tuple[Any, str]]:
    """A first training of minutes on two cores."""
    records = measured.rows - measured.bad
    side = min(record["height"], record["width"])
    options: dict[str, Any] = {"width": 16} if side < 16 else {"width": 32}
    if side < 16:
        options |= {"stem_kernel": 3, "stem_stride": 1}
    epochs = max(3, min(30, round(100_000 / max(records, 1))))
    return {
        "split.test": (0.2, "of the records that come without a split"),
        "split.validation": (0.1, "of what is not test"),
        "train.network_options": (options, ""),
        "train.epochs": (epochs, f"{records:,} records; a choice to try"),
        "train.batch_size": (max(8, min(250, records // 40)), ""),
        "train.precision": ("fp32", "bf16 is faster where `headrace doctor` says so"),
        "baseline.max_records": (5000, "training records at most, drawn by seed"),
    } | judged_split(measured)


def judged_split(measured: Measured) -> dict[str, tuple[Any, str]]:
    """No validation carved out where the data bring one."""
    return {"split.validation": (0, "the data bring one")} if measured.splits.get("validation") else {}
