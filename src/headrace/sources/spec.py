"""What `collect.sources` of params.yaml may say: a list of sources, told apart by `kind`."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_validator, model_validator

from headrace.params import Section

Split = Literal["", "train", "validation", "test"]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class Bundled(Section):
    """A data set that ships with an installed package: real, and there without a network."""

    kind: Literal["bundled"]
    dataset: Name
    """Name in the table of `headrace.sources.bundled`, such as 'digits'."""
    split: Split = ""
    """The split its records belong to; '' lets `split` decide."""

    @property
    def name(self) -> str:
        """What records carry in their `source` column."""
        return self.dataset


class Files(Section):
    """Files of this project or beside it: paths, globs, folders, archives."""

    kind: Literal["files"]
    name: Name
    """What records carry in their `source` column."""
    paths: list[str] = Field(min_length=1)
    """Relative to the project. A folder means everything below it; a glob may use ** for any depth."""
    split: Split = ""
    """The split its records belong to; '' lets the format or `split` decide."""

    @field_validator("paths")
    @classmethod
    def _paths_are_relative(cls, paths: list[str]) -> list[str]:
        for path in paths:
            if not path or "\0" in path or "\n" in path:
                raise ValueError(f"{path!r} is no path")
            if PurePosixPath(path).is_absolute() or re.match(r"^[A-Za-z]:", path) or path.startswith("~"):
                raise ValueError(f"{path} is a place of one machine; write it relative to the project: ../images")
        return paths


class HttpFile(Section):
    """One file behind an http or https URL."""

    url: str
    sha256: Sha256 | None = None
    """Pins the bytes: then the lock is written without a network. Left out, `headrace sources refresh` finds it."""
    size: int | None = Field(default=None, ge=0)
    """Bytes; given together with sha256."""
    split: Split = ""
    """The split its records belong to; '' lets the format or `split` decide."""
    name: Name | None = None
    """File name, also on a mirror; default: the last part of the URL's path."""

    @model_validator(mode="after")
    def _url_is_public_and_pin_is_whole(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url is {strip_user(self.url)!r}; only http:// and https:// URLs are fetched")
        if parts.username or parts.password:
            raise ValueError(
                f"url {strip_user(self.url)} carries a user or password, which params.yaml would publish; leave them out"
            )
        if (self.sha256 is None) != (self.size is None):
            raise ValueError("sha256 and size are given together or not at all")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", self.file_name):
            raise ValueError(f"url {self.url} ends in no plain file name; give one as name")
        return self

    @property
    def file_name(self) -> str:
        """Name of the file here and on a mirror."""
        return self.name or unquote(PurePosixPath(urlsplit(self.url).path).name)


class Http(Section):
    """Files from web servers: resumed, retried, verified."""

    kind: Literal["http"]
    dataset: Name
    """Folder on a mirror (HEADRACE_MIRROR/<dataset>/<file name>), and what records carry in their `source` column."""
    files: list[HttpFile] = Field(min_length=1)
    allow_hosts: list[str] = Field(default_factory=list)
    """Private or local hosts that may be asked, also by redirect; a private address written in a url itself is allowed."""

    @property
    def name(self) -> str:
        """What records carry in their `source` column."""
        return self.dataset

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        _refuse_repeats([file.file_name for file in self.files], "file name")
        return self


class Own(Section):
    """Files that the user's own function writes."""

    kind: Literal["own"]
    name: Name
    """What records carry in their `source` column."""
    function: str = Field(pattern=r"^[\w.]+:[\w.]+$")
    """`module:function`, called as function(folder, options); it writes its files into the folder."""
    options: dict[str, Any] = Field(default_factory=dict)
    split: Split = ""
    """The split its records belong to; '' lets the format or `split` decide."""


Source = Annotated[Bundled | Files | Http | Own, Field(discriminator="kind")]


def check_names(sources: list[Source]) -> list[Source]:
    """Refuse two sources of one name: records would not say which one they came from."""
    _refuse_repeats([source.name for source in sources], "source")
    return sources


def _refuse_repeats(names: list[str], what: str) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValueError(f"two entries have the {what} {name!r}")


def strip_user(url: str) -> str:
    """A URL without user, password and query, for messages and logs."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if parts.scheme else url
