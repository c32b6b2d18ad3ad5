"""A scheduled run begins with what the last one left and leaves what the next one needs: dvc.lock and data/sources.lock, on a branch.

`begin` puts a clone of main onto the state branch with main merged in; `carry` pushes what the run recorded. Neither ever pushes to main,
and neither ever forces. The ledger of promotions is on the same branch and gets there by itself (registry/publishing.py).
"""

import json
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headrace.errors import ConfigError, EngineError
from headrace.project.lock_merge import DRIVER, PATTERNS, driver_command, merge
from headrace.settings import Settings
from headrace.state.branch import TRIES, StateBranch, pause, state_branch
from headrace.state.git import Repository
from headrace.storage.local import write_bytes, write_json, write_text
from headrace.tracking.secrets import strip_secrets
from headrace.variables import child_environment

CARRIED = ("dvc.lock", "data/sources.lock")
"""What a run hands on to the next one."""

MARKER = "headrace-state.json"
"""In the checkout's .git: `.headrace` may be shared by several clones of one machine."""
HOOK_PATIENCE_S = 120

Say = Callable[[str], Any]


@dataclass(frozen=True)
class Begun:
    """Where a run began; kept in the checkout, so that `carry` may be another process."""

    remote: str
    branch: str
    commit: str
    main: str
    """The commit of main that is in it."""
    main_branch: str


def begin(settings: Settings, say: Say) -> Begun:
    """Put this checkout onto the state branch, with the commit that was checked out merged in; the remote gets the merge at once.

    So a run that may not push fails now, and not after the training; and the commit that a model's run names is one that others can
    fetch. Only dvc.lock, data/sources.lock and the ledger change in the checkout: the code is main's.

    Raises:
        ConfigError: no git remote, changes that nobody committed, or a merge that a person has to make.
        StateRefused: the remote does not take pushes to the branch from here.
        EngineError: the remote does not answer.
    """
    branch = _branch(settings)
    repository = branch.repository
    main_branch = repository.ask("symbolic-ref", "--quiet", "--short", "HEAD").text
    main = _main(branch, main_branch)
    _check_clean(repository)
    if repository.get("rev-parse", "--is-shallow-repository") == "true":  # a merge needs the last common commit
        repository.get("fetch", "--quiet", "--unshallow", "--no-tags", branch.remote)
    for attempt in range(TRIES):
        tip = branch.tip()
        merged = _merged(branch, tip, main)
        if merged == tip or branch.push(merged, on=tip):
            break
        pause(attempt)
    else:
        raise EngineError(f"{branch.title}: others have pushed {TRIES} times in between. Try again.")
    repository.get("checkout", "--quiet", "--no-track", "-B", branch.name, merged)
    begun = Begun(branch.remote, branch.name, merged, main, main_branch if main_branch != branch.name else "")
    write_json(_marker(repository), asdict(begun))
    new = "" if merged != tip else ", which has main already"
    say(f"on {branch.title} at {merged[:8]}{new}")
    return begun


def carry(settings: Settings, say: Say, *, message: str = "") -> str | None:
    """Push what the run recorded to the state branch; what others pushed meanwhile is merged, entry by entry.

    Call it after the objects are in the bucket: the lock must not name what nobody can get.

    Returns:
        The new tip, None when the run has recorded nothing new.

    Raises:
        ConfigError: no run has begun here.
        StateRefused: the remote does not take pushes to the branch from here.
        EngineError: the remote does not answer.
    """
    begun = _begun(settings)
    branch = StateBranch(Repository(settings.project), begun.remote, begun.branch)
    repository = branch.repository
    base = {name: repository.read(begun.commit, name) or b"" for name in CARRIED}
    ours = {name: path.read_bytes() for name in CARRIED if (path := settings.project / name).exists()}
    mine = {name: content for name, content in ours.items() if content != base[name]}
    if not mine:
        say(f"nothing new for {branch.title}")
        return None

    def change(tip: str | None) -> dict[str, bytes]:
        files = {}
        for name, content in mine.items():
            theirs = (repository.read(tip, name) or b"") if tip else base[name]
            merged = merge(name, base[name], content, theirs)
            for note in merged.notes:
                say(note)
            files[name] = merged.content
        return files

    commit = branch.add(change, message or f"Run: {', '.join(mine)}")
    if commit is None:
        raise AssertionError("there were files to push")
    _follow(settings, repository, branch, commit)
    write_json(_marker(repository), asdict(begun) | {"commit": commit})
    say(f"{', '.join(mine)} pushed to {branch.title}: {commit[:8]}")
    _hook(settings, begun, branch, say)
    return commit


def describe(settings: Settings) -> Iterator[str]:
    """Where the state branch stands, for a person: its last commits, and whether main is in it.

    Raises:
        ConfigError: no git remote.
        EngineError: the remote does not answer.
    """
    branch = _branch(settings)
    repository = branch.repository
    tip = branch.tip()
    if tip is None:
        yield f"{branch.title}: not there yet; the first scheduled run makes it"
        return
    yield f"{branch.title} at {tip[:8]}"
    main = branch.main()
    if main is not None:
        behind = repository.get("rev-list", "--count", f"{tip}..{main}")
        yield "main is in it" if behind == "0" else f"main has {behind} commits that the next scheduled run merges in"
    yield from repository.get("log", "-10", "--format=  %h %cs %an: %s", tip).splitlines()


def _branch(settings: Settings) -> StateBranch:
    branch = state_branch(settings)
    if branch is None:
        raise ConfigError(
            f"{settings.project} has no git remote {settings.git_remote!r} for a state branch, or HEADRACE_STATE_BRANCH is empty. "
            f"git remote add {settings.git_remote} URL"
        )
    return branch


def _main(branch: StateBranch, checked_out: str) -> str:
    """The commit to merge in: what is checked out, or the remote's default branch where that is the state branch itself."""
    if checked_out != branch.name:
        return branch.repository.get("rev-parse", "HEAD")
    main = branch.main()
    if main is None:
        raise ConfigError(f"{branch.remote} has no default branch to merge into {branch.name}.")
    return main


def _check_clean(repository: Repository) -> None:
    excluded = [f":(exclude){name}" for name in PATTERNS]
    changed = repository.get("diff", "--name-only", "HEAD", "--", ".", *excluded)
    if changed:
        names = ", ".join(changed.splitlines()[:3])
        raise ConfigError(
            f"changes that are in no commit: {names}. A scheduled run works in a clone of its own: commit or discard them."
        )


def _merged(branch: StateBranch, tip: str | None, main: str) -> str:
    """The state branch with main merged in: a commit that builds on `tip`, or `tip` itself."""
    repository = branch.repository
    if tip is None:
        return main
    if repository.is_ancestor(main, tip):
        return tip
    if repository.is_ancestor(tip, main):
        return main  # a pull request has brought all of it to main
    with tempfile.TemporaryDirectory(prefix="headrace-merge-") as folder:
        place = Path(folder) / "tree"
        repository.get("worktree", "add", "--quiet", "--detach", str(place), tip)
        try:
            attributes = Path(folder) / "attributes"
            write_text(attributes, "".join(f"{each} merge={DRIVER}\n" for each in PATTERNS))
            there = Repository(place)
            answer = there.ask(
                "-c", f"merge.{DRIVER}.driver={driver_command()}", "-c", f"core.attributesFile={attributes}",
                "merge", "--no-commit", "--no-ff", "--quiet", main,
                variables=repository.committer(),
            )  # fmt: skip
            if answer.code:
                raise ConfigError(_unmerged(branch, there, main, answer.error or answer.text))
            return repository.commit(there.get("write-tree"), [tip, main], f"Merge main into {branch.name}")
        finally:
            repository.ask("worktree", "remove", "--force", str(place))


def _unmerged(branch: StateBranch, there: Repository, main: str, said: str) -> str:
    names = ", ".join(there.ask("diff", "--name-only", "--diff-filter=U").text.splitlines()) or " ".join(said.split())[:200]
    return (
        f"main cannot be merged into {branch.title}: both changed {names}. Once, by hand: git fetch {branch.remote}; "
        f"git checkout -B {branch.name} {branch.remote}/{branch.name}; git merge {main[:12]}; git push {branch.remote} {branch.name}"
    )


def has_begun(settings: Settings) -> bool:
    """Whether `begin` has put this checkout onto the state branch."""
    return _read_marker(Repository(settings.project)) is not None


def _begun(settings: Settings) -> Begun:
    found = _read_marker(Repository(settings.project))
    if found is None:
        raise ConfigError(f"no scheduled run has begun in {settings.project}: headrace state begin comes first.")
    return found


def _read_marker(repository: Repository) -> Begun | None:
    try:
        return Begun(**json.loads(_marker(repository).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _marker(repository: Repository) -> Path:
    return repository.folder / repository.ask("rev-parse", "--git-path", MARKER).text


def _follow(settings: Settings, repository: Repository, branch: StateBranch, commit: str) -> None:
    """Let the checkout stand on the new tip, where it still is on the branch; files that the run did not record stay as they are."""
    if repository.ask("symbolic-ref", "--quiet", "--short", "HEAD").text != branch.name:
        return
    for name in PATTERNS:
        content = repository.read(commit, name)
        if content is not None:
            write_bytes(settings.project / name, content)
    repository.get("reset", "--quiet", "--mixed", commit)


def _hook(settings: Settings, begun: Begun, branch: StateBranch, say: Say) -> None:
    """Call what the user set, as to open a pull request; it may fail: the run is done."""
    main = begun.main_branch or "main"
    if not settings.state_hook:
        say(f"to bring it to {main}: gh pr create --base {main} --head {branch.name} --fill")
        return
    variables = {"HEADRACE_STATE_BRANCH": branch.name, "HEADRACE_MAIN_BRANCH": main, "HEADRACE_GIT_REMOTE": branch.remote}
    try:
        done = subprocess.run(
            shlex.split(settings.state_hook), cwd=settings.project, env=child_environment() | variables, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False, timeout=HOOK_PATIENCE_S,
        )  # fmt: skip
        told = " ".join(strip_secrets(f"{done.stdout} {done.stderr}").split())[:300]
        say(f"state hook: {told}" if done.returncode == 0 else f"the state hook ended with {done.returncode}: {told}")
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        say(f"the state hook could not be run: {type(error).__name__}: {strip_secrets(str(error))[:200]}")
