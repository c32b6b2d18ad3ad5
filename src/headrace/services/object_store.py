"""A real S3 server on this machine: OpenStack Swift, in an environment of its own that is made on demand."""

import os
import secrets
import subprocess
import sys
from pathlib import Path

from headrace.errors import ConfigError, EngineError
from headrace.services.asking import ask, wait_for
from headrace.services.credentials import ACCESS_KEY, REGION, Secrets
from headrace.services.service import Service
from headrace.settings import Settings
from headrace.storage.local import write_text
from headrace.storage.locks import file_lock
from headrace.variables import child_environment

NAME = "object-store"
LOCK = Path(__file__).parent / "swift.lock"
PROGRAM = Path(__file__).parent / "swift_program.py"
INSTALL_LIMIT_S = 600
BUCKET_LIMIT_S = 20

SWIFT = """\
[swift-hash]
swift_hash_path_prefix = {prefix}
swift_hash_path_suffix = {suffix}
[storage-policy:0]
name = default
default = yes
"""

# allow_async_delete: else a deleted multipart object keeps its disk until a daemon that does not run here comes by.
PROXY = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {etc}
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
[filter:tempauth]
use = egg:swift#tempauth
user_headrace_local = {secret} .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
allow_async_delete = false
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
allow_versioned_writes = true
[filter:symlink]
use = egg:swift#symlink
"""

STORE = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {etc}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
fallocate_reserve = {reserve}
[pipeline:main]
pipeline = {store}-server
[app:{store}-server]
use = egg:swift#{store}
recon_cache_path = {folder}/cache
"""

RESERVE_BYTES = 64 * 1024**2
"""A write that would leave less is refused with 507, so that databases are not cut off in mid-write."""


def environment_folder(settings: Settings) -> Path:
    """The virtual environment with Swift."""
    return settings.object_store_environment or settings.services_folder / "swift-environment"


def ensure_environment(folder: Path) -> bool:
    """Make the virtual environment if this Swift is not in it; any number of processes may call it at once.

    Returns:
        Whether it was made now.

    Raises:
        EngineError: it cannot be made; the message has pip's last lines.
    """
    mark = folder / "headrace-swift.lock"
    pins = [line for line in LOCK.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    wanted = "\n".join([f"# Python {sys.version_info[0]}.{sys.version_info[1]}", *pins, ""])
    if _reads(mark, wanted):
        return False
    with file_lock(folder.with_name(f"{folder.name}.making")):
        if _reads(mark, wanted):
            return False
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement", str(LOCK)])
        write_text(mark, wanted)
    return True


def _reads(mark: Path, wanted: str) -> bool:
    try:
        return mark.read_text(encoding="utf-8") == wanted
    except FileNotFoundError:
        return False


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_LIMIT_S,
            env=child_environment(without=("PYTHON",)),
        )
    except subprocess.TimeoutExpired:
        raise EngineError(
            f"the S3 server could not be installed in {INSTALL_LIMIT_S} s: `{' '.join(command[:4])} ...` hangs."
        ) from None
    if done.returncode != 0:
        reason = "\n".join(f"  {line[:300]}" for line in (done.stderr or done.stdout).strip().splitlines()[-4:])
        raise EngineError(
            f"the S3 server (OpenStack Swift) could not be installed; it needs a package index once.\n{reason}\nWithout it: "
            f"`headrace up`, or a bucket of your own."
        )


def configure(folder: Path, secret: Secrets, port: int) -> None:
    """Write Swift's configuration; data and the seed of their paths stay what they are.

    Raises:
        ConfigError: the file system cannot hold Swift's data.
    """
    etc, devices = folder / "etc", folder / "devices" / "disk"
    for needed in (etc, devices, folder / "cache"):
        needed.mkdir(parents=True, exist_ok=True)
    _needs_attributes(devices)
    if not (etc / "swift.conf").exists():
        if any(devices.iterdir()):
            raise ConfigError(
                f"{etc}/swift.conf is gone, and without it {devices} cannot be read. Bring it back, or move both away."
            )
        write_text(etc / "swift.conf", SWIFT.format(prefix=secrets.token_hex(16), suffix=secrets.token_hex(16)))
    write_text(etc / "inner-key", secret.store_key + "\n")
    write_text(etc / "proxy-server.conf", PROXY.format(etc=etc, port=port, secret=secret.s3_secret_key))
    for offset, store in enumerate(("account", "container", "object"), start=1):
        text = STORE.format(folder=folder, etc=etc, port=port + offset, store=store, reserve=RESERVE_BYTES)
        write_text(etc / f"{store}-server.conf", text)


def _needs_attributes(folder: Path) -> None:
    if not hasattr(os, "setxattr"):  # macOS has them, Python's os does not
        return
    probe = folder / f".probe-{os.getpid()}"
    try:
        probe.touch()
        os.setxattr(probe, "user.headrace", b"1")
    except OSError as error:
        raise ConfigError(
            f"the file system of {folder} holds no user attributes ({error.strerror}), which the S3 server keeps its metadata in. Set "
            f"HEADRACE_HOME to a folder on ext4, xfs, btrfs or tmpfs, or use a bucket of your own."
        ) from None
    finally:
        probe.unlink(missing_ok=True)


def service(folder: Path, environment: Path, *, port: int) -> Service:
    """Swift on 127.0.0.1, on `port` and the three after it.

    Args:
        folder: of its configuration and data, see `configure`.
        environment: see `ensure_environment`.
        port: of S3.
    """
    url = f"http://127.0.0.1:{port}"
    return Service(
        name=NAME,
        command=(str(environment / "bin" / "python"), str(PROGRAM), str(folder), str(port)),
        is_ready=lambda: ask(f"{url}/healthcheck", timeout_s=2) == (200, b"OK"),
        url=url,
        port=port,
        start_limit_s=60,
    )


def s3(method: str, url: str, *, secret: str, body: bytes = b"", timeout_s: float = 10.0) -> tuple[int, bytes]:
    """Send a signed request; returns status and body, status 0 when nobody answers."""
    from headrace.storage.s3_connection import signed_headers  # 0.15 s of boto3, which `headrace ps` has no need of

    headers = signed_headers(method, url, body, access_key=ACCESS_KEY, secret_key=secret, region=REGION)
    return ask(url, method=method, body=body if method == "PUT" else None, headers=headers, timeout_s=timeout_s)


def ensure_bucket(url: str, bucket: str, secret: Secrets, *, limit_s: float = BUCKET_LIMIT_S) -> None:
    """Make a bucket if there is none of that name.

    Args:
        url: of the server.
        bucket: its name.
        secret: the server's key.
        limit_s: how long a server that does not make it is asked again.

    Raises:
        EngineError: the server does not make it.
    """
    last: list[int] = []

    def is_there() -> bool:
        status, _ = s3("PUT", f"{url}/{bucket}", secret=secret.s3_secret_key)
        last[:] = [status]
        return status in (200, 409)

    if not wait_for(is_there, timeout_s=limit_s, every_s=0.3):
        why = f"status {last[0]}" if last[0] else "it does not answer"
        raise EngineError(
            f"the S3 server at {url} does not make the bucket {bucket}: {why}. headrace up; headrace logs object-store"
        )
