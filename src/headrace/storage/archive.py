"""Read .zip and .tar archives that somebody else made, without trusting a word in them.

Members are read as a stream; nothing is written. Refused: absolute names, `..`, control
characters, links, devices, a name twice, an encrypted member, and more members, bytes or compression than the limits allow.
"""

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

from headrace.errors import FormatError


@dataclass(frozen=True, slots=True)
class Limits:
    """What an honest archive does not need more of."""

    max_members: int = 2_000_000
    max_member_bytes: int = 1 << 30
    max_total_bytes: int = 1 << 40
    max_ratio: float = 200.0
    """Bytes out per byte in; the first `free_bytes` are not judged, since small files of one value compress better."""
    free_bytes: int = 64 << 20


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive."""

    name: str
    content: bytes


_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    OSError,
    UnicodeError,
)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_STARTS = {b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz"}
_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def is_archive_name(name: str) -> bool:
    """Whether a file of this name is meant to be an archive."""
    return name.lower().endswith(_SUFFIXES)


def safe_name(name: str) -> str:
    """A member's name as a relative path with '/', free of '.' parts.

    Raises:
        ValueError: absolute, with a drive, with `..`, with control characters, or too long for a file system.
    """
    if not name or _UNPRINTABLE.search(name):
        raise ValueError("is empty or has control characters")
    if name.startswith("/") or "\\" in name or name[1:2] == ":":
        raise ValueError("is absolute or has backslashes")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError("leads out of the archive with '..'")
    if not parts or len(name.encode()) > 4096 or any(len(part.encode()) > 255 for part in parts):
        raise ValueError("is empty or longer than a file system takes")
    return "/".join(parts)


def iter_members(path: Path, *, label: str = "", limits: Limits = DEFAULT_LIMITS) -> Iterator[Member]:
    """The files of an archive in its own order; folders are passed over.

    Args:
        path: .zip, .tar, .tar.gz, .tar.bz2 or .tar.xz, told by content.
        label: how messages name it; default: its file name.
        limits: what is refused for its size.

    Raises:
        FormatError: no archive, damaged, or with a member that is refused; members before it were yielded.
    """
    label = label or path.name
    seen: set[str] = set()
    with path.open("rb") as file:
        kind = _kind(file, label)
        members = _zip_members(file, label, limits) if kind == "zip" else _tar_members(file, kind, label, limits)
        # The readers raise where the damage is: some in `next`, some while a member's content is read.
        with _as_format_error(label):
            for name, content in members:
                try:
                    clean = safe_name(name)
                except ValueError as reason:
                    raise FormatError(f"{label} is refused: the member name {name[:200]!r} {reason}.") from None
                if clean in seen:
                    raise FormatError(f"{label} is refused: it holds {clean!r} twice, and readers differ in which one counts.")
                seen.add(clean)
                if len(seen) > limits.max_members:
                    raise FormatError(f"{label} is refused: more than {limits.max_members} members.")
                yield Member(clean, content)


@contextmanager
def _as_format_error(label: str) -> Iterator[None]:
    try:
        yield
    except FormatError:
        raise
    except _DAMAGED as error:
        detail = str(error) or type(error).__name__
        raise FormatError(f"{label} is damaged or cut short ({detail[:200]}). Fetch it again.") from None
    except RuntimeError as error:
        # zipfile's own words for an encrypted member or an unknown compression.
        raise FormatError(f"{label} cannot be read: {error}.") from None


def _kind(file: BinaryIO, label: str) -> str:
    start = file.read(512)
    file.seek(0)
    if not start:
        raise FormatError(f"{label} is empty. Fetch it again.")
    for magic, kind in _STARTS.items():
        if start.startswith(magic):
            return kind
    if start[257:262] == b"ustar" or start.count(0) == len(start):
        return "tar"
    page = "a web page, such as a log-in page" if start.lstrip()[:5].lower() in (b"<!doc", b"<html") else "no zip or tar archive"
    raise FormatError(f"{label} is {page}. Fetch it again, or give the file its right name.")


def _zip_members(file: BinaryIO, label: str, limits: Limits) -> Iterator[tuple[str, bytes]]:
    compressed = _size(file)
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        if len(infos) > limits.max_members:
            raise FormatError(f"{label} is refused: it has {len(infos)} members, more than {limits.max_members}.")
        # The declared sizes bind: zipfile reads no byte beyond them. Members that overlap inflate their sum.
        _check_total(sum(info.file_size for info in infos), compressed, label, limits)
        for info in infos:
            # zipfile cuts a name at NUL and turns the system's separator round; the stored name is what must be judged.
            name = info.orig_filename
            unix_type = info.external_attr >> 28
            if info.is_dir():
                safe_folder = name.rstrip("/")
                if safe_folder and ".." in safe_folder.split("/"):
                    raise FormatError(f"{label} is refused: the folder {name[:200]!r} leads out of the archive.")
                continue
            if unix_type not in (0, 0x8):
                raise FormatError(f"{label} is refused: {name[:200]!r} is a link or a device, not a file.")
            if info.flag_bits & 0x1:
                raise FormatError(f"{label} is refused: {name[:200]!r} is encrypted. Decrypt the archive first.")
            if info.file_size > limits.max_member_bytes:
                raise FormatError(
                    f"{label} is refused: {name[:200]!r} has {info.file_size} bytes, more than {limits.max_member_bytes}."
                )
            yield name, archive.read(info)


def _tar_members(file: BinaryIO, kind: str, label: str, limits: Limits) -> Iterator[tuple[str, bytes]]:
    opened: BinaryIO
    match kind:
        case "gz":
            opened = cast("BinaryIO", gzip.GzipFile(fileobj=file))
        case "bz2":
            opened = cast("BinaryIO", bz2.BZ2File(file))
        case "xz":
            opened = cast("BinaryIO", lzma.LZMAFile(file))  # noqa: SIM115 - it closes nothing: the file is the caller's
        case _:
            opened = file
    metered = _Metered(opened, _size(file), label, limits, packed=kind != "tar")
    mode: Literal["r|"] = "r|"  # a stream: no seeking, so a decompressor never starts over
    with tarfile.open(fileobj=cast("BinaryIO", io.BufferedReader(metered, 1 << 20)), mode=mode) as archive:
        for info in archive:
            archive.members = []  # type: ignore[attr-defined]  # tarfile keeps every header it saw; a million of them take a gigabyte
            if info.isdir():
                continue
            if not info.isreg() or info.issparse():
                raise FormatError(
                    f"{label} is refused: {info.name[:200]!r} is a link, a device or a sparse file, not a plain one."
                )
            if info.size > limits.max_member_bytes:
                raise FormatError(
                    f"{label} is refused: {info.name[:200]!r} has {info.size} bytes, more than {limits.max_member_bytes}."
                )
            content = archive.extractfile(info)
            assert content is not None  # noqa: S101 - a regular file always has one
            yield info.name, content.read()


class _Metered(io.RawIOBase):
    """A stream that stops when more comes out of it than an honest archive of its size holds."""

    def __init__(self, stream: BinaryIO, compressed: int, label: str, limits: Limits, *, packed: bool) -> None:
        self._stream, self._compressed, self._label, self._limits = stream, compressed, label, limits
        self._packed, self._total = packed, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # the base class says only 'a buffer'
        content = self._stream.read(len(buffer))
        self._total += len(content)
        if self._packed:
            _check_total(self._total, self._compressed, self._label, self._limits)
        buffer[: len(content)] = content
        return len(content)


def _check_total(total: int, compressed: int, label: str, limits: Limits) -> None:
    if total > limits.max_total_bytes:
        raise FormatError(f"{label} is refused: it unpacks to more than {limits.max_total_bytes} bytes.")
    if total > limits.free_bytes and total > limits.max_ratio * compressed:
        raise FormatError(
            f"{label} is refused: {compressed} bytes unpack to {total} or more, over {limits.max_ratio:g} times as many."
        )


def _size(file: BinaryIO) -> int:
    here = file.seek(0, io.SEEK_END)
    file.seek(0)
    return here
