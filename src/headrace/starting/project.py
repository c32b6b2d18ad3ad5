"""Found a project: every file of it, in a folder that is whole or not there at all."""

import os
import re
import shutil
import subprocess
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from headrace import plugins
from headrace.errors import ConfigError, FormatError, ParamsError
from headrace.formats.record import SourceFile
from headrace.params import did_you_mean
from headrace.project.environment import LOCK, revisions
from headrace.project.lint import lint
from headrace.project.locking import lock_text
from headrace.settings import git
from headrace.sources.files import find_files
from headrace.sources.places import Places
from headrace.sources.snapshot import pin, render
from headrace.sources.spec import Files
from headrace.starting import texts
from headrace.starting.contract import FirstLook, Request, Start
from headrace.storage.local import write_text

MARK = ".headrace-init"


@dataclass(frozen=True)
class Started:
    """A new project."""

    folder: Path
    lines: Sequence[str]
    """For the terminal: what was found, what to check, what to type next."""


@dataclass(frozen=True)
class Wish:
    """The command line, as it was typed."""

    folder: Path
    task: str
    data: Path
    text: str | None = None
    label: str | None = None
    split: str | None = None
    encoding: str | None = None
    delimiter: str | None = None


def start_names() -> list[str]:
    """Tasks that a project can be started for, as the command line spells them."""
    return [name.replace("_", "-") for name in plugins.names("tasks") if name in plugins.names("starting") and name != "contract"]


def start(wish: Wish) -> Started:
    """Make the project.

    Raises:
        ParamsError: what was typed cannot be meant.
        DataError: nothing can be learnt from the data, or they cannot be read.
        ConfigError: the folder holds something, or cannot be made.
    """
    part = _part(wish.task)
    data = _data(wish.data)
    target = _target(wish.folder, data)
    with _whole_or_not_at_all(target) as folder:
        source, files = _source(data, target, folder)
        look = _looked(part, Request(data, files, wish.text, wish.label, wish.split, wish.encoding, wish.delimiter))
        _write(folder, target.name, look, source)
        findings = [str(finding) for finding in lint(folder, fix=True)]
        if findings:
            raise ConfigError("the new project does not agree with itself, which is a fault of Headrace:\n" + "\n".join(findings))
        shutil.rmtree(folder / ".headrace", ignore_errors=True)  # notes on paths that are about to change
        committed = _commit(folder)
    return Started(target, list(_told(wish, look, committed=committed)))


def _looked(part: Start, request: Request) -> FirstLook:
    try:
        return part.look(request)
    except FormatError as error:
        # The message names keys of a params.yaml that is not there yet.
        told = str(error).replace(
            " Set collect.options.encoding, for instance to latin-1, or", " Add --encoding latin-1 (or cp1252), or"
        )
        raise FormatError(told.partition("; collect.options.invalid_bytes")[0]) from None


def _part(task: str) -> Start:
    known = start_names()
    if task.replace("_", "-") not in known:
        raise ParamsError(
            f"--task {task}: no project can be started for it.{did_you_mean(task, known)} "
            "For a task of your own, start with the nearest and see docs/how-to/add-a-task.md."
        )
    part: Start = plugins.resolve("starting", task.replace("-", "_"), None, where="--task")
    return part


def _data(path: Path) -> Path:
    # A link that is named is followed; only the folders above it are resolved, because the project names the path relative to itself.
    found = path.expanduser().absolute()
    if not found.exists():
        beside = [other.name for other in found.parent.iterdir()] if found.parent.is_dir() else []
        raise ParamsError(f"--data: there is no {path}.{did_you_mean(found.name, beside[:200])}")
    if re.search(r"[*?\[\]]", found.name):
        raise ParamsError(f"--data: the name {found.name!r} has signs that stand for many files in a path. Rename it.")
    return found.parent.resolve() / found.name


def _target(folder: Path, data: Path) -> Path:
    target = folder.expanduser().absolute()
    if not re.fullmatch(r"[^\W_.-][\w .-]*", target.name):
        raise ParamsError(
            f"'{target.name}' cannot name a project: begin with a letter or digit, and use letters, digits, '-' and '_'."
        )
    existing = next(parent for parent in target.parents if parent.exists())
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError(f"{folder} exists and is not empty: nothing was written. Choose another name, or empty it first.")
    if top := git(existing, "rev-parse", "--show-toplevel"):
        raise ConfigError(
            f"{folder} would lie inside of the git repository {top}; a project is a repository of its own. Choose a folder outside."
        )
    if target == data or target in data.parents or data in target.parents:
        raise ConfigError(f"{folder} and the data would lie in each other. Choose a folder beside {data}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.parent.resolve() / target.name


@contextmanager
def _whole_or_not_at_all(target: Path) -> Iterator[Path]:
    """A folder beside `target` that takes its name at the end; what an init that was killed left there is removed."""
    for left in target.parent.glob(f".{target.name}{MARK}-*"):
        pid = left.name.rpartition("-")[2]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    folder = target.with_name(f".{target.name}{MARK}-{os.getpid()}")
    try:
        folder.mkdir()
    except OSError as error:
        raise ConfigError(f"{target.parent} cannot be written ({error.strerror}). Choose another folder.") from None
    try:
        yield folder
        folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _source(data: Path, target: Path, folder: Path) -> tuple[dict[str, Any], list[SourceFile]]:
    relative = Path(os.path.relpath(data, target)).as_posix()
    name = slug(data.name.split(".")[0])
    source = Files(kind="files", name=name, paths=[relative])
    found = find_files(source, Places(project=folder, downloads=folder))
    if not found:
        raise ParamsError(f"--data: {data} holds no file.")
    return source.model_dump(exclude_defaults=True) | {"kind": "files"}, [SourceFile(f.name, f.path, name) for f in found]


def slug(text: str) -> str:
    """A name for files, packages and the registry: lower case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower().encode("ascii", "ignore").decode()).strip("-") or "data"


def _write(folder: Path, name: str, look: FirstLook, source: Mapping[str, Any]) -> None:
    task = str(look.collect["task"])
    ordered = {key: source[key] for key in ("kind", "name", "paths")}
    package = slug(name).replace("-", "_")
    package = package if package[0].isalpha() else f"project_{package}"
    rows = f"{look.rows:,} records of {source['paths'][0]}"
    words = {"name": name, "slug": slug(name), "package": package, "version": version("headrace")}
    files = {
        "params.yaml": texts.params_text(name, look, source=ordered, model=slug(name)),
        "dvc.yaml": texts.dag_text(sorted(revisions())),
        f"expectations/{task}.yaml": texts.suite_text(name, look, rows),
        "expectations/accepted.json": texts.template("accepted.json"),
        "pipelines/train.py": texts.template("train_flow"),
        "pipelines/promote.py": texts.template("promote_flow"),
        "model_card.md": texts.template("model_card.md"),
        f"src/{package}/__init__.py": "",
        ".gitattributes": texts.template("gitattributes"),
        ".dvcignore": texts.template("dvcignore"),
        ".dvc/config": texts.template("dvc_config"),
        ".dvc/.gitignore": texts.template("dvc_gitignore"),
        LOCK: lock_text(),
        **{place: _filled(texts.template(file), words) for place, file in _OWN.items()},
    }
    for place, text in files.items():
        write_text(folder / place, text)
    lock = pin([Files(**source)], Places(project=folder, downloads=folder / ".headrace" / "downloads"))
    write_text(folder / "data" / "sources.lock", render(lock))


_OWN = {"README.md": "readme", "pyproject.toml": "pyproject", ".gitignore": "gitignore", ".github/workflows/ci.yml": "ci"}
"""Files of a user's project that the reference project has no like of, by their place."""


def _filled(text: str, words: Mapping[str, str]) -> str:
    for key, value in words.items():
        text = text.replace(f"<<{key}>>", value)
    return text


def _commit(folder: Path) -> bool:
    """A repository with all of it; whether git let us commit: it needs to know who does."""
    quiet: dict[str, Any] = {"cwd": folder, "stdin": subprocess.DEVNULL, "capture_output": True}
    try:
        subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], check=True, **quiet)
        subprocess.run(["git", "add", "--all"], check=True, **quiet)
    except FileNotFoundError:
        raise ConfigError("there is no `git` command: install git, a project is a repository.") from None
    except subprocess.CalledProcessError as error:
        raise ConfigError(f"git: {error.stderr.decode(errors='replace').strip()[-300:]}") from None
    message = "Start the project with `headrace init`"
    done = subprocess.run(
        ["git", "-c", "commit.gpgsign=false", "commit", "--quiet", "--no-verify", "-m", message], check=False, **quiet
    )
    return done.returncode == 0


def _told(wish: Wish, look: FirstLook, *, committed: bool) -> Iterator[str]:
    yield f"Looked at {wish.data}:"
    yield from (f"  {line}" for line in look.found)
    yield ""
    yield f"Made {wish.folder}: dvc.yaml, params.yaml, expectations/, pipelines/, src/ for code of your own"
    yield ""
    task = look.collect["task"]
    checks = [
        *look.checks,
        f"expectations/{task}.yaml: {len(look.rules)} rules, each with what it was taken from.",
        "params.yaml: evaluate.thresholds is what a model must reach to be registered; a first guess.",
    ]
    yield "Check:"
    for number, check in enumerate(checks, start=1):
        yield from textwrap.wrap(check, 100, initial_indent=f"  {number}. ", subsequent_indent="     ")
    yield ""
    yield "Now:"
    yield f"  cd {texts.quoted_path(wish.folder)}"
    if not committed:
        yield '  git config user.name "..." && git config user.email "..."    # git does not know you yet'
        yield '  git commit -m "Start the project"'
    yield "  headrace run"
