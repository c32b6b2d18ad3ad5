"""Record a training while it runs: metrics go to a spool, and from there to the run of its fingerprint.

The training process never waits for MLflow: importing it (1.3 s), finding the run and sending happen in a thread of their own.
"""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from headrace.errors import HeadraceError
from headrace.tracking.facts import RunFacts
from headrace.tracking.runs import Store, open_run
from headrace.tracking.secrets import strip_secrets
from headrace.tracking.spool import Spool, SpoolReader, waiting
from headrace.tracking.store import check, connect, experiment_id, service_errors

SEND_EVERY_S = 2.0
RETRY_EVERY_S = 20.0
END_ATTEMPTS, END_PAUSE_S = 3, 1.0
"""A database that is locked for a moment is worth asking again at the end; a server that is gone is known at once."""

END_LIMIT_S = 20.0
"""How long the end of a training waits for the last metrics; what is not sent then stays in the spool."""

_STATUS = {"finished": "FINISHED", "failed": "FAILED", "killed": "KILLED"}


class MlflowTracker:
    """Record a training in MLflow: the `Tracker` of `headrace.listening`. Its failures are said once and stop nothing.

    Args:
        store: of the run.
        facts: what the run carries besides metrics.
        spool: folder of unsent metrics.
        say: prints one line for the person at the terminal.
        patience_s: how long nothing is sent: importing MLflow takes two seconds of a core, half of what a small training costs.
        is_followed: whether somebody replays the spool after the training; one that ends within its patience is left to them.
    """

    def __init__(
        self,
        store: Store,
        facts: RunFacts,
        *,
        spool: Path,
        say: Callable[[str], None],
        patience_s: float = 0.0,
        is_followed: bool = False,
    ) -> None:
        self._store, self._facts, self._folder, self._say = store, facts, spool, say
        self._patience_s, self._is_followed = patience_s, is_followed
        self._spool: Spool | None = None
        self._sender: _Sender | None = None

    def begin(self, fingerprint: str, params: Mapping[str, object]) -> int:
        """Open the spool and start sending. The run is looked up in the background, so the answer is always -1.

        Steps the run already has are dropped on the way, metric by metric: a resumed training may log them again.
        """
        facts = self._facts
        if params and "train" not in facts.params:
            facts = RunFacts.from_json({**facts.to_json(), "params": {**facts.params, "train": dict(params)}})
        spool = Spool(self._folder, fingerprint)
        try:
            if not spool.open():
                self._say(f"Another process records training {fingerprint[:10]}; this one is not recorded.")
                return -1
            spool.begin(facts)
        except OSError as error:
            self._say(f"Metrics are not recorded: {spool.path} cannot be written ({error.strerror}).")
            return -1
        self._spool = spool
        self._sender = _Sender(self._store, spool, self._say, patience_s=self._patience_s, is_followed=self._is_followed)
        self._sender.start()
        return -1

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append to the spool: microseconds, no network."""
        if self._spool is not None:
            self._guarded(lambda spool: spool.metrics(step, _now_ms(), {name: float(value) for name, value in metrics.items()}))

    def end(self, status: str = "finished") -> None:
        """Send what is left, for at most 20 s; the rest stays in the spool for `replay`."""
        if self._spool is None or self._sender is None:
            return
        self._guarded(lambda spool: spool.end(status, _now_ms()))
        self._sender.finish()
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _guarded(self, write: Callable[[Spool], None]) -> None:
        if self._spool is None:
            return
        try:
            write(self._spool)
        except OSError as error:
            self._say(f"Metrics from here on are not recorded: {self._spool.path} cannot be written ({error.strerror}).")
            self._spool.close()
            self._spool = None


def replay(store: Store, spool: Path, *, say: Callable[[str], None]) -> int:
    """Send what earlier trainings could not; returns the number of trainings sent. The server must answer.

    Raises:
        EngineError: it does not.
    """
    sent = 0
    for each in waiting(spool):
        try:
            run = _Run(store, each.fingerprint)
            reader = SpoolReader(each.path)
            while _send_some(run, reader):
                pass
            run.close_unended()
            each.remove()
            sent += 1
        finally:
            each.close()
    if sent:
        say(f"Sent the kept metrics of {sent} earlier training{'s' if sent > 1 else ''} to MLflow.")
    return sent


class _Run:
    """The run that a spool is sent to, and the last step of each metric it has."""

    def __init__(self, store: Store, fingerprint: str) -> None:
        check(store.uri)
        self._client = connect(store.uri)
        self._uri, self._fingerprint = store.uri, fingerprint
        self._run_id = ""
        self._is_ended = False
        with service_errors(store.uri):
            self._experiment = experiment_id(self._client, store.experiment, store.artifact_location)
        self._last: dict[str, int] | None = None

    def send(self, lines: list[dict[str, Any]]) -> None:
        """Send spool lines in order; nothing is sent twice, also when the answer to a call got lost."""
        with service_errors(self._uri):
            try:
                self._send(lines)
            except BaseException:
                self._last = None
                raise

    def _send(self, lines: list[dict[str, Any]]) -> None:
        from mlflow.entities import Metric

        batch: list[Metric] = []
        status: tuple[str, int] | None = None
        for line in lines:
            if "begin" in line:
                run = open_run(self._client, self._experiment, self._fingerprint, RunFacts.from_json(line["begin"]))
                self._run_id, self._is_ended = run.info.run_id, False
                if run.info.status != "RUNNING":
                    self._client.update_run(self._run_id, status="RUNNING")
            elif "metrics" in line and self._run_id:
                for key, value in line["metrics"].items():
                    if line["step"] > self._steps().get(key, -1):
                        batch.append(Metric(key, float(value), line["time"], line["step"]))
                        self._steps()[key] = line["step"]
            elif "end" in line:
                status = (_STATUS.get(line["end"], "FAILED"), line["time"])
        for start in range(0, len(batch), 1000):
            self._client.log_batch(self._run_id, metrics=batch[start : start + 1000])
        if status is not None and self._run_id:
            self._client.set_terminated(self._run_id, status[0], status[1])
            self._is_ended = True

    def close_unended(self) -> None:
        """The process that wrote the spool is gone without a word: it was killed."""
        if self._run_id and not self._is_ended:
            with service_errors(self._uri):
                self._client.set_terminated(self._run_id, "KILLED")

    def _steps(self) -> dict[str, int]:
        if self._last is None:
            # The message form is the public view that has steps; `data.metrics` has values only.
            latest = self._client.get_run(self._run_id).data.to_proto().metrics
            self._last = {metric.key: metric.step for metric in latest}
        return self._last


def _send_some(run: _Run, reader: SpoolReader) -> bool:
    lines, position = reader.read()
    if not lines:
        return False
    run.send(lines)
    reader.advance(position)
    return True


class _Sender(threading.Thread):
    """Sends a spool while it grows."""

    def __init__(self, store: Store, spool: Spool, say: Callable[[str], None], *, patience_s: float, is_followed: bool) -> None:
        super().__init__(name="mlflow-sender", daemon=True)
        self._patience_s, self._is_followed, self._is_left = patience_s, is_followed, False
        self._store, self._spool, self._say = store, spool, say
        self._reader = SpoolReader(spool.path)
        self._ending = threading.Event()
        self._is_complete = self._was_said = False
        self._reason = "MLflow did not answer in time."

    def run(self) -> None:
        self._is_left = self._ending.wait(self._patience_s) and self._is_followed
        if self._is_left:
            return
        run: _Run | None = None
        attempts = END_ATTEMPTS
        while attempts:
            is_last = self._ending.is_set()
            pause = SEND_EVERY_S
            try:
                run = run or _Run(self._store, self._spool.fingerprint)
                while _send_some(run, self._reader):
                    pass
                if is_last:
                    self._is_complete = True
                    return
            except HeadraceError as error:
                pause = RETRY_EVERY_S
                self._reason = str(error)
            except Exception as error:  # noqa: BLE001  # a listener must not end a training, whatever MLflow raises
                pause = RETRY_EVERY_S
                self._reason = f"MLflow failed: {strip_secrets(str(error))[:300]}"
            if is_last:
                attempts -= 1
                time.sleep(END_PAUSE_S if attempts else 0)
            else:
                if pause == RETRY_EVERY_S:
                    self._say_once()
                self._ending.wait(pause)

    def finish(self) -> None:
        """Send the rest and remove the spool; gives up after END_LIMIT_S."""
        self._ending.set()
        self.join(END_LIMIT_S)
        if self._is_complete:
            self._spool.remove()
        elif not self._is_left:
            self._say_once()

    def _say_once(self) -> None:
        if not self._was_said:
            self._was_said = True
            self._say(f"{self._reason} Training goes on; metrics are kept in {self._spool.path} and sent by the next run.")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
