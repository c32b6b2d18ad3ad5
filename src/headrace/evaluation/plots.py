"""Figures of a classifier as PNG files whose bytes are a function of the numbers: no date, no software version.

Colours are Okabe and Ito's, and every series also differs by marker or line, so that a figure reads in black and white.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from headrace.evaluation import titles
from headrace.evaluation.contract import Judgement
from headrace.evaluation.significance import Comparison
from headrace.storage.local import atomic_path

BLUE, ORANGE, GREEN, PINK, GREY, SLATE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8BCC2", "#6B7280"
LINES = ["-", "--", "-.", ":"]
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#6B7280",
    "figure.titlesize": 11.5,
    "xtick.color": "#374151",
    "ytick.color": "#374151",
    "legend.frameon": False,
    "legend.fontsize": 9.5,
}
MAX_NAMED_CLASSES = 3
"""Curves drawn in colour: the classes ranked worst; the others stay grey behind them."""
FAR_BELOW = 0.3
"""A baseline this far below the candidate is named but not drawn to scale, or it would squeeze the others together."""
MAX_CELL_NUMBERS = 20
"""Above this number of classes a confusion matrix shows shades only."""


def draw(judged: Judgement, interval: tuple[float, float], comparison: list[Comparison], folder: Path) -> dict[str, str]:
    """Write roc, pr, calibration, confusion, per_class, comparison and, where it was measured, importance PNG files; returns titles."""
    details, metrics = judged.details, judged.metrics
    per_class = details["per_class"]
    ece, accuracy = metrics["ece"] or 0.0, metrics["accuracy"] or 0.0
    figures: dict[str, tuple[str, Callable[[Axes], None], tuple[float, float]]] = {
        "roc": (
            titles.roc_title(per_class, metrics["roc_auc_macro"]),
            lambda axes: _curves(axes, judged.tables["roc"], per_class, ("fpr", "tpr", "roc_auc")),
            (6.4, 4.8),
        ),
        "pr": (
            titles.pr_title(per_class, metrics["average_precision_macro"]),
            lambda axes: _curves(axes, judged.tables["pr"], per_class, ("recall", "precision", "average_precision")),
            (6.4, 4.8),
        ),
        "calibration": (
            titles.calibration_title(ece, details["mean_confidence"], accuracy),
            lambda axes: _calibration(axes, judged.tables["calibration"]),
            (6.4, 4.8),
        ),
        "confusion": (
            titles.confusion_title(details["confused_pairs"], details["num_mistakes"], judged.records),
            lambda axes: _confusion(axes, judged.tables["confusion_counts"], details["classes"]),
            (6.4, 6.0),
        ),
        "per_class": (
            titles.per_class_title(per_class),
            lambda axes: _per_class(axes, per_class),
            (6.4, max(2.4, 1.4 + 0.3 * min(len(per_class), titles.MAX_CLASSES_DRAWN))),
        ),
        "comparison": (
            titles.comparison_title(comparison, judged.score_name, judged.records),
            lambda axes: _comparison(axes, judged, interval, comparison),
            (6.4, 1.8 + 0.45 * len(comparison)),
        ),
    }
    if importance := details.get("importance"):
        size = (6.4, max(2.4, 1.4 + 0.3 * min(len(importance), titles.MAX_COLUMNS_DRAWN)))
        figures["importance"] = (
            titles.importance_title(importance),
            lambda axes: paint_importance(axes, importance, "Log loss"),
            size,
        )
    for name, (title, paint, size) in figures.items():
        save(folder / f"{name}.png", title, paint, size)
    return {name: title for name, (title, _, _) in figures.items()}


def save(path: Path, title: str, paint: Callable[[Axes], None], size: tuple[float, float]) -> None:
    """Write a figure of one chart below its title."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=size, dpi=130, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        figure.suptitle(_wrap(title), x=0.015, ha="left")
        paint(axes)
        with atomic_path(path) as temporary:
            figure.savefig(temporary, metadata={"Software": None})


def _wrap(title: str, width: int = 72) -> str:
    # A class name may hold a dollar sign, which matplotlib would read as mathematics.
    lines: list[str] = []
    for word in title.replace("$", r"\$").split():
        if lines and len(lines[-1]) + len(word) < width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "\n".join(lines)


def _short(name: str, limit: int = 16) -> str:
    # Cut in the middle: names that begin alike often end differently.
    return name if len(name) <= limit else f"{name[: limit // 2 - 1]}…{name[-limit // 2 :]}"


def _curves(axes: Axes, rows: list[dict[str, Any]], per_class: list[dict[str, Any]], keys: tuple[str, str, str]) -> None:
    x, y, area = keys
    by_class: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        xs, ys = by_class.setdefault(row["class"], ([], []))
        xs.append(row[x])
        ys.append(row[y])
    defined = sorted((row for row in per_class if row["class"] in by_class and row[area] is not None), key=lambda row: row[area])
    style = "steps-pre" if x == "recall" else "default"
    for row in reversed(defined[MAX_NAMED_CLASSES:]):
        axes.plot(*by_class[row["class"]], color=GREY, linewidth=1, drawstyle=style)
    for place, row in enumerate(defined[:MAX_NAMED_CLASSES]):
        colour, line = (ORANGE, BLUE, GREEN)[place], LINES[place]
        label = f"{_short(row['class'])}  ({titles.area(row[area])})".replace("$", r"\$")
        axes.plot(*by_class[row["class"]], color=colour, linestyle=line, linewidth=2, label=label, drawstyle=style)
    if x == "fpr":
        axes.plot([0, 1], [0, 1], color="#6B7280", linewidth=1, linestyle=(0, (1, 3)))
    axes.set_xlabel("False positive rate" if x == "fpr" else "Recall")
    axes.set_ylabel("True positive rate" if x == "fpr" else "Precision")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    if defined:
        grey = f", {len(defined) - MAX_NAMED_CLASSES} others grey" if len(defined) > MAX_NAMED_CLASSES else ""
        axes.legend(title=f"Lowest classes{grey}", loc="lower right" if x == "fpr" else "lower left", alignment="left")


def _calibration(axes: Axes, bins: list[dict[str, Any]]) -> None:
    filled = [row for row in bins if row["count"]]
    largest = max(row["count"] for row in filled)
    axes.plot([0, 1], [0, 1], color="#6B7280", linewidth=1, linestyle=(0, (1, 3)), label="confidence = accuracy")
    axes.vlines([r["confidence"] for r in filled], [r["accuracy_low"] for r in filled], [r["accuracy_high"] for r in filled],
                color=BLUE, linewidth=1.5, label="95 % interval of the bin")  # fmt: skip
    areas = [20 + 130 * row["count"] / largest for row in filled]
    axes.scatter([r["confidence"] for r in filled], [r["accuracy"] for r in filled], s=areas, color=BLUE, zorder=3,
                 label="bin, area by records")  # fmt: skip
    axes.set(
        xlim=(0, 1.02), ylim=(-0.02, 1.04), xlabel="Confidence: probability of the predicted class", ylabel="Accuracy in the bin"
    )
    axes.legend(loc="upper left")


def _confusion(axes: Axes, cells: list[dict[str, Any]], classes: list[str]) -> None:
    place = {name: index for index, name in enumerate(classes)}
    matrix = [[0] * len(classes) for _ in classes]
    for cell in cells:
        matrix[place[cell["actual"]]][place[cell["predicted"]]] = cell["count"]
    support = [max(sum(row), 1) for row in matrix]
    shares = [[count / support[i] for count in row] for i, row in enumerate(matrix)]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= MAX_CELL_NUMBERS:
        size = 10 if len(classes) <= 12 else 7
        for i, row in enumerate(matrix):
            for j, count in enumerate(row):
                if count:
                    wrong = i != j
                    colour = "white" if shares[i][j] > 0.5 else (ORANGE if wrong else "#111827")
                    axes.text(j, i, str(count), ha="center", va="center", color=colour, fontsize=size,
                              fontweight="bold" if wrong else "normal")  # fmt: skip
        names = [_short(name) for name in classes]
        names = [name.replace("$", r"\$") for name in names]
        turn = 45 if max(map(len, names)) > 3 else 0
        axes.set_xticks(range(len(classes)), names, rotation=turn, ha="right" if turn else "center", rotation_mode="anchor")
        axes.set_yticks(range(len(classes)), names)
    axes.set(xlabel="Predicted class (records)", ylabel="True class")


def _per_class(axes: Axes, per_class: list[dict[str, Any]]) -> None:
    rows = [row for row in per_class if row["recall"] is not None]
    rows = sorted(rows, key=lambda row: row["recall"])[: titles.MAX_CLASSES_DRAWN]
    for place, row in enumerate(rows):
        axes.plot([100 * row["recall_low"], 100 * row["recall_high"]], [place, place], color=BLUE, linewidth=2)
        axes.plot(100 * row["recall"], place, "o", color=BLUE)
        if row["precision"] is not None:
            axes.plot(100 * row["precision"], place, "D", markersize=5, markerfacecolor="none", color=ORANGE)
    axes.set_yticks(range(len(rows)), [f"{_short(row['class'])} ({row['support']})".replace("$", r"\$") for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("Recall (●, 95 % interval) and precision (◇), %;  class (test records)")


def _comparison(axes: Axes, judged: Judgement, interval: tuple[float, float], comparison: list[Comparison]) -> None:
    score = float(judged.scores.mean())
    rows = [("candidate", score, *interval), *((row.model, row.score, row.low, row.high) for row in comparison)]
    near = [row for row in rows if row[1] >= score - FAR_BELOW]
    left = min(row[2] for row in near)
    edge = 100 * (left - 0.04 * (max(row[3] for row in near) - left))
    for place, (name, mean, low, high) in enumerate(rows):
        colour = BLUE if name == "candidate" else "#6B7280"
        if mean < score - FAR_BELOW:
            axes.annotate(f"\u25c2 {100 * mean:.1f}, far to the left", (edge, place), va="center", fontsize=9, color=colour)
            continue
        axes.plot([100 * low, 100 * high], [place, place], color=colour, linewidth=2)
        axes.plot(100 * mean, place, "o" if name == "candidate" else "s", color=colour)
        axes.annotate(
            f"{100 * mean:.{titles.digits_for(judged.records)}f}",
            (100 * mean, place),
            (0, 8),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
    axes.set_yticks(range(len(rows)), [row[0] for row in rows])
    axes.set(
        ylim=(len(rows) - 0.5, -0.7),
        xlabel=f"{judged.score_name.capitalize()} on {judged.records} test records, %, with interval",
    )
    axes.set_xlim(left=edge)


def paint_losses(
    axes: Axes,
    judged: Judgement,
    interval: tuple[float, float],
    comparison: list[Comparison],
    *,
    label: str,
    write: Callable[[float], str],
) -> None:
    """Mean loss of the candidate and of each baseline, the least first: what is scored by a loss, its score being the loss below zero.

    Args:
        axes: to draw on.
        judged: the candidate's scores.
        interval: of their mean.
        comparison: with each baseline.
        label: of the axis.
        write: how a number is written.
    """
    own = ("candidate", float(judged.scores.mean()), *interval)
    rows = [own, *((row.model, row.score, row.low, row.high) for row in comparison)]
    for place, (name, mean, low, high) in enumerate(rows):
        colour = BLUE if name == "candidate" else SLATE
        axes.plot([-low, -high], [place, place], color=colour, linewidth=2)
        axes.plot(-mean, place, "o" if name == "candidate" else "s", color=colour)
        axes.annotate(write(-mean), (-mean, place), (0, 8), textcoords="offset points", ha="center", fontsize=9)
    axes.set_yticks(range(len(rows)), [row[0].replace("_", " ") for row in rows])
    axes.set(ylim=(len(rows) - 0.5, -0.7), xlabel=label)


def paint_importance(axes: Axes, rows: list[dict[str, Any]], what: str) -> None:
    """A bar for each column: how much of `what` shuffling it adds."""
    shown = rows[: titles.MAX_COLUMNS_DRAWN][::-1]
    places = range(len(shown))
    axes.barh(places, [row["loss_increase"] for row in shown], xerr=[row["deviation"] for row in shown], color=BLUE, ecolor=GREY)
    axes.set_yticks(places, [_short(str(row["column"]), 24).replace("$", r"\$") for row in shown])
    axes.axvline(0, color="#6B7280", linewidth=0.8)
    axes.set_xlabel(f"{what} added by shuffling the column; line: deviation over shuffles")
