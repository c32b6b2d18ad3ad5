"""The MLflow run of a trained candidate: one per fingerprint, found again by it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.tracking.facts import (
    DUPLICATE_TAG,
    FINGERPRINT_TAG,
    MAX_DIGEST_CHARS,
    RESTORED_TAG,
    RunFacts,
    flatten,
    run_name,
    tags,
)
from headrace.tracking.secrets import strip_secrets

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

BATCH = 100
"""MLflow takes 1000 metrics, but only 100 params and 100 tags, in one call."""


@dataclass(frozen=True, slots=True)
class Store:
    """Where runs are recorded."""

    uri: str
    experiment: str
    artifact_location: str | None = None
    """For a new experiment in a database file; None leaves it to the server."""


def find_run(client: "MlflowClient", experiment: str, fingerprint: str) -> "Run | None":
    """The run of a fingerprint in an experiment (id); the oldest when a race made two."""
    runs = client.search_runs([experiment], f"tags.`{FINGERPRINT_TAG}` = '{fingerprint}'", max_results=100)
    own = [run for run in runs if DUPLICATE_TAG not in run.data.tags]
    return min(own, key=lambda run: (run.info.start_time, run.info.run_id), default=None)


def open_run(client: "MlflowClient", experiment: str, fingerprint: str, facts: RunFacts, *, is_restored: bool = False) -> "Run":
    """Find the run of a fingerprint, or make it with all its facts.

    Facts are written before anything else is, and only those that are missing: a run cut off half-way is completed, and a param
    that has changed since (it cannot be one that the fingerprint covers) stays as it was at training, with a tag that says so.
    """
    run = find_run(client, experiment, fingerprint)
    if run is None:
        made = client.create_run(experiment, run_name=run_name(facts, fingerprint), tags={FINGERPRINT_TAG: fingerprint})
        run = find_run(client, experiment, fingerprint) or made
        if run.info.run_id != made.info.run_id:
            client.set_tag(made.info.run_id, DUPLICATE_TAG, run.info.run_id)
            client.set_terminated(made.info.run_id, "KILLED")
        elif is_restored:
            client.set_tag(run.info.run_id, RESTORED_TAG, "true")
    _complete(client, run, fingerprint, facts)
    return run


def _complete(client: "MlflowClient", run: "Run", fingerprint: str, facts: RunFacts) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag

    run_id = run.info.run_id
    flat = flatten(facts.params)
    missing = [Param(key, value) for key, value in flat.items() if key not in run.data.params]
    first = [
        RunTag(key, value) for key, value in tags(facts, fingerprint).items() if key not in run.data.tags or not run.data.params
    ]
    changed = sorted(key for key, value in flat.items() if run.data.params.get(key, value) != value)
    if changed:
        text = "; ".join(f"{key}: {run.data.params[key]} -> {flat[key]}" for key in changed)[:5000]
        if run.data.tags.get("headrace.params_since") != text:
            first.append(RunTag("headrace.params_since", text))
    for start in range(0, max(len(missing), len(first)), BATCH):
        client.log_batch(run_id, params=missing[start : start + BATCH], tags=first[start : start + BATCH])
    there = {(each.dataset.name, each.dataset.digest) for each in run.inputs.dataset_inputs} if run.inputs else set()
    datasets = [
        DatasetInput(
            Dataset(name=each.name, digest=each.digest[:MAX_DIGEST_CHARS], source_type="dvc", source=strip_secrets(each.source)),
            [InputTag("mlflow.data.context", "training")],
        )
        for each in facts.inputs
        if (each.name, each.digest[:MAX_DIGEST_CHARS]) not in there
    ]
    if datasets:
        client.log_inputs(run_id, datasets)
