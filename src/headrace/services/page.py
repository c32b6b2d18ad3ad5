"""What `headrace up` prints: where everything is, how to log in, how to stop. No password."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from headrace.services import credentials
from headrace.services.inventory import urls
from headrace.services.operations import Row
from headrace.services.state import State
from headrace.settings import Settings

MEANING = {
    "mlflow": "runs, metrics, models",
    "prefect": "flow runs, schedules",
    "worker": "starts what is scheduled",
    "object-store": "buckets, S3 API",
}


def page(settings: Settings, rows: list[Row], known: State, *, is_held: bool) -> str:
    """One page.

    Args:
        settings: of the project.
        rows: the services.
        known: their state.
        is_held: whether the command stays in the foreground.
    """
    return "\n".join(_lines(settings, rows, known, is_held=is_held))


def _lines(settings: Settings, rows: list[Row], known: State, *, is_held: bool) -> Iterator[str]:
    folder = settings.services_folder
    yield ""
    for row in rows:
        where = row.url or f"work pool {settings.work_pool}"
        yield f"{row.name:<13} {where:<28} {MEANING[row.name]}"
    yield ""
    yield f"{'log in':<13} as {credentials.USER}; the passwords are in {_short(folder / credentials.FILE)}, which only you can read"
    yield f"{'':<13} MLflow asks for name and MLFLOW_TRACKING_PASSWORD, Prefect for PREFECT_API_AUTH_STRING in one field"
    if known.object_store:
        yield f"{'':<13} S3 clients take AWS_ENDPOINT_URL_S3, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY from there"
    yield f"{'artifacts':<13} {_artifacts(known)}"
    yield f"{'use':<13} {_use(settings, known)}"
    yield f"{'look':<13} headrace ps · headrace doctor · headrace logs [NAME] --follow   ({_short(folder / 'logs')})"
    yield f"{'stop':<13} {'Ctrl-C here, or headrace down' if is_held else 'headrace down'}; what is stored stays"


def _artifacts(known: State) -> str:
    if known.object_store and not known.artifacts.startswith("s3://"):
        return f"{_short(Path(known.artifacts))}: they stay where the first ones went; HEADRACE_MLFLOW_ARTIFACTS changes it"
    inside = " in the object store" if known.object_store else ""
    return f"{known.artifacts}{inside}" if known.artifacts.startswith("s3://") else _short(Path(known.artifacts))


def _use(settings: Settings, known: State) -> str:
    ours = urls(known)
    given = {"MLFLOW_TRACKING_URI": settings.mlflow_tracking_uri, "PREFECT_API_URL": settings.prefect_api_url}
    others = [name for name, url in given.items() if url not in (None, ours[name])]
    if not settings.services:
        return "not by this project's commands: HEADRACE_SERVICES is false"
    if others:
        return f"{' and '.join(others)} of the environment or .env name other servers: headrace run uses those"
    return "headrace run and all other commands of this project use them from now on; HEADRACE_SERVICES=false: not"


def table(rows: list[Row]) -> str:
    """`headrace ps`."""
    cells = [("NAME", "STATE", "PID", "PORT", "URL", "SINCE")]
    cells += [(row.name, row.state, str(row.pid or "-"), str(row.port or "-"), row.url or "-", _age(row.since)) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells)


def _age(since: str) -> str:
    if not since:
        return "-"
    seconds = max(0, int((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit} ago"
    return f"{seconds} s ago"


def _short(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
