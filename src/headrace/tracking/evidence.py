"""What the DAG found out about a candidate, recorded in its run after the DAG: final metrics, figures, and what reproduces it."""

import csv
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import DataError
from headrace.fingerprint import file_sha256, value_sha256
from headrace.tracking.facts import RESTORED_TAG, SHA256_TAG, RunFacts
from headrace.tracking.runs import Store, find_run, open_run
from headrace.tracking.secrets import strip_secrets
from headrace.tracking.store import check, connect, experiment_id, service_errors
from headrace.tracking.tracker import replay

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PROVENANCE = "provenance"
"""Folder of a run's artifacts, and of a registered model's files, with what reproduces it."""

ARTIFACTS_TAG = "headrace.artifacts"
"""Digest of all artifacts: equal means that nothing has to be sent."""


def record_evaluation(
    store: Store,
    facts: RunFacts,
    fingerprint: str,
    *,
    evaluate: Mapping[str, Any],
    files: Mapping[str, Path],
    texts: Mapping[str, str],
    history: Path,
    spool: Path,
    say: Callable[[str], None],
) -> str:
    """Bring the run of a trained candidate up to date with the reports and return its id; the second call changes nothing.

    A store that has never seen the training (a fresh server, outputs restored from the cache) gets a run tagged as restored,
    with the learning curves of `history`.

    Args:
        store: of the run.
        facts: what a run carries; used when it has to be made.
        fingerprint: of the trained candidate, from model.json.
        evaluate: reports/evaluate.json as read.
        files: artifact path to file; text files are recorded without URL credentials.
        texts: artifact path to text: lock entries, the diff.
        history: reports/plots/train/history.csv, one row per epoch; may be missing.
        spool: folder of metrics that could not be sent while training; they go first.
        say: prints one line.

    Raises:
        EngineError: MLflow does not answer.
        DataError: the history cannot be understood.
    """
    check(store.uri)
    client = connect(store.uri)
    replay(store, spool, say=say)
    with service_errors(store.uri):
        experiment = experiment_id(client, store.experiment, store.artifact_location)
        run = find_run(client, experiment, fingerprint)
        if run is None or RESTORED_TAG in run.data.tags:
            run = open_run(client, experiment, fingerprint, facts, is_restored=True)
            _log_curves(client, run, history)
            client.set_terminated(run.info.run_id, "FINISHED")
        else:
            run = open_run(client, experiment, fingerprint, facts)
        _log_values(client, run, evaluation_values(evaluate))
        _log_artifacts(client, run, files, texts)
    return str(run.info.run_id)


def evaluation_values(evaluate: Mapping[str, Any]) -> dict[str, float]:
    """Final metrics of a run, named alike in every recipe: test/<metric>, baseline/<score> of the best one, gate/allowed."""
    found = {f"test/{name}": value for name, value in evaluate.get("metrics", {}).items()}
    score = evaluate.get("score")
    if score:
        found |= {f"test/{score}_low": evaluate.get("score_low"), f"test/{score}_high": evaluate.get("score_high")}
    for best in list(evaluate.get("comparison") or [])[:1]:
        found |= {f"baseline/{score}": best.get("score"), f"baseline/{score}_difference": best.get("difference")}
    verdict = evaluate.get("verdict", {})
    found |= {f"gate/{name}": float(verdict[name]) for name in ("allowed", "better") if name in verdict}
    # An undefined metric is left out: MLflow would sort it as a number.
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float) and math.isfinite(value)}


def _log_values(client: "MlflowClient", run: "Run", values: Mapping[str, float]) -> None:
    from mlflow.entities import Metric

    now = time.time_ns() // 1_000_000
    changed = [Metric(name, value, now, 0) for name, value in values.items() if run.data.metrics.get(name) != value]
    if changed:
        client.log_batch(run.info.run_id, metrics=changed)


def _log_curves(client: "MlflowClient", run: "Run", history: Path) -> None:
    """Log learning curves from the table that `train` wrote, where the run has none, named as in a live training."""
    from mlflow.entities import Metric

    if not history.exists() or any(name.startswith("epoch/") for name in run.data.metrics):
        return
    points: list[Metric] = []
    try:
        with history.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                epoch = int(row["epoch"])
                for name, cell in row.items():
                    if name != "epoch" and cell:
                        points.append(Metric(f"epoch/{name}", float(cell), run.info.start_time + epoch, epoch))
    except (KeyError, ValueError, TypeError) as error:
        raise DataError(f"{history} is not a table of epochs and numbers ({error}). Rerun `train`.") from None
    for start in range(0, len(points), 1000):
        client.log_batch(run.info.run_id, metrics=points[start : start + 1000])


def _log_artifacts(client: "MlflowClient", run: "Run", files: Mapping[str, Path], texts: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    present = {name: path for name, path in files.items() if path.is_file()}
    digest = value_sha256({**{name: file_sha256(path) for name, path in present.items()}, **texts})
    if run.data.tags.get(ARTIFACTS_TAG) == digest:
        return
    with tempfile.TemporaryDirectory(prefix="headrace-") as temporary:
        folder = Path(temporary)
        for name, path in present.items():
            _write(folder / name, path.read_bytes())
        for name, text in texts.items():
            _write(folder / name, text.encode())
        client.log_artifacts(run.info.run_id, temporary)
        kept = folder / PROVENANCE
        digests = {path.relative_to(kept).as_posix(): file_sha256(path) for path in sorted(kept.rglob("*")) if path.is_file()}
        client.log_batch(run.info.run_id, tags=[RunTag(f"{SHA256_TAG}{name}", sha256) for name, sha256 in digests.items()])
    # Last, so that an upload cut short is done again.
    client.set_tag(run.info.run_id, ARTIFACTS_TAG, digest)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(public(content))


def public(content: bytes) -> bytes:
    """What may be stored where others read: text is freed of URL credentials, anything else is left alone."""
    try:
        return strip_secrets(content.decode("utf-8")).encode()
    except UnicodeDecodeError:
        return content
