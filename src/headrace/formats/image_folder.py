"""Folders or archives of pictures, `split/class/file` or `class/file`: the folder's name is the class."""

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field

from headrace.errors import FormatError
from headrace.formats.class_folders import class_of, is_left_behind, split_of
from headrace.formats.record import RawRecord, SourceFile
from headrace.params import Section
from headrace.storage.archive import is_archive_name, iter_members


class Options(Section):
    """Which files are pictures, and what their folders mean."""

    extensions: list[str] = Field(
        default_factory=lambda: [".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"]
    )
    """File names that are pictures, in lower case; others are passed over, for instance a README."""
    split_folder: Literal["auto", "never"] = "auto"
    """auto: the folder above the class says the split when it is named train, val, valid, validation or test."""
    only: list[str] = Field(default_factory=list)
    """Class folders that are read; others are passed over. Empty: all of them."""
    max_file_bytes: int = Field(default=256 * 1024 * 1024, gt=0)
    """A larger file is a faulty record."""


def read(files: Sequence[SourceFile], options: Options) -> Iterator[RawRecord]:
    """One record a picture, in the order of the files and of the members of archives.

    Raises:
        FormatError: an archive is damaged or refused, or there is no picture at all.
    """
    found = False
    met: set[str | None] = set()
    for file in files:
        if is_archive_name(file.name):
            before = found
            for member in iter_members(file.path, label=str(file)):
                if _is_meant(member.name, options):
                    found = True
                    met.add(class_of(member.name))
                    yield _record(file, f"{file.name}:{member.name}", member.name, member.content, options)
            if found == before and not found:
                raise FormatError(f"{file} holds no picture ({_wanted(options)}).")
        elif _is_meant(file.name, options):
            found = True
            met.add(class_of(file.name))
            size = file.path.stat().st_size
            content = file.path.read_bytes() if size <= options.max_file_bytes else None
            yield _record(file, file.name, file.name, content, options)
    if not found:
        raise FormatError(f"no picture among {len(files)} files ({_wanted(options)}). Check collect.sources and collect.options.")
    if missing := [name for name in options.only if name not in met]:
        raise FormatError(f"collect.options.only names '{missing[0]}', and no picture lies in a folder of that name. Correct it.")


def _is_meant(name: str, options: Options) -> bool:
    is_picture = name.lower().endswith(tuple(options.extensions)) and not is_left_behind(name)
    return is_picture and (not options.only or class_of(name) in options.only)


def _wanted(options: Options) -> str:
    return ", ".join(options.extensions) + (f" in folders {', '.join(options.only)}" if options.only else "")


def _record(file: SourceFile, origin: str, name: str, content: bytes | None, options: Options) -> RawRecord:
    label = class_of(name)
    split = file.split or (split_of(name) if options.split_folder == "auto" else "")
    fault = ""
    if label is None:
        fault = "no class: the picture lies in no folder that could name its class"
    elif content is None or len(content) > options.max_file_bytes:
        fault, content = f"too large: more than {options.max_file_bytes} bytes", None
    elif not content:
        fault = "empty: the file has no bytes"
    return RawRecord(content, label, split, file.source, origin, fault=fault)
