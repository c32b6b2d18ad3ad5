"""Run a recorded run again, somewhere else, and say what came out different.

All stages are executed: nothing is taken from a cache, a run-cache or a checkpoint. On a machine of the same class every output must
have the digest that was recorded; on another one the score must lie within the recorded 95 % interval, which is wider than what other
seeds make of it.
"""

import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.errors import ConfigError, DataError, StageFailed
from headrace.lineage.evidence import Evidence, gather, recorded
from headrace.lineage.worktree import Worktree, check_out
from headrace.params import did_you_mean, read_yaml
from headrace.processes import end_descendants
from headrace.settings import Settings
from headrace.storage.dvc_objects import Objects
from headrace.storage.dvc_output import is_noise
from headrace.storage.dvc_remote import cached
from headrace.tracking.evidence import evaluation_values
from headrace.tracking.live import machine_class


@dataclass(frozen=True)
class Changed:
    """An output that came out different."""

    stage: str
    output: str
    recorded: str
    again: str
    files: tuple[str, ...] = ()
    """Of a folder: which of its files."""


@dataclass(frozen=True)
class Reproduction:
    """What a rerun came to."""

    title: str
    commit: str
    is_dirty: bool
    stages: int
    """That were executed."""
    outputs: int
    """That were compared."""
    machine_recorded: str
    machine: str
    changed: list[Changed] = field(default_factory=list)
    metrics: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    """Those that differ: recorded, and again."""
    score: str = ""
    """Whether the score lies within the recorded interval; '' where nothing differs."""
    is_within: bool = True

    @property
    def is_same_class(self) -> bool:
        """Whether the bits must be equal."""
        return bool(self.machine_recorded) and self.machine_recorded == self.machine

    @property
    def is_reproduced(self) -> bool:
        """Equal bits, or on another class of machine a score within the interval."""
        return not self.changed or (not self.is_same_class and self.is_within)


def reproduce(
    settings: Settings, what: str, say: Callable[[str], Any], *, start: str | None = None, allow_dirty: bool = False
) -> Reproduction:
    """Check a run's commit out, execute its stages again, and compare.

    Args:
        settings: of this machine and project; none of its state is written to.
        what: as for `headrace trace`.
        say: prints one line.
        start: the first stage to execute; what the stages before it made is pulled. None: all of them.
        allow_dirty: also a run whose code had changes that no commit has; the recorded diff is applied.

    Raises:
        ConfigError: it cannot be reproduced from here, with the reason.
        StageFailed: a stage failed in the rerun.
        DataError: what an earlier stage made cannot be had.
    """
    evidence = gather(settings, what)
    run = recorded(evidence)
    if evidence.is_dirty and not allow_dirty:
        raise ConfigError(
            f"{evidence.title} was made with uncommitted changes of the code, so its commit alone does not say what ran. "
            "--allow-dirty applies the changes that were kept with it, as far as git knew the files."
        )
    with check_out(settings, evidence) as tree:
        stages = _ordered(evidence.stages)
        again = _from(stages, start)
        before = [name for name in stages if name not in again]
        say(
            f"{evidence.title}: commit {evidence.commit[:10]}{' with its recorded changes' if evidence.is_dirty else ''} in a worktree"
        )
        if before:
            _pull(settings, evidence, tree, before, say)
        for name in again:
            say(f"running {name}")
            _execute(tree, name)
        lock = read_yaml(tree.project / "dvc.lock").get("stages") or {}
        changed = list(_changes(evidence, lock, again, tree, Objects(settings)))
        values = _metrics(tree)
    kept = {
        name: value for name, value in run.metrics.items() if name in values or name.startswith(("test/", "baseline/", "gate/"))
    }
    metrics = {
        name: (kept.get(name), values.get(name)) for name in sorted({*kept, *values}) if kept.get(name) != values.get(name)
    }
    machine = _machine(settings)
    score, is_within = _judge(kept, values) if changed else ("", True)
    outputs = sum(len(evidence.stages.get(name, {}).get("outs") or []) for name in again)
    return Reproduction(
        title=evidence.title,
        commit=evidence.commit,
        is_dirty=evidence.is_dirty,
        stages=len(again),
        outputs=outputs,
        machine_recorded=run.tags.get("headrace.machine", ""),
        machine=machine,
        changed=changed,
        metrics=metrics,
        score=score,
        is_within=is_within,
    )


def _ordered(stages: Mapping[str, Any]) -> list[str]:
    """Names of the stages in dvc.lock, parents before children; there foreach and matrix are written out."""
    made = {str(out["path"]): name for name, entry in stages.items() for out in entry.get("outs") or []}
    parents = {
        name: {
            maker
            for dep in entry.get("deps") or []
            for out, maker in made.items()
            if dep["path"] == out or str(dep["path"]).startswith(f"{out}/") or out.startswith(f"{dep['path']}/")
        }
        for name, entry in stages.items()
    }
    done: list[str] = []
    while len(done) < len(parents):
        ready = [name for name in parents if name not in done and parents[name] <= set(done)]
        if not ready:
            raise ConfigError("the stages of the recorded dvc.lock need each other in a circle.")
        done += ready
    return done


def _from(stages: list[str], start: str | None) -> list[str]:
    if start is None:
        return stages
    if start not in stages:
        raise ConfigError(f"the recorded dvc.lock has no stage '{start}'.{did_you_mean(start, stages)}")
    return stages[stages.index(start) :]


def _pull(settings: Settings, evidence: Evidence, tree: Worktree, stages: list[str], say: Callable[[str], Any]) -> None:
    """Bring what earlier stages made into the worktree: from this machine's cache or the remote, each object hashed."""
    objects, count = Objects(settings), 0
    for name in stages:
        for out in evidence.stages.get(name, {}).get("outs") or []:
            md5 = str(out.get("md5", ""))
            members = objects.members(md5).values() if md5.endswith(".dir") else ()
            for each in (md5, *members):
                objects.copy(each, tree.cache)
                count += 1
    _dvc(tree, "checkout", "--force", *stages)
    say(f"pulled {count} objects of {', '.join(stages)}")


def _execute(tree: Worktree, stage: str) -> None:
    problem = _dvc(tree, "repro", "--force", "--no-run-cache", "--single-item", stage, check=False)
    if problem:
        raise StageFailed(
            f"stage {stage} failed when it was run again: {tree.evidence() or problem}\n"
            "  what an earlier stage made can be pulled instead: --from STAGE"
        )


def _dvc(tree: Worktree, *arguments: str, check: bool = True) -> str:
    """Run a DVC command in the worktree; '' when it went well, else the end of what it said."""
    process = subprocess.Popen(
        ["dvc", *arguments],
        cwd=tree.project,
        env=tree.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        said, _ = process.communicate()
    except BaseException:
        end_descendants()  # Ctrl-C: nothing may work in a worktree that is being removed
        raise
    if process.returncode == 0:
        return ""
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if not is_noise(line)]
    problem = " ".join(lines[-3:])[:500] or f"dvc ended with {process.returncode}"
    if check:
        raise DataError(f"dvc {arguments[0]} failed in the worktree: {problem}")
    return problem


def _changes(evidence: Evidence, lock: Mapping[str, Any], stages: list[str], tree: Worktree, objects: Objects) -> Any:
    for stage in stages:
        again = {out["path"]: str(out.get("md5", "")) for out in (lock.get(stage) or {}).get("outs") or []}
        before = {out["path"]: str(out.get("md5", "")) for out in evidence.stages.get(stage, {}).get("outs") or []}
        for path in sorted({*again, *before}):
            old, new = before.get(path, ""), again.get(path, "")
            if old != new:
                yield Changed(stage, path, old, new, _files(old, new, tree, objects))


def _files(old: str, new: str, tree: Worktree, objects: Objects) -> tuple[str, ...]:
    if not (old.endswith(".dir") and new.endswith(".dir")):
        return ()
    try:
        before = objects.members(old)
    except DataError:
        return ()  # not in the cache any more: the digest of the whole says enough
    again = {each["relpath"]: each["md5"] for each in json.loads(cached(tree.cache, new).read_bytes())}
    return tuple(sorted(name for name in {*before, *again} if before.get(name) != again.get(name)))


def _metrics(tree: Worktree) -> dict[str, float]:
    path = tree.project / "reports" / "evaluate.json"
    return evaluation_values(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _judge(before: Mapping[str, float], again: Mapping[str, float]) -> tuple[str, bool]:
    for low in (name for name in before if name.startswith("test/") and name.endswith("_low")):
        score = low.removesuffix("_low")
        least, most, value = before[low], before.get(f"{score}_high"), again.get(score)
        if most is not None and value is not None:
            is_within = least <= value <= most
            where = "within" if is_within else "outside"
            return (
                f"{score.removeprefix('test/')} {value:.4f}, {where} the recorded interval {least:.4f} to {most:.4f}",
                is_within,
            )
    return "no interval of a score was recorded to compare with", False


def _machine(settings: Settings) -> str:
    try:
        import torch
    except ImportError:
        return ""
    torch.set_num_threads(settings.thread_count)
    return machine_class(settings.device)


def in_words(found: Reproduction) -> list[str]:
    """For people: the verdict first, then what differs."""
    if not found.changed:
        return [f"{found.title}: reproduced, all {found.outputs} outputs of {found.stages} stages are equal to the last bit"]
    same = f"a machine of the same class ({found.machine})"
    other = f"another class of machine ({found.machine}; recorded: {found.machine_recorded or 'unknown'})"
    lines = [
        f"{found.title}: {len(found.changed)} of {found.outputs} outputs differ on {same if found.is_same_class else other}",
        *(
            f"  {each.output} ({each.stage}): {each.recorded[:8] or 'not there'} -> {each.again[:8] or 'not there'}"
            + (f": {', '.join(each.files[:5])}" if each.files else "")
            for each in found.changed
        ),
        *(f"  {name}: {_number(old)} -> {_number(new)}" for name, (old, new) in found.metrics.items()),
    ]
    return [*lines, f"  {found.score}"]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
