"""The checkouts that share one state folder, and what each of them and its branches name."""

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from headrace.errors import ConfigError, EngineError
from headrace.settings import Settings
from headrace.storage.local import write_text
from headrace.storage.locks import file_lock
from headrace.variables import child_environment

FILES = ("dvc.lock", "*.dvc", "**/dvc.lock", "**/*.dvc")
"""What names objects of DVC's, as git's patterns."""
ASK_LIMIT_S = 30


def register_checkout(settings: Settings) -> None:
    """Remember that this checkout uses the state folder; waits while `headrace gc` is at work there."""
    path = _folder(settings) / hashlib.sha256(str(settings.project).encode()).hexdigest()[:16]
    text = f"{settings.project}\n"
    try:
        if path.read_text(encoding="utf-8") == text:
            return
    except FileNotFoundError:
        pass
    with file_lock(lock_path(settings)):
        write_text(path, text)


def lock_path(settings: Settings) -> Path:
    """Held while checkouts are registered, and by `headrace gc`: a new one waits for its end."""
    return settings.state_home / "checkouts.lock"


def checkouts(settings: Settings) -> tuple[list[Path], list[Path]]:
    """Checkouts that use the state folder, with git's further worktrees of each; and those that are gone."""
    known = {settings.project}
    for path in sorted(_folder(settings).glob("*")):
        known.add(Path(path.read_text(encoding="utf-8").strip()))
    here = {path for path in known if (path / ".dvc").is_dir()}
    for path in sorted(here):
        listed, inside = (
            _git(path, "worktree", "list", "--porcelain").splitlines(),
            _git(path, "rev-parse", "--show-prefix").strip(),
        )
        trees = {Path(line.removeprefix("worktree ")) / inside for line in listed if line.startswith("worktree ")}
        here |= {tree for tree in trees if (tree / ".dvc").is_dir()}
    return sorted(here), sorted(known - here)


def forget(settings: Settings, gone: list[Path]) -> None:
    """Remember checkouts no longer that are gone."""
    for path in gone:
        (_folder(settings) / hashlib.sha256(str(path).encode()).hexdigest()[:16]).unlink(missing_ok=True)


def _folder(settings: Settings) -> Path:
    return settings.state_home / "checkouts"


def workspace_texts(checkout: Path) -> Iterator[str]:
    """The files of DVC's in a workspace as they are now, committed or not."""
    listed = _git(checkout, "ls-files", "--cached", "--others", "-z", "--", *FILES)
    names = {name for name in listed.split("\0") if name} | {"dvc.lock"}
    for name in sorted(names):
        path = checkout / name
        if path.is_file():
            yield path.read_text(encoding="utf-8", errors="replace")


def revisions(checkout: Path) -> dict[str, str]:
    """Commits that something names, by one name each: branches of here and elsewhere, tags, stashes, experiments, what is checked out."""
    found: dict[str, str] = {}
    for line in _git(checkout, "for-each-ref", "--format=%(objectname) %(objecttype) %(*objectname) %(refname)").splitlines():
        commit, kind, *rest = line.split()
        found.setdefault(rest[0] if kind == "tag" else commit, rest[-1])
    for line in _git(checkout, "stash", "list", "--format=%H %gd").splitlines():
        commit, _, name = line.partition(" ")
        found.setdefault(commit, name)
    if head := _git(checkout, "rev-list", "--ignore-missing", "--max-count=1", "HEAD").strip():
        found.setdefault(head, "HEAD")
    return found


def revision_texts(checkout: Path, commit: str) -> dict[str, str]:
    """The files of DVC's in a commit: text by git's name of the content, which many commits share."""
    listed = _git(checkout, "ls-tree", "-r", "-z", "--full-tree", commit)
    texts = {}
    for entry in filter(None, listed.split("\0")):
        mode, _, rest = entry.partition(" ")
        kind, _, rest = rest.partition(" ")
        blob, _, name = rest.partition("\t")
        if kind == "blob" and mode != "120000" and (name.rpartition("/")[2] == "dvc.lock" or name.endswith(".dvc")):
            texts[blob] = _git(checkout, "cat-file", "blob", blob)
    return texts


def check_fetched(checkout: Path) -> None:
    """Refuse when the remote repository has branches or tags whose commits this clone lacks: what they name is not known here.

    Raises:
        ConfigError: it has; the message names the command.
        EngineError: it does not answer.
    """
    for remote in _git(checkout, "remote").split():
        asked = ["git", "ls-remote", "--heads", "--tags", remote]
        quiet = child_environment(GIT_TERMINAL_PROMPT="0", GIT_SSH_COMMAND="ssh -o BatchMode=yes")
        try:
            done = subprocess.run(
                asked, cwd=checkout, capture_output=True, text=True, check=False, timeout=ASK_LIMIT_S, env=quiet
            )
        except subprocess.TimeoutExpired:
            raise EngineError(f"`{' '.join(asked)}` does not answer in {ASK_LIMIT_S} s: {NOT_KNOWN}") from None
        if done.returncode != 0:
            raise EngineError(f"`{' '.join(asked)}` fails in {checkout}: {NOT_KNOWN}")
        told = [line.split("\t") for line in done.stdout.splitlines()]
        known = set(
            _git(checkout, "cat-file", "--batch-check=%(objectname)", stdin="\n".join(each[0] for each in told)).split("\n")
        )
        for commit, name in told:
            if commit not in known:
                raise ConfigError(f"{remote} has {name}, whose commit is not in {checkout}. git fetch --all --tags, then again.")


def _git(checkout: Path, *arguments: str, stdin: str = "") -> str:
    """Output of git; '' outside a repository, an error where git refuses: what it does not tell must not look like nothing."""
    if not any((folder / ".git").exists() for folder in (checkout, *checkout.parents)):
        return ""
    try:
        done = subprocess.run(["git", *arguments], cwd=checkout, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise EngineError("there is no `git` here, and what branches name cannot be known without it.") from None
    if done.returncode != 0:
        reason = " ".join(done.stderr.split())[:300]
        raise EngineError(f"`git {' '.join(arguments[:2])}` fails in {checkout}: {reason}. Nothing is deleted until it works.")
    return done.stdout


NOT_KNOWN = "which branches others have pushed cannot be known, and what they need must not go. Leave --remote out, or mend that."
