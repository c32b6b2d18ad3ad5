"""infra/prefect.yaml: which flows run by themselves, when, where and with what. Read and checked here, without Prefect."""

import re
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from headrace.errors import ConfigError
from headrace.params import read_yaml
from headrace.settings import Settings, git

FILE = "infra/prefect.yaml"
DEFAULT_HEARTBEAT_S = 180
"""Prefect's own, where a deployment names none."""
HEARTBEAT = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"
REPOSITORY = re.compile(r"\{\{\s*\$HEADRACE_REPOSITORY\s*\}\}")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Schedule(_Part):
    """When; a cron line or seconds."""

    slug: str = Field(pattern=r"^[a-z0-9-]+$")
    cron: str | None = None
    interval: float | None = Field(default=None, gt=0)
    timezone: str
    active: bool | None = None
    """None: as the server has it, so that a schedule paused in the UI stays paused."""
    parameters: dict[str, Any] = {}

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is no time zone such as Europe/Berlin")
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.cron is None) == (self.interval is None):
            raise ValueError(f"schedule {self.slug} needs cron or interval, one of them")
        return self


class WorkPool(_Part):
    """Where."""

    name: str
    work_queue_name: str | None = None
    job_variables: dict[str, Any] = {}


class ConcurrencyLimit(_Part):
    """How many at once, and what becomes of one too many."""

    limit: int = Field(default=1, ge=1)
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"] = "ENQUEUE"


class Deployment(_Part):
    """One flow that runs by itself."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    entrypoint: str
    description: str | None = None
    parameters: dict[str, Any] = {}
    schedules: tuple[Schedule, ...] = ()
    work_pool: WorkPool
    concurrency_limit: ConcurrencyLimit = ConcurrencyLimit()
    pull: tuple[dict[str, Any], ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def heartbeat_s(self) -> int:
        """Seconds between two signs of life of its runs."""
        return int(self.work_pool.job_variables.get("env", {}).get(HEARTBEAT, DEFAULT_HEARTBEAT_S))


class _File(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)
    deployments: tuple[Deployment, ...]

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [each.name for each in self.deployments]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two deployments are called {twice[0]}")
        return self


def read_manifest(settings: Settings) -> tuple[Deployment, ...]:
    """The deployments of the project, with the repository filled in.

    Raises:
        ConfigError: the file is missing or wrong, a URL holds a password, or there is no repository to clone.
    """
    path = settings.project / FILE
    if not path.exists():
        raise ConfigError(f"{settings.project} has no {FILE}. Take the reference project's as a start: docs/how-to/schedule.md.")
    try:
        found = _File.model_validate(read_yaml(path)).deployments
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{FILE}: {where}: {first['msg']} (it is {first['input']!r}).") from None
    return tuple(each.model_copy(update={"pull": tuple(_filled(list(each.pull), settings))}) for each in found)


def repository_of(settings: Settings) -> str:
    """URL that scheduled runs clone.

    Raises:
        ConfigError: there is none, or it holds a password.
    """
    url = settings.repository or git(settings.project, "config", "--get", "remote.origin.url")
    if not url:
        raise ConfigError(
            "scheduled runs clone the project's repository, and this clone has no origin. Set HEADRACE_REPOSITORY, or "
            "`git remote add origin URL` and push."
        )
    if urlsplit(url).password:
        raise ConfigError(
            "the repository's URL holds a password, which the Prefect server would show to everyone. Leave it out, and name a "
            f"secret block in {FILE}: access_token."
        )
    return url


def _filled(value: Any, settings: Settings) -> Any:
    if isinstance(value, str):
        return REPOSITORY.sub(lambda _: repository_of(settings), value) if REPOSITORY.search(value) else value
    if isinstance(value, list):
        return [_filled(each, settings) for each in value]
    return {key: _filled(each, settings) for key, each in value.items()} if isinstance(value, dict) else value


def entrypoint_path(settings: Settings, entrypoint: str) -> Path | None:
    """The file of an entrypoint `path:function`; None for `module.function`."""
    return settings.project / entrypoint.rpartition(":")[0] if ":" in entrypoint else None
