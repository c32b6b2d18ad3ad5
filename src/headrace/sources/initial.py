"""`train.init_from`: weights that a training starts from come in like a source, pinned in data/sources.lock and brought by `collect`.

models:/NAME@champion    a registered model; which version that is, is looked up by `headrace sources refresh` and nowhere else
models:/NAME/3           a version of it
hf://owner/name@main     a folder of a hub; which commit that is, is looked up by `headrace sources refresh`, too
path/of/weights.safetensors    a file of this project or beside it
path/of/folder           its model.safetensors, and model.json if it has one: a model folder, or a package; of a folder of the library
                         transformers config.json, tokenizer.json and preprocessor_config.json, too
"""

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from headrace.errors import ParamsError, SourceError
from headrace.fingerprint import file_sha256
from headrace.listening import Progress, SilentProgress
from headrace.sources.files import DigestCache
from headrace.sources.places import Places
from headrace.sources.snapshot import REFRESH, LockedFile, LockedInitial
from headrace.sources.store import Store
from headrace.storage.local import write_json

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
FOLDER = (WEIGHTS, DESCRIPTION, "config.json", "tokenizer.json", "preprocessor_config.json")
"""What is brought of a folder, where it has it."""
ORIGIN = "initial.json"
"""In the folder that `collect` writes: what `train.init_from` was, and its version."""
_REGISTERED, _HUB = "models:", "hf://"


def asked_for(params: Mapping[str, Any]) -> str | None:
    """`train.init_from` of a params.yaml that was read.

    Raises:
        ParamsError: it is no text, or a path of this machine only.
    """
    section = params.get("train")
    found = section.get("init_from") if isinstance(section, Mapping) else None
    if found is None:
        return None
    if not isinstance(found, str) or not found.strip():
        raise ParamsError(
            f"train.init_from is {found!r}; it is models:/NAME@champion, hf://owner/name, or a path relative to the project."
        )
    if PurePosixPath(found).is_absolute() or found.startswith("~"):
        raise ParamsError(f"train.init_from: {found} is a place of one machine; write it relative to the project: ../weights")
    return found


def look(
    init_from: str,
    places: Places,
    previous: LockedInitial | None = None,
    *,
    full: bool = False,
    progress: Progress | None = None,
) -> LockedInitial:
    """What `init_from` means now: an alias or a revision is resolved, and files are hashed.

    Args:
        init_from: as `asked_for` gives it.
        places: of this machine.
        previous: what the lock has; the same version is not brought again.
        full: bring it again all the same.
        progress: told what comes from a hub.

    Raises:
        SourceError: there are no such weights.
        RegistryError: no such model, alias or version.
        EngineError: the registry does not answer.
    """
    if init_from.startswith(_HUB):
        return _of_hub(init_from, places, previous, full=full, progress=progress or SilentProgress())
    if not init_from.startswith(_REGISTERED):
        return _of_files(init_from, places)
    from headrace.registry.weights import Wanted, resolve_version

    version, package = resolve_version(_registry(init_from, places), init_from)
    if not full and previous and (previous.init_from, previous.version, previous.package) == (init_from, version, package):
        return previous
    uri = f"models:/{Wanted.parse(init_from).model}/{version}"
    files = [
        LockedFile(name=path.name, url=f"{uri}/{path.name}", size=path.stat().st_size, sha256=file_sha256(path))
        for path in _registered(uri, places)
    ]
    return LockedInitial(init_from=init_from, version=version, package=package, files=files)


def pin_initial(init_from: str | None, places: Places, previous: LockedInitial | None) -> LockedInitial | None:
    """As `look`, without a network: what the lock has for the same model of a registry or hub, or files of the project.

    Raises:
        SourceError: it can only be known by asking for it.
    """
    if init_from is None:
        return None
    if not init_from.startswith((_REGISTERED, _HUB)):
        return _of_files(init_from, places)
    if previous and previous.init_from == init_from:
        return previous
    raise SourceError(
        f"train.init_from: {init_from} is known only after the {'hub' if init_from.startswith(_HUB) else 'registry'} was asked. {REFRESH}"
    )


def bring_initial(entry: LockedInitial | None, places: Places, out: Path, progress: Progress | None = None) -> None:
    """Write the pinned weights into the folder `out`, verified; without any, a folder that says so.

    Raises:
        SourceError: a file is missing, or has other bytes than the lock says.
    """
    out.mkdir(parents=True)
    if entry is None:
        write_json(out / ORIGIN, {"format": 1, "init_from": None})
        return
    for file in entry.files:
        name = PurePosixPath(file.name).name
        path = _present(file, places, progress or SilentProgress())
        digest = file_sha256(path) if path.is_file() else "no such file"
        if digest != file.sha256:
            raise SourceError(
                f"train.init_from: {file.name} is not what data/sources.lock says (sha256 {digest[:12]}, there {file.sha256[:12]}). "
                "Bring the file back, or take over what is there now: `headrace sources refresh`."
            )
        shutil.copyfile(path, out / (name if name in FOLDER else WEIGHTS))
    origin = {"init_from": entry.init_from, "version": entry.version or None, "package": entry.package or None}
    write_json(out / ORIGIN, {"format": 1, **origin})


def _present(file: LockedFile, places: Places, progress: Progress) -> Path:
    """Where a file is: of a registered model or a hub in this machine's downloads, else there; others in the project."""
    if file.url.startswith(_HUB):
        from headrace.sources.hub import bring

        return bring(file, places, progress)
    if not file.url.startswith(_REGISTERED):
        return places.project / file.name
    found = Store(places.downloads).find(file.sha256, file.name)
    if found:
        return found
    uri = file.url.rpartition("/")[0]
    return next(path for path in _registered(uri, places) if path.name == file.name)


def _registered(uri: str, places: Places) -> list[Path]:
    """The files of a version, kept among the downloads by their content."""
    from headrace.registry.weights import bring_package

    store = Store(places.downloads)
    package = bring_package(_registry(uri, places), uri, places.downloads / "packages")
    if not (package.folder / WEIGHTS).is_file():
        raise SourceError(
            f"train.init_from: {uri} is no network: its package has no {WEIGHTS}. Choose a model that `network` trained."
        )
    landed = []
    for name in (WEIGHTS, DESCRIPTION):
        digest = file_sha256(package.folder / name)
        temporary = store.partial(f"{digest}.initial")
        shutil.copyfile(package.folder / name, temporary)
        landed.append(store.land(temporary, digest, name))
    return landed


def _registry(uri: str, places: Places) -> Any:
    if places.registry is None:
        raise SourceError(f"train.init_from: no registry is known here to ask for {uri}. {REFRESH}")
    return places.registry


def _instead(names: Collection[str]) -> str:
    """What a folder without the file of weights has in its place, and the remedy."""
    others = sorted(name for name in names if PurePosixPath(name).suffix in {".bin", ".pt", ".pth", ".h5", ".msgpack", ".ckpt"})
    if f"{WEIGHTS}.index.json" in names:
        return "Its weights are in several files: save them as one, `save_pretrained(folder, max_shard_size='100GB')`."
    if others:
        return f"It has {', '.join(others)}: formats that run code when they are opened are not read. Save the weights with safetensors."
    return "Other formats, pickled ones first, are not read."


def _of_hub(init_from: str, places: Places, previous: LockedInitial | None, *, full: bool, progress: Progress) -> LockedInitial:
    from headrace.sources import hub

    model = hub.HubModel.parse(init_from)
    known = previous if previous and previous.init_from == init_from and not full else None
    if known and known.version == model.revision:
        return known  # a commit is what it is
    commit = hub.commit_of(model, places)
    if known and known.version == commit.sha:
        return known
    if WEIGHTS not in commit.names:
        raise SourceError(f"train.init_from: {init_from} has no {WEIGHTS}. {_instead(commit.names)}")
    files = hub.pin(model, commit, FOLDER, places, progress)
    if known and [(file.name, file.sha256) for file in known.files] == [(file.name, file.sha256) for file in files]:
        return known  # the commit changed a page about the model: nothing is trained again for that
    return LockedInitial(init_from=init_from, version=commit.sha, files=files)


def _of_files(init_from: str, places: Places) -> LockedInitial:
    path = places.project / init_from
    if path.is_dir():
        names = [f"{init_from.rstrip('/')}/{name}" for name in FOLDER if (path / name).is_file()]
        if not (path / WEIGHTS).is_file():
            raise SourceError(
                f"train.init_from: the folder {init_from} has no {WEIGHTS}. {_instead([each.name for each in path.iterdir()])}"
            )
    elif path.is_file():
        if path.suffix != ".safetensors":
            raise SourceError(
                f"train.init_from: {init_from} is no .safetensors file. Formats that run code when they are opened, such as .bin and .pt, "
                "are not read: save the weights with safetensors."
            )
        names = [init_from]
    else:
        raise SourceError(f"train.init_from: no file at {init_from} (seen from {places.project}). Correct params.yaml.")
    cache = DigestCache(places)
    files = []
    for name in names:
        size, digest = cache.sha256(places.project / name)
        files.append(LockedFile(name=name, url=f"file:{name}", size=size, sha256=digest))
    cache.save()
    return LockedInitial(init_from=init_from, files=files)
