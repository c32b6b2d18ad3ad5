"""dvc.lock against a kill while DVC writes it, in place: the last one that DVC could read is kept beside it.

What the kept one lacks is a stage that ended since, and that the run-cache gives back.
"""

import shutil
from pathlib import Path

from headrace.storage.local import write_text

NAME = "dvc.lock"
CONFLICT = ("<<<<<<<", ">>>>>>>")


def keep(project: Path, local: Path) -> None:
    """Keep the present dvc.lock, which DVC has just read."""
    if (project / NAME).exists():
        write_text(local / NAME, (project / NAME).read_text(encoding="utf-8"))


def put_back(project: Path, local: Path) -> str:
    """Put the kept dvc.lock in the place of one that DVC cannot read.

    Returns:
        What was done, for the person at the terminal; '' when nothing could be: none is kept, or it has the marks of a merge, which
        somebody has to resolve.
    """
    lock, kept = project / NAME, local / NAME
    if not kept.exists() or has_conflict(project):
        return ""
    broken = local / "failed" / NAME
    broken.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(lock, broken)
    write_text(lock, kept.read_text(encoding="utf-8"))
    return f"dvc.lock could not be read (cut short by a kill?): the last good one is back; the broken one is {broken.relative_to(project)}"


def has_conflict(project: Path) -> bool:
    """Whether git has left the marks of a merge conflict in it."""
    lock = project / NAME
    text = lock.read_text(encoding="utf-8", errors="replace") if lock.exists() else ""
    return any(line.startswith(CONFLICT) for line in text.splitlines())
