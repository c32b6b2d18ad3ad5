"""Make a checkout ready: DVC's machine-specific settings, and the databases that would otherwise migrate during the first run."""

import shutil
import subprocess

from headrace.errors import ConfigError
from headrace.project.checkouts import register_checkout
from headrace.project.merge_driver import install
from headrace.settings import Settings, environment_bin, require_project
from headrace.storage.dvc_config import with_values
from headrace.storage.local import write_text
from headrace.variables import child_environment

CACHE_TYPE = "reflink,hardlink,symlink"


def ensure_set_up(settings: Settings, *, databases: bool = False) -> list[str]:
    """Write .dvc/config.local (cache and state shared by all checkouts of the project) and make the folders.

    Args:
        settings: of this machine and project.
        databases: also create Prefect's and MLflow's databases: their migrations take seconds, once.

    Returns:
        What was done, a line each; empty when all was there.

    Raises:
        ConfigError: the folder is not a DVC project, or the state folder cannot be written.
    """
    require_project(settings.project)
    folder = settings.project / ".dvc"
    done: list[str] = []
    try:
        settings.state_home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigError(
            f"{settings.state_home} cannot be made ({error.strerror}). Set HEADRACE_HOME to a folder you may write."
        ) from None
    path = folder / "config.local"
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    wanted = {
        "core": {"site_cache_dir": str(settings.state_home / "dvc-site")},
        "cache": {"dir": str(settings.state_home / "dvc-cache"), "type": CACHE_TYPE},
    }
    text = with_values(before, wanted)
    if text != before:
        write_text(path, text)
        done.append(f"DVC cache and state of this project: {settings.state_home}")
    register_checkout(settings)
    if databases or done:  # else nothing of git is asked: every run comes by here
        done += install(settings.project)
    if databases:
        done += _databases(settings)
    return done


def _databases(settings: Settings) -> list[str]:
    from headrace.tracking.store import prepare

    done = []
    if settings.tracking_uri.startswith("sqlite:"):
        prepare(settings.tracking_uri)
        done.append(f"MLflow store: {settings.tracking_uri}")
    if not settings.prefect_api_url:
        database = settings.state_home / "prefect" / "prefect.db"
        if not database.exists():
            prefect = shutil.which("prefect", path=str(environment_bin()))
            if prefect is None:
                raise ConfigError("the environment has no `prefect` command. Install it again: make install")
            subprocess.run(
                [prefect, "server", "database", "upgrade", "-y"],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=child_environment(),
            )
            done.append(f"Prefect's own database: {database}")
    return done
