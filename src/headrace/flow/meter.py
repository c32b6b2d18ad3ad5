"""How far a transfer of DVC's is: counted in DVC's process, told to ours as lines of its output. Imports fsspec, not dvc."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fsspec.callbacks import Callback  # type: ignore[import-untyped]

TELL_EVERY_S = 0.5


class Count:
    """What went over the wire so far."""

    def __init__(self) -> None:
        self.objects = 0
        self.of = 0
        self.moved = 0
        """Bytes of which something is known: of an object that is sent in one request, only when it is there."""
        self._waiting: dict[int, int] = {}

    def begin(self, part: int, size: int) -> None:
        """An object, or a part of one, is on its way."""
        self._waiting[part] = size

    def move(self, part: int, number: int) -> None:
        """Some of it arrived."""
        self.moved += number
        if part in self._waiting:
            self._waiting[part] = max(0, self._waiting[part] - number)

    def end(self, part: int) -> None:
        """It is over."""
        self._waiting.pop(part, None)

    def told(self) -> dict[str, int]:
        """For a line; `unseen` is the most that may be on its way without being counted."""
        return {
            "objects": self.objects,
            "of": self.of,
            "moved": self.moved,
            "unseen": max([0, *list(self._waiting.values())]),
        }


class Meter(Callback):  # type: ignore[misc]  # fsspec has no types
    """In place of DVC's progress bar over all objects; it draws nothing where there is no terminal."""

    count = Count()

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def set_size(self, size: int) -> None:
        """So many objects are to go."""
        self.count.of += size

    def relative_update(self, inc: int = 1) -> None:
        """So many more are there."""
        self.count.objects += inc

    def branched(self, path_1: Any, path_2: Any, **_: Any) -> "Part":
        """For one of them."""
        del path_1, path_2
        return Part(self.count)


class Part(Callback):  # type: ignore[misc]
    """One object's bytes."""

    def __init__(self, count: Count) -> None:
        super().__init__()
        self._count = count

    def set_size(self, size: int | None) -> None:
        """Of the object."""
        self._count.begin(id(self), size or 0)

    def relative_update(self, inc: int = 1) -> None:
        """More bytes."""
        self._count.move(id(self), inc)

    def close(self) -> None:
        """All of it, or none any more."""
        self._count.end(id(self))


@contextmanager
def telling(mark: str) -> Iterator[None]:
    """Write a line now and then: the mark and the counts as JSON, a last one at the end."""
    over = threading.Event()

    def tell() -> None:
        sys.stdout.write(f"{mark}{json.dumps(Meter.count.told())}\n")
        sys.stdout.flush()

    def go_on() -> None:
        while not over.wait(TELL_EVERY_S):
            tell()

    thread = threading.Thread(target=go_on, name="meter", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        tell()
