"""The part of the page that says where it comes from: the DAG with end states and times, lineage, environment."""

import platform
from typing import Any

from headrace.evaluation.page.context import PageContext
from headrace.evaluation.page.drawing import lanes
from headrace.evaluation.page.evidence import Evidence, count, mapping, number

ROW_HEIGHT = 52
STATES = {
    "ran": ("●", "ran"),
    "restored": ("◐", "restored from the run cache"),
    "unchanged": ("○", "unchanged"),
    "failed": ("✕", "failed"),
    "skipped": ("\N{EN DASH}", "not reached"),
}
SHOWN_PACKAGES = (
    "torch",
    "scikit-learn",
    "numpy",
    "pyarrow",
    "pillow",
    "great-expectations",
    "dvc",
    "prefect",
    "mlflow",
)


def describe_origin(evidence: Evidence, context: PageContext) -> dict[str, Any]:
    """The DAG, what failed, lineage and environment."""
    parents = {name: list(above) for name, above in context.parents.items()} or evidence.dag
    order = list(parents)
    place = {name: index for index, name in enumerate(order)}
    stages = [_stage(evidence, name) for name in order]
    above = [[place[parent] for parent in parents[name] if parent in place] for name in order]
    drawing, width = lanes(above, [stage["state"] for stage in stages], row_height=ROW_HEIGHT)
    failed = [
        {"name": name, "message": _failure(evidence, name)}
        for name in order
        if evidence.timings.get(name, {}).get("state") == "failed"
    ]
    seconds = [stage["seconds"] for stage in stages if stage["seconds"] is not None]
    return {
        "stages": stages,
        "lanes": drawing,
        "lanes_width": width,
        "row_height": ROW_HEIGHT,
        "total": _time(sum(seconds)) if seconds else "",
        "failed": failed,
        "lineage": _lineage(evidence, context),
        "lock": [(stage, path, digest) for stage, outs in evidence.lock.items() for path, digest in outs.items()],
        "environment": _environment(evidence, context),
    }


def _stage(evidence: Evidence, name: str) -> dict[str, Any]:
    known = evidence.timings.get(name, {})
    state = str(known.get("state", ""))
    shape, words = STATES.get(state, ("", ""))
    state = state if state in STATES else ""
    seconds = number(known.get("seconds"))
    return {
        "name": name,
        "state": state,
        "shape": shape,
        "words": words,
        "seconds": seconds,
        "time": "" if seconds is None or state in ("unchanged", "skipped") else _time(seconds),
        "headline": _headline(evidence, name),
    }


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _headline(evidence: Evidence, name: str) -> str:
    report = evidence.report(name)
    if report.get("headline"):
        return str(report["headline"])
    if name == "collect" and report.get("rows"):
        return f"{count(report['rows']):,} records of {len(mapping(report.get('by_class')))} classes"
    if name == "validate" and report.get("rows_in"):
        return f"{count(report.get('quarantined')):,} of {count(report['rows_in']):,} quarantined"
    if name == "split":
        return ", ".join(f"{count(n):,} {split}" for split, n in mapping(report.get("rows")).items())
    if name == "augment" and "samples_out" in report:
        return f"{count(report['samples_out']):,} extra samples"
    if name == "train" and report.get("epochs"):
        return f"{count(report['epochs'])} epochs, {count(report.get('parameters')):,} weights"
    return ""


def _failure(evidence: Evidence, stage: str) -> str:
    told = evidence.json(evidence.project / ".headrace" / "failed" / stage / "error.json")
    return str(told.get("message", ""))


def _lineage(evidence: Evidence, context: PageContext) -> list[tuple[str, str]]:
    evaluate, model = evidence.report("evaluate"), evidence.json(evidence.project / "models" / "candidate" / "model.json")
    network = mapping(model.get("network"))
    commit = context.git_commit
    if commit and context.git_dirty is not None:
        commit += " with uncommitted changes" if context.git_dirty else ", clean"
    found = [
        ("Git commit", commit),
        ("Training fingerprint", str(model.get("fingerprint") or evaluate.get("fingerprint") or "")),
        (
            "Model" if model.get("program") == "onnx" else "Network",
            f"{network.get('name', '')}, seed {model.get('seed')}" if network else "",
        ),
        (
            "Test records",
            f"{evaluate.get('test_records')}, digest {evaluate.get('test_digest')}" if evaluate.get("test_digest") else "",
        ),
        ("dvc.lock", context.lock_digest),
        ("MLflow run", context.mlflow_run),
        ("Registered as", context.model_version),
    ]
    known = {value for _, value in found}
    more = [(label[:1].upper() + label[1:], value) for label, value in context.facts.items() if value not in known]
    return [(label, value) for label, value in found + more if value]


def _environment(evidence: Evidence, context: PageContext) -> list[tuple[str, str]]:
    installed = evidence.json(evidence.project / "environment.json")
    machine = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"} | dict(
        context.environment
    )
    packages = {name: str(installed[name]) for name in SHOWN_PACKAGES if isinstance(installed.get(name), str)}
    return list((machine | packages).items())
