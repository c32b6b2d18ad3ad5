"""A review of a pull request as one markdown page, for a job summary and for a comment: GitHub's and GitLab's dialects alike."""

import csv
import io
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from headrace.project import differences
from headrace.project.differences import Row
from headrace.project.version import Version
from headrace.tracking.secrets import strip_secrets

MARK = "<!-- headrace ci -->"
"""First line: by it a workflow finds the comment that it wrote before."""

MAX_CHARS = 60_000
"""GitHub takes 65,536 in a comment."""

MAX_ROWS, MAX_POINTS, MAX_CHARTS = 30, 40, 4
MAX_VALUE_CHARS = 60


@dataclass(frozen=True)
class Review:
    """What was found."""

    stale: dict[str, list[str]]
    """Stages whose entry in dvc.lock is not of these files and params, with the reasons."""
    missing: list[str]
    """Outputs that the remote lacks or has otherwise."""
    remote: str
    """What was asked for the objects, in a line."""
    against: str = ""
    """Name of the branch that it was compared with."""
    verdict: dict[str, Any] = field(default_factory=dict)
    """Of `evaluate`: whether the candidate may be registered, and why not."""
    is_checked: bool = True
    """False where git has no dvc.lock, neither here nor on the target: scheduled runs keep it on the state branch."""

    @property
    def problems(self) -> list[str]:
        """Why it must not be merged as it is, each with what to type."""
        found = []
        if self.stale:
            names = ", ".join(self.stale)
            found.append(f"dvc.lock is stale ({names}): headrace run; git add dvc.lock; git commit")
        if self.missing:
            found.append(f"{self.remote} lacks {len(self.missing):,} objects ({self.missing[0]}): headrace push")
        return found


def render(review: Review, new: Version, old: Version | None) -> str:
    """The page."""
    blocks = [MARK, *_first(review), *_verdict(review)]
    if review.stale:
        blocks += ["### Stale stages", *(f"- `{name}`: {_text('; '.join(why))}" for name, why in review.stale.items())]
    if review.missing:
        blocks += [f"### Missing in {_text(review.remote)}", *(f"- {_text(each)}" for each in review.missing[:MAX_ROWS])]
        blocks += [f"- and {len(review.missing) - MAX_ROWS:,} more"] if len(review.missing) > MAX_ROWS else []
    there = review.against or "before"
    changed, same = differences.metrics(old, new)
    if changed:
        blocks += ["", f"### Metrics: {len(changed):,} differ", *_table(changed, there)]
    if same:
        title = f"{len(same):,} metrics are the same" if old is not None else f"{len(same):,} metrics"
        blocks += _folded(title, _table(same, there, is_compared=False))
    if old is not None:
        blocks += _section("### Params", differences.params(old, new), there)
        blocks += _data(old, new, there)
    blocks += _charts(new, old, there)
    return _cut("\n".join(blocks) + "\n")


def _first(review: Review) -> Iterator[str]:
    against = f" against `{review.against}`" if review.against else ""
    if not review.is_checked:
        yield f"## Headrace: nothing to check{against}"
        yield ""
        yield "- dvc.lock is in git neither here nor there, so there is no run whose outputs could be missing"
        return
    refused = "; the gate refuses the candidate" if review.verdict.get("allowed") is False else ""
    yield f"## Headrace: {'not fit to merge' if review.problems else 'fit to merge'}{refused}{against}"
    yield ""
    yield from (f"- **{_text(problem)}**" for problem in review.problems)
    if not review.stale:
        yield "- dvc.lock is that of these files and params"
    if not review.missing:
        yield f"- {_text(review.remote)}"


def _verdict(review: Review) -> Iterator[str]:
    if "allowed" not in review.verdict:
        return
    allowed = review.verdict["allowed"]
    better = ", shown to be better than the best baseline" if review.verdict.get("better") else ""
    yield f"- the gate of `evaluate` {'allows' if allowed else '**refuses**'} the candidate{better if allowed else ''}"
    yield from (f"  - {_text(str(reason))}" for reason in (review.verdict.get("reasons") or [] if not allowed else []))
    yield ""


def _data(old: Version, new: Version, there: str) -> Iterator[str]:
    found = differences.sources(old, new)
    rows = differences.data_sets(old, new)
    if found or rows:
        yield "### Data"
        yield ""
        yield from (f"- source {_text(line)}" for line in found)
        sizes = [row for row in rows if ", class " not in row.what]
        yield from _table(sizes, there) if sizes else []
        yield from (
            _folded("By class", _table([row for row in rows if ", class " in row.what], there)) if len(rows) > len(sizes) else []
        )
    changed = differences.outputs(old, new)
    if changed:
        yield from _folded(f"{len(changed):,} outputs differ", _table(changed, there))


def _section(title: str, rows: Sequence[Row], there: str) -> list[str]:
    return ["", title, *_table(rows, there)] if rows else []


def _table(rows: Sequence[Row], there: str, *, is_compared: bool = True) -> list[str]:
    head = ["", f"| | {there} | here | change |", "|---|--:|--:|--:|"] if is_compared else ["", "| | |", "|---|--:|"]
    lines = []
    for row in rows[:MAX_ROWS]:
        values = [_value(row.before), _value(row.after), _signed(row.change)] if is_compared else [_value(row.after)]
        lines.append(f"| {_text(row.what)} | {' | '.join(values)} |")
    more = [f"\n... and {len(rows) - MAX_ROWS:,} more"] if len(rows) > MAX_ROWS else []
    return [*head, *lines, *more, ""]


def _folded(title: str, lines: list[str]) -> list[str]:
    return ["", f"<details><summary>{title}</summary>", "", *lines, "", "</details>", ""]


def _charts(new: Version, old: Version | None, there: str) -> Iterator[str]:
    charts = [chart for name, body in new.plots() for chart in _chart(name, body, new, old, there)]
    if charts:
        yield "### Plots"
        yield from charts[:MAX_CHARTS]
    pictures = [path for path in _pictures(new) if old is None or new.digest(path) != old.digest(path)]
    if pictures:
        yield ""
        yield f"Pictures that differ, beside this page: {', '.join(f'`{path}`' for path in pictures)}"


def pictures(new: Version) -> dict[str, bytes]:
    """Plots that are pictures, by path."""
    return {path: content for path in _pictures(new) if (content := new.read(path)) is not None}


def _pictures(version: Version) -> list[str]:
    return [name for name, _ in version.plots() if name.endswith(".png") and version.made(name) is not None]


def _chart(name: str, body: Any, new: Version, old: Version | None, there: str) -> Iterator[str]:
    """Curves over a shared axis, here and there, in the one chart language that both platforms draw."""
    x, y = body.get("x"), body.get("y")
    if body.get("template", "simple") != "simple" or not x or not isinstance(y, dict):
        return
    for path, columns in y.items():
        axis = str(x.get(path) or next(iter(x.values())) if isinstance(x, dict) else x)
        for column in columns if isinstance(columns, list) else [columns]:
            here = _curve(new, str(path), axis, str(column))
            before = _curve(old, str(path), axis, str(column)) if old is not None else []
            if len(here) < 2 or here == before or not _rises(here):
                continue
            # The chart spreads every line over the whole axis, so both need the same points on it.
            shared = {at for at, _ in here} & {at for at, _ in before}
            here, before = (
                [point for point in line if point[0] in shared] if len(shared) > 1 else line for line in (here, before)
            )
            before = before if len(shared) > 1 else []
            values = [value for _, value in (*here, *before)]
            low, high = min(values), max(values)
            title = f"{_text(name)}: `{column}`" + (f"; the first line is here, the second `{there}`" if before else "")
            ends = f"{here[0][0]:g} --> {here[-1][0]:g}"
            lines = [f"  line [{', '.join(f'{value:.6g}' for _, value in line)}]" for line in (here, before) if len(line) > 1]
            yield "\n".join(
                [
                    f"\n{title}\n",
                    "```mermaid",
                    "xychart-beta",
                    f'  x-axis "{_quoted(body.get("x_label") or axis)}" {ends}',
                    f'  y-axis "{_quoted(column)}" {low:.6g} --> {high if high > low else low + 1:.6g}',
                    *lines,
                    "```",
                ]
            )


def _rises(line: list[tuple[float, float]]) -> bool:
    """Whether it is one curve, and not one for each class in the same columns."""
    return all(a < b for (a, _), (b, _) in itertools.pairwise(line))


def _curve(version: Version, path: str, x: str, y: str) -> list[tuple[float, float]]:
    content = version.read(path)
    if content is None:
        return []
    points = []
    for row in csv.DictReader(io.StringIO(content.decode("utf-8", "replace"))):
        try:
            point = (float(row[x]), float(row[y]))
        except (KeyError, TypeError, ValueError):
            continue
        if all(math.isfinite(value) for value in point):
            points.append(point)
    step = max(1, math.ceil(len(points) / MAX_POINTS))
    return points[::step]


def _value(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else _text(str(value))


def _signed(change: float | None) -> str:
    if change is None:
        return ""
    return f"{change:+,.0f}" if change == int(change) else f"{change:+.4g}"


def _text(text: str) -> str:
    """Text of the project that no markdown or HTML is made of, in one line."""
    line = " ".join(strip_secrets(text).split())
    line = line if len(line) <= 5 * MAX_VALUE_CHARS else f"{line[: 5 * MAX_VALUE_CHARS]}..."
    return line.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("@", "&#64;")


def _quoted(text: Any) -> str:
    return str(text).replace('"', "'").replace("\n", " ")[:MAX_VALUE_CHARS]


def _cut(page: str) -> str:
    if len(page) <= MAX_CHARS:
        return page
    kept = page[:MAX_CHARS].rpartition("\n")[0]
    fence = "\n```" if kept.count("```") % 2 else ""
    details = "\n\n</details>" * (kept.count("<details>") - kept.count("</details>"))
    return f"{kept}{fence}{details}\n\n... cut here: a comment may have no more.\n"
