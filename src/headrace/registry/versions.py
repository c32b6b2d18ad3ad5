"""Register a package as a model version: once per package, complete before it has a name, only when the gate allows it."""

import hashlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator

from headrace.errors import RegistryError
from headrace.params import Section
from headrace.registry.packages import Package, lay_out, read_package
from headrace.registry.tags import CHALLENGER, PACKAGE_TAG
from headrace.storage.local import replace_folder
from headrace.tracking.facts import SHA256_TAG
from headrace.tracking.runs import Store
from headrace.tracking.secrets import strip_secrets
from headrace.tracking.store import check, connect, experiment_id, service_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

MAX_NAME_CHARS = 100


def _plain_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or len(name) > MAX_NAME_CHARS:
        raise ValueError(
            f"a model's name has at most {MAX_NAME_CHARS} letters, digits, '.', '_' or '-', a letter or digit first; got {name!r}"
        )
    return name


class RegisterParams(Section):
    """Section `register` of params.yaml."""

    model: Annotated[str, AfterValidator(_plain_name)] = "digits"
    """Name of the registered model; every recipe has its own."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What became of a package: a version, or a refusal with its reasons."""

    model: str
    version: int | None
    is_new: bool
    package: str
    """Digest of the package."""
    reasons: tuple[str, ...] = ()
    """Why it was refused; empty when it was registered."""

    @property
    def is_refused(self) -> bool:
        """Whether there is no version."""
        return self.version is None


def register(
    store: Store,
    params: RegisterParams,
    *,
    package: Path,
    verdict: Mapping[str, Any],
    trained: Sequence[str],
    run_id: str,
    lineage: Mapping[str, str],
    provenance: Mapping[str, bytes] | None = None,
    is_shared: bool,
    branch: str,
    allowed_branches: Sequence[str],
) -> Registration:
    """Make the package the challenger of its model; registering it twice gives the same version.

    Order: upload, mark complete, make the version, tag, alias. Killed in between, the next call goes on from there, and no alias
    ever points to a version that is not complete.

    Args:
        store: tracking and registry.
        params: section `register`.
        package: folder of the package.
        verdict: the gate's, from evaluate.json: {"allowed": bool, "reasons": [...]}.
        trained: id prefixes from `trained_ids`.
        run_id: of the training.
        lineage: tags such as git.commit and dvc.lock; keys are put under `headrace.`.
        provenance: name to content of what the package was made from, kept beside it.
        is_shared: whether others see this registry.
        branch: current git branch, '' when there is none.
        allowed_branches: which may register in a shared registry.

    Raises:
        RegistryError: the package is damaged, or the registry contradicts itself.
        EngineError: MLflow does not answer.
    """
    found = read_package(package)
    reasons = _refusals(verdict, is_shared=is_shared, branch=branch, allowed_branches=allowed_branches)
    if reasons:
        return Registration(params.model, None, is_new=False, package=found.digest, reasons=reasons)
    check(store.uri)
    client = connect(store.uri)
    with service_errors(store.uri):
        _ensure_model(client, params.model)
        version = find_version(client, params.model, found.digest)
        is_new = version is None
        if version is None:
            model_id = _upload(client, store, params.model, found, trained, run_id, provenance or {})
            tags = {PACKAGE_TAG: found.digest, "headrace.fingerprint": found.fingerprint, "headrace.run": run_id}
            tags |= {f"headrace.{key}": strip_secrets(value) for key, value in lineage.items() if value}
            tags |= {f"{SHA256_TAG}{name}": hashlib.sha256(content).hexdigest() for name, content in (provenance or {}).items()}
            # Not `models:/<id>`: the database store would look that up in the default store of the process.
            source = client.get_logged_model(model_id).artifact_location
            version = client.create_model_version(
                params.model, source=source, run_id=run_id, tags=tags, model_id=model_id, await_creation_for=60
            )
        number = int(version.version)
        if _alias(client, params.model, CHALLENGER) != number:
            client.set_registered_model_alias(params.model, CHALLENGER, str(number))
    return Registration(params.model, number, is_new=is_new, package=found.digest)


def find_version(client: "MlflowClient", model: str, digest: str) -> "ModelVersion | None":
    """The complete version of a package; the oldest when a race made two."""
    found = client.search_model_versions(f"name = '{model}' and tags.`{PACKAGE_TAG}` = '{digest}'")
    return min((each for each in found if each.status == "READY"), key=lambda each: int(each.version), default=None)


def version_of(client: "MlflowClient", model: str, alias: str) -> "ModelVersion | None":
    """The version that an alias names, None when there is none, or no such model."""
    number = _alias(client, model, alias)
    return client.get_model_version(model, str(number)) if number is not None else None


def fetch(client: "MlflowClient", version: "ModelVersion", cache: Path) -> Package:
    """The package of a version, downloaded at most once and verified each time.

    Args:
        client: of the store.
        version: in the registry.
        cache: folder of downloaded models on this machine, private to the user.

    Raises:
        RegistryError: what the store holds is not what was registered.
    """
    import mlflow.artifacts

    digest = version.tags.get(PACKAGE_TAG, "")
    where = f"version {version.version} of {version.name}"
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise RegistryError(f"{where} has no {PACKAGE_TAG} tag: it was not registered by Headrace, so it cannot be verified.")
    folder = cache / digest
    if not (folder / "package").is_dir():
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The same folder system as the final name, readable by this user only, renamed when complete.
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=cache) as temporary:
            location = client.get_logged_model(version.model_id).artifact_location if version.model_id else version.source
            got = mlflow.artifacts.download_artifacts(artifact_uri=location, dst_path=temporary, tracking_uri=client.tracking_uri)
            replace_folder(Path(got), folder)
    package = read_package(folder / "package")
    if package.digest != digest:
        raise RegistryError(
            f"{where}: its package has the digest {package.digest[:12]}, the registry says {digest[:12]}. Someone changed "
            f"one of them; the version is not used. Delete {folder} if you changed it yourself."
        )
    return package


def _refusals(verdict: Mapping[str, Any], *, is_shared: bool, branch: str, allowed_branches: Sequence[str]) -> tuple[str, ...]:
    reasons: list[str] = []
    if verdict.get("allowed") is not True:
        reasons += [str(reason) for reason in verdict.get("reasons") or []] or ["the gate of `evaluate` gave no verdict"]
    if is_shared and branch not in allowed_branches:
        at = f"branch '{branch}'" if branch else "no branch"
        reasons.append(
            f"the registry is shared, and {at} may not register there (HEADRACE_REGISTER_BRANCHES: {', '.join(allowed_branches)})"
        )
    return tuple(reasons)


def _ensure_model(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException:
        try:
            client.create_registered_model(name, description="Registered by Headrace: aliases `challenger` and `champion`.")
        except MlflowException:
            client.get_registered_model(name)  # another process made it in between


def _upload(
    client: "MlflowClient",
    store: Store,
    name: str,
    package: Package,
    trained: Sequence[str],
    run_id: str,
    provenance: Mapping[str, bytes],
) -> str:
    """Id of a complete logged model of the package: one that an interrupted call left, or a new one."""
    from mlflow.entities import LoggedModelOutput

    experiment = experiment_id(client, store.experiment, store.artifact_location)
    left = client.search_logged_models([experiment], f"tags.`{PACKAGE_TAG}` = '{package.digest}'")
    for each in left:
        if str(each.status) == "READY":
            return str(each.model_id)
        client.delete_logged_model(each.model_id)
    made = client.create_logged_model(
        experiment, name=name, source_run_id=run_id, tags={PACKAGE_TAG: package.digest}, model_type="headrace"
    )
    with tempfile.TemporaryDirectory(prefix="headrace-") as temporary:
        folder = Path(temporary) / "model"
        folder.mkdir()
        lay_out(package, trained, folder, model_id=made.model_id, provenance=provenance)
        client.log_model_artifacts(made.model_id, str(folder))
    client.log_outputs(run_id, [LoggedModelOutput(made.model_id, 0)])
    client.finalize_logged_model(made.model_id, "READY")
    return str(made.model_id)


def _alias(client: "MlflowClient", model: str, alias: str) -> int | None:
    from mlflow.exceptions import MlflowException

    try:
        number = client.get_registered_model(model).aliases.get(alias)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return int(number) if number is not None else None
