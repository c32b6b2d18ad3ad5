"""reports/report.html: one page that says what happened, whether it is good, and where it comes from.

Made after the DAG, by `headrace run` and `headrace report`: it tells times and the champion, so DVC must not hash it. The page
is self-contained (no script, no font, no picture from elsewhere), and any piece of evidence may be missing.
"""

from pathlib import Path

from jinja2 import ChainableUndefined, Environment, PackageLoader
from markupsafe import Markup

from headrace.evaluation.page.context import PageContext
from headrace.evaluation.page.evidence import Evidence
from headrace.evaluation.page.material import describe_material
from headrace.evaluation.page.origin import describe_origin
from headrace.evaluation.page.outcome import describe_outcome, figure_titles
from headrace.evaluation.page.pictures import png_uri
from headrace.storage.local import write_text

DRAWN_ON_THE_PAGE = {
    *("roc", "pr", "calibration", "confusion", "per_class", "comparison", "importance"),
    *("predicted", "residuals"),
}
"""Figures of `evaluate` that the page draws itself from their tables; it embeds the others."""
MAX_EMBEDDED_BYTES = 2_000_000


def build(project: Path, context: PageContext | None = None) -> str:
    """The page as HTML text."""
    context = context or PageContext()
    evidence = Evidence(project)
    environment = Environment(
        loader=PackageLoader("headrace.evaluation.page", "templates"),
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    css = (Path(__file__).parent / "page" / "templates" / "report.css").read_text(encoding="utf-8")
    return environment.get_template("report.html.j2").render(
        css=Markup(css),  # noqa: S704 - our own file
        context=context,
        title=context.title or project.resolve().name,
        outcome=describe_outcome(evidence),
        material=describe_material(evidence),
        origin=describe_origin(evidence, context),
        extra_figures=_extra_figures(evidence),
    )


def write_report(project: Path, out: Path, *, context: PageContext | None = None) -> Path:
    """Write the page of `project` to `out`, whole or not at all."""
    write_text(out, build(project, context))
    return out


def _extra_figures(evidence: Evidence) -> list[tuple[str, str]]:
    """Title and picture of figures that an evaluation of the user's own has drawn."""
    found = []
    for name, title in figure_titles(evidence.report("evaluate")).items():
        path = evidence.reports / "plots" / "evaluate" / f"{name}.png"
        if name not in DRAWN_ON_THE_PAGE and path.is_file() and path.stat().st_size < MAX_EMBEDDED_BYTES:
            found.append((title, png_uri(path.read_bytes())))
    return found
