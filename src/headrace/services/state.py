"""What `headrace up` knows from one call to the next: ports, processes, and whether the project uses its services."""

import contextlib
import errno
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from headrace.errors import ConfigError
from headrace.processes import ProcessId
from headrace.storage.local import write_json

FILE = "state.json"
FORMAT = 1

UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EFBIG}


@dataclass(frozen=True)
class Started:
    """One process that `up` started."""

    process: ProcessId
    since: str
    """When, UTC, ISO 8601."""


@dataclass(frozen=True)
class State:
    """Written after every change, so that a killed `up` leaves nothing unknown behind."""

    in_use: bool = False
    """From `up` to `down`: clients use the services, and say so when they are down."""
    object_store: bool = False
    """Whether the local S3 server is one of the services."""
    artifacts: str = ""
    """Where MLflow's artifacts went the first time: they are looked for where they are."""
    passwords: str = ""
    """Digest of the secrets that the processes were started with."""
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, Started] = field(default_factory=dict)

    def with_process(self, name: str, started: Started | None) -> "State":
        """The state with the process of one service; None: it has none."""
        kept = {key: value for key, value in self.processes.items() if key != name}
        return replace(self, processes=kept if started is None else {**kept, name: started})


def read(folder: Path) -> State:
    """The state; an empty one when nothing was ever started.

    Raises:
        ConfigError: the file is damaged or of another version.
    """
    path = folder / FILE
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        written_as = found.pop("format")
        started = {
            name: Started(ProcessId(int(each["process"]["pid"]), float(each["process"]["started"])), str(each["since"]))
            for name, each in found.pop("processes").items()
        }
        if written_as == FORMAT:
            return State(processes=started, **found)
        reason = f"format {written_as}, not {FORMAT}"
    except FileNotFoundError:
        return State()
    except (ValueError, KeyError, TypeError) as error:
        reason = repr(error)
    raise ConfigError(f"{path} is damaged ({reason}). Move it away: `headrace up` writes a new one and finds what still runs.")


def write(folder: Path, state: State) -> None:
    """Write the state atomically."""
    write_json(folder / FILE, {"format": FORMAT, **asdict(state)})


@contextlib.contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Turn a full disk and missing permissions into one sentence. Raises ConfigError."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise ConfigError(
            f"{error.filename or folder} cannot be written: {error.strerror}. Make room or give permission there, or set HEADRACE_HOME to "
            f"another folder."
        ) from None
