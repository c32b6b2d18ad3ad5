"""Files for format readers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.formats.record import SourceFile


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[..., SourceFile]:
    """Write a file and describe it as a source would: `make_file("a.csv", b"...")`."""

    def make(name: str, content: bytes, *, split: str = "") -> SourceFile:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return SourceFile(name=name, path=path, source="trial", split=split)

    return make
