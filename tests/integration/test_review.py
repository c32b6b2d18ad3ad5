"""`headrace ci` on bare clones of a small DVC project: real git remotes, real DVC, a real bucket."""

import functools
import hashlib
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.projects import BIN, Checkout
from tests.remotes import Remote, git, make_remote
from tests.services import ObjectStore

from headrace.project.review_page import MARK

DAG = """stages:
  make:
    cmd: python make.py
    deps: [make.py]
    params: [rows]
    outs: [data/many]
    metrics: [reports/evaluate.json]
    plots: []
  use:
    cmd: mkdir -p out && cat data/many/part/* > out/use && python curve.py
    deps: [data/many/part, data/many/dataset.json, curve.py]
    outs: [out/use, reports/history.csv]
plots:
  - Loss over epochs:
      template: simple
      x: {reports/history.csv: epoch}
      y: {reports/history.csv: loss}
      x_label: Epoch
"""
MAKE = """import json, pathlib, re
rows = int(re.search(r"rows: (\\d+)", open("params.yaml").read())[1])
many = pathlib.Path("data/many/part")
many.mkdir(parents=True, exist_ok=True)
for row in range(rows):
    (many / f"{row}.txt").write_text(f"row {row}\\n")
(many.parent / "dataset.json").write_text(json.dumps({"rows": rows, "by_class": {"a": rows - 1, "b": 1}}))
pathlib.Path("reports").mkdir(exist_ok=True)
verdict = {"allowed": rows > 2, "better": False, "reasons": []}
pathlib.Path("reports/evaluate.json").write_text(json.dumps({"accuracy": 1 - 1 / rows, "verdict": verdict, "same": 5}))
"""
CURVE = """import pathlib
rows = len(list(pathlib.Path("data/many/part").iterdir()))
pathlib.Path("reports/history.csv").write_text("epoch,loss\\n" + "".join(f"{e},{rows / e}\\n" for e in range(1, 6)))
"""
FILES = {
    "dvc.yaml": DAG, "make.py": MAKE, "curve.py": CURVE, "params.yaml": "rows: 3\n", ".dvcignore": "",
    ".gitignore": "/out/\n/.headrace/\n/data/\n/reports/\n", ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
}  # fmt: skip


def run(checkout: Checkout, branch: str, **files: str) -> None:
    """Edit, run, push the objects and the branch."""
    git(checkout.folder, "checkout", "-q", "-B", branch)
    for name, text in files.items():
        (checkout.folder / name.replace("_", ".")).write_text(text)
    checkout.run(str(BIN / "dvc"), "repro", "-q")
    checkout.run(str(BIN / "dvc"), "push", "-q")
    git(checkout.folder, "add", "-A")
    git(checkout.folder, "commit", "-q", "-m", branch)
    git(checkout.folder, "push", "-q", "origin", branch)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Remote:
    """Branches: main (3 rows), more (5), edited (and not run since). Objects in a folder: quick."""
    folder = tmp_path_factory.mktemp("review")
    (folder / "objects").mkdir()
    config = f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {folder / 'objects'}\n    verify = true\n"
    remote = make_remote(folder / "remote.git", {**FILES, ".dvc/config": config})
    work = Checkout(remote.clone(folder / "work"), folder / "home")
    run(work, "main")
    run(work, "more", params_yaml="rows: 5\n")
    git(work.folder, "checkout", "-q", "-b", "edited")
    (work.folder / "curve.py").write_text(f"{CURVE}\n")
    git(work.folder, "commit", "-q", "-a", "-m", "Edit")
    git(work.folder, "push", "-q", "origin", "edited")
    return remote


@pytest.fixture
def bare(remote: Remote, tmp_path: Path) -> Callable[[str], Checkout]:
    """A checkout as CI makes one: shallow, of one branch, without any output."""

    def make(branch: str) -> Checkout:
        folder = remote.clone(tmp_path / "ci", "--depth", "1", "--branch", branch)
        return Checkout(folder, tmp_path / "home", {"GITHUB_BASE_REF": "main"})

    return make


def test_a_branch_that_was_run_and_pushed_is_fit_to_merge(bare: Callable[[str], Checkout]) -> None:
    """In a shallow clone without any output; what differs is read object by object."""
    ci = bare("more")
    summary = ci.folder.parent / "summary.md"
    ci.variables["GITHUB_STEP_SUMMARY"] = str(summary)

    done = ci.headrace("ci")

    page = (ci.folder / ".headrace" / "ci" / "review.md").read_text()
    assert page.startswith(f"{MARK}\n## Headrace: fit to merge against `main`")
    assert "fit to merge: dvc.lock is up to date; the remote storage has all 10 objects" in done.stdout
    assert "| evaluate.accuracy | 0.6667 | 0.8 | +0.1333 |" in page
    assert "| rows | 3 | 5 | +2 |" in page
    assert "| data/many | 3 | 5 | +2 |" in page
    assert "| data/many, class a | 2 | 4 | +2 |" in page
    assert "the gate of `evaluate` allows the candidate" in page
    assert "<details><summary>1 metrics are the same</summary>" in page
    assert 'x-axis "Epoch" 1 --> 5' in page
    assert page.count("  line [") == 2
    assert summary.read_text() == page
    assert not (ci.folder / "data").exists(), "nothing was pulled"


@pytest.mark.fault
def test_a_forgotten_push_is_found(bare: Callable[[str], Checkout]) -> None:
    """It works on the machine that has the cache, and nowhere else."""
    ci = bare("more")
    (ci.folder / "elsewhere").mkdir()
    (ci.folder / ".dvc" / "config.local").write_text(f"['remote \"storage\"']\n    url = {ci.folder / 'elsewhere'}\n")

    done = ci.headrace("ci", "--out", "review", code=10)

    assert "the remote storage lacks" in done.stderr
    assert "headrace push" in done.stderr
    page = (ci.folder / "review" / "review.md").read_text()
    assert "## Headrace: not fit to merge" in page
    assert "- reports/evaluate.json (make): missing" in page


@pytest.mark.fault
def test_a_stale_lock_is_found_without_any_output(bare: Callable[[str], Checkout]) -> None:
    """Somebody edited a script after the run: the lock is of another branch than this one."""
    ci = bare("edited")

    done = ci.headrace("ci", "--json", code=10)

    found = json.loads(done.stdout)
    assert found["stale"] == {"use": ["curve.py modified"]}
    assert found["missing"] == []
    assert "dvc.lock is stale (use): headrace run; git add dvc.lock" in done.stderr


@pytest.mark.fault
def test_entries_that_were_never_made_together_are_found(bare: Callable[[str], Checkout]) -> None:
    """A merge took one stage from each side: each entry is right by itself, and no run has made them both."""
    ci = bare("more")
    lock = ci.folder / "dvc.lock"
    git(ci.folder, "fetch", "-q", "--depth", "1", "origin", "main")
    mains = git(ci.folder, "show", "FETCH_HEAD:dvc.lock")
    lock.write_text(lock.read_text().partition("  use:")[0] + "  use:" + mains.partition("  use:")[2] + "\n")

    found = json.loads(ci.headrace("ci", "--json", code=10).stdout)

    # The part of a folder has DVC's own digest, though neither folder is here.
    assert found["stale"] == {
        "use": [
            "data/many/dataset.json is recorded otherwise than make made it",
            "data/many/part is recorded otherwise than make made it",
        ]
    }


@pytest.mark.fault
def test_a_lock_that_cannot_be_read_is_named(bare: Callable[[str], Checkout]) -> None:
    ci = bare("more")
    (ci.folder / "dvc.lock").write_text("<<<<<<< HEAD\n")

    done = ci.headrace("ci", code=2)

    assert "dvc.lock" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_branch_to_compare_with_the_checks_remain(bare: Callable[[str], Checkout]) -> None:
    """A checkout without its remote, as of an archive."""
    ci = bare("more")
    git(ci.folder, "remote", "remove", "origin")
    ci.variables["GITHUB_BASE_REF"] = ""

    done = ci.headrace("ci")

    assert "no branch to compare with" in done.stderr
    assert "metrics</summary>" in (ci.folder / ".headrace" / "ci" / "review.md").read_text()
    assert "'v9' is no branch" in ci.headrace("ci", "--against", "v9", code=2).stderr


@pytest.mark.fault
def test_with_only_a_bucket(object_store: ObjectStore, tmp_path: Path) -> None:
    """Keys from the environment, objects from the bucket, a deleted one found by its output's name."""
    bucket = object_store.make_bucket()
    config = (
        f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = s3://{bucket}/team\n"
        f"    endpointurl = {object_store.endpoint}\n    verify = true\n"
    )
    remote = make_remote(tmp_path / "remote.git", {**FILES, ".dvc/config": config})
    work = Checkout(remote.clone(tmp_path / "work"), tmp_path / "work-home", object_store.variables)
    run(work, "main")
    ci = Checkout(remote.clone(tmp_path / "ci", "--depth", "1"), tmp_path / "home", object_store.variables)

    assert f"s3://{bucket}/team has all 8 objects" in ci.headrace("ci").stdout
    assert "evaluate.accuracy" in (ci.folder / ".headrace" / "ci" / "review.md").read_text()

    md5 = subprocess.run(["md5sum", work.folder / "out" / "use"], capture_output=True, text=True, check=True).stdout[:32]
    object_store.client().delete_object(Bucket=bucket, Key=f"team/files/md5/{md5[:2]}/{md5[2:]}")

    found = json.loads(ci.headrace("ci", "--json", code=10).stdout)
    assert found["missing"] == ["out/use (use): missing, the bucket does not list it"]


@pytest.mark.fault
def test_a_remote_of_any_kind_is_asked(remote: Remote, bare: Callable[[str], Checkout], tmp_path: Path) -> None:
    """By DVC, with what its plugins know: here a web server."""
    objects = tmp_path / "objects"
    shutil.copytree(remote.folder.parent / "objects", objects)
    ci = bare("more")
    with web(objects) as url:
        (ci.folder / ".dvc" / "config.local").write_text(f"['remote \"storage\"']\n    url = {url}\n")

        assert "the remote storage has all 10 objects" in ci.headrace("ci").stdout
        assert "| evaluate.accuracy | 0.6667 | 0.8 | +0.1333 |" in (ci.folder / ".headrace" / "ci" / "review.md").read_text()

        use = b"".join(b"row %d\n" % row for row in range(5))
        md5 = hashlib.md5(use, usedforsecurity=False).hexdigest()
        (objects / "files" / "md5" / md5[:2] / md5[2:]).unlink()
        found = json.loads(ci.headrace("ci", "--json", code=10).stdout)
        assert found["missing"] == ["out/use (use): missing"]

    assert "the remote cannot be asked: " in ci.headrace("ci", code=8).stderr


@contextmanager
def web(folder: Path) -> Iterator[str]:
    """A folder behind HTTP."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_project_whose_lock_is_on_the_state_branch_only_has_nothing_to_check(bare: Callable[[str], Checkout]) -> None:
    """A change of code there is for the next scheduled run; a lock that a branch deletes is another matter."""
    ci = bare("main")
    git(ci.folder, "rm", "-q", "dvc.lock")
    git(ci.folder, "commit", "-q", "-m", "Without")

    assert "there is no dvc.lock to review" in ci.headrace("ci", code=2).stderr
    assert "nothing to check: git has no dvc.lock" in ci.headrace("ci", "--against", "HEAD").stdout
    assert "## Headrace: nothing to check" in (ci.folder / ".headrace" / "ci" / "review.md").read_text()
