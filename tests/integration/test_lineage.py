"""Trace, verify, reproduce and diff on a real project: git, DVC, MLflow's SQLite store and the registry, with stages of a few lines."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.projects import BIN, GIT, Checkout, wait_until

from headrace.errors import ConfigError, EngineError
from headrace.flow.steps import _outcome_key
from headrace.lineage.difference import difference
from headrace.lineage.edge import Edge
from headrace.lineage.reproduce import Reproduction, _judge, reproduce
from headrace.lineage.verify import verify
from headrace.registry.operations import register_package
from headrace.registry.trace import trace
from headrace.settings import Settings
from headrace.storage.dvc_config import cache_folder
from headrace.storage.dvc_remote import cached
from headrace.tracking.live import store_of
from headrace.tracking.reading import open_reader
from headrace.tracking.store import check, sqlite_path

STAGES = """\
import hashlib, json, os, pathlib, sys, time
import pyarrow as pa, pyarrow.parquet as pq

stage, rows, root = sys.argv[1], json.loads(pathlib.Path("params.yaml").read_text())["train"]["rows"], pathlib.Path()
if "LINEAGE_SLOW" in os.environ:
    pathlib.Path(os.environ["LINEAGE_SLOW"]).touch()
    time.sleep(600)
if stage == "collect":
    (root / "data/raw").mkdir(parents=True)
    (root / "data/raw/all.txt").write_text((root / "incoming.txt").read_text())
if stage == "validate":
    shutil = __import__("shutil").copytree(root / "data/raw", root / "data/validated")
if stage == "split":
    for split, part in (("train", rows), ("test", 3)):
        folder = root / "data/splits" / split; folder.mkdir(parents=True)
        pq.write_table(pa.table({"id": [f"{split}{i}" for i in range(part)]}), folder / "part-00000.parquet")
    (root / "reports").mkdir(exist_ok=True)
    (root / "reports/split.json").write_text(json.dumps({"rows": {"train": rows, "test": 3}}))
if stage == "train":
    package = root / "models/package"; package.mkdir(parents=True)
    score = float(os.environ.get("LINEAGE_SCORE", "0.9"))
    fingerprint = hashlib.sha256(f"{rows}".encode()).hexdigest()
    (package / "model.json").write_text(json.dumps({"fingerprint": fingerprint}))
    (package / "model.pt2").write_text(f"weights {rows} {score}")
    for name in ("signature.json", "input_example.json", "requirements.txt"): (package / name).write_text("{}")
    files = {p.name: {"sha256": hashlib.sha256(p.read_bytes()).hexdigest(), "bytes": p.stat().st_size} for p in sorted(package.iterdir())}
    (package / "manifest.json").write_text(json.dumps({"files": files}))
    (root / "reports").mkdir(exist_ok=True)
    (root / "reports/evaluate.json").write_text(json.dumps({"fingerprint": fingerprint, "verdict": {"allowed": True, "reasons": []},
        "metrics": {"accuracy": score}, "score": "accuracy", "score_low": 0.85, "score_high": 0.95}))
"""

DAG = """\
stages:
  collect:
    cmd: python code/stages.py collect
    deps: [data/sources.lock, code/stages.py, incoming.txt]
    outs: [data/raw]
  validate:
    cmd: python code/stages.py validate
    deps: [data/raw, expectations/suite.yaml]
    outs: [data/validated]
  split:
    cmd: python code/stages.py split
    deps: [data/validated]
    params: [train.rows]
    outs: [data/splits]
    metrics: [reports/split.json]
  train:
    cmd: python code/stages.py train
    deps: [data/splits/train, code]
    params: [train.rows, environment.json: [numpy]]
    outs: [models/package]
    metrics: [reports/evaluate.json]
"""


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run([*GIT, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def make(settings: Settings, *, rows: int) -> None:
    """Run the stages and register what they made."""
    project = settings.project
    (project / "params.yaml").write_text(json.dumps({"train": {"rows": rows}, "register": {"model": "m"}}))
    subprocess.run(
        [BIN / "dvc", "repro", "-q"], cwd=project, check=True, env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    )
    register_package(settings, say=lambda _: None)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A project with two model versions: 5 and then 6 training records, from clean commits."""
    base = tmp_path_factory.mktemp("lineage")
    project, home = base / "project", base / "home"
    for name, text in {
        "code/stages.py": STAGES,
        "dvc.yaml": DAG,
        "params.yaml": "{}\n",
        "incoming.txt": "a\nb\n",
        "expectations/suite.yaml": "expect: nothing\n",
        "environment.json": json.dumps({"numpy": "2.0"}),
        ".gitignore": "/data/*\n!/data/sources.lock\n/models/\n/reports/\n/.headrace/\n",
    }.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    digest = subprocess.run(["sha256sum", "incoming.txt"], cwd=project, check=True, capture_output=True, text=True).stdout[:64]
    source = {"name": "incoming.txt", "url": "file:incoming.txt", "size": 4, "sha256": digest}
    (project / "data").mkdir()
    (project / "data/sources.lock").write_text(json.dumps({"sources": [{"source": {"name": "in"}, "files": [source]}]}))
    git(project, "init", "-q", "-b", "main")
    subprocess.run([BIN / "dvc", "init", "-q"], cwd=project, check=True)
    (project / ".dvc" / "config.local").write_text(f"[cache]\ndir = {home / 'dvc-cache'}\n")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "first")
    settings = Settings(project=project, home=home, mlflow_tracking_uri=None, prefect_api_url=None)
    make(settings, rows=5)
    (project / "environment.json").write_text(json.dumps({"numpy": "2.1"}))
    git(project, "commit", "-qam", "second")
    make(settings, rows=6)
    git(project, "add", "dvc.lock", "params.yaml")
    git(project, "commit", "-qm", "lock")
    return settings


@contextmanager
def changed(path: Path, content: bytes | None) -> Iterator[None]:
    """A file with other bytes, or none, and the old mode; afterwards as it was."""
    before, mode = path.read_bytes(), path.stat().st_mode
    path.unlink()
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        path.write_bytes(before)
        path.chmod(mode)


def stored(settings: Settings, name: str) -> Path:
    """A file of version 2 in the artifact store."""
    version = open_reader(store_of(settings).uri).version("m", 2)
    assert version is not None
    return Path(version.source.removeprefix("file://")) / name


def broken(edges: Iterator[Edge]) -> set[str]:
    return {edge.name for edge in edges if edge.state == "broken"}


def test_a_trace_has_every_link(recorded: Settings) -> None:
    """Inputs by DVC's digest, commit, suite, environment: on the run and on the version."""
    found = trace(store_of(recorded), "m/2", path=recorded.ledger)
    own = found["version"]["lineage"]

    assert set(found["deps"]) == {"data/splits/train", "code"}
    assert {key.removeprefix("dep."): value for key, value in own.items() if key.startswith("dep.")} == found["deps"]
    for key, value in (("suite", found["suite"]), ("environment", found["environment"]), ("git.commit", found["code"]["commit"])):
        assert value
        assert own[key] == value
    assert found["code"]["is_dirty"] is False
    assert own["dvc.lock"] == found["dvc_lock"]["sha256"]


def test_a_version_keeps_the_lock_of_its_own_time(recorded: Settings) -> None:
    """The first version's lock names 5 records' splits, although dvc.lock has moved on."""
    locks = [trace(store_of(recorded), name, path=recorded.ledger)["dvc_lock"]["stages"] for name in ("m/1", "m/2")]

    assert locks[0]["collect"] == locks[1]["collect"]
    assert locks[0]["split"] != locks[1]["split"]


def test_a_trace_imports_no_mlflow(recorded: Settings, tmp_path: Path) -> None:
    """Importing it takes as long as a trace may."""
    code = (
        "import sys; from headrace.cli.main import main\n"
        "try: main()\nfinally: print(sorted({'mlflow', 'numpy', 'scipy'} & set(sys.modules)))"
    )
    environment = {**os.environ, "HEADRACE_PROJECT": str(recorded.project), "HEADRACE_HOME": str(recorded.home)}
    command = [BIN / "python", "-c", code, "trace", "m", "--json"]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, cwd=tmp_path).stdout

    assert said.rstrip().endswith("[]")


@pytest.mark.parametrize("what", ["m", "m/1", "m/2"])
def test_an_untouched_chain_is_whole(recorded: Settings, what: str) -> None:
    """Also the older version, whose dvc.lock and environment are no longer those of the workspace."""
    edges = list(verify(recorded, what))

    assert {edge.name: edge.told for edge in edges if edge.state == "broken"} == {}
    assert {"package", "ledger", "run", "tags", "params", "suite", "stages", "code", "sources", "data/raw", "models/package"} <= {
        edge.name for edge in edges if edge.state == "ok"
    }


def test_a_run_is_verified_without_a_version(recorded: Settings) -> None:
    """What was never registered has a past too."""
    run = trace(store_of(recorded), "m/2", path=recorded.ledger)["run"]["id"]

    assert broken(verify(recorded, run)) == set()


@pytest.mark.fault
@pytest.mark.parametrize("name", ["package/model.pt2", "package/manifest.json"])
def test_a_changed_package_is_named(recorded: Settings, name: str) -> None:
    """The store's files are read again, not a copy from before."""
    with changed(stored(recorded, name), b'{"files": {}}'):
        assert broken(verify(recorded, "m/2")) == {"package"}


@pytest.mark.fault
def test_a_lost_package_is_named(recorded: Settings) -> None:
    """An edge that leads nowhere is broken."""
    with changed(stored(recorded, "package/model.json"), None):
        assert broken(verify(recorded, "m/2")) == {"package"}


@pytest.mark.fault
@pytest.mark.parametrize(
    ("name", "edges"),
    [
        ("params.yaml", {"params.yaml", "params"}),
        ("environment.json", {"environment.json", "tags", "params"}),
        ("expectations/suite.yaml", {"expectations/suite.yaml", "suite"}),
        ("data/sources.lock", {"data/sources.lock", "sources"}),
    ],
)
def test_a_changed_record_is_named(recorded: Settings, name: str, edges: set[str]) -> None:
    """By its own sha256, and by what it no longer agrees with."""
    with changed(stored(recorded, f"provenance/{name}"), b"{}\n"):
        assert broken(verify(recorded, "m/2")) == edges


@pytest.mark.fault
def test_a_rewritten_lock_is_named(recorded: Settings) -> None:
    """A lock that names another input is found by its sha256, by the tags, and by what was made of it."""
    path = stored(recorded, "provenance/dvc.lock")
    train = open_reader(store_of(recorded).uri).version("m", 2).tags["headrace.dep.data/splits/train"]
    with changed(path, path.read_bytes().replace(train.encode(), b"0" * 32 + b".dir")):
        assert broken(verify(recorded, "m/2")) == {"dvc.lock", "tags", "stages"}
    with changed(path, None):
        assert broken(verify(recorded, "m/2")) == {"dvc.lock"}


@pytest.mark.fault
@pytest.mark.parametrize("content", [b"\x00 garbage: [", b"[1, 2]", b"stages: {train: [1]}\n"])
@pytest.mark.parametrize("name", ["dvc.lock", "data/sources.lock", "params.yaml"])
def test_garbage_is_named_and_not_an_accident(recorded: Settings, name: str, content: bytes) -> None:
    """What cannot be parsed is a broken edge like any other; a trace passes over it."""
    with changed(stored(recorded, f"provenance/{name}"), content):
        assert name in broken(verify(recorded, "m/2"))
        trace(store_of(recorded), "m/2", path=recorded.ledger)


@pytest.mark.fault
def test_a_changed_tag_is_named(recorded: Settings) -> None:
    """Somebody with access to the database cannot give a model another past unnoticed."""
    import sqlite3

    path = sqlite_path(store_of(recorded).uri)
    assert path is not None
    for key, edge in (
        ("headrace.fingerprint", {"package", "run"}),
        ("headrace.environment", {"tags"}),
        ("headrace.dep.code", {"tags"}),
    ):
        with sqlite3.connect(path) as database:
            (before,) = database.execute("SELECT value FROM model_version_tags WHERE key = ? AND version = 2", (key,)).fetchone()
            database.execute("UPDATE model_version_tags SET value = 'x' WHERE key = ? AND version = 2", (key,))
        found = broken(verify(recorded, "m/2"))
        with sqlite3.connect(path) as database:
            database.execute("UPDATE model_version_tags SET value = ? WHERE key = ? AND version = 2", (before, key))
        database.close()

        assert found == edge


@pytest.mark.fault
@pytest.mark.parametrize("content", [b"x\n", None], ids=["corrupted", "missing"])
def test_a_broken_object_is_named_with_its_output(recorded: Settings, content: bytes | None) -> None:
    """DVC itself takes a corrupted object of mode 0444 for right."""
    lock = trace(store_of(recorded), "m/2", path=recorded.ledger)["dvc_lock"]["stages"]
    cache = cache_folder(recorded.project)
    listed = json.loads(cached(cache, lock["split"]["data/splits"]).read_bytes())
    with changed(cached(cache, listed[0]["md5"]), content):
        assert broken(verify(recorded, "m/2")) == {"data/splits"}


@pytest.mark.fault
def test_changed_sources_and_ledger_are_named(recorded: Settings) -> None:
    """The two ends of the chain."""
    with changed(recorded.project / "incoming.txt", b"c\n"):
        assert broken(verify(recorded, "m/2")) == {"source in"}
    recorded.ledger.write_text('{"sequence": 1}\n')
    try:
        assert broken(verify(recorded, "m/2")) == {"ledger"}
    finally:
        recorded.ledger.unlink()


@pytest.mark.fault
def test_code_that_is_not_that_of_the_commit_is_named(recorded: Settings) -> None:
    """A version that names another commit than that of the code it was made with."""
    import sqlite3

    path, key = sqlite_path(store_of(recorded).uri), "headrace.git.commit"
    first = git(recorded.project, "rev-list", "--max-parents=0", "HEAD")
    (recorded.project / "code/stages.py").write_text(STAGES + "# other\n")
    other = git(recorded.project, "stash", "create")
    git(recorded.project, "checkout", "-q", "code/stages.py")
    found = {}
    for commit in (other, first, "0" * 40):
        with sqlite3.connect(path) as database:
            database.execute("UPDATE model_version_tags SET value = ? WHERE key = ? AND version = 1", (commit, key))
        found[commit] = next(edge.state for edge in verify(recorded, "m/1") if edge.name == "code")
        database.close()

    assert found == {other: "broken", first: "ok", "0" * 40: "gone"}
    with sqlite3.connect(path) as database:
        database.execute("UPDATE model_version_tags SET value = ? WHERE key = ? AND version = 1", (first, key))
    database.close()


def run_command(recorded: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    checkout = Checkout(recorded.project, recorded.state_home)
    return subprocess.run(
        ["headrace", *arguments], cwd=recorded.project, env=checkout.environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.fault
def test_the_command_names_the_broken_edge_and_ends_with_3(recorded: Settings) -> None:
    """For a scheduled check: exit code and one line on stderr, all of it with --json."""
    with changed(stored(recorded, "provenance/params.yaml"), b"{}\n"):
        done = run_command(recorded, "verify", "m/2", "--json")

    assert done.returncode == 3
    assert done.stderr.startswith("error: m/2: not what was recorded: params.yaml, params.")
    assert json.loads(done.stdout)["is_whole"] is False


def state_of(recorded: Settings) -> dict[str, bytes]:
    """All that a reproduction may not touch."""
    kept = [recorded.project, cache_folder(recorded.project), Path(str(sqlite_path(store_of(recorded).uri)))]
    paths = [path for root in kept for path in ([root] if root.is_file() else root.rglob("*"))]
    return {str(path): path.read_bytes() for path in paths if path.is_file() and "/.git/" not in str(path)}


def test_a_run_is_reproduced_to_the_last_bit_and_nothing_is_left(recorded: Settings) -> None:
    """The older one, whose params and environment are those of its time; workspace, cache and registry stay as they are."""
    before = state_of(recorded)
    left = recorded.state_home / "reproduce" / "0123456789-1"
    left.mkdir(parents=True)
    (left / "owner.json").write_text('{"pid": 1, "started": 1.0}')  # a reproduction that was killed
    found = reproduce(recorded, "m/1", lambda _: None)

    assert (found.stages, found.outputs, found.changed, found.metrics) == (4, 6, [], {})
    assert state_of(recorded) == before
    assert git(recorded.project, "worktree", "list").count("\n") == 0
    assert list((recorded.state_home / "reproduce").iterdir()) == []


def test_what_comes_out_different_is_named(recorded: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the stage looks at something outside the project; what earlier stages made is pulled instead of made again."""
    monkeypatch.setenv("LINEAGE_SCORE", "0.91")
    said: list[str] = []
    found = reproduce(recorded, "m/2", said.append, start="train")

    assert [(each.stage, each.output) for each in found.changed] == [
        ("train", "models/package"),
        ("train", "reports/evaluate.json"),
    ]
    assert found.changed[0].files == ("manifest.json", "model.pt2")
    assert found.metrics == {"test/accuracy": (0.9, pytest.approx(0.91))}
    assert any(line.startswith("pulled") for line in said)
    assert "running split" not in said


def test_equal_bits_are_asked_only_of_the_same_class_of_machine() -> None:
    """Elsewhere the score must lie within the recorded interval."""
    values = {"test/accuracy": 0.9, "test/accuracy_low": 0.85, "test/accuracy_high": 0.95}
    common: dict[str, Any] = {"title": "m/1", "commit": "c", "is_dirty": False, "stages": 1, "outputs": 1, "changed": [None]}
    same = Reproduction(**common, machine_recorded="cpu", machine="cpu")
    other = Reproduction(**common, machine_recorded="cuda", machine="cpu")
    outside = Reproduction(**common, machine_recorded="", machine="cpu", is_within=False)

    assert [each.is_reproduced for each in (same, other, outside)] == [False, True, False]
    assert _judge(values, {"test/accuracy": 0.94})[1] is True
    assert _judge(values, {"test/accuracy": 0.84})[1] is False


def test_a_run_with_uncommitted_code_is_refused_or_said(recorded: Settings, tmp_path: Path) -> None:
    """Its commit alone does not say what ran; the recorded changes do, as far as git knew the files."""
    project, home = tmp_path / "project", tmp_path / "home"
    shutil.copytree(recorded.project, project)
    (project / ".dvc" / "config.local").write_text(f"[cache]\ndir = {home / 'dvc-cache'}\n")
    settings = Settings(project=project, home=home, mlflow_tracking_uri=None)
    (project / "code/stages.py").write_text(STAGES.replace("weights", "Weights") + "\n\n")
    make(settings, rows=5)
    assert broken(verify(settings, "m")) == set()

    with pytest.raises(ConfigError, match="--allow-dirty"):
        reproduce(settings, "m", lambda _: None)
    assert reproduce(settings, "m", lambda _: None, allow_dirty=True, start="train").changed == []


@pytest.mark.fault
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_reproduction_leaves_no_worktree_and_no_process(
    recorded: Settings, number: signal.Signals, code: int, tmp_path: Path
) -> None:
    """Ctrl-C in the middle of a stage."""
    mark = tmp_path / "mark"
    checkout = Checkout(recorded.project, recorded.state_home, {"LINEAGE_SLOW": str(mark)})
    run = checkout.start("headrace", "reproduce", "m/1")
    wait_until(mark.exists, what="a stage at work", timeout_s=120)
    (base,) = (recorded.state_home / "reproduce").glob("*-*")
    run.send_signal(number)
    assert run.wait(60) == code

    assert not base.exists()
    assert str(base) not in git(recorded.project, "worktree", "list")
    wait_until(lambda: not session(run.pid), what="the end of all processes", timeout_s=15)


def session(leader: int) -> list[int]:
    """Live processes of a session, which `start` makes for each command."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def test_two_runs_are_compared(recorded: Settings) -> None:
    """Params, records by id, packages; what is the same is not told."""
    found = difference(recorded, "m/1", "m/2")

    assert found.params == {"train.rows": ("5", "6")}
    assert set(found.rows) == {"train"}
    assert (found.rows["train"].added, found.rows["train"].removed) == (["train5"], [])
    assert found.packages == {"numpy": ("2.0", "2.1")}
    assert set(found.code) == {"commit"}
    assert found.metrics == {}


def test_records_are_counted_where_a_data_set_is_gone(recorded: Settings) -> None:
    """The reports say how many there were."""
    lock = trace(store_of(recorded), "m/1", path=recorded.ledger)["dvc_lock"]["stages"]
    with changed(cached(cache_folder(recorded.project), lock["split"]["data/splits"]), None):
        found = difference(recorded, "m/1", "m/2")

    assert (found.rows["train"].before, found.rows["train"].after, found.rows["train"].added) == (5, 6, None)
    assert "ids cannot be compared" in found.note


@pytest.mark.fault
@pytest.mark.parametrize("kind", ["refused", "silent", "database"])
def test_a_dead_store_is_known_within_seconds(kind: str) -> None:
    """A server that is gone, one that never answers, a PostgreSQL that is down: MLflow would try that for 100 s."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        if kind == "silent":
            probe.listen()
        port = probe.getsockname()[1]
        uri = f"postgresql://u:CANARY@127.0.0.1:{port}/x" if kind == "database" else f"http://127.0.0.1:{port}"
        started = time.monotonic()
        with pytest.raises(EngineError, match="Start the server") as told:
            check(uri)

    assert time.monotonic() - started < 60  # on a busy machine; MLflow itself needs more than 100 s
    assert "CANARY" not in str(told.value)


@pytest.fixture
def tiny(tmp_path: Path) -> Checkout:
    """A stage whose outputs come from DVC's cache when they are deleted; the project has a folder as its remote."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "dvc.yaml").write_text(
        'stages:\n  first: {cmd: "echo run >> ../runs; mkdir out; echo one > out/a; echo two > out/b", outs: [out]}\n'
    )
    (folder / "params.yaml").write_text("{}\n")
    (folder / ".gitignore").write_text("/out/\n/.headrace/\n")
    dvc = str(BIN / "dvc")
    for command in (["git", "init", "-q"], [dvc, "init", "-q"], [dvc, "repro", "-q"]):
        subprocess.run(command, cwd=folder, check=True)
    return Checkout(folder, tmp_path / "home")


@pytest.mark.fault
@pytest.mark.parametrize("has_remote", [True, False], ids=["remote", "alone"])
def test_a_corrupted_cache_object_is_found_before_use(tiny: Checkout, has_remote: bool, mend: Callable[[Checkout], str]) -> None:
    """It comes from the remote again, or the stage runs again: never what is in the cache."""
    if has_remote:
        for arguments in (
            ["remote", "add", "-q", "-d", "r", str(tiny.folder.parent / "remote")],
            ["remote", "modify", "r", "verify", "true"],
            ["push", "-q"],
        ):
            subprocess.run([BIN / "dvc", *arguments], cwd=tiny.folder, check=True)
    cache = cache_folder(tiny.folder)
    (entry,) = tiny.lock()["first"]["outs"]
    member = cached(cache, json.loads(cached(cache, entry["md5"]).read_bytes())[0]["md5"])
    shutil.rmtree(tiny.folder / "out")
    member.chmod(0o644)
    member.write_text("x\n")
    member.chmod(0o444)

    state = mend(tiny)

    assert (tiny.folder / "out/a").read_text() == "one\n"
    assert member.read_text() == "one\n"
    assert state == ("restored" if has_remote else "ran")
    assert (tiny.folder.parent / "runs").read_text() == "run\n" * (1 if has_remote else 2)


@pytest.mark.fault
def test_a_run_that_could_not_be_recorded_does_not_begin(tiny: Checkout) -> None:
    """With a dead MLflow it would fail after the training; also where the last one was recorded."""
    (tiny.folder / "params.yaml").write_text("evaluate: {}\n")
    steps = tiny.folder / ".headrace" / "steps.json"
    steps.parent.mkdir(exist_ok=True)
    settings = Settings(project=tiny.folder, home=tiny.home, mlflow_tracking_uri="http://127.0.0.1:9")
    steps.write_text(json.dumps({"record": {"key": _outcome_key(settings), "headline": "done"}}))
    tiny.variables["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"
    (tiny.folder / "dvc.yaml").write_text("stages:\n  other: {cmd: touch ../began}\n")

    done = tiny.headrace("run", code=8)

    assert "MLflow at http://127.0.0.1:9 failed" in done.stderr
    assert "HEADRACE_TRACKING=false" in done.stderr
    assert not (tiny.folder.parent / "began").exists()


@pytest.fixture
def mend() -> Callable[[Checkout], str]:
    """`headrace run` without Prefect: the launcher and a run of the flow's own."""

    def run(tiny: Checkout) -> str:
        from headrace.flow.run import open_run

        with open_run(Settings(project=tiny.folder, home=tiny.home)) as opened:
            opened.look()
            (stage,) = opened.plan.stages
            return opened.execute(stage, lambda _: None).state.value

    return run
