"""What `collect.sources` of params.yaml may say: a list of sources, told apart by `kind`."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import Field, field_validator, model_validator

from headrace.params import Section
from headrace.settings import sql_password_variable
from headrace.tracking.secrets import is_secret_key

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


class S3Object(Section):
    """One object of a bucket."""

    key: str = Field(min_length=1, max_length=1024)
    version: str = ""
    """Version id; '' is the latest, and `headrace sources refresh` looks whether there is a newer one."""
    split: Split | None = None
    """The split its records belong to; left out, the source's."""


class S3(Section):
    """Objects of an S3 bucket: all below a prefix, or those that are listed."""

    kind: Literal["s3"]
    name: Name
    """What records carry in their `source` column."""
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    prefix: str = ""
    """Keys begin with it; '' is the whole bucket. It ends with '/' where a folder is meant."""
    objects: list[str | S3Object] = Field(default_factory=list)
    """Keys, instead of a prefix."""
    endpoint: str | None = None
    """URL of the server; default: that of the machine's settings (AWS_ENDPOINT_URL_S3), else Amazon's."""
    allow_hosts: list[str] = Field(default_factory=list)
    """Private or local hosts that `endpoint` may be; a private address written in it is allowed."""
    split: Split = ""
    """The split its records belong to; '' lets the format or `split` decide."""

    @property
    def listed(self) -> list[S3Object]:
        """`objects`, each in its long form."""
        return [S3Object(key=entry) if isinstance(entry, str) else entry for entry in self.objects]

    @model_validator(mode="after")
    def _objects_are_one_choice_and_the_endpoint_a_server(self) -> Self:
        if self.prefix and self.objects:
            raise ValueError("prefix and objects are given both; keep the one that is meant")
        _refuse_repeats([entry.key for entry in self.listed], "key")
        if self.endpoint is not None:
            parts = urlsplit(self.endpoint)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError(f"endpoint is {strip_user(self.endpoint)!r}; it is an http:// or https:// URL")
            if parts.username or parts.password or parts.query:
                raise ValueError(
                    f"endpoint {strip_user(self.endpoint)} carries keys; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead"
                )
        return self


SQL_OPTIONS = frozenset({"sslmode", "sslrootcert", "channel_binding", "target_session_attrs", "application_name"})
"""What may stand after `?` in the URL of a database; others could lead elsewhere (host, hostaddr, service) or hold a secret."""


class Sql(Section):
    """The rows of a query, as Parquet files."""

    kind: Literal["sql"]
    name: Name
    """What records carry in their `source` column."""
    url: str
    """SQLAlchemy URL without a password: postgresql://user@host:5432/database, or sqlite:///path relative to the project. The password
    is in HEADRACE_SQL_PASSWORD_<NAME> (or HEADRACE_SQL_PASSWORD), in the environment or `.env`."""
    query: str = Field(min_length=1)
    """One SELECT. What it gives may depend on the data only: no now(), no random()."""
    order_by: list[str] = Field(min_length=1)
    """Columns of the result that decide the order of its rows, such as the primary key: equal rows give equal files."""
    marker: str | None = None
    """A quick SELECT whose answer changes whenever that of `query` may: select count(*), max(updated_at) from ...; without one, every
    refresh runs `query`."""
    rows_per_file: int = Field(default=100_000, ge=1, le=10_000_000)
    """Rows of one Parquet file."""
    allow_hosts: list[str] = Field(default_factory=list)
    """Private or local hosts that may be asked; a private address written in the url itself is allowed."""
    split: Split = ""
    """The split its records belong to; '' lets the format or `split` decide."""

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file."""
        return self.url.startswith("sqlite:")

    @model_validator(mode="after")
    def _url_is_of_a_database_and_has_no_secret(self) -> Self:
        # A model validator: one of the field would repeat the URL in its message, password and all.
        parts = urlsplit(self.url)
        options = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
        if parts.password is not None or any(is_secret_key(name) for name in options):
            raise ValueError(
                f"url {strip_user(self.url)} carries a password, which params.yaml would publish; leave it out and set "
                f"{sql_password_variable(self.name)} in the environment or .env"
            )
        if parts.scheme == "sqlite":
            path = self.url.removeprefix("sqlite:///")
            if path == self.url or not path or "?" in path or path.startswith(":") or PurePosixPath(path).is_absolute():
                raise ValueError(
                    f"url is {strip_user(self.url)!r}; a SQLite file is sqlite:///data/in.db, relative to the project"
                )
        elif parts.scheme in ("postgresql", "postgresql+psycopg"):
            if not parts.hostname or not parts.path.strip("/"):
                raise ValueError(f"url is {strip_user(self.url)!r}; it is postgresql://user@host/database")
            if refused := sorted(options - SQL_OPTIONS):
                raise ValueError(f"url has the option {refused[0]!r}; known are {', '.join(sorted(SQL_OPTIONS))}")
        else:
            raise ValueError(f"url is of {parts.scheme!r}; known are postgresql and sqlite, others by `kind: own`")
        return self


Source = Annotated[Bundled | Files | Http | Own | S3 | Sql, Field(discriminator="kind")]


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
