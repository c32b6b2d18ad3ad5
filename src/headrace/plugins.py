"""Find tasks, networks, losses, transforms, sources and metrics by name.

A bare name is a module of the room: network `mlp` is headrace/networks/mlp.py, so the folder is the table, and a stage can depend
on the one file it uses. `module:attribute` is the user's own code, importable from the project's `src/` or an installed package;
`package:module` is a module as those of a room are.
"""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

from headrace.errors import ParamsError
from headrace.params import did_you_mean


def names(room: str) -> list[str]:
    """The bare names a room offers, sorted."""
    folder = Path(__file__).parent / room
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def resolve(room: str, name: str, attribute: str | None, *, where: str) -> Any:
    """The object a params value names: `attribute` of the room's module `name`, or what `module:attribute` says.

    Args:
        room: package below headrace, such as 'networks'.
        name: bare name or `module:attribute`.
        attribute: what to take from a module; None for the module itself (a task is one).
        where: the params key, for messages.

    Raises:
        ParamsError: nothing of that name, or the user's module does not import.
    """
    module_name, colon, own = name.partition(":")
    if not colon:
        if module_name not in names(room):
            raise ParamsError(f"{where} is '{name}', which headrace/{room} does not have.{did_you_mean(name, names(room))}")
        module = importlib.import_module(f"headrace.{room}.{module_name}")
        return module if attribute is None else getattr(module, attribute)
    try:
        found: Any = importlib.import_module(module_name)
        for part in own.split("."):
            if not hasattr(found, part) and hasattr(found, "__path__"):
                importlib.import_module(f"{found.__name__}.{part}")  # `package:module`, as a task may be
            found = getattr(found, part)
        if attribute and isinstance(found, ModuleType):
            found = getattr(found, attribute)
    except (ImportError, AttributeError) as error:
        raise ParamsError(
            f"{where} is '{name}', which cannot be imported: {error}. Is its folder in the project's src/?"
        ) from None
    return found
