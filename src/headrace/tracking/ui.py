"""The MLflow UI on the project's own store."""

import shutil
import socket
import subprocess
import sys

from headrace.errors import ConfigError
from headrace.settings import Settings, child_environment, environment_bin
from headrace.tracking.store import prepare


def serve(settings: Settings, port: int) -> int:
    """Run `mlflow ui` on 127.0.0.1 until it is stopped; returns its exit code.

    Raises:
        ConfigError: the port is taken, or the tracking store is a server with a UI of its own.
    """
    uri = settings.tracking_uri
    if uri.startswith(("http://", "https://")):
        raise ConfigError(f"runs are recorded at {uri}: open it in the browser.")
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise ConfigError(f"port {port} is taken. Choose another: headrace ui --port {port + 1}")
    prepare(uri)
    mlflow = shutil.which("mlflow", path=str(environment_bin())) or "mlflow"
    command = [mlflow, "ui", "--backend-store-uri", uri, "--host", "127.0.0.1", "--port", str(port)]
    sys.stdout.write(f"MLflow on {uri}\n  http://127.0.0.1:{port}  once it has started; Ctrl-C ends it\n")
    sys.stdout.flush()
    try:
        return subprocess.run(command, check=False, env=child_environment(), cwd=settings.state_home).returncode
    except KeyboardInterrupt:
        return 0
