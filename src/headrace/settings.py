"""Where things are and who may touch them: the one reader of environment variables. Nothing here enters a hash.

Order: environment variables, then the project's `.env`, then the defaults below. Names: `HEADRACE_*`, and the standard names of the
stack for its own endpoints (`MLFLOW_TRACKING_URI`, `PREFECT_API_URL`, `AWS_*`).
"""

import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from headrace.errors import ConfigError
from headrace.variables import find_project

TELEMETRY_OFF = {
    "DVC_NO_ANALYTICS": "1",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_TELEMETRY_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
}
"""Telemetry of all four tools; a user who wants one on sets its variable."""

MLFLOW_DEFAULTS = {
    # MLflow runs pickles when loading models unless told otherwise.
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    # Jobs that nothing here uses: the server would start seven processes for them, 250 MB each.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    # Its own defaults (7 retries, 120 s) stall a run for minutes when the server is down.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    # What it says of links and of waiting would stand between our lines, and be there with --quiet, too.
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}

PREFECT_DEFAULTS = {
    # The temporary server needs 16 s on first use here, more on a loaded machine; Prefect gives it 20.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    # Logs go to the run in the Prefect UI; the terminal has lines of its own.
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
}

WORKLOAD_IDENTITY = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_PROFILE",
)
"""Where one of these is set, boto3's own chain finds the credentials."""

POSTGRES = "postgresql+psycopg"
"""PostgreSQL and our driver of it, psycopg 3, as SQLAlchemy's URLs name them."""

HUB = "https://huggingface.co"
"""Where models named hf:// are, unless HF_ENDPOINT says otherwise."""

PREFECT_RUN = "HEADRACE_PREFECT_RUN"
"""Id of the flow run at work, for the stages it starts."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_MAX_THREADS", "LOKY_MAX_CPU_COUNT")


class Settings(BaseSettings):
    """Everything about this machine and its services that Headrace may know."""

    model_config = SettingsConfigDict(
        env_prefix="HEADRACE_", env_file=".env", extra="ignore", frozen=True, use_attribute_docstrings=True, populate_by_name=True
    )

    project: Path = Field(default_factory=Path.cwd)
    """The project's folder: where dvc.yaml is."""
    home: Path | None = None
    """State shared by all checkouts of the project: DVC cache, MLflow store, downloads, scratch."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of every stage; default: the cores this process may use. Other counts give other bits."""
    device: Literal["cpu", "cuda", "mps"] = "cpu"
    """Where `train` computes."""
    mirror: str | None = None
    """A folder or URL prefix tried first for downloads, as <data set>/<file name>; the sha256 stays the same."""
    download_budget_s: float = Field(default=60.0, gt=0)
    """Seconds a failing download is retried before the stage fails."""
    hub: str = Field(default=HUB, validation_alias="HF_ENDPOINT")
    """Hub of the models that train.init_from names as hf://owner/name."""
    hub_token: SecretStr | None = Field(default=None, validation_alias="HF_TOKEN")
    """Token for private and gated models of the hub; no other server gets it."""
    tracking: bool = True
    """Record runs and models in MLflow; no result depends on it. Off: the steps record, register and promote are left out."""
    mlflow_tracking_uri: str | None = Field(default=None, validation_alias="MLFLOW_TRACKING_URI")
    """MLflow server or database URL; default: SQLite in `home`."""
    mlflow_experiment: str | None = None
    """MLflow experiment; default: the project's name."""
    prefect_api_url: str | None = Field(default=None, validation_alias="PREFECT_API_URL")
    """Prefect server; default: Prefect's own temporary server."""
    register_branches: str = "main,master"
    """Git branches that may register models in a shared registry, separated by commas; the state branch may, too."""
    git_remote: str = Field(default="origin", min_length=1)
    """Git remote that has the state branch."""
    state_branch: str = Field(default="headrace/state", pattern=r"^([A-Za-z0-9_]([A-Za-z0-9._/-]*[A-Za-z0-9_-])?)?$")
    """Git branch that scheduled runs build on, one on the other. Naming it also keeps the ledger of promotions there; empty: none."""
    state_hook: str | None = None
    """Command, without a shell, after a scheduled run has pushed the state branch, such as one that opens a pull request."""
    max_stages: int = Field(default=2, ge=1)
    """Stages of one run that may work at the same time."""
    services: bool = True
    """Use the servers that `headrace up` started, as long as MLFLOW_TRACKING_URI and PREFECT_API_URL name no others."""
    work_pool: str = Field(default="headrace", min_length=1)
    """Prefect work pool (of type process) of the worker that `headrace up` starts."""
    repository: str | None = None
    """URL that scheduled runs clone; default: the origin of the clone that `headrace deploy` is typed in. Without a password."""
    notify_urls: SecretStr | None = None
    """Who hears of failed runs and refused promotions: Apprise URLs (https://appriseit.com), separated by spaces or commas."""
    mlflow_port: int | None = Field(default=None, ge=1, le=65535)
    """Port of the MLflow server of `headrace up`; default: the first free one from 5000, remembered."""
    prefect_port: int | None = Field(default=None, ge=1, le=65535)
    """Port of the Prefect server of `headrace up`; default: the first free one from 4200, remembered."""
    object_store_port: int | None = Field(default=None, ge=1, le=65532)
    """Port of the S3 server of `headrace up --object-store`; it takes the next three too. Default: free ones from 9000, remembered."""
    mlflow_database: SecretStr | None = None
    """Database of the MLflow server of `headrace up`, as postgresql://user:password@host/name; default: SQLite in `home`."""
    mlflow_artifacts: str | None = None
    """Where the MLflow server of `headrace up` keeps artifacts: s3://bucket/prefix or a folder; default: its S3 server, else `home`."""
    s3_endpoint: str | None = Field(default=None, validation_alias=AliasChoices("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
    """URL of an S3 server that is not Amazon's, for a remote that names none."""
    s3_region: str | None = Field(default=None, validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION"))
    """Region of the bucket; default: what boto3 finds, else us-east-1."""
    s3_access_key: SecretStr | None = Field(default=None, validation_alias="AWS_ACCESS_KEY_ID")
    """S3 key; without one, and where a workload identity or AWS_PROFILE is set, boto3's own chain decides."""
    s3_secret_key: SecretStr | None = Field(default=None, validation_alias="AWS_SECRET_ACCESS_KEY")
    """Secret of the S3 key."""
    s3_session_token: SecretStr | None = Field(default=None, validation_alias="AWS_SESSION_TOKEN")
    """Session token, for temporary S3 keys."""
    s3_budget_s: float = Field(default=60.0, gt=0)
    """Seconds a failing request to the bucket is retried."""
    sql_password: SecretStr | None = None
    """Password for the databases of `sql` sources; of one source: HEADRACE_SQL_PASSWORD_<NAME>, in capitals, '_' for other signs."""
    object_store_environment: Path | None = None
    """Virtual environment with OpenStack Swift, made when it is missing; default: in `home`."""

    @field_validator("project", "home", "object_store_environment")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value is not None else None

    @field_validator("mlflow_tracking_uri")
    @classmethod
    def _of_our_driver(cls, value: str | None) -> str | None:
        return value and named_driver(value)

    @field_validator("mlflow_database")
    @classmethod
    def _of_our_driver_too(cls, value: SecretStr | None) -> SecretStr | None:
        return value and SecretStr(named_driver(value.get_secret_value()))

    @functools.cached_property
    def state_home(self) -> Path:
        """`home`, or the default: a folder per project under the user's data folder, the same for every clone."""
        if self.home is not None:
            return self.home
        base = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
        return Path(base).expanduser().absolute() / "headrace" / project_name(self.project)

    @property
    def local(self) -> Path:
        """State of this checkout only: locks, logs, evidence of failures."""
        return self.project / ".headrace"

    @property
    def scratch(self) -> Path:
        """Checkpoints and other work that survives a kill, one folder per fingerprint."""
        return self.state_home / "scratch"

    @property
    def downloads(self) -> Path:
        """Verified downloads by sha256."""
        return self.state_home / "downloads"

    @property
    def tracking_uri(self) -> str:
        """Where runs and models are recorded."""
        return self.mlflow_tracking_uri or f"sqlite:///{self.state_home / 'mlflow.db'}"

    @property
    def artifact_root(self) -> Path:
        """Artifacts of the default SQLite store; a server has its own."""
        return self.state_home / "mlartifacts"

    @property
    def services_folder(self) -> Path:
        """State, logs and credentials of what `headrace up` starts."""
        return self.state_home / "services"

    @functools.cached_property
    def service_variables(self) -> dict[str, str]:
        """URLs, names and passwords for clients of what `headrace up` started; empty after `headrace down` and where `services` is off."""
        try:
            if not self.services or not json.loads((self.services_folder / "state.json").read_bytes())["in_use"]:
                return {}
            lines = (self.services_folder / "credentials.env").read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

    @property
    def client_variables(self) -> dict[str, str]:
        """Of `service_variables`, what goes into the environment: a password only where the URL is that of its server."""
        served = self.service_variables
        wanted = {"MLFLOW_TRACKING_": self.mlflow_tracking_uri, "PREFECT_API_": self.prefect_api_url}
        urls = {"MLFLOW_TRACKING_": served.get("MLFLOW_TRACKING_URI"), "PREFECT_API_": served.get("PREFECT_API_URL")}
        used = tuple(prefix for prefix, url in wanted.items() if url is not None and url == urls[prefix])
        return {name: value for name, value in served.items() if name.startswith(used)}

    def s3_variables(self, endpoint: str | None) -> dict[str, str]:
        """Variables of an S3 client for this endpoint: keys of the environment or `.env`, or those of what `headrace up` started.

        A secret goes to no other server than its own: the keys of `up` to its endpoint only. Empty where a workload identity or a
        profile is set, which comes before keys in `.env`.
        """
        served = self.service_variables
        ours = endpoint is not None and endpoint == served.get("AWS_ENDPOINT_URL_S3")
        if ours:
            names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION")
            return {"AWS_ENDPOINT_URL_S3": endpoint or "", **{name: served[name] for name in names if name in served}}
        found = {"AWS_ENDPOINT_URL_S3": endpoint, "AWS_DEFAULT_REGION": self.s3_region}
        if not any(os.environ.get(name) for name in WORKLOAD_IDENTITY):
            keys = {
                "AWS_ACCESS_KEY_ID": self.s3_access_key,
                "AWS_SECRET_ACCESS_KEY": self.s3_secret_key,
                "AWS_SESSION_TOKEN": self.s3_session_token,
            }
            found |= {name: key.get_secret_value() for name, key in keys.items() if key is not None}
        return {name: value for name, value in found.items() if value}

    def password_of(self, source: str) -> SecretStr | None:
        """Password of a `sql` source: its own variable, else that for all; None leaves it to libpq (PGPASSWORD, ~/.pgpass)."""
        from dotenv import dotenv_values

        name = sql_password_variable(source)
        found = os.environ.get(name) or dotenv_values(self.project / ".env").get(name)
        return SecretStr(found) if found else self.sql_password

    @property
    def ledger(self) -> Path:
        """Promotions and rollbacks, append-only."""
        return self.state_home / "ledger.jsonl"

    @property
    def is_state_branch_named(self) -> bool:
        """Whether somebody set `state_branch`, and not to nothing."""
        return bool(self.state_branch) and "state_branch" in self.model_fields_set

    @property
    def experiment(self) -> str:
        """MLflow experiment of this project."""
        return self.mlflow_experiment or project_name(self.project)

    @property
    def is_shared_registry(self) -> bool:
        """Whether other people see the registry: then only named branches may register. What `headrace up` started is this user's."""
        own = self.service_variables.get("MLFLOW_TRACKING_URI")
        return self.mlflow_tracking_uri not in (None, own) and not self.tracking_uri.startswith("sqlite:")

    @property
    def thread_count(self) -> int:
        """CPU threads of every stage."""
        if self.threads is not None:
            return self.threads
        # macOS has no affinity.
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def named_driver(url: str) -> str:
    """A database URL with our PostgreSQL driver in it: SQLAlchemy's own default is another, which we do not bring."""
    return re.sub(r"^postgres(ql)?://", f"{POSTGRES}://", url)


def require_project(folder: Path) -> None:
    """Raise ConfigError where a folder is no project of Headrace."""
    if not (folder / ".dvc").is_dir():
        raise ConfigError(f"{folder} is no Headrace project: it has no .dvc folder. Go to the project, or use --project.")


def sql_password_variable(source: str) -> str:
    """Environment variable with the password of one `sql` source."""
    return f"HEADRACE_SQL_PASSWORD_{re.sub('[^A-Za-z0-9]', '_', source).upper()}"


def load_settings(project: Path | None = None) -> Settings:
    """Read the settings of the project in `project` (default: the current folder or the nearest parent with a dvc.yaml).

    Raises:
        ConfigError: a variable has a wrong value.
    """
    try:
        if project is None and "HEADRACE_PROJECT" in os.environ:
            return _served(Settings())
        folder = find_project(project)
        return _served(Settings(project=folder, _env_file=folder / ".env"))  # type: ignore[call-arg]  # pydantic-settings' own
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        variable = name if name.isupper() else f"HEADRACE_{name.upper()}"
        raise ConfigError(f"{variable} is {first['input']!r}: {first['msg']}. Change it in the environment or in .env.") from None


def _served(settings: Settings) -> Settings:
    served = settings.service_variables
    names = {"mlflow_tracking_uri": "MLFLOW_TRACKING_URI", "prefect_api_url": "PREFECT_API_URL"}
    found = {name: served.get(variable) for name, variable in names.items() if getattr(settings, name) is None}
    return settings.model_copy(update=found) if served else settings


@functools.cache
def project_name(project: Path) -> str:
    """A name that every clone of a project shares and no other project has: folder-independent, from the first commit.

    Outside git, and before the first commit, the folder's own name.
    """
    name = "project"
    pyproject = project / "pyproject.toml"
    if pyproject.exists():
        found = re.search(r'(?m)^name\s*=\s*"([A-Za-z0-9._-]+)"', pyproject.read_text(encoding="utf-8"))
        name = found.group(1) if found else name
    root = git(project, "rev-list", "--max-parents=0", "HEAD")
    return f"{name}-{root.splitlines()[-1][:8]}" if root else f"{name}-{project.name}"


def git(project: Path, *arguments: str) -> str:
    """Output of a git command in the project, '' when it fails: no git, no commit, no repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=project, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def current_branch(project: Path) -> str:
    """The branch that is checked out, '' when there is none."""
    return git(project, "symbolic-ref", "--quiet", "--short", "HEAD")


def prepare_process(settings: Settings) -> None:
    """Set the environment of this process and its children: telemetry off, safe model loading, the environment's own tools first.

    Call before numpy or torch is imported: the thread count is fixed here, so that a stage computes the same alone or beside another.
    """
    for name, value in {**TELEMETRY_OFF, **MLFLOW_DEFAULTS, **PREFECT_DEFAULTS}.items():
        os.environ.setdefault(name, value)
    # OpenMP's threads wait for each other by spinning, without end by default: a stage then crawls when another one wants the cores
    # (twice as long, three jobs on two cores). Sleeping at once costs a small network half its speed; a short spin has neither fault:
    # docs/log.md.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    for name in THREAD_VARIABLES:
        os.environ[name] = str(settings.thread_count)
    os.environ.setdefault("PREFECT_HOME", str(settings.state_home / "prefect"))
    os.environ.setdefault("MPLBACKEND", "Agg")
    os.environ.setdefault("MPLCONFIGDIR", str(settings.state_home / "matplotlib"))
    path = os.environ.get("PATH", os.defpath)
    if path.split(os.pathsep)[0] != str(environment_bin()):  # a scheduled run is prepared twice: its clone, then its process
        os.environ["PATH"] = os.pathsep.join([str(environment_bin()), path])
    for name, value in settings.client_variables.items():
        os.environ.setdefault(name, value)
    for folder in (str(settings.project / "src"), str(settings.project)):
        if folder not in sys.path:
            sys.path.append(folder)  # `module:function` of the user's: sources and tasks are called outside of stages, too
    if "MLFLOW_TRACKING_URI" in os.environ:  # for code of the user that calls MLflow itself
        os.environ["MLFLOW_TRACKING_URI"] = named_driver(os.environ["MLFLOW_TRACKING_URI"])


def environment_bin() -> Path:
    """Folder of this environment's `python`, `dvc`, `mlflow`."""
    return Path(sys.prefix) / "bin"
