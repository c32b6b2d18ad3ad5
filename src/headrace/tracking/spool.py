"""Metrics on their way to the server: a file per training, written first, sent afterwards.

`log` appends one line and returns, whatever the network does; a sender reads the file behind it. A killed process loses nothing
that it has logged, and a server that was away gets everything from the file later. The file goes when its end has been sent.
"""

import contextlib
import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from headrace.tracking.facts import RunFacts


class Spool:
    """The lines of one training's file; one process at a time may append to it.

    Args:
        folder: of all spools of a checkout.
        fingerprint: of the training.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.path = folder / f"{fingerprint}.jsonl"
        self._file: BinaryIO | None = None

    def open(self) -> bool:
        """Take the file for writing; False when another process has it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            file = self.path.open("ab")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self.path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                    break
            except BlockingIOError:
                file.close()
                return False
            except FileNotFoundError:
                pass
            file.close()  # its last writer was done and removed it between our open and our lock
        if not _ends_a_line(self.path):
            file.write(b"\n")  # the last writer was killed inside a line: close it, readers pass over what they cannot read
        self._file = file
        return True

    def begin(self, facts: RunFacts) -> None:
        """Say what the run is."""
        self._append({"begin": facts.to_json()})

    def metrics(self, step: int, time_ms: int, values: Mapping[str, float]) -> None:
        """Keep the metrics of one step; NaN and infinity are kept as words, JSON has none."""
        self._append(
            {"step": step, "time": time_ms, "metrics": {k: v if math.isfinite(v) else str(v) for k, v in values.items()}}
        )

    def end(self, status: str, time_ms: int) -> None:
        """Say how the training ended."""
        self._append({"end": status, "time": time_ms})

    def _append(self, line: Mapping[str, Any]) -> None:
        if self._file is None:
            raise RuntimeError("open the spool first")
        self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        self._file.flush()

    def remove(self) -> None:
        """Everything is sent."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let the file go, for a later run to send or to append to."""
        if self._file is not None:
            self._file.close()
            self._file = None


class SpoolReader:
    """Complete lines of a spool from where the last read ended."""

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0

    def read(self, max_lines: int = 500) -> tuple[list[dict[str, Any]], int]:
        """Up to `max_lines` new lines and the position after them; `advance` to it once they are sent."""
        lines: list[dict[str, Any]] = []
        position = self._offset
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(position)
            for raw in file:
                if not raw.endswith(b"\n") or len(lines) >= max_lines:
                    break
                position += len(raw)
                with contextlib.suppress(ValueError):
                    line = json.loads(raw)
                    if isinstance(line, dict):
                        lines.append(line)
        return lines, position

    def advance(self, position: int) -> None:
        """The lines before `position` are sent."""
        self._offset = position


def waiting(folder: Path) -> Iterator[Spool]:
    """Spools that no living process writes to, opened; the caller closes them."""
    for path in sorted(folder.glob("*.jsonl")):
        spool = Spool(folder, path.stem)
        if spool.open():
            yield spool


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:
            return True
        file.seek(-1, 2)
        return file.read(1) == b"\n"
