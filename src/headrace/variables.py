"""The environment of this process and of its children, one variable at a time, and where the project is; settings.py has the typed values.

Apart from it, because what starts DVC needs no more than this, and settings.py brings pydantic: a fifth of a second.
"""

import os
from pathlib import Path

PROJECT_FILES = ("dvc.yaml", "params.yaml")


def child_environment(*, without: tuple[str, ...] = (), **extra: str) -> dict[str, str]:
    """This process's environment with more variables, and without those that begin with one of `without`, for a child."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(without)} if without else os.environ
    return {**kept, **extra}


def set_variable(name: str, value: str) -> None:
    """Set a variable for this process and its children."""
    os.environ[name] = value


def take_variable(name: str) -> str:
    """A variable that was meant for this process alone: what it says, '' if it was not set; children do not see it."""
    return os.environ.pop(name, "")


def variable(name: str) -> str:
    """One variable that a parent process of ours set, '' if it did not."""
    return os.environ.get(name, "")


def find_project(start: Path | None = None) -> Path:
    """The nearest folder at or above `start` with dvc.yaml and params.yaml, else `start`; default: HEADRACE_PROJECT, the current one."""
    start = (start or Path(variable("HEADRACE_PROJECT"))).absolute()
    for folder in (start, *start.parents):
        if all((folder / name).exists() for name in PROJECT_FILES):
            return folder
    return start
