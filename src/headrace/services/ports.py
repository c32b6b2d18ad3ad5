"""Ports on 127.0.0.1: free ones the first time, the same ones ever after."""

import contextlib
import socket

import psutil

from headrace.errors import ConfigError

FIRST = {"mlflow": 5000, "prefect": 4200, "object-store": 9000}
WIDTH = {"mlflow": 1, "prefect": 1, "object-store": 4}
"""How many ports in a row a service takes."""
SETTING = {"mlflow": "HEADRACE_MLFLOW_PORT", "prefect": "HEADRACE_PREFECT_PORT", "object-store": "HEADRACE_OBJECT_STORE_PORT"}
MAX_TRIED = 2000


def is_free(port: int) -> bool:
    """Whether a server may listen there now."""
    with socket.socket() as probe:
        # As servers do: connections of an ended server in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    # Somebody may listen on all addresses: binding one of them still works on some systems.
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def choose(name: str, *, wanted: int | None, remembered: int | None, taken: set[int]) -> int:
    """The port of a service that is about to start.

    Args:
        name: of the service.
        wanted: what the setting says.
        remembered: where it ran before: clients know it.
        taken: ports promised to other services of this start.

    Raises:
        ConfigError: the wanted or remembered port is in use; the message says by whom.
    """
    port = wanted or remembered
    if port is not None:
        for each in range(port, port + WIDTH[name]):
            if each in taken:
                raise ConfigError(f"port {each} is given to two services. Change {SETTING[name]}.")
            if not is_free(each):
                other = f"{SETTING[name]}={_free(name, port, taken)}"
                raise ConfigError(f"port {each} of {name} is in use{listener(each)}. End that, or choose another port: {other}")
        return port
    return _free(name, FIRST[name], taken)


def _free(name: str, first: int, taken: set[int]) -> int:
    for port in range(first, min(first + MAX_TRIED, 65536 - WIDTH[name])):
        row = range(port, port + WIDTH[name])
        if not taken & set(row) and all(is_free(each) for each in row):
            return port
    raise ConfigError(f"no port from {first} on is free for {name}. Name one: {SETTING[name]}=...")


def listener(port: int) -> str:
    """Who listens there, as far as this user may know: " by process 7 (its command)", or nothing."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if is_listening(process, port):
                return f" by process {process.pid} ({' '.join(process.cmdline())[:60] or process.name()})"
    return ""


def is_listening(process: psutil.Process, port: int) -> bool:
    """Whether a process listens on a port. Raises what psutil raises about processes of others."""
    found = process.net_connections(kind="tcp")
    return any(each.status == psutil.CONN_LISTEN and each.laddr and each.laddr[1] == port for each in found)
