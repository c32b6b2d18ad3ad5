"""What this machine can do, and whether everything Headrace needs is in place."""

import platform
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import HeadraceError
from headrace.project.environment import check_installed, read
from headrace.project.remote import remote_line
from headrace.services.probes import probes
from headrace.settings import TELEMETRY_OFF, Settings, environment_bin, git
from headrace.variables import variable

MIN_FREE_BYTES = 5 * 1024**3
MATRIX = 1024


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    is_ok: bool
    found: str


def examine(settings: Settings) -> list[Check]:
    """Look at everything; a check that cannot be made is a failed one."""
    looked: list[tuple[str, Callable[[], str]]] = [
        ("python", lambda: f"{platform.python_version()} on {platform.platform()}, {settings.thread_count} threads per stage"),
        ("packages", lambda: _packages(settings)),
        ("git", lambda: _git(settings)),
        ("project folder", lambda: _writable(settings.local)),
        ("state folder", lambda: _writable(settings.state_home)),
        ("free disk", lambda: _disk(settings)),
        ("DVC cache", lambda: _cache(settings)),
        ("DVC remote", lambda: remote_line(settings)),
        ("MLflow store", lambda: _store(settings)),
        ("Prefect", lambda: _prefect(settings)),
        ("telemetry", _telemetry),
        *probes(settings),
    ]
    return [_look(name, look) for name, look in looked] + list(_precisions(settings))


def _look(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, is_ok=True, found=look())
    except HeadraceError as error:
        return Check(name, is_ok=False, found=str(error))
    except (OSError, sqlite3.Error, subprocess.SubprocessError) as error:
        return Check(name, is_ok=False, found=f"{type(error).__name__}: {error}")


def _packages(settings: Settings) -> str:
    names = [name for name in read(settings.project) if "." not in name]
    stages = {"torch", "numpy", "pandas", "pyarrow", "scikit-learn", "mlflow", "prefect", "dvc", "great-expectations"} & set(
        names
    )
    check_installed(sorted(stages), settings.project / "environment.json")
    return f"{len(stages)} main packages have the versions of environment.json"


def _git(settings: Settings) -> str:
    commit = git(settings.project, "rev-parse", "--short", "HEAD")
    if not commit:
        raise HeadraceError("no git commit here: models could not be traced to code. git init && git commit")
    return f"commit {commit}"


def _writable(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / ".doctor"
    probe.write_text("", encoding="utf-8")
    probe.unlink()
    return str(folder)


def _disk(settings: Settings) -> str:
    free = shutil.disk_usage(settings.state_home).free
    if free < MIN_FREE_BYTES:
        raise HeadraceError(f"{free / 1e9:.1f} GB free in {settings.state_home}; 5 GB are a sensible least")
    return f"{free / 1e9:.0f} GB free"


def _cache(settings: Settings) -> str:
    dvc = shutil.which("dvc", path=str(environment_bin())) or "dvc"
    done = subprocess.run([dvc, "cache", "dir"], cwd=settings.project, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise HeadraceError(f"{' '.join(done.stderr.split())[-200:]}: headrace setup")
    if not Path(done.stdout.strip()).is_relative_to(settings.state_home):
        raise HeadraceError(f"{done.stdout.strip()} is not shared by the project's checkouts: headrace setup")
    return done.stdout.strip()


def _store(settings: Settings) -> str:
    from headrace.tracking.store import check, prepare

    if settings.tracking_uri.startswith("sqlite:"):
        prepare(settings.tracking_uri)
    check(settings.tracking_uri)
    return settings.tracking_uri


def _prefect(settings: Settings) -> str:
    if not settings.prefect_api_url:
        return "its temporary server, started when there is work (set PREFECT_API_URL for a running one)"
    import httpx

    try:
        answer = httpx.get(f"{settings.prefect_api_url.rstrip('/')}/health", timeout=5)
    except httpx.HTTPError as error:
        raise HeadraceError(
            f"{settings.prefect_api_url} does not answer ({error}). Start it (headrace up), or unset PREFECT_API_URL."
        ) from None
    if answer.status_code != 200:
        raise HeadraceError(f"{settings.prefect_api_url}/health answered {answer.status_code}")
    return settings.prefect_api_url


def _telemetry() -> str:
    on = [name for name, value in TELEMETRY_OFF.items() if variable(name) != value]
    return f"switched on by {', '.join(on)}" if on else "off for dvc, prefect, mlflow and great-expectations"


def _precisions(settings: Settings) -> Iterator[Check]:
    """Matrix products a second in each precision: what this machine does fast. Nothing is chosen by it; params.yaml says."""
    import torch

    if settings.device != "cpu" and not getattr(torch, settings.device).is_available():
        yield Check("device", is_ok=False, found=f"HEADRACE_DEVICE is {settings.device}, and torch {torch.__version__} sees none")
        return
    device = torch.device(settings.device)
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine()
    yield Check("device", is_ok=True, found=f"{settings.device} ({name}), torch {torch.__version__}")
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if device.type == "cpu":
        del dtypes["fp16"]
    rates = {name: _rate(torch.randn(MATRIX, MATRIX, device=device, dtype=dtype), device) for name, dtype in dtypes.items()}
    for name, rate in rates.items():
        yield Check(f"precision {name}", is_ok=True, found=f"{rate / 1e9:,.0f} GFLOP/s, {rate / rates['fp32']:.1f}x fp32")
    if device.type == "cpu":
        yield Check("precision fp16", is_ok=True, found="needs a GPU (HEADRACE_DEVICE=cuda)")


def _rate(matrix: "torch.Tensor", device: "torch.device") -> float:  # type: ignore[name-defined]  # noqa: F821
    import torch

    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < 0.3:
        matrix @ matrix
        if device.type == "cuda":
            torch.cuda.synchronize()
        done += 1
    return done * 2 * MATRIX**3 / (time.perf_counter() - started)
