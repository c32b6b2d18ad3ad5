"""DVC's side of the flow: plan the graph, run a stage, bring outputs back, push. The only module that imports dvc.

It runs as a small process of its own, `python -m headrace.flow.dag`, started by `launcher.py`: dvc is imported there once, while the
flow's process imports prefect, and every operation runs in a fork of it, so that a stage costs no second import and can be killed
with its whole process group (forks.py). docs/decisions/0004-one-fork-per-stage.md has the figures.

Of DVC it uses `Repo` with `index.graph`, `reproduce`, `checkout`, `push`, `pull`, `cloud.get_remote_odb`, and of a stage `status()`,
names, deps, outs and params; it replaces `cache.local.check`, `cloud.get_remote`, the moving of the run-cache and the bars of a transfer.
"""

import base64
import contextlib
import functools
import importlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from headrace.fingerprint import file_md5
from headrace.flow.forks import serve
from headrace.processes import ProcessId

IMPORTED = ("dvc.repo", "dvc.cachemgr", "dvc.data_cloud", "dvc.lock", "ruamel.yaml", "scmrepo.git")
"""What DVC imports when it is first needed, which would be in each fork again: .15 s of CPU time."""
FOR_BUCKETS, BUCKET = ("s3fs",), "bucket"
"""The same where the remote is a bucket, .4 s, and the word of the command line that says so."""
PROGRESS = "headrace-progress "
"""What a line of a transfer's output begins with that says how far it is; the rest is JSON."""


@contextlib.contextmanager
def _opened() -> Iterator[Any]:
    """The project, connected to its remote once; what comes from there is compared with its hash whatever the configuration says."""
    from dvc.repo import Repo

    with Repo(_wait_for_lock=True) as repo:
        get, connected = repo.cloud.get_remote, dict[str, Any]()

        def get_remote(*arguments: Any, **named: Any) -> Any:
            remote = get(*arguments, **named)
            remote.fs = connected.setdefault(remote.name, remote.fs)  # DVC makes a client for each use of a remote: .2 s
            remote.config["verify"] = True
            return remote

        repo.cloud.get_remote = get_remote
        repo.stage_cache.transfer = _move_results
        yield repo


def plan() -> dict[str, Any]:
    """The graph in topological order, and of each stage: parents, meta, paths, and why it would run.

    Returns:
        {"stages": [{name, parents, meta, deps, outs, changes, frozen, locked, size}], "remote": bool}; `changes` is a list of
        {kind, what, change, old, new}, empty for a stage that is up to date as far as its own inputs tell.
    """
    import networkx

    with _opened() as repo, repo.lock:
        graph = repo.index.graph
        order = list(networkx.lexicographical_topological_sort(graph.reverse(), key=lambda stage: stage.addressing))
        return {
            "stages": [
                {
                    "name": stage.addressing,
                    "parents": sorted(parent.addressing for parent in graph.successors(stage) if parent.cmd),
                    "meta": dict(stage.meta or {}),
                    "deps": [dep.fs_path for dep in stage.deps if dep.is_in_repo],
                    "outs": [out.fs_path for out in stage.outs],
                    "changes": list(_changes(stage)),
                    "frozen": bool(stage.frozen),
                    "locked": any(out.hash_info for out in stage.outs),
                    "size": sum(out.meta.size or 0 for out in stage.outs if out.meta),
                }
                for stage in order
                if stage.cmd
            ],
            "remote": bool(repo.config["core"].get("remote")),
        }


def _changes(stage: Any) -> Iterator[dict[str, Any]]:
    from dvc.dependency import ParamsDependency

    if not any(out.hash_info for out in stage.outs):
        yield {"kind": "new", "what": stage.addressing, "change": "never ran"}
        return
    for entry in stage.status().get(stage.addressing, []):
        if isinstance(entry, str):
            yield {"kind": "cmd" if entry == "changed command" else "always", "what": "cmd", "change": entry}
            continue
        for paths in entry.get("changed outs", {}), entry.get("changed deps", {}):
            kind = "out" if paths is entry.get("changed outs") else "dep"
            for path, change in paths.items():
                if isinstance(change, dict):  # a params file: key to change
                    dependency = next(d for d in stage.deps if isinstance(d, ParamsDependency) and str(d) == path)
                    yield from _param_changes(dependency, path, change)
                else:
                    yield {"kind": kind, "what": path, "change": str(change)}


def _param_changes(dependency: Any, path: str, changed: dict[str, str]) -> Iterator[dict[str, Any]]:
    before = dict(dependency.hash_info.value or {})
    after = dict(dependency.read_params(flatten=True))
    for key, change in changed.items():
        was, now = _leaves(before.get(key), key), _leaves(after.get(key), key)
        for leaf in sorted(was.keys() | now.keys()):
            if was.get(leaf) != now.get(leaf):
                yield {
                    "kind": "param",
                    "what": f"{path}:{leaf}",
                    "change": str(change),
                    "old": was.get(leaf),
                    "new": now.get(leaf),
                }


def _leaves(value: Any, key: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return {leaf: found for part, inner in value.items() for leaf, found in _leaves(inner, f"{key}.{part}").items()}
    return {} if value is None else {key: value}


def reproduce(stage: str, *, force: bool, pull: bool) -> None:
    """Run one stage, or restore it from the run-cache; parents are up to date already. `pull` asks the remote for both."""
    with _opened() as repo:
        _hash_before_use(repo)
        repo.reproduce([stage], single_item=True, force=force, pull=pull)


def _hash_before_use(repo: Any) -> None:
    """Make DVC read what it takes from the cache: it believes an object of mode 0444, which is their normal mode, unread.

    One that is not what its name says is deleted, so that DVC fetches it, or runs the stage again, as if it had never been there.
    """
    odb = repo.cache.local
    believe, right = odb.check, set[str]()

    def check(oid: str, *options: Any, **named: Any) -> Any:
        path = Path(odb.oid_to_path(oid))
        if oid not in right and odb.is_protected(str(path)) and file_md5(path) != oid.removesuffix(".dir"):
            sys.stdout.write(f"corrupted in the cache, deleted there: {path}\n")
            path.unlink(missing_ok=True)
            raise FileNotFoundError(path)
        found = believe(oid, *options, **named)  # what is not protected, because it has just arrived, it hashes by itself
        if odb.is_protected(str(path)):  # as it is after hashing
            right.add(oid)
        return found

    odb.check = check


def restore(stage: str, *, pull: bool) -> bool:
    """Bring a stage up to date from the run-cache, and never run it; returns whether that was possible. `pull` asks the remote too."""
    from dvc.stage.cache import RunCacheNotFoundError

    with _opened() as repo, repo.lock:
        _hash_before_use(repo)
        if pull:
            repo.stage_cache.pull(None)
        try:
            repo.stage_cache.restore(next(each for each in repo.index.stages if each.addressing == stage), pull=pull)
        except RunCacheNotFoundError:
            return False
    reproduce(stage, force=False, pull=False)  # finds it in the local cache now, and records it
    return True


def checkout(stages: list[str]) -> None:
    """Bring back the outputs that dvc.lock names for these stages."""
    with _opened() as repo:
        _hash_before_use(repo)
        repo.checkout(targets=stages, force=True, allow_missing=True)


def bring_back() -> dict[str, Any]:
    """Bring back every output that dvc.lock names, then plan."""
    checkout([])
    return plan()


def commit(stage: str) -> None:
    """Record the stage's present dependencies as those of its present outputs."""
    with _opened() as repo:
        repo.commit(stage, force=True)


def push(targets: list[str] | None = None, *, run_cache: bool = True, progress: bool = False) -> int:
    """Send outputs (those of stages or at paths, else all) and run-cache to the remote; returns how many objects were new there."""
    with _opened() as repo, _metered(progress=progress):
        _hash_what_changed(repo)
        return int(repo.push(targets=targets, run_cache=run_cache))


def pull(targets: list[str] | None = None, *, run_cache: bool = True, progress: bool = False) -> dict[str, int]:
    """Bring outputs, as with `push`, and run-cache, and check them out; returns counts by what happened."""
    with _opened() as repo, _metered(progress=progress):
        _hash_before_use(repo)
        stats = repo.pull(targets=targets, run_cache=run_cache, force=True)["stats"]
        return {str(what): int(count) for what, count in stats.items()}


def lacking(md5s: list[str]) -> list[str]:
    """Those of these objects that the default remote has not, of whatever kind it is: each is looked for, no index believed."""
    with _opened() as repo:
        return sorted(set(md5s).difference(repo.cloud.get_remote_odb().oids_exist(md5s)))


def read(md5: str) -> str | None:
    """The content of an object of the default remote in base64, None where it is not there."""
    with _opened() as repo:
        odb = repo.cloud.get_remote_odb()
        try:
            return base64.b64encode(odb.fs.cat_file(odb.oid_to_path(md5))).decode()
        except FileNotFoundError:
            return None


def _hash_what_changed(repo: Any) -> None:
    """As `_hash_before_use`, but what has the time and size that DVC noted is believed: the bucket tells the MD5 of what it got."""
    from dvc_data.hashfile.db import HashFileDB

    repo.cache.local.check = functools.partial(HashFileDB.check, repo.cache.local)


@contextlib.contextmanager
def _metered(*, progress: bool) -> Iterator[None]:
    """Tell how far a transfer is."""
    from dvc_data.index import fetch
    from dvc_data.index import push as send

    from headrace.flow.meter import Meter, telling

    for module in (fetch, send):
        vars(module).update(TqdmCallback=Meter)
    with telling(PROGRESS) if progress else contextlib.nullcontext():
        yield


def _move_results(source: Any, target: Any) -> list[tuple[str, ...]]:
    """In place of DVC's own: that moves every entry of the run-cache each time, one after the other.

    An entry says what a stage once made of its inputs, and its name is a digest of that. So what is there already need not move; and of
    what arrives here, which nothing else is ever compared with, what is not what its name says is deleted.
    """
    from dvc.fs import HTTPFileSystem, LocalFileSystem, generic
    from dvc.stage.cache import RunCacheNotSupported

    if any(isinstance(odb.fs, HTTPFileSystem) for odb in (source, target)):
        raise RunCacheNotSupported("a web server has no run-cache")

    def names(odb: Any) -> set[str]:
        return {odb.fs.relpath(path, odb.path).replace(os.sep, "/") for path in odb.fs.find(odb.fs.join(odb.path, "runs"))}

    new = sorted(names(source) - names(target))
    if new:
        places = ([odb.fs.join(odb.path, *name.split("/")) for name in new] for odb in (source, target))
        generic.copy(source.fs, next(places), target.fs, next(places))
    if isinstance(target.fs, LocalFileSystem):
        new = [name for name in new if _is_right(Path(target.path, name))]
    return [tuple(name.split("/")[-2:]) for name in new]


def _is_right(result: Path) -> bool:
    from dvc.stage.cache import _get_cache_hash
    from dvc.utils.serialize import ParseError, load_yaml

    try:
        if _get_cache_hash(load_yaml(result)) == result.name:
            return True
    except (ParseError, AttributeError, TypeError, ValueError):  # no YAML, or another document, such as a log-in page
        pass
    sys.stdout.write(f"not what its name says, left out: {result}\n")
    result.unlink()
    return False


OPERATIONS: dict[str, Callable[..., Any]] = {
    "plan": plan,
    "reproduce": reproduce,
    "restore": restore,
    "checkout": checkout,
    "bring_back": bring_back,
    "commit": commit,
    "push": push,
    "pull": pull,
    "lacking": lacking,
    "read": read,
}


def _main() -> None:
    owner = ProcessId.from_text(sys.argv[2])
    if owner is None:
        raise SystemExit("started by headrace.flow.launcher only")
    for name in IMPORTED + FOR_BUCKETS * (BUCKET in sys.argv):
        importlib.import_module(name)
    from dvc.ui import ui

    ui.enable()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        serve(control, owner, OPERATIONS)
    os._exit(0)  # the run waits for it, and taking DVC apart object by object takes a while


if __name__ == "__main__":
    _main()
