"""Who is champion: the challenger is compared with the champion on the same records, and takes its place when it passes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.dataset.schema import read_info
from headrace.errors import RegistryError
from headrace.evaluation.scores import Scores
from headrace.evaluation.significance import paired_bootstrap
from headrace.registry.champions import crown, finish_interrupted, history
from headrace.registry.conditions import over_limits, worse_elsewhere
from headrace.registry.counting import ask, count
from headrace.registry.judgement import Measured, PromoteParams, Promotion, judge
from headrace.registry.packages import TRAINED_IDS, Package, read_ids, read_package, unseen
from headrace.registry.publishing import SharedLedger, decide
from headrace.registry.scoring import predict_package, read_own
from headrace.registry.tags import CHALLENGER, CHAMPION, PACKAGE_TAG
from headrace.registry.versions import fetch, version_of
from headrace.storage.local import write_json
from headrace.tracking.runs import Store
from headrace.tracking.store import check, connect, service_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True, slots=True)
class Workspace:
    """What `promote` reads of the project."""

    package: Path
    predictions: Path
    """reports/predictions.parquet: the challenger's."""
    test: Path
    """data/splits/test."""
    report: Path
    """reports/promotion.json, written."""
    ledger: Path
    cache: Path
    """Downloaded packages and their predictions, on this machine."""
    project: Path
    """Folder that the paths of `promote.conditions.test_sets` start from."""
    shared: SharedLedger | None = None
    """The ledger on the state branch, of which `ledger` is the copy here."""


def promote(
    store: Store, params: PromoteParams, *, model: str, workspace: Workspace, actor: str, approve: bool = False
) -> Promotion:
    """Compare challenger and champion, decide, and make the challenger champion when it may be.

    Called again it changes nothing: the same comparison is one look, the same champion one promotion in the ledger.

    Raises:
        RegistryError: no challenger, the workspace holds another candidate, a package that cannot be trusted, or a state branch that
            refuses the entry.
        EngineError: MLflow or the git remote does not answer.
    """
    check(store.uri)
    client = connect(store.uri)

    def attempt() -> Promotion:
        finish_interrupted(client, workspace.ledger, model)
        challenger = _challenger(client, model)
        package = _local_package(workspace.package, challenger)
        champion = version_of(client, model, CHAMPION)
        withdrawn = _rolled_back(workspace.ledger, model, int(challenger.version))
        if champion is not None and champion.version == challenger.version:
            outcome = _recorded(workspace.ledger, model, int(champion.version))
        elif champion is not None and withdrawn is not None and not approve:
            outcome = Promotion(
                model=model,
                decision="kept",
                reasons=[
                    f"Version {challenger.version} was rolled back{withdrawn}. `headrace promote --approve` tries it again."
                ],
                challenger_version=int(challenger.version),
                champion_version=int(champion.version),
                test_digest=read_info(workspace.test).digest,
            )
        else:
            outcome = _decide(client, params, model, challenger, package, champion, workspace, actor, approve=approve)
            if outcome.decision == "promoted":
                evidence = outcome.model_dump(mode="json", exclude={"fingerprint"})
                crown(
                    client,
                    workspace.ledger,
                    challenger,
                    champion,
                    "promote",
                    actor,
                    reasons=outcome.reasons,
                    evidence=evidence,
                    shared=workspace.shared,
                )
        return outcome.model_copy(update={"fingerprint": package.fingerprint})

    with service_errors(store.uri):
        outcome = decide(workspace.ledger, workspace.shared, attempt)
    write_json(workspace.report, outcome.model_dump(mode="json"))
    return outcome


def _rolled_back(path: Path, model: str, version: int) -> str | None:
    """When and why somebody took this version down, None when nobody did since it was last promoted."""
    for entry in reversed(history(path, model)):
        if entry.action == "promote" and entry.version == version:
            return None
        if entry.action == "rollback" and entry.previous_version == version:
            return f" on {entry.time[:10]}" + (f" ({'; '.join(entry.reasons)})" if entry.reasons else "")
    return None


def _decide(
    client: "MlflowClient",
    params: PromoteParams,
    model: str,
    challenger: "ModelVersion",
    package: Package,
    champion: "ModelVersion | None",
    workspace: Workspace,
    actor: str,
    *,
    approve: bool,
) -> Promotion:
    digest = read_info(workspace.test).digest
    number = int(challenger.version)
    over = over_limits(params.conditions, package, workspace.test)
    if champion is None:
        return Promotion(
            model=model,
            decision="refused" if over else "promoted",
            reasons=over or ["The first model of this name: there is no champion to compare with."],
            challenger_version=number,
            champion_version=None,
            test_digest=digest,
        )
    held = fetch(client, champion, workspace.cache / "packages")
    pending = Promotion(
        model=model,
        decision="refused",
        reasons=[],
        challenger_version=number,
        champion_version=int(champion.version),
        test_digest=digest,
    )
    if over:
        return pending.model_copy(update={"reasons": over})
    differing = _schema_differences(package, held)
    if differing:
        name = f"Register it under a name of its own (register.model): champions of {model} answer requests of one schema."
        return pending.model_copy(update={"reasons": [*differing, name]})
    ours = read_own(workspace.predictions, package, "test")
    theirs = predict_package(held, workspace.test, cache=workspace.cache / "predictions")
    if ours.digest() != theirs.digest():
        raise RegistryError(
            f"{workspace.predictions} holds predictions for other records than {workspace.test}. Run `headrace run` first."
        )
    compared, left_out = unseen(ours.ids, read_ids(held.folder.parent / TRAINED_IDS))
    if not compared.size:
        reason = f"The champion was trained on all {left_out} test records, so the two cannot be compared. Test on other records."
        return pending.model_copy(update={"reasons": [reason], "left_out": left_out})
    place = {record_id: index for index, record_id in enumerate(theirs.ids)}
    a = ours.values[compared]
    b = theirs.values[[place[ours.ids[index]] for index in compared]]
    difference, low, high = paired_bootstrap(a, b, resamples=params.resamples, seed=params.seed, confidence=params.confidence)
    is_scored = isinstance(ours, Scores)
    counts = int((a > b).sum()), int((b > a).sum())
    measured = Measured(int(compared.size), *counts, low, high, mean_score=difference if is_scored else None)
    pending = pending.model_copy(
        update={
            "difference": difference,
            "low": low,
            "high": high,
            "confidence": params.confidence,
            "records": measured.records,
            "left_out": left_out,
            **({} if is_scored else {"challenger_correct": int(a.sum()), "champion_correct": int(b.sum())}),
            "better": measured.better,
            "worse": measured.worse,
            "require": params.require,
            "p": measured.p,
        }
    )
    worse = list(
        worse_elsewhere(
            params.conditions,
            package,
            held,
            project=workspace.project,
            cache=workspace.cache / "predictions",
            resamples=params.resamples,
            seed=params.seed,
            confidence=params.confidence,
        )
    )
    if worse:
        return pending.model_copy(update={"reasons": worse})
    look, is_counted = ask(workspace.ledger, params, pending, package.digest)
    decision, reason = judge(params, measured, look, approve=approve)
    reasons = [reason]
    if left_out:
        reasons.append(f"{left_out} test records were left out: the champion was trained on them.")
    outcome = pending.model_copy(update={"decision": decision, "reasons": reasons, "look": look.number, "allowed": look.allowed})
    if not is_counted:
        # Counted before anything follows from it: a kill from here on gives no look back.
        count(workspace.ledger, outcome, package.digest, actor, workspace.shared)
    return outcome


def _schema_differences(new: Package, old: Package) -> list[str]:
    def words(package: Package, key: str) -> str:
        return json.dumps(package.model.get(key))[:200]

    return [
        f"Challenger and champion differ in {key}: {words(new, key)} and {words(old, key)}."
        for key in ("task", "record", "classes")
        if new.model.get(key) != old.model.get(key)
    ]


def _challenger(client: "MlflowClient", model: str) -> "ModelVersion":
    found = version_of(client, model, CHALLENGER)
    if found is None:
        raise RegistryError(f"Model {model} has no challenger. `headrace register` makes one of the package in the workspace.")
    return found


def _local_package(folder: Path, challenger: "ModelVersion") -> Package:
    package = read_package(folder)
    if package.digest != challenger.tags.get(PACKAGE_TAG):
        raise RegistryError(
            f"The workspace holds another package than version {challenger.version}, the challenger of {challenger.name}: its "
            f"predictions are not the challenger's. `headrace register` makes the workspace's package the challenger."
        )
    return package


def _recorded(path: Path, model: str, version: int) -> Promotion:
    """The decision that made this version champion, from the ledger."""
    for entry in reversed(history(path, model)):
        if entry.version == version and entry.action == "promote" and entry.evidence:
            return Promotion.model_validate({**entry.evidence, "is_new": False})
    return Promotion(
        model=model,
        decision="promoted",
        reasons=["The ledger does not say since when."],
        challenger_version=version,
        champion_version=None,
        is_new=False,
    )
