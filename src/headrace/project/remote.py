"""The project's bucket: recorded so that DVC checks what it gives, and looked at by `headrace doctor`."""

from headrace.errors import ConfigError, EngineError
from headrace.settings import Settings, require_project
from headrace.storage.dvc_config import Remote, check_verified, default_remote, write_remote

PROBE = ".headrace-probe"
PROBE_CONTENT = b"headrace remote add writes this, reads it back and deletes it\n"


def add_remote(
    settings: Settings, url: str, *, name: str, endpoint: str | None = None, shared: bool = False, create: bool = False
) -> str:
    """Make a bucket the project's remote, after an object went there and came back; returns a line on where it is recorded.

    Args:
        settings: of this machine and project.
        url: s3://bucket/prefix.
        name: of the remote.
        endpoint: URL of the server; default: AWS_ENDPOINT_URL_S3, else the server of `headrace up` where no other keys are set.
        shared: write .dvc/config, which git shares, instead of .dvc/config.local.
        create: make the bucket if there is none.

    Raises:
        ConfigError: no URL of a bucket, or keys that are missing or refused.
        EngineError: the server does not answer.
    """
    from headrace.storage.s3 import Bucket

    require_project(settings.project)
    served = settings.service_variables.get("AWS_ENDPOINT_URL_S3")
    chosen = endpoint or settings.s3_endpoint or (served if settings.s3_access_key is None else None)
    remote = Remote(name=name, url=url.rstrip("/"), endpoint=chosen, is_verified=True)
    if not remote.is_s3 or not remote.bucket:
        raise ConfigError(f"{url!r} is no bucket. Write s3://bucket/prefix; for other kinds: dvc remote add, with verify = true.")
    bucket = Bucket(settings, remote.bucket, endpoint=remote.endpoint)
    if create:
        bucket.create()
    key = remote.prefix + PROBE
    bucket.put(key, PROBE_CONTENT)
    if bucket.read(key) != PROBE_CONTENT:
        raise EngineError(f"{bucket.place} gives back something else than was stored in {url}. Look at what is in between.")
    bucket.remove(key)
    path = write_remote(settings.project, remote, shared=shared)
    kept = "git add it, so that every clone has it" if shared else "this checkout only; --shared writes .dvc/config"
    return f"{remote.url} at {bucket.place}: stored, read and deleted an object. Written to {path.relative_to(settings.project)} ({kept})"


def remote_line(settings: Settings) -> str:
    """What `headrace doctor` says about the remote: it checks what it gives, and it answers.

    Raises:
        HeadraceError: it does not.
    """
    remote = default_remote(settings.project)
    if remote is None:
        return "none; headrace remote add s3://bucket/prefix shares data and run-cache"
    check_verified(remote)
    if remote.is_s3:
        from headrace.storage.s3 import Bucket

        next(Bucket(settings, remote.bucket, endpoint=remote.endpoint, budget_s=5).objects(remote.prefix), None)
    return f"{remote.url}{f' at {remote.endpoint}' if remote.endpoint else ''}, verify = true"
