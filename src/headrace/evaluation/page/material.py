"""The part of the page that shows what went in: samples, classes, validation, splits, augmentation, and the training."""

from typing import Any

from markupsafe import Markup

from headrace.evaluation.page.drawing import Series, line_chart
from headrace.evaluation.page.evidence import Evidence, count, mapping, mapping_of_mappings, number, rows, strings
from headrace.evaluation.page.pictures import png_uri, samples
from headrace.evaluation.page.words import percent

PER_CLASS = 6
MAX_CLASSES = 20
SPLITS = ("train", "validation", "test")


def describe_material(evidence: Evidence) -> dict[str, Any]:
    """Everything the template says about the data and the training; absent pieces are empty."""
    shown = _samples(evidence)
    return {
        "samples": shown,
        "longest_name": max((len(name) for name, _ in shown), default=0),
        "balance": _balance(evidence),
        "validation": _validation(evidence.report("validate")),
        "split": _split(evidence.report("split")),
        "suspects": _suspects(evidence),
        "augmentation": _augmentation(evidence),
        "training": _training(evidence),
    }


def _samples(evidence: Evidence) -> list[tuple[str, list[Any]]]:
    try:
        return samples(evidence.project / "data" / "splits" / "train", per_class=PER_CLASS, max_classes=MAX_CLASSES)
    except Exception:  # noqa: BLE001 - a user's task may fail in its own way; the page then says that there are no samples
        return []


def _balance(evidence: Evidence) -> dict[str, Any]:
    by_split = mapping_of_mappings(evidence.report("split").get("classes"))
    names = list(dict.fromkeys(name for counts in by_split.values() for name in counts))
    if not names:
        return {}
    table = [(name, [count(by_split.get(split, {}).get(name)) for split in SPLITS]) for name in names]
    totals = {name: sum(counts) for name, counts in table}
    largest = max(totals.values()) or 1
    most, least = max(totals, key=lambda name: totals[name]), min(totals, key=lambda name: totals[name])
    ratio = totals[most] / max(totals[least], 1)
    title = f"'{most}' has {totals[most]:,} records, '{least}' {totals[least]:,}"
    title = f"Classes are of similar size: {title}" if ratio < 1.5 else f"Classes differ {ratio:.1f} times in size: {title}"
    lines = [
        {"name": name, "counts": counts, "total": totals[name], "widths": [round(100 * n / largest, 2) for n in counts]}
        for name, counts in table
    ]
    return {"title": title, "rows": lines[:MAX_CLASSES], "hidden": max(0, len(lines) - MAX_CLASSES)}


def _validation(report: dict[str, Any]) -> dict[str, Any]:
    if not report:
        return {}
    expectations = rows(report.get("expectations"))
    held = sum(bool(row.get("success")) for row in expectations)
    quarantined, total = count(report.get("quarantined")), count(report.get("rows_in"))
    sentence = f"{held} of {len(expectations)} expectations held on {total:,} records; "
    sentence += (
        "none was quarantined."
        if not quarantined
        else f"{quarantined:,} ({percent(report.get('bad_fraction'), 2)}) were quarantined."
    )
    reasons = {reason: count(n) for reason, n in mapping(report.get("quarantined_by_reason")).items()}
    return {
        "sentence": sentence,
        "reasons": sorted(reasons.items(), key=lambda item: -item[1]),
        "warnings": strings(report.get("warnings")),
        "changes": [_change(row) for row in rows(report.get("changes"))],
        "compared": str(report.get("compared", "")),
        "expectations": expectations,
    }


def _change(row: dict[str, Any]) -> dict[str, Any]:
    where = str(row.get("column", "")) + (f" of {row['source']}" if row.get("source") else "")
    return {
        "what": str(row.get("kind", "")).replace("_", " "),
        "column": where,
        "accepted": str(row.get("accepted", "")),
        "found": str(row.get("found", "")),
        "records": count(row.get("records")),
        "policy": str(row.get("policy", "")),
    }


def _split(report: dict[str, Any]) -> dict[str, Any]:
    counts = mapping(report.get("rows"))
    if not counts:
        return {}
    dropped = mapping_of_mappings(report.get("dropped"))
    causes = [(cause, count(drop.get("rows"))) for cause, drop in dropped.items()]
    causes = [(cause, n) for cause, n in causes if n]
    parts = ", ".join(f"{count(counts.get(name)):,} {name}" for name in SPLITS)
    left_out = sum(n for _, n in causes)
    sentence = f"{parts}. " + (f"{left_out:,} left out so that nothing leaks." if left_out else "No record had to be left out.")
    return {"sentence": sentence, "causes": causes, "contradictory": count(report.get("contradictory_ids"))}


def _suspects(evidence: Evidence) -> dict[str, Any]:
    report = evidence.report("suspects")
    if not report or "suspects" not in evidence.dag:  # a stage that was taken out leaves its report behind
        return {}
    model, found = str(report.get("model", "")).replace("_", " "), count(report.get("suspects"))
    sentence = (
        f"{found:,} of {count(report.get('records')):,} labels are probably wrong, says {model}, which agrees with "
        f"{percent(report.get('accuracy'))} of them on records it has not seen."
    )
    unjudged = strings(report.get("not_judged"))
    return {
        "sentence": sentence + (f" Too few records to judge: {', '.join(unjudged)}." if unjudged else ""),
        "rows": [
            {key: str(row.get(key, "")) for key in ("id", "split", "origin", "given", "suggested")}
            | {"believed": percent(row.get("probability_given")), "instead": percent(row.get("probability_suggested"))}
            for row in rows(report.get("most_suspect"))
        ],
        "hidden": max(0, found - len(rows(report.get("most_suspect")))),
    }


def _augmentation(evidence: Evidence) -> dict[str, Any]:
    report = evidence.report("augment")
    if not report:
        return {}
    sheet = ""
    for path in sorted((evidence.reports / "plots" / "augment").glob("*.png")):
        sheet = png_uri(path.read_bytes())
        break
    extra, originals = count(report.get("samples_out")), count(report.get("samples_in"))
    transforms = ", ".join(name.replace("_", " ") for name in mapping(report.get("policy")))
    made = f"{extra:,} extra samples of {originals:,} originals" if extra else f"No extra copies of {originals:,} originals"
    return {"sentence": f"{made}{f'; transforms: {transforms}' if transforms else ''}.", "sheet": sheet}


def _training(evidence: Evidence) -> dict[str, Any]:
    report, history = evidence.report("train"), evidence.table("train", "history")
    if not report and not history:
        return {}
    columns = {
        name: [(number(row.get("epoch")), number(row.get(name))) for row in history] for name in (history[0] if history else {})
    }
    lines = {name: [(x, y) for x, y in pairs if x is not None and y is not None] for name, pairs in columns.items()}
    accuracy = lines.get("validation_accuracy") or []
    best = max(accuracy, key=lambda point: point[1], default=None)
    title = f"Validation accuracy peaks at {percent(best[1], 2)} in epoch {best[0]:.0f} of {len(history)}" if best else ""
    losses = [Series(name.replace("_", " "), lines[name], style)
              for name, style in (("train_loss", "s2"), ("validation_loss", "s1")) if lines.get(name)]  # fmt: skip
    loss_title = (
        f"Training loss falls to {losses[0].points[-1][1]:.4f}" if losses and losses[0].style == "s2" else "Loss by epoch"
    )
    score = [Series("", [(x, 100 * y) for x, y in accuracy], "s1")] if accuracy else []
    words = []
    for key, text in (
        ("parameters", "weights" if "epochs" in report else "fitted numbers"),
        ("samples", "training samples"),
        ("epochs", "epochs"),
        ("steps", "steps"),
    ):
        value = number(report.get(key))
        if value is not None:
            words.append(f"{value:,.0f} {text.removesuffix('s') if value == 1 else text}")
    encoded = mapping(report.get("encoding"))
    if "truncated_tokens" in encoded:
        cut, unknown = percent(encoded.get("truncated_tokens")), percent(encoded.get("unknown_tokens"))
        words.append(f"{cut} of the training tokens cut off, {unknown} outside the vocabulary")
    return {
        "sentence": ", ".join(words) + "." if words else "",
        "accuracy_title": title,
        "accuracy": line_chart(score, x_label="Epoch", y_label="Accuracy, %", alt=title) if len(accuracy) > 1 else Markup(""),
        "loss_title": loss_title,
        "loss": line_chart(losses, x_label="Epoch", y_label="Loss", alt=loss_title) if len(history) > 1 else Markup(""),
        "history": history if len(history) > 1 or "epochs" in report else [],
        "written": rows(evidence.json(evidence.reports / "plots" / "train" / "samples.json").get("samples")),
    }
