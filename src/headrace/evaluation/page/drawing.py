"""Charts of the page as inline SVG: they follow the page's colours, light or dark, and need no script, font or image.

Colours and strokes are CSS classes (templates/report.css); every series also differs by dash or marker.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH = 400
"""Of the view box. At 358 pixels, a phone, text of 12 units is still 10.7 pixels high."""
TEXT_UNITS = 6.6
"""Width of one character of 12-unit text, about."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart; `style` is a CSS class: s1, s2, s3 or faint."""

    label: str
    points: Sequence[tuple[float, float]]
    style: str = "s1"


@dataclass(frozen=True, slots=True)
class Interval:
    """One row of a dot-and-interval chart; `mark` is a second value, drawn as a diamond."""

    label: str
    value: float
    low: float
    high: float
    style: str = "s1"
    mark: float | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """Maps data to the view box and draws the axes."""

    x: tuple[float, float]
    y: tuple[float, float]
    height: int = 260
    left: int = 38
    right: int = 12
    top: int = 30
    bottom: int = 44

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Position of a data point."""
        across, down = WIDTH - self.left - self.right, self.height - self.top - self.bottom
        share_x = (x - self.x[0]) / ((self.x[1] - self.x[0]) or 1)
        share_y = (y - self.y[0]) / ((self.y[1] - self.y[0]) or 1)
        return self.left + across * share_x, self.height - self.bottom - down * share_y

    def axes(self, x_label: str, y_label: str) -> str:
        """Grid, ticks and labels."""
        parts = []
        x_digits, x_ticks = ticks(*self.x)
        y_digits, y_ticks = ticks(*self.y)
        for value in y_ticks:
            (left, y), (right, _) = self.at(self.x[0], value), self.at(self.x[1], value)
            parts.append(f'<path class="grid" d="M{left:.1f} {y:.1f}H{right:.1f}"/>')
            parts.append(f'<text class="end" x="{left - 6:.1f}" y="{y + 4:.1f}">{value:.{y_digits}f}</text>')
        for value in x_ticks:
            x, y = self.at(value, self.y[0])
            parts.append(f'<text class="mid" x="{x:.1f}" y="{y + 17:.1f}">{value:.{x_digits}f}</text>')
        middle = self.left + (WIDTH - self.left - self.right) / 2
        parts.append(f'<text class="mid label" x="{middle:.0f}" y="{self.height - 6}">{escape(x_label)}</text>')
        if y_label:
            parts.append(f'<text class="label" x="0" y="13">{escape(y_label)}</text>')
        return "".join(parts)


def ticks(low: float, high: float, *, about: int = 5) -> tuple[int, list[float]]:
    """Round values inside [low, high], and how many digits after the point they need."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return 2, [low]
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) + (1 if round(step / power, 3) == 2.5 else 0)
    first = math.ceil(low / step - 1e-9)
    return digits, [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def svg(content: str, *, height: float, alt: str) -> Markup:
    """A chart with its alternative text."""
    return Markup(f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(alt)}">{content}</svg>')  # noqa: S704


def line_chart(
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    alt: str,
    x: tuple[float, float] | None = None,
    y: tuple[float, float] | None = None,
    steps: bool = False,
    diagonal: bool = False,
) -> Markup:
    """Lines over one pair of axes, with a legend below for the series that have a label."""
    points = [point for line in series for point in line.points if math.isfinite(point[0]) and math.isfinite(point[1])]
    if not points:
        return Markup("")
    x = x or (min(p[0] for p in points), max(p[0] for p in points))
    y = y or _padded(min(p[1] for p in points), max(p[1] for p in points))
    frame = Frame(x, y)
    parts = [frame.axes(x_label, y_label)]
    if diagonal:
        (x0, y0), (x1, y1) = frame.at(0, 0), frame.at(1, 1)
        parts.append(f'<path class="guide" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>')
    parts += [f'<path class="line {line.style}" d="{_path(frame, line.points, steps=steps)}"/>' for line in series]
    height = frame.height
    for line in (line for line in series if line.label):
        parts.append(f'<path class="line {line.style}" d="M{frame.left} {height + 8}h26"/>')
        parts.append(f'<text x="{frame.left + 34}" y="{height + 12}">{escape(line.label)}</text>')
        height += 18
    return svg("".join(parts), height=height + 4, alt=alt)


def dot_chart(points: Sequence[tuple[float, float]], *, x_label: str, y_label: str, guide: str, alt: str) -> Markup:
    """A dot for each record. `guide` is a line to hold them against: 'diagonal', where both are equal, or 'zero'."""
    if not points:
        return Markup("")
    x = _padded(min(p[0] for p in points), max(p[0] for p in points))
    y = _padded(min(p[1] for p in points), max(p[1] for p in points))
    widest = max((f"{value:.{digits}f}" for digits, values in [ticks(*y)] for value in values), key=len, default="")
    frame = Frame(x, y, left=max(38, int(14 + TEXT_UNITS * len(widest))))
    low, high = (max(x[0], y[0]), min(x[1], y[1])) if guide == "diagonal" else x
    (x0, y0), (x1, y1) = (frame.at(end, end if guide == "diagonal" else 0) for end in (low, high))
    parts = [frame.axes(x_label, y_label), f'<path class="guide" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>']
    places = (frame.at(*point) for point in points)
    parts += [f'<circle class="dot cloud s1" cx="{px:.1f}" cy="{py:.1f}" r="3"/>' for px, py in places]
    return svg("".join(parts), height=frame.height, alt=alt)


def _path(frame: Frame, points: Sequence[tuple[float, float]], *, steps: bool) -> str:
    commands, pen = [], "M"
    for x, y in points:
        if not (math.isfinite(x) and math.isfinite(y)):
            pen = "M"
            continue
        px, py = frame.at(x, y)
        if steps and pen == "L":
            commands.append(f"V{py:.1f}")
        commands.append(f"{pen}{px:.1f} {py:.1f}")
        pen = "L"
    return "".join(commands)


def _padded(low: float, high: float) -> tuple[float, float]:
    margin = 0.05 * (high - low) or abs(high) * 0.05 or 0.05
    return low - margin, high + margin


def interval_chart(rows: Sequence[Interval], *, x_label: str, alt: str, far_below: float | None = None) -> Markup:
    """A dot with its interval for each row. Rows more than `far_below` under the first are named, not drawn to scale."""
    if not rows:
        return Markup("")
    near = [row for row in rows if far_below is None or row.value >= rows[0].value - far_below]
    row_height, left = 30, min(150, 14 + int(TEXT_UNITS * max(len(row.label) for row in rows)))
    height = 14 + row_height * len(rows) + 40
    x = _padded(min(row.low for row in near), max(row.high for row in near))
    frame = Frame((x[0], x[1]), (0, 1), height=height, left=left, top=8, bottom=40)
    digits, values = ticks(*frame.x)
    parts = []
    for value in values:
        px, bottom = frame.at(value, 0)
        parts.append(f'<path class="grid" d="M{px:.1f} 8V{bottom:.1f}"/>')
        parts.append(f'<text class="mid" x="{px:.1f}" y="{bottom + 16:.1f}">{value:.{digits}f}</text>')
    for place, row in enumerate(rows):
        y = 14 + row_height * (place + 0.5)
        parts.append(f'<text class="end{" strong" if row.style == "s1" else ""}" x="{left - 8}" y="{y + 4:.1f}">'
                     f"{escape(_short(row.label))}</text>")  # fmt: skip
        if row not in near:
            parts.append(f'<text class="soft" x="{left + 4}" y="{y + 4:.1f}">◂ {row.value:.1f}, far to the left</text>')
            continue
        (low, _), (middle, _), (high, _) = (frame.at(value, 0) for value in (row.low, row.value, row.high))
        parts.append(f'<path class="line {row.style}" d="M{low:.1f} {y:.1f}H{high:.1f}"/>')
        shape = f'<circle class="dot {row.style}" cx="{middle:.1f}" cy="{y:.1f}" r="4.5"/>'
        if row.style != "s1":
            shape = f'<rect class="dot {row.style}" x="{middle - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'
        parts.append(shape)
        if row.mark is not None:
            px, _ = frame.at(row.mark, 0)
            parts.append(f'<path class="diamond" d="M{px:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"/>')
    parts.append(f'<text class="mid label" x="{left + (WIDTH - left - 12) / 2:.0f}" y="{height - 6}">{escape(x_label)}</text>')
    return svg("".join(parts), height=height, alt=alt)


def _short(label: str, limit: int = 20) -> str:
    # Cut in the middle: names that begin alike often end differently.
    return label if len(label) <= limit else f"{label[: limit // 2 - 1]}…{label[-limit // 2 :]}"


@dataclass(frozen=True, slots=True)
class Bin:
    """One confidence bin that holds records."""

    confidence: float
    accuracy: float
    low: float
    high: float
    share: float
    """Of the records, in [0, 1]."""


def reliability_chart(bins: Sequence[Bin], *, alt: str) -> Markup:
    """Accuracy over confidence with an interval for each bin; a dot's area grows with its records."""
    if not bins:
        return Markup("")
    frame = Frame((0, 1), (0, 1.02))
    parts = [frame.axes("Confidence: probability of the predicted class", "Accuracy in the bin")]
    (x0, y0), (x1, y1) = frame.at(0, 0), frame.at(1, 1)
    parts.append(f'<path class="guide" d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}"/>')
    for row in bins:
        (x, low), (_, high), (_, y) = (frame.at(row.confidence, value) for value in (row.low, row.high, row.accuracy))
        parts.append(f'<path class="line s1 thin" d="M{x:.1f} {low:.1f}V{high:.1f}"/>')
        parts.append(f'<circle class="dot s1" cx="{x:.1f}" cy="{y:.1f}" r="{2.5 + 5.5 * math.sqrt(row.share):.1f}"/>')
    return svg("".join(parts), height=frame.height, alt=alt)


def lanes(
    parents: Sequence[Sequence[int]], styles: Sequence[str], *, row_height: int, lane_width: int = 22
) -> tuple[Markup, int]:
    """The graph beside a list of stages in topological order: a dot in each row, edges to its parents' rows; its width in pixels.

    `styles` are CSS classes of the dots. An edge that another path implies is left out. A stage stands in the leftmost lane
    in which no edge runs over another stage.
    """
    direct = _without_implied(parents)
    lane = _assign_lanes(direct)
    width = lane_width * (max(lane, default=0) + 1) + 6
    parts = []
    for node, above in enumerate(direct):
        x, y = lane_width * lane[node] + 14, row_height * (node + 0.5)
        for parent in above:
            px, py = lane_width * lane[parent] + 14, row_height * (parent + 0.5)
            if px == x:
                path = f"M{px} {py}V{y}"
            elif px < x:
                path = f"M{px} {py}C{px} {py + row_height * 0.6} {x} {py + row_height * 0.4} {x} {py + row_height}V{y}"
            else:
                path = f"M{px} {py}V{y - row_height}C{px} {y - row_height * 0.4} {x} {y - row_height * 0.6} {x} {y}"
            parts.append(f'<path class="edge" d="{path}"/>')
    for node, place in enumerate(lane):
        across, down = lane_width * place + 14, row_height * (node + 0.5)
        parts += [f'<circle class="node {escape(styles[node])}" cx="{across}" cy="{down}" r="5.5"/>']
    height = row_height * len(direct)
    drawn = f'<svg class="lanes" width="{width}" height="{height}" viewBox="0 0 {width} {height}" aria-hidden="true">'
    return Markup(drawn + "".join(parts) + "</svg>"), width  # noqa: S704 - numbers only


def _assign_lanes(direct: Sequence[Sequence[int]]) -> list[int]:
    """The leftmost lane for each node in which no edge runs over another node."""
    lane: list[int] = []
    occupant: dict[int, int] = {}
    taken_until: dict[int, int] = {}
    children = [[child for child, above in enumerate(direct) if node in above] for node in range(len(direct))]

    def fits(k: int, node: int) -> bool:
        above = direct[node]
        if taken_until.get(k, -1) > node:
            return False
        if any(lane[parent] == k for parent in above):
            return occupant[k] in above
        return k not in occupant or not above or occupant[k] <= min(above)

    for node, above in enumerate(direct):
        wanted = sorted(lane[parent] for parent in above) + list(range(len(direct)))
        chosen = next(k for k in wanted if fits(k, node))
        lane.append(chosen)
        occupant[chosen] = node
        # The first child goes on in this lane; the others branch off.
        taken_until[chosen] = min(children[node], default=node)
    return lane


def _without_implied(parents: Sequence[Sequence[int]]) -> list[list[int]]:
    above: list[set[int]] = []
    for direct in parents:
        above.append(set(direct).union(*(above[parent] for parent in direct)))
    return [sorted(p for p in direct if not any(p in above[other] for other in direct if other != p)) for direct in parents]
