"""The part of the page that judges: verdict, comparison, curves, mistakes."""

import re
from typing import Any

from markupsafe import Markup, escape

from headrace.evaluation.gates import NOT_BEATEN
from headrace.evaluation.measures import ERRORS
from headrace.evaluation.page.drawing import Bin, Interval, Series, dot_chart, interval_chart, line_chart, reliability_chart
from headrace.evaluation.page.evidence import Evidence, count, mapping, number, rows, strings
from headrace.evaluation.page.pictures import Shown, find_records
from headrace.evaluation.page.words import (
    METRIC_WORDS,
    NO_NUMBER,
    PERCENT_METRICS,
    figure,
    gap_interval,
    gap_text,
    interval_text,
    metric_text,
    percent,
    points,
    score_text,
)
from headrace.evaluation.titles import MAX_CLASSES_DRAWN, area, digits_for

MAX_CELLS = 20
"""Above this number of classes the matrix is left to the confused pairs."""
WORDS_SHOWN = 3
WORDS_CHARACTERS = 48
LEAST_SHOWN = 0.005
"""Of a probability: less is written as no point at all."""
TILES = (
    *("f1_macro", "roc_auc_macro", "ece"),
    *("loss_per_character", "bits_per_byte", "perplexity_per_word"),
    *("rmse", "r2", "median_absolute_error"),
)
IMPORTANCE_HEADS = {"loss_increase": "Log loss added", "deviation": "Deviation", "accuracy_lost": "Accuracy lost"}


def describe_outcome(evidence: Evidence) -> dict[str, Any]:
    """Everything the template says about how good the candidate is; `present` is False when nothing was evaluated."""
    report = evidence.report("evaluate")
    metrics = mapping(report.get("metrics"))
    verdict = mapping(report.get("verdict"))
    if not metrics or not verdict:
        return {"present": False}
    promotion = evidence.report("promotion")
    if promotion.get("fingerprint") != report.get("fingerprint"):
        promotion = {}  # of an earlier candidate
    figures = figure_titles(report)
    details = mapping(report.get("details"))
    score, digits = str(report.get("score", "")), digits_for(count(report.get("test_records")))
    per_class = rows(details.get("per_class"))
    return {
        "present": True,
        "allowed": bool(verdict.get("allowed")),
        "better": bool(verdict.get("better")),
        "reasons": [coded(typeset(reason)) for reason in strings(verdict.get("reasons"))],
        "checks": [_check(check, score, digits) for check in rows(verdict.get("checks"))],
        "score_name": METRIC_WORDS.get(score, score) or "score",
        "score": score_text(score, metrics.get(score), digits),
        "interval": interval_text(score, report.get("score_low"), report.get("score_high"), digits),
        "confidence": f"{100 * (number(report.get('confidence')) or 0.95):g}\N{NO-BREAK SPACE}%",
        "records": count(report.get("test_records")),
        "digest": str(report.get("test_digest", "")),
        "fingerprint": str(report.get("fingerprint", "")),
        "notes": strings(report.get("notes")),
        "tiles": [(METRIC_WORDS[key], metric_text(key, metrics[key], digits)) for key in TILES if key in metrics],
        "metrics": [
            (METRIC_WORDS.get(key, key), metric_text(key, value, digits)) for key, value in metrics.items() if key not in ERRORS
        ],
        "figures": figures,
        "comparison": _comparison(report, promotion, figures, digits),
        "promotion": _promotion(promotion),
        "shown": rows(details.get("shown")),
        "per_class": per_class,
        "per_class_chart": _per_class_chart(per_class, figures.get("per_class", "")),
        "confusion": _confusion(evidence, report),
        "pairs": rows(details.get("confused_pairs")),
        "slices": _slices(details, digits),
        "importance": _importance(rows(details.get("importance")), score),
        "charts": _charts(evidence, rows(details.get("charts"))),
        "mistakes": _mistakes(evidence, report),
        "num_mistakes": details.get("num_mistakes"),
        "roc": _curves(evidence, per_class, ("roc", "fpr", "tpr", "roc_auc"), figures.get("roc", "")),
        "pr": _curves(evidence, per_class, ("pr", "recall", "precision", "average_precision"), figures.get("pr", "")),
        "calibration": _calibration(evidence, figures.get("calibration", "")),
    }


def figure_titles(report: dict[str, Any]) -> dict[str, str]:
    """Title of each figure of `evaluate` by name."""
    return {str(figure.get("name")): typeset(str(figure.get("title"))) for figure in rows(report.get("figures"))}


def typeset(text: str) -> str:
    """A sentence of a report as the page writes numbers: a true minus, and the percent sign on the line of its number."""
    return re.sub(r"(?<![\w-])-(?=\.?\d)", "\N{MINUS SIGN}", text).replace(" %", "\N{NO-BREAK SPACE}%")


def coded(text: str) -> Markup:
    """What stands between backticks as code: a key to type."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped one call before


def _check(check: dict[str, Any], score: str, digits: int) -> dict[str, Any]:
    name = str(check.get("name", ""))
    side, _, metric = name.partition("_")
    value, limit = number(check.get("value")), number(check.get("threshold"))
    unit = " points" if score in PERCENT_METRICS else ""
    if side in ("min", "max"):
        words = METRIC_WORDS.get(metric, metric)
        asked = f"at {'least' if side == 'min' else 'most'} {metric_text(metric, limit, digits)}"
        shown = metric_text(metric, value, digits)
    else:
        other = "best plausible difference to a baseline that could be trained instead"
        words, asked, shown = (
            other if name == NOT_BEATEN else "worst plausible difference to the best baseline",
            f"at {'most' if score in ERRORS else 'least'} {gap_text(score, limit, digits)}{unit}",
            f"{gap_text(score, value, digits)}{unit}",
        )
    return {"words": words, "asked": asked, "value": shown, "passed": bool(check.get("passed"))}


def _comparison(report: dict[str, Any], promotion: dict[str, Any], figures: dict[str, str], digits: int) -> dict[str, Any]:
    name = str(report.get("score", ""))
    scale = 100 if name in PERCENT_METRICS else -1 if name in ERRORS else 1
    ends = sorted(scale * (number(report.get(key)) or 0) for key in ("score_low", "score_high"))
    own = Interval("candidate", scale * (number(mapping(report.get("metrics")).get(name)) or 0), ends[0], ends[1])
    table, marks = [], [own]
    for row in rows(report.get("comparison")):
        score, low, high = (number(row.get(key)) for key in ("score", "low", "high"))
        if score is None or low is None or high is None:
            continue
        ends = sorted([scale * low, scale * high])
        marks.append(Interval(str(row.get("model")).replace("_", " "), scale * score, ends[0], ends[1], "s2"))
        table.append(
            {
                "model": str(row.get("model")).replace("_", " "),
                "score": score_text(name, score, digits),
                "interval": interval_text(name, low, high, digits),
                "difference": gap_text(name, row.get("difference"), digits),
                "difference_interval": gap_interval(name, row.get("difference_low"), row.get("difference_high"), digits),
            }
        )
    if promotion.get("champion_version") is not None and number(promotion.get("difference")) is not None:
        table.append(
            {
                "model": f"champion, version {promotion['champion_version']}",
                "score": percent(
                    (number(promotion.get("champion_correct")) or 0) / (number(promotion.get("records")) or 1), digits
                )
                if name in PERCENT_METRICS
                else NO_NUMBER,
                "interval": f"on {promotion.get('records')} records",
                "difference": gap_text(name, promotion.get("difference"), digits),
                "difference_interval": gap_interval(name, promotion.get("low"), promotion.get("high"), digits),
            }
        )
    title = figures.get("comparison", "Candidate and baselines on the same test records")
    title = title.replace("_", " ")
    words = METRIC_WORDS.get(name, name) or "score"
    label = f"{words[0].upper()}{words[1:]}{', %' if scale == 100 else ''}, with its interval"
    chart = interval_chart(marks, x_label=label, alt=title, far_below=None if scale < 0 else 0.3 * scale)
    unit = ", points" if scale == 100 else ""
    return {
        "title": title,
        "rows": table,
        "chart": chart,
        "unit": unit,
        "is": "Candidate's error is" if scale < 0 else "Candidate is",
    }


def _promotion(promotion: dict[str, Any]) -> dict[str, Any]:
    decision = str(promotion.get("decision", ""))
    if not decision:
        return {}
    sentences = {
        "promoted": f"Promoted: version {promotion.get('challenger_version')} is the champion.",
        "kept": f"The champion, version {promotion.get('champion_version')}, was kept.",
        "awaiting approval": f"Version {promotion.get('challenger_version')} awaits approval.",
        "refused": "Promotion was refused.",
    }
    return {
        "sentence": sentences.get(decision, f"Promotion: {decision}."),
        "reasons": [typeset(reason) for reason in strings(promotion.get("reasons"))],
    }


def _importance(found: list[dict[str, Any]], score: str) -> dict[str, Any]:
    """A row for each column: what shuffling it costs."""
    if not found:
        return {}
    heads = {key: words for key, words in IMPORTANCE_HEADS.items() if key in found[0]}
    if score in ERRORS:
        heads["loss_increase"] = "Error added"
    table = [[str(row.get("column")), *(_gained(number(row.get(key)) or 0, score) for key in heads)] for row in found]
    return {"heads": list(heads.values()), "rows": table}


def _gained(value: float, score: str) -> str:
    return figure(value, sign=True) if score in ERRORS else f"{value:+.4f}"


def _charts(evidence: Evidence, wanted: list[dict[str, Any]]) -> list[tuple[str, Markup]]:
    """Records as dots, two numbers of each: charts that an evaluation describes."""
    found = []
    for chart in wanted:
        title = typeset(str(chart.get("title", "")))
        pairs = [(number(row.get(str(chart.get("x")))), number(row.get(str(chart.get("y")))))
                 for row in evidence.table("evaluate", str(chart.get("table")))]  # fmt: skip
        dots = [(x, y) for x, y in pairs if x is not None and y is not None]
        labels = {key: str(chart.get(key, "")) for key in ("x_label", "y_label", "guide")}
        found.append((title, dot_chart(dots, alt=title, **labels)))
    return found


def _per_class_chart(per_class: list[dict[str, Any]], title: str) -> Markup:
    marks = []
    for row in per_class:
        recall, low, high = (number(row.get(key)) for key in ("recall", "recall_low", "recall_high"))
        if recall is not None and low is not None and high is not None:
            precision = number(row.get("precision"))
            label = f"{row.get('class')} ({row.get('support')})"
            marks.append(
                Interval(label, 100 * recall, 100 * low, 100 * high, mark=None if precision is None else 100 * precision)
            )
    marks.sort(key=lambda row: row.value)
    return interval_chart(marks[:MAX_CLASSES_DRAWN], x_label="Recall (●, with interval) and precision (◇), %", alt=title)


def _part(row: dict[str, Any]) -> str:
    smallest, largest = row.get("smallest"), row.get("largest")
    if isinstance(smallest, str):
        return f"{row.get('column')} {smallest}"
    return f"{row.get('column')} {number(smallest) or 0:,g} to {number(largest) or 0:,g}"


def _slices(details: dict[str, Any], digits: int) -> list[dict[str, str]]:
    return [
        {
            "records": _part(row),
            "count": f"{count(row.get('records')):,}",
            "accuracy": percent(row.get("accuracy"), digits),
            "interval": f"{percent(row.get('accuracy_low'), digits)} to {percent(row.get('accuracy_high'), digits)}",
        }
        for row in rows(details.get("slices"))
    ]


def _confusion(evidence: Evidence, report: dict[str, Any]) -> dict[str, Any]:
    classes = strings(mapping(report.get("details")).get("classes"))
    cells = evidence.table("evaluate", "confusion_counts")
    if not cells or not classes or len(classes) > MAX_CELLS:
        return {}
    counts = {(cell.get("actual"), cell.get("predicted")): count(cell.get("count")) for cell in cells}
    matrix = []
    for actual in classes:
        total = sum(counts.get((actual, other), 0) for other in classes)
        line = [(counts.get((actual, other), 0), other == actual) for other in classes]
        matrix.append((actual, [{"count": n, "right": right, "shade": round(n / total, 3) if total else 0} for n, right in line]))
    return {"classes": classes, "rows": matrix}


def _mistakes(evidence: Evidence, report: dict[str, Any]) -> list[dict[str, Any]]:
    worst = rows(mapping(report.get("details")).get("worst_mistakes"))
    try:
        shown = find_records(evidence.project / "data" / "splits" / "test", [str(row.get("id")) for row in worst])
    except Exception:  # noqa: BLE001 - a user's task may fail in its own way; the page then shows ids without pictures
        shown = {}
    found = [(row, shown.get(str(row.get("id")), Shown(str(row.get("id")), -1))) for row in worst]
    return [row | {"shown": item, "said": _said(row), "due_to": _due_to(row, item.whole)} for row, item in found]


def _said(row: dict[str, Any]) -> Markup:
    error = number(row.get("error"))
    if error is None:
        taken = Markup("<strong>{}</strong> taken for <strong class='bad'>{}</strong>, {} sure")
        return taken.format(row.get("label"), row.get("predicted"), percent(row.get("confidence"), 0))
    true, predicted = (figure(number(row.get(key)) or 0) for key in ("label", "predicted"))
    return Markup("<strong>{}</strong>, predicted <strong class='bad'>{}</strong>").format(true, predicted)


def _due_to(row: dict[str, Any], text: str) -> Markup:
    """The words of a text that spoke for the predicted class and against it, with the points of probability that each is worth."""
    spoke: dict[bool, list[Markup]] = {True: [], False: []}
    for piece in rows(row.get("attributions")):
        weight, words = number(piece.get("weight")) or 0.0, text[count(piece.get("start")) : count(piece.get("end"))]
        if words and abs(weight) >= LEAST_SHOWN and len(spoke[weight > 0]) < WORDS_SHOWN:
            shown = " ".join(words.split())
            shown = shown if len(shown) <= WORDS_CHARACTERS else f"{shown[:WORDS_CHARACTERS]}…"
            spoke[weight > 0].append(Markup("<mark>{}</mark> {}").format(shown, points(weight, 0)))
    sides = [(f"For {row.get('predicted')}", spoke[True]), ("Against it", spoke[False])]
    return Markup("<br>").join(Markup("{}: {}").format(side, Markup(", ").join(found)) for side, found in sides if found)


def _curves(evidence: Evidence, per_class: list[dict[str, Any]], keys: tuple[str, str, str, str], title: str) -> Markup:
    table, x, y, key = keys
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in evidence.table("evaluate", table):
        px, py = number(row.get(x)), number(row.get(y))
        if px is not None and py is not None:
            curves.setdefault(str(row.get("class")), []).append((px, py))
    ranked = sorted(
        (r for r in per_class if str(r.get("class")) in curves and number(r.get(key)) is not None), key=lambda r: r[key]
    )
    faint = [Series("", curves[str(row["class"])], "faint") for row in ranked[3:]]
    named = [Series(f"{row['class']} ({area(row[key])})", curves[str(row["class"])], style)
             for row, style in zip(ranked, ("s1", "s2", "s3"), strict=False)]  # fmt: skip
    if faint and named:
        named.append(Series(f"the {len(faint)} other classes", [], "faint"))
    words = ("False positive rate", "True positive rate") if table == "roc" else ("Recall", "Precision")
    return line_chart([*faint, *reversed(named[:3]), *named[3:]], x_label=words[0], y_label=words[1], alt=title,
                      x=(0, 1), y=(0, 1.02), steps=table == "pr", diagonal=table == "roc")  # fmt: skip


def _calibration(evidence: Evidence, title: str) -> Markup:
    bins = []
    table = evidence.table("evaluate", "calibration")
    total = sum(number(row.get("count")) or 0 for row in table) or 1
    for row in table:
        confidence, accuracy, low, high = (
            number(row.get(k)) for k in ("confidence", "accuracy", "accuracy_low", "accuracy_high")
        )
        if confidence is not None and accuracy is not None and low is not None and high is not None:
            bins.append(Bin(confidence, accuracy, low, high, share=(number(row.get("count")) or 0) / total))
    return reliability_chart(bins, alt=title)
