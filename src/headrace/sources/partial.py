"""A download that is not whole yet: its bytes, and the mark of the server's file that they are the beginning of."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace.storage.locks import file_lock

VALIDATORS = ("etag", "last-modified")
"""Headers that tell one version of a file from another."""


@dataclass(frozen=True, slots=True)
class Partial:
    """One file in the making; a later process goes on where a killed one stopped."""

    path: Path

    @property
    def size(self) -> int:
        """Bytes received so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def validator(self) -> str | None:
        """What a request for the rest is conditional on; None when the server told nothing that promises equal bytes."""
        try:
            return str(json.loads(self._notes.read_text(encoding="utf-8"))["validator"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remember(self, headers: Mapping[str, str]) -> None:
        """Keep the validator of the answer whose bytes come now."""
        # A weak ETag does not promise equal bytes, so a range must not be asked with it.
        found = next((value for name in VALIDATORS if (value := headers.get(name)) and not value.startswith("W/")), None)
        if found is None:
            self._notes.unlink(missing_ok=True)
        else:
            self._notes.write_text(json.dumps({"validator": found}), encoding="utf-8")

    def discard(self) -> None:
        """Begin anew: what was received is not the beginning of what the server has."""
        self.path.unlink(missing_ok=True)

    def forget(self) -> None:
        """The file has landed elsewhere: its notes are of no use."""
        self._notes.unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """One process at a time; the second waits, and then finds it landed."""
        with file_lock(self.path.with_name(self.path.name + ".lock")):
            yield

    @property
    def _notes(self) -> Path:
        return self.path.with_name(self.path.name + ".json")
