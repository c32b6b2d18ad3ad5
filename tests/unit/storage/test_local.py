"""Files that are there whole or not at all: on a full disk, at a power cut."""

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tests.disks import no_file_beyond

from headrace.storage.local import atomic_path, write_bytes

MEGABYTE = b"x" * 1_000_000


def _limited(_: Path) -> AbstractContextManager[None]:
    return no_file_beyond(500_000)


@contextmanager
def _full(folder: Path) -> Iterator[None]:
    """A disk that is full."""
    if os.geteuid() != 0:
        pytest.skip("a small disk can be mounted by root only; the limit on files shows the same without rights")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=500k", "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    (folder / "file").write_bytes(b"old")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.fault
@pytest.mark.parametrize("disk", [_limited, _full])
def test_a_disk_that_is_full_leaves_the_old_file_and_nothing_else(disk: Callable[[Path], Iterator[None]], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")

    with disk(tmp_path):  # type: ignore[attr-defined]
        with pytest.raises(OSError, match=r"File too large|No space left"):
            write_bytes(tmp_path / "file", MEGABYTE)

        assert (tmp_path / "file").read_bytes() == b"old"
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.fault
def test_content_is_on_the_disk_before_its_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a power cut after the rename the file has its bytes; after the call, its name."""
    seen: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        seen.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def note_replace(self: Path, target: Path) -> Path:
        seen.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    write_bytes(tmp_path / "file", b"new")

    assert seen == ["file", "rename", "folder"]


def test_a_failure_leaves_no_temporary_file(tmp_path: Path) -> None:
    def stopped() -> None:
        with atomic_path(tmp_path / "file") as temporary:
            temporary.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()

    assert list(tmp_path.iterdir()) == []
