"""`headrace ci`: may this pull request be merged? Asked in a bare checkout that has nothing but the bucket; nothing is executed or pulled.

dvc.lock must be that of these files and params, and the remote must have what it names. What else the branch changes is told.
"""

import base64
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from headrace.errors import ConfigError, EngineError
from headrace.flow.launcher import Launcher, Plan
from headrace.project.preflight import check_params
from headrace.project.review_page import Review, pictures, render
from headrace.project.version import Contents, Version, remote_folder, versions
from headrace.settings import Settings
from headrace.state.branch import StateBranch
from headrace.state.git import Repository
from headrace.storage.dvc_config import default_remote
from headrace.storage.dvc_remote import cached, client_variables, needed
from headrace.storage.local import write_bytes, write_text
from headrace.variables import variable

PAGE = "review.md"

TARGETS = ("GITHUB_BASE_REF", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME")
"""Where GitHub Actions and GitLab say which branch a pull request is for."""

SUMMARY = "GITHUB_STEP_SUMMARY"

Say = Callable[[str], Any]


def review(settings: Settings, *, against: str | None, out: Path, say: Say) -> Review:
    """Look at the project, write the page, its pictures, and GitHub's job summary.

    Args:
        settings: of this machine and project.
        against: branch or commit to compare with; default: the target of the pull request, else the remote's default branch.
        out: folder for review.md and plots.
        say: receives notes.

    Raises:
        ConfigError: there is no dvc.lock, DVC cannot read the project, or `against` is not there.
        EngineError: the remote does not answer.
    """
    name, commit = _target(settings, against, say)
    check_params(settings.project)
    with Launcher(settings.project, client_variables(settings)) as launcher:
        return _review(settings, launcher, name, commit, out)


def _review(settings: Settings, launcher: Launcher, name: str, commit: str | None, out: Path) -> Review:
    new, old = versions(settings, commit, ask=functools.partial(_read, launcher))
    if new.file("dvc.lock") is None:
        if old is None or old.file("dvc.lock") is not None:
            raise ConfigError("there is no dvc.lock to review. headrace run; git add dvc.lock; git commit")
        found = Review(stale={}, missing=[], remote="", against=name, is_checked=False)
    else:
        missing, remote = _missing(settings, launcher, new.objects)
        verdict = new.report("reports/evaluate.json").get("verdict") or {}
        found = Review(stale=stale(launcher.plan(), new), missing=missing, remote=remote, against=name, verdict=verdict)
    page = render(found, new, old)
    write_text(out / PAGE, page)
    for path, content in pictures(new).items():
        write_bytes(out / path, content)
    if summary := variable(SUMMARY):
        with Path(summary).open("a", encoding="utf-8") as file:  # GitHub's own file, to which every step adds
            file.write(page)
    return found


def stale(plan: Plan, version: Version) -> dict[str, list[str]]:
    """Stages that would run if all outputs were here, with the reasons.

    An output that is not checked out is no reason. A stage that was recorded with another version of its input than the stage that
    makes it has recorded is one: both entries look right by themselves, and no run ever made them both.
    """
    made = {out for stage in plan.stages for out in stage.outs}

    def is_made(path: str) -> bool:
        place = version.project / path
        return not made.isdisjoint((place, *place.parents))

    found: dict[str, list[str]] = {}
    for stage in plan.stages:
        reasons = [str(change) for change in stage.changes if not (change.kind in ("dep", "out") and is_made(change.what))]
        if stage.is_locked:
            reasons += _other_inputs(version, stage.name)
        if reasons:
            found[stage.name] = reasons
    return found


def _other_inputs(version: Version, stage: str) -> Iterator[str]:
    for dep in version.entries.get(stage, {}).get("deps") or []:
        path = str(dep.get("path"))
        output = version.made(path)
        if output is None:
            continue
        digest = version.digest(path)
        if digest is not None and digest != dep.get("md5"):
            yield f"{path} is recorded otherwise than {output.stage} made it"


def _missing(settings: Settings, launcher: Launcher, objects: Contents) -> tuple[list[str], str]:
    """Outputs that the remote lacks, and a line on what was asked."""
    remote = default_remote(settings.project)
    if remote is None:
        return [], "no remote is configured, so nobody else can restore the outputs: headrace remote add s3://bucket/prefix"
    if remote.is_s3:
        from headrace.storage.audit import audit

        found = audit(settings, sample=0)
        broken = [f"{each.output} ({each.stage}): {each.what}, {each.why}" for each in found.left]
        return broken, remote.url if broken else f"{remote.url} has all {found.objects:,} objects"
    folder = remote_folder(settings)
    needs = needed(settings.project, lambda need: objects.read(need.md5))
    if folder is not None:
        absent = {md5 for md5 in needs if not cached(folder, md5).exists()}
    else:
        absent = set(_ask(launcher, "lacking", md5s=sorted(needs)))
    broken = [f"{need.output} ({need.stage}): missing" for md5, need in needs.items() if md5 in absent]
    return broken, f"the remote {remote.name}" if broken else f"the remote {remote.name} has all {len(needs):,} objects"


def _read(launcher: Launcher, md5: str) -> bytes | None:
    content = _ask(launcher, "read", md5=md5)
    return base64.b64decode(content) if content is not None else None


def _ask(launcher: Launcher, operation: str, **arguments: Any) -> Any:
    """DVC's own look at a remote that is neither a bucket nor a folder: ssh, gs, azure, http, whatever its plugins know."""
    log: list[str] = []
    answer = launcher.perform(operation, log.append, **arguments)
    if "result" not in answer:
        raise EngineError(
            f"the remote cannot be asked: {answer.get('error') or ' '.join(log[-3:])}. `dvc status --cloud` asks it by hand."
        )
    return answer["result"]


def _target(settings: Settings, against: str | None, say: Say) -> tuple[str, str | None]:
    """Name and commit of what to compare with; no commit where it cannot be had and nobody asked for it."""
    repository = Repository(settings.project)
    name = against or next((found for each in TARGETS if (found := variable(each))), "")
    branch = StateBranch(repository, settings.git_remote, name or "HEAD")
    try:
        commit = branch.tip(depth=1) if name else branch.main(depth=1)
    except EngineError as error:
        commit = None
        say(f"note: {error}")
    for ref in (name, f"{settings.git_remote}/{name}") if name else ():
        if commit is None:
            commit = repository.ask("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").text or None
    if commit is None and against:
        raise ConfigError(f"{against!r} is no branch of {settings.git_remote} and no commit here.")
    if commit is None:
        say("note: no branch to compare with; --against names one")
        return "", None
    return name or "the default branch", commit
