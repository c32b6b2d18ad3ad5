"""A trace as a person reads it: from the bytes that came in to the name under which the model is used."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

SHORT = 8
"""Digits of a digest on the terminal; `--json` has all of them."""

MAX_FILES = 6
"""Source files that are listed."""

_MARGIN = 10


def render(found: Mapping[str, Any]) -> str:
    """The chain of a trace, a block for each link: data, dvc.lock, code, run, version, champion."""
    links: dict[str, Iterator[str]] = {}
    if "run" in found:
        links |= {"data": _data(found["sources"]), "dvc.lock": _lock(found["dvc_lock"]), "code": _code(found), "run": _run(found)}
    if "version" in found:
        links |= {"version": _version(found["version"]), "champion": _champion(found["champion"])}
    lines: list[str] = []
    for name, block in links.items():
        lines += [f"{name if row == 0 else '':<{_MARGIN}}{line}" for row, line in enumerate(block)]
    return "\n".join(lines)


def _data(files: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for file in files[:MAX_FILES]:
        yield f"{file['name']}  {file['size']:,} bytes  sha256 {file['sha256'][:SHORT]}  from {file['url']}"
    if len(files) > MAX_FILES:
        yield f"... and {len(files) - MAX_FILES:,} more files"
    if not files:
        yield "not recorded: the run was made by something else than `headrace run`"


def _lock(lock: Mapping[str, Any]) -> Iterator[str]:
    made = {
        name: {path: md5 for path, md5 in outs.items() if path.startswith(("data/", "models/"))}
        for name, outs in lock["stages"].items()
    }
    if not made:
        return
    yield f"sha256 {lock['sha256'][:SHORT]}, {len(made)} stages; what they made, with DVC's digests:"
    for name, outs in made.items():
        if outs:
            yield f"{name:<10} {', '.join(f'{path} {md5[:SHORT]}' for path, md5 in outs.items())}"


def _code(found: Mapping[str, Any]) -> Iterator[str]:
    code = found["code"]
    if not code["commit"]:
        yield "no git commit"
        return
    branch = f" on {code['branch']}" if code["branch"] else ""
    state = "with uncommitted changes, kept in the run as provenance/changes.diff" if code["is_dirty"] else "no uncommitted code"
    packages = f"; environment.json {found['environment'][:SHORT]}" if found["environment"] else ""
    packages += f"; suite {found['suite'][:SHORT]}" if found["suite"] else ""
    yield f"commit {code['commit'][:SHORT]}{branch}, {state}{packages}"


def _run(found: Mapping[str, Any]) -> Iterator[str]:
    run = found["run"]
    restored = "; trained elsewhere, its outputs restored from the cache" if run["is_restored"] else ""
    yield f"{run['name']}, {run['status'].lower()} {_moment(run['ended'] or run['started'])}, id {run['id'][:SHORT]}{restored}"
    if run["prefect_run"]:
        yield f"made by the Prefect flow run {run['prefect_run']}"
    metrics = found["metrics"]
    for low in (key for key in metrics if key.startswith("test/") and key.endswith("_low")):
        score = low.removeprefix("test/").removesuffix("_low")
        text = (
            f"{score} {_number(metrics, f'test/{score}')} ({_number(metrics, low)} to {_number(metrics, f'test/{score}_high')})"
        )
        if f"baseline/{score}" in metrics:
            text += f" on the test split; best baseline {_number(metrics, f'baseline/{score}')}"
        yield text


def _version(version: Mapping[str, Any]) -> Iterator[str]:
    aliases = f" ({' and '.join(version['aliases'])})" if version["aliases"] else ""
    yield f"{version['model']} version {version['version']}{aliases}"
    yield f"registered {_moment(version['registered'])}, package {version['package'][:SHORT]}"


def _champion(champion: Mapping[str, Any]) -> Iterator[str]:
    events = sorted([*champion["made"], *champion["replaced"]], key=lambda entry: int(entry["sequence"]))
    for entry in events:
        if entry in champion["replaced"]:
            how = "was promoted" if entry["action"] == "promote" else "was brought back"
            yield f"until {_moment(entry['time'])}: version {entry['version']} {how} by {entry['actor']}"
        else:
            how = "promoted" if entry["action"] == "promote" else "brought back"
            place = f" in place of version {entry['previous_version']}" if entry["previous_version"] else ""
            yield f"since {_moment(entry['time'])}: {how}{place} by {entry['actor']}"
        yield from (f"  {reason}" for reason in entry["reasons"])
    if champion["unknown"]:
        yield "changes that this ledger does not have: made on another machine, or the end of the ledger is lost"
    if not events and not champion["unknown"]:
        yield "never"


def _moment(time: str) -> str:
    return f"{time[:16].replace('T', ' ')} UTC" if time else "at an unknown time"


def _number(metrics: Mapping[str, float], name: str) -> str:
    return f"{metrics[name]:.4f}" if name in metrics else "?"
