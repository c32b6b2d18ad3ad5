"""The MLflow UI on the project's own store."""

import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace.errors import ConfigError, EngineError
from headrace.processes import end_group
from headrace.settings import Settings, environment_bin
from headrace.tracking.store import check, prepare
from headrace.variables import child_environment

START_LIMIT_S = 120.0
END_GRACE_S = 5.0


def serve(settings: Settings, port: int, *, say: Callable[[str], Any]) -> int:
    """Run `mlflow ui` on 127.0.0.1 until it is stopped; returns its exit code. What it prints goes to .headrace/logs/ui.log.

    Raises:
        ConfigError: the port is taken, or the tracking store is a server with a UI of its own.
        EngineError: it does not start.
    """
    uri = settings.tracking_uri
    if uri.startswith(("http://", "https://")):
        raise ConfigError(f"runs are recorded at {uri}: open it in the browser.")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise ConfigError(f"port {port} is taken. Choose another: headrace ui --port {port + 1}")
    prepare(uri)
    log = settings.local / "logs" / "ui.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    mlflow = shutil.which("mlflow", path=str(environment_bin())) or "mlflow"
    command = [mlflow, "ui", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as lines:
        # A session of its own: it has workers, and they end with it, however this process is stopped.
        process = subprocess.Popen(
            command,
            stdout=lines,
            stderr=subprocess.STDOUT,
            env=child_environment(MLFLOW_BACKEND_STORE_URI=uri),  # a command line can be read by everybody on the machine
            cwd=settings.state_home,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_up(process, address)
        say(f"MLflow: {address} (Ctrl-C stops it)")
        return process.wait()
    except EngineError as error:
        raise EngineError(f"{error} Its last words: {_last_line(log)} All of them: {log}") from None
    except KeyboardInterrupt:
        return 0
    finally:
        end_group(process.pid, grace_s=END_GRACE_S)


def _wait_until_up(process: "subprocess.Popen[bytes]", address: str) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while process.poll() is None:
        try:
            return check(address)
        except EngineError:
            if time.monotonic() > deadline:
                raise EngineError(f"mlflow ui does not answer after {START_LIMIT_S:.0f} s.") from None
            time.sleep(0.2)
    raise EngineError(f"mlflow ui ended with exit code {process.returncode}.")


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "none.")
