"""A real MLflow server for the whole session, its database migrated once; packages with a real exported program."""

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.services import ensure_swift
from tests.sites import Site, ended, make_site

from headrace.dataset.shards import ShardWriter
from headrace.settings import MLFLOW_DEFAULTS, TELEMETRY_OFF
from headrace.tracking.runs import Store
from headrace.tracking.store import prepare
from headrace.training.export import export_program

CLASSES, SHAPE = 3, (4, 4, 1)


@pytest.fixture(autouse=True)
def _quiet_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**TELEMETRY_OFF, **MLFLOW_DEFAULTS}.items():
        monkeypatch.setenv(name, value)


@dataclass
class Server:
    """An `mlflow server` process that a test may kill and start again."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        prepare(f"sqlite:///{self.folder / 'mlflow.db'}")
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.folder / 'mlflow.db'}"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        # Its job workers are processes of their own that nothing here uses, and they outlive a killed server.
        environment = {**os.environ, **TELEMETRY_OFF, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        log = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, env=environment, start_new_session=True)
        log.close()
        limit = time.monotonic() + 120
        while time.monotonic() < limit and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        raise RuntimeError((self.folder / "server.log").read_text()[-2000:])

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("mlflow-server"), _free_port())
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def services_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One project with servers for the modules of the group `services`; whoever needs them calls `up`."""
    made = make_site(tmp_path_factory.mktemp("site"), HEADRACE_OBJECT_STORE_ENVIRONMENT=str(ensure_swift()))
    with ended(made):
        yield made


@pytest.fixture
def sqlite_store(tmp_path: Path) -> Store:
    return Store(f"sqlite:///{tmp_path / 'mlflow.db'}", "project", (tmp_path / "mlartifacts").as_uri())


@pytest.fixture(params=["sqlite", "server"])
def store(request: pytest.FixtureRequest) -> Store:
    """Both kinds of store; each test has an experiment and a model of its own."""
    if request.param == "sqlite":
        found: Store = request.getfixturevalue("sqlite_store")
        return found
    server: Server = request.getfixturevalue("mlflow_server")
    return Store(server.uri, f"project-{request.node.name}")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `.pt2` that says class i where the first pixel is i, with inputs uint8 (N, 4, 4, 1)."""
    import torch

    class FirstPixel(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.one_hot(x[:, 0, 0, 0].long() % CLASSES, CLASSES).float() * 0.97 + 0.01

    path = tmp_path_factory.mktemp("program") / "model.pt2"
    example = torch.zeros((2, *SHAPE), dtype=torch.uint8)
    path.write_bytes(export_program(FirstPixel().eval(), example, name="first pixel"))
    return path


@pytest.fixture
def make_package(tmp_path: Path, program: Path) -> Callable[..., Path]:
    """Package folders as `package` writes them; `name` makes their digests differ."""

    def make(name: str = "package", **model: object) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        shutil.copyfile(program, folder / "model.pt2")
        card = {
            "format": 1,
            "task": "image_classification",
            "classes": [f"c{index}" for index in range(CLASSES)],
            "record": {"payload": "image", "shape": list(SHAPE), "dtype": "uint8"},
            "fingerprint": hashlib.sha256(name.encode()).hexdigest(),
            **model,
        }
        (folder / "model.json").write_text(json.dumps(card))
        (folder / "README.md").write_text(f"# {name}\n")
        for file in ("signature.json", "input_example.json"):
            (folder / file).write_text("{}")
        (folder / "requirements.txt").write_text("torch==2.13.0\nnumpy\n")
        files = {
            path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
            for path in sorted(folder.iterdir())
        }
        (folder / "manifest.json").write_text(json.dumps({"files": files}))
        return folder

    return make


@dataclass
class Splits:
    """data/splits of tiny images whose first pixel says what the program answers."""

    folder: Path
    ids: dict[str, list[str]]


@pytest.fixture
def make_splits(tmp_path: Path) -> Callable[..., Splits]:
    """Train, validation and test of given sizes; record i of the test split is answered right unless i is in `wrong`."""

    def make(name: str = "splits", *, test: int = 60, wrong: frozenset[int] = frozenset(), seed: str = "") -> Splits:
        ids: dict[str, list[str]] = {}
        for split, rows in (("train", 20), ("validation", 10), ("test", test)):
            ids[split] = sorted(hashlib.sha256(f"{seed}{split}{row}".encode()).hexdigest()[:32] for row in range(rows))
            labels = np.arange(rows) % CLASSES
            pixels = np.zeros((rows, *SHAPE), dtype=np.uint8)
            answers = np.array([(label + 1) % CLASSES if row in wrong else label for row, label in enumerate(labels)])
            pixels[:, 0, 0, 0] = answers
            kind = pa.fixed_shape_tensor(pa.uint8(), SHAPE)
            flat = pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), int(np.prod(SHAPE)))
            columns = {"id": ids[split], "image": pa.ExtensionArray.from_storage(kind, flat), "label": labels}
            columns |= {key: [""] * rows for key in ("split", "source", "origin", "fault")}
            table = pa.table(columns)
            record = {"payload": "image", "shape": list(SHAPE), "dtype": "uint8"}
            classes = [f"c{index}" for index in range(CLASSES)]
            task = "image_classification"
            with ShardWriter(tmp_path / name / split, table.schema, task=task, classes=classes, record=record) as writer:
                writer.write(table)
        return Splits(tmp_path / name, ids)

    return make


@pytest.fixture
def write_predictions(tmp_path: Path) -> Callable[..., Path]:
    """reports/predictions.parquet for the test ids, right everywhere but at the rows in `wrong`."""

    def write(splits: Splits, *, wrong: frozenset[int] = frozenset(), name: str = "predictions.parquet") -> Path:
        ids = splits.ids["test"]
        labels = np.arange(len(ids)) % CLASSES
        answers = np.array([(label + 1) % CLASSES if row in wrong else label for row, label in enumerate(labels)])
        probabilities = np.eye(CLASSES, dtype=np.float32)[answers] * 0.97 + 0.01
        path = tmp_path / name
        values = pa.FixedSizeListArray.from_arrays(pa.array(probabilities.reshape(-1)), CLASSES)
        table = pa.table({"id": ids, "split": ["test"] * len(ids), "label": labels, "probabilities": values})
        pq.write_table(table, path, write_page_checksum=True)
        return path

    return write
