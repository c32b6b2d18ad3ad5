"""What servers said about which bytes, remembered on this machine: losing it costs time and changes nothing."""

import json
from pathlib import Path
from typing import Any

from headrace.storage.local import write_json


class Marks:
    """A table that survives in a file; of two processes that write at once the later one adds to what the earlier one wrote."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = _read(path)
        self._new: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        """What was noted, None if nothing was."""
        return self._new.get(key, self._known.get(key))

    def note(self, key: str, value: Any) -> None:
        """Remember something JSON can hold."""
        if self.get(key) != value:
            self._new[key] = value

    def save(self) -> None:
        """Write the file, if there is something new."""
        if self._new:
            write_json(self._path, {**_read(self._path), **self._new})


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return loaded if isinstance(loaded, dict) else {}
