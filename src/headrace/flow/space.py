"""Room on the disks, told before a run begins rather than by the stage in which it ends."""

import json
import shutil
from collections.abc import Collection
from pathlib import Path

from headrace.flow.launcher import Plan

SOURCES = Path("data", "sources.lock")


def shortage(plan: Plan, stale: Collection[str], project: Path, home: Path) -> str:
    """What a run is likely to lack, in a sentence; '' where there is room.

    A stage needs about what it wrote the last time, as dvc.lock has it; one that never ran and reads sources what those weigh. Of others
    nothing is known.

    Args:
        plan: of the run.
        stale: the stages that would run.
        project: the checkout, where outputs are written.
        home: the state folder, which has DVC's cache and the downloads.
    """
    needed = sum(stage.size or _sources(stage.deps, project) for stage in plan.stages if stage.name in stale)
    disks = {path.stat().st_dev: path for path in (home, project) if path.is_dir()}
    for path in disks.values():
        free = shutil.disk_usage(path).free
        if free < needed:
            return (
                f"the stages that will run need about {needed / 1e6:,.1f} MB, and {path} has {free / 1e6:,.1f} MB free: they may not come "
                "to their end. `headrace gc` frees what nobody needs any more; what is done stays done."
            )
    return ""


def _sources(deps: Collection[Path], project: Path) -> int:
    if project / SOURCES not in deps:
        return 0
    try:
        locked = json.loads((project / SOURCES).read_text(encoding="utf-8"))["sources"]
        return sum(int(file["size"]) for source in locked for file in source["files"])
    except (OSError, ValueError, KeyError, TypeError):  # the stage that reads it says what is wrong
        return 0
