"""Folders or archives of text files, `split/class/file` or `class/file`: the folder's name is the class."""

import codecs
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field, field_validator

from headrace.errors import FormatError
from headrace.formats.class_folders import SPLITS, class_of, is_left_behind, split_of
from headrace.formats.record import RawRecord, SourceFile
from headrace.params import Section
from headrace.storage.archive import is_archive_name, iter_members

_SPLITS = {**SPLITS, "dev": "validation"}
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


class Options(Section):
    """Which files are texts, how they are encoded, and what their folders mean."""

    extensions: list[str] = Field(default_factory=lambda: [".txt"])
    """File names that are texts, in lower case; others are passed over."""
    leave_out: list[str] = Field(default_factory=lambda: ["readme*", "license*"])
    """File names, in lower case and with wildcards, that are no records."""
    encoding: str = "utf-8"
    """Of every file that does not begin with a byte order mark."""
    fallback_encoding: str | None = None
    """Of a file that is not `encoding`; null: such a file is a faulty record."""
    split_folder: Literal["auto", "never"] = "auto"
    """auto: the folder above the class says the split when it is named train, val, valid, validation, dev or test."""
    max_file_bytes: int = Field(default=16 * 1024 * 1024, gt=0)
    """A larger file is a faulty record."""

    @field_validator("encoding", "fallback_encoding")
    @classmethod
    def _is_known(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                codecs.lookup(name)
            except LookupError:
                raise ValueError(f"no encoding is called '{name}'; usual ones are utf-8, latin-1 and cp1252") from None
        return name


def read(files: Sequence[SourceFile], options: Options) -> Iterator[RawRecord]:
    """One record a file, in the order of the files and of the members of archives.

    Raises:
        FormatError: an archive is damaged or refused, or there is no text at all.
    """
    found = False
    for file in files:
        if is_archive_name(file.name):
            for member in iter_members(file.path, label=str(file)):
                if _is_text(member.name, options):
                    found = True
                    yield _record(file, f"{file.name}:{member.name}", member.name, member.content, options)
        elif _is_text(file.name, options):
            found = True
            is_small = file.path.stat().st_size <= options.max_file_bytes
            yield _record(file, file.name, file.name, file.path.read_bytes() if is_small else None, options)
    if not found:
        raise FormatError(
            f"no text among {len(files)} files ({', '.join(options.extensions)}). Check collect.sources and collect.options."
        )


def _is_text(name: str, options: Options) -> bool:
    last = PurePosixPath(name).name.lower()
    return (
        last.endswith(tuple(options.extensions))
        and not is_left_behind(name)
        and not any(fnmatchcase(last, pattern) for pattern in options.leave_out)
    )


def _record(file: SourceFile, origin: str, name: str, content: bytes | None, options: Options) -> RawRecord:
    label = class_of(name)
    split = file.split or (split_of(name, _SPLITS) if options.split_folder == "auto" else "")
    text, fault = "", ""
    if label is None:
        fault = "no class: the text lies in no folder that could name its class"
    elif content is None or len(content) > options.max_file_bytes:
        fault, content = f"too large: more than {options.max_file_bytes} bytes", None
    else:
        text, fault = decode(content, options.encoding, options.fallback_encoding)
    return RawRecord(text, label, split, file.source, origin, content=content, fault=fault)


def decode(content: bytes, encoding: str, fallback: str | None) -> tuple[str, str]:
    """The text of some bytes and '', or '' and why there is none; a byte order mark decides, and is dropped."""
    for mark, marked in _MARKS.items():
        if content.startswith(mark):
            content, encoding, fallback = content[len(mark) :], marked, None
            break
    try:
        return content.decode(encoding), ""
    except UnicodeDecodeError as error:
        if fallback is not None:
            return decode(content, fallback, None)
        return "", f"encoding: byte {error.start} is not {encoding} ({error.reason})"
