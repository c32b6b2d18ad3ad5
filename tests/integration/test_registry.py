"""Versions, champions and their trace in real stores."""

import gzip
import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from headrace.errors import EngineError, ParamsError, RegistryError
from headrace.fingerprint import file_sha256
from headrace.registry import champions, ledger, versions
from headrace.registry.chain import render
from headrace.registry.champions import history, rollback
from headrace.registry.judgement import PromoteParams
from headrace.registry.packages import ID_DIGITS, trained_ids
from headrace.registry.promotion import Workspace, promote
from headrace.registry.tags import CHALLENGER, CHAMPION
from headrace.registry.trace import trace
from headrace.registry.versions import RegisterParams, fetch, register, version_of
from headrace.tracking.facts import RunFacts
from headrace.tracking.runs import Store, open_run
from headrace.tracking.store import connect, experiment_id

ALLOWED = {"allowed": True, "reasons": []}


@pytest.fixture
def model(request: pytest.FixtureRequest) -> str:
    """A registered name of the test's own: the server is shared."""
    return "m-" + "".join(letter if letter.isalnum() else "-" for letter in request.node.name)[:90]


@pytest.fixture
def put(store: Store, model: str) -> Callable[..., versions.Registration]:
    """Register a package under the test's name, with a run behind it."""
    return lambda package, trained=(): register_in(store, model, package, trained)


def register_in(store: Store, model: str, package: Path, trained=()) -> versions.Registration:
    client = connect(store.uri)
    fingerprint = json.loads((package / "model.json").read_text())["fingerprint"]
    run = open_run(client, experiment_id(client, store.experiment, store.artifact_location), fingerprint, RunFacts(params={}))
    return register(
        store,
        RegisterParams(model=model),
        package=package,
        verdict=ALLOWED,
        trained=trained,
        run_id=run.info.run_id,
        lineage={"git.commit": "c" * 40, "dvc.lock": "d" * 64, "remote": "https://u:CANARY@h/x.git"},
        is_shared=False,
        branch="",
        allowed_branches=[],
    )


def workspace(folder: Path, package: Path, predictions: Path, test: Path) -> Workspace:
    return Workspace(
        package=package,
        predictions=predictions,
        test=test,
        report=folder / "promotion.json",
        ledger=folder / "ledger.jsonl",
        cache=folder / "cache",
        project=folder,
    )


def test_registering_leaves_the_terminal_to_us(put, make_package, capfd):
    """MLflow tells of links and of what it waits for, also where a person asked for errors only."""
    put(make_package())

    printed = capfd.readouterr()
    assert printed.out == ""
    assert "model version" not in printed.err


def test_a_package_is_registered_once(store, model, put, make_package):
    """Running twice never makes a second model version."""
    package = make_package()
    first, second = put(package), put(package)
    client = connect(store.uri)

    assert (first.version, first.is_new) == (1, True)
    assert (second.version, second.is_new) == (1, False)
    assert len(client.search_model_versions(f"name = '{model}'")) == 1
    found = version_of(client, model, CHALLENGER)
    assert found.tags["headrace.package"] == file_sha256(package / "manifest.json")
    assert found.tags["headrace.dvc.lock"] == "d" * 64
    assert "CANARY" not in str(found.tags)


@pytest.mark.filterwarnings("ignore::UserWarning")  # MLflow about type hints of its own
def test_mlflow_loads_a_version_without_pickle(store, model, put, make_package, monkeypatch):
    """Anyone with MLflow and torch can use it, with pickle switched off; nothing of Headrace is imported."""
    import mlflow

    put(make_package())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    loaded = mlflow.pyfunc.load_model(f"models:/{model}@challenger")
    inputs = np.zeros((3, 4, 4, 1), dtype=np.uint8)
    inputs[1, 0, 0, 0] = 2
    answers = loaded.predict(inputs)

    assert answers.argmax(axis=1).tolist() == [0, 2, 0]
    assert os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"
    with pytest.raises(mlflow.exceptions.MlflowException, match="shape"):
        loaded.predict(np.zeros((3, 5, 4, 1), dtype=np.uint8))


def test_a_fetched_package_is_what_was_registered(store, model, put, make_package, tmp_path):
    """Verified on every use, downloaded once."""
    package = make_package()
    put(package)
    client = connect(store.uri)
    got = fetch(client, version_of(client, model, CHALLENGER), tmp_path / "cache")

    assert got.digest == file_sha256(package / "manifest.json")
    (got.folder / "model.pt2").write_bytes(b"poison")
    with pytest.raises(RegistryError, match="is not used"):
        fetch(client, version_of(client, model, CHALLENGER), tmp_path / "cache")


@pytest.mark.fault
def test_a_package_swapped_in_the_store_is_refused(sqlite_store, make_package, tmp_path):
    """A manifest that fits its files is not enough: its digest stands in the registry."""
    register_in(sqlite_store, "digits", make_package())
    other = make_package("other")
    (stored,) = (tmp_path / "mlartifacts").rglob("package")
    for path in other.iterdir():
        (stored / path.name).write_bytes(path.read_bytes())
    client = connect(sqlite_store.uri)

    with pytest.raises(RegistryError, match="Someone changed"):
        fetch(client, version_of(client, "digits", CHALLENGER), tmp_path / "cache")


def _die_before(name: str, store: Store, package: Path) -> None:
    import mlflow

    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    setattr(mlflow.MlflowClient, name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
    register_in(store, "digits", package)


@pytest.mark.fault
@pytest.mark.parametrize(
    "point", ["log_model_artifacts", "finalize_logged_model", "create_model_version", "set_registered_model_alias"]
)
def test_a_registration_killed_anywhere_is_adopted_by_the_next(sqlite_store, make_package, point):
    """One complete version in the end, and no alias to an incomplete one in between."""
    package = make_package()
    child = multiprocessing.get_context("spawn").Process(target=_die_before, args=(point, sqlite_store, package))
    child.start()
    child.join()

    assert child.exitcode == -signal.SIGKILL
    client = connect(sqlite_store.uri)
    assert version_of(client, "digits", CHALLENGER) is None

    outcome = register_in(sqlite_store, "digits", package)

    assert outcome.version == 1
    assert version_of(client, "digits", CHALLENGER).version in ("1", 1)
    assert len(client.search_model_versions("name = 'digits'")) == 1
    experiment = experiment_id(client, sqlite_store.experiment)
    assert len(client.search_logged_models([experiment])) == 1
    assert version_of(client, "digits", CHALLENGER).tags[versions.PACKAGE_TAG] == outcome.package


@pytest.mark.fault
@pytest.mark.parametrize("point", ["log_model_artifacts", "set_registered_model_alias"])
def test_a_server_killed_during_a_registration_leaves_nothing_half(mlflow_server, make_package, monkeypatch, point):
    """The command fails and names the server; the same command on the restarted one ends with one complete version."""
    import mlflow

    store, model = Store(mlflow_server.uri, f"project-killed-at-{point}"), f"killed-at-{point}"
    package = make_package()
    with monkeypatch.context() as patch:
        real = getattr(mlflow.MlflowClient, point)

        def killed(self, *given, **named):
            mlflow_server.kill()
            return real(self, *given, **named)

        patch.setattr(mlflow.MlflowClient, point, killed)
        try:
            with pytest.raises(EngineError, match=mlflow_server.uri):
                register_in(store, model, package)
        finally:
            mlflow_server.start()
    client = connect(store.uri)
    assert version_of(client, model, CHALLENGER) is None

    outcome = register_in(store, model, package)

    assert (outcome.version, len(client.search_model_versions(f"name = '{model}'"))) == (1, 1)
    assert version_of(client, model, CHALLENGER).tags[versions.PACKAGE_TAG] == outcome.package


def test_the_life_of_a_champion(store, model, put, make_package, make_splits, write_predictions, tmp_path):
    """First model, a better one, a worse one, rollback: each with its reasons, its entry, its alias."""
    splits = make_splits(wrong=frozenset(range(20)))  # the program errs on twenty of sixty
    test = splits.folder / "test"
    one, two, three = make_package("one"), make_package("two"), make_package("three")
    perfect = write_predictions(splits)
    poor = write_predictions(splits, wrong=frozenset(range(30)), name="poor.parquet")
    ids = trained_ids(splits.folder)

    put(one, ids)
    first = promote(store, PromoteParams(), model=model, workspace=workspace(tmp_path, one, perfect, test), actor="ada")
    put(two, ids)
    second = promote(store, PromoteParams(), model=model, workspace=workspace(tmp_path, two, perfect, test), actor="ada")
    again = promote(store, PromoteParams(), model=model, workspace=workspace(tmp_path, two, perfect, test), actor="ada")
    put(three, ids)
    third = promote(store, PromoteParams(), model=model, workspace=workspace(tmp_path, three, poor, test), actor="ada")

    assert (first.decision, first.champion_version) == ("promoted", None)
    assert (second.decision, second.champion_version, second.challenger_version) == ("promoted", 1, 2)
    assert (second.challenger_correct, second.champion_correct, second.records) == (60, 40, 60)
    assert (second.p, second.allowed, second.look) == (pytest.approx(2.0**-20), pytest.approx(0.05 / 365), 1)
    assert again == second.model_copy(update={"is_new": False}), "told as what it is: the decision of before"
    assert third.decision == "kept"
    assert "behind by 17 points, not shown to be better" in third.reasons[0]
    assert third.look == 2
    assert json.loads((tmp_path / "promotion.json").read_text())["decision"] == "kept"
    path = tmp_path / "ledger.jsonl"
    assert [(entry.action, entry.version) for entry in history(path, model)] == [("promote", 1), ("promote", 2)]
    assert [entry.action for entry in ledger.read(path)] == ["promote", "look", "promote", "look"]

    back = rollback(store, model=model, path=path, cache=tmp_path / "cache" / "packages", actor="ada", reason="wrong labels")
    client = connect(store.uri)

    assert (back.version, back.previous_version, back.reasons) == (1, 2, ["wrong labels"])
    told = [line.strip() for line in render(trace(store, f"{model}/1", path=path)).splitlines()[-6:]]
    assert [line.partition(" UTC: ")[2] or line for line in told] == [
        "promoted by ada",
        "The first model of this name: there is no champion to compare with.",
        "version 2 was promoted by ada",
        second.reasons[0],
        "brought back in place of version 2 by ada",
        "wrong labels",
    ]
    assert int(version_of(client, model, CHAMPION).version) == 1
    assert len(history(path, model)) == 3
    for wrong, message in ((1, "champion of .* already"), (9, "has no version 9. It has 1, 2, 3")):
        with pytest.raises(RegistryError, match=message):
            rollback(store, model=model, path=path, cache=tmp_path / "cache" / "packages", actor="ada", to=wrong)
    with pytest.raises(RegistryError, match="only champion"):
        rollback(store, model=model, path=path, cache=tmp_path / "cache" / "packages", actor="ada")


def test_a_rolled_back_version_does_not_come_back_by_itself(
    store, model, put, make_package, make_splits, write_predictions, tmp_path
):
    """The next scheduled run has the same evidence as before; somebody who knew better took the version down."""
    splits = make_splits(wrong=frozenset(range(20)))
    test, perfect, ids = splits.folder / "test", write_predictions(splits), trained_ids(splits.folder)
    one, two = make_package("one"), make_package("two")
    for package in (one, two):
        put(package, ids)
        promote(store, PromoteParams(), model=model, workspace=workspace(tmp_path, package, perfect, test), actor="ada")
    ours = workspace(tmp_path, two, perfect, test)
    cache = tmp_path / "cache" / "packages"
    rollback(store, model=model, path=ours.ledger, cache=cache, actor="ada", reason="wrong labels")

    by_itself = promote(store, PromoteParams(), model=model, workspace=ours, actor="ada")
    approved = promote(store, PromoteParams(), model=model, workspace=ours, actor="ada", approve=True)

    assert by_itself.decision == "kept"
    assert "rolled back" in by_itself.reasons[0]
    assert "wrong labels" in by_itself.reasons[0]
    assert approved.decision == "promoted"


def test_records_the_champion_was_trained_on_are_left_out(sqlite_store, make_package, make_splits, write_predictions, tmp_path):
    """A champion that has seen test records would win by memory."""
    splits = make_splits()
    one, two = make_package("one"), make_package("two")
    predictions = write_predictions(splits)
    seen = sorted(each[:ID_DIGITS] for each in splits.ids["test"][:20])
    place = workspace(tmp_path, one, predictions, splits.folder / "test")
    register_in(sqlite_store, "digits", one, seen)
    promote(sqlite_store, PromoteParams(), model="digits", workspace=place, actor="ada")
    register_in(sqlite_store, "digits", two)
    place = workspace(tmp_path, two, predictions, splits.folder / "test")
    outcome = promote(sqlite_store, PromoteParams(), model="digits", workspace=place, actor="ada")

    assert (outcome.records, outcome.left_out) == (40, 20)
    assert "20 test records were left out" in outcome.reasons[1]


def test_a_champion_that_saw_all_test_records_cannot_be_compared(
    sqlite_store, make_package, make_splits, write_predictions, tmp_path
):
    """No comparison is not a win."""
    splits = make_splits()
    one, two = make_package("one"), make_package("two")
    predictions = write_predictions(splits)
    register_in(sqlite_store, "digits", one, sorted(each[:ID_DIGITS] for each in splits.ids["test"]))
    place = workspace(tmp_path, one, predictions, splits.folder / "test")
    promote(sqlite_store, PromoteParams(), model="digits", workspace=place, actor="ada")
    register_in(sqlite_store, "digits", two)
    place = workspace(tmp_path, two, predictions, splits.folder / "test")
    outcome = promote(sqlite_store, PromoteParams(), model="digits", workspace=place, actor="ada")

    assert outcome.decision == "refused"
    assert outcome.left_out == 60


def test_another_schema_is_refused(sqlite_store, make_package, make_splits, write_predictions, tmp_path):
    """Clients of a champion send one shape and read one list of classes."""
    splits = make_splits()
    one, two = make_package("one"), make_package("two", classes=["c0", "c2", "c1"])
    predictions = write_predictions(splits)
    register_in(sqlite_store, "digits", one)
    place = workspace(tmp_path, one, predictions, splits.folder / "test")
    promote(sqlite_store, PromoteParams(), model="digits", workspace=place, actor="ada")
    register_in(sqlite_store, "digits", two)
    place = workspace(tmp_path, two, predictions, splits.folder / "test")
    outcome = promote(sqlite_store, PromoteParams(), model="digits", workspace=place, actor="ada")

    assert outcome.decision == "refused"
    assert "differ in classes" in outcome.reasons[0]


def test_asking_again_is_no_second_look(sqlite_store, make_package, make_splits, write_predictions, tmp_path):
    """A run repeated by hand, or the approval after the wait, learns nothing new from the test set and spends nothing."""
    splits = make_splits(wrong=frozenset(range(20)))
    one, two = make_package("one"), make_package("two")
    manual = PromoteParams(mode="manual")
    predictions = write_predictions(splits)
    place = workspace(tmp_path, one, predictions, splits.folder / "test")
    register_in(sqlite_store, "digits", one)
    promote(sqlite_store, manual, model="digits", workspace=place, actor="ada")
    register_in(sqlite_store, "digits", two)
    place = workspace(tmp_path, two, predictions, splits.folder / "test")
    waits = [promote(sqlite_store, manual, model="digits", workspace=place, actor="ada") for _ in range(2)]
    approved = promote(sqlite_store, manual, model="digits", workspace=place, actor="ada", approve=True)

    assert [each.decision for each in (*waits, approved)] == ["awaiting approval", "awaiting approval", "promoted"]
    assert {each.look for each in (*waits, approved)} == {1}
    assert [entry.action for entry in ledger.read(place.ledger)] == ["promote", "look", "promote"]


def test_a_year_whose_budget_is_spent_promotes_nothing(sqlite_store, make_package, make_splits, write_predictions, tmp_path):
    """However good the challenger looks: the reason says when the next look is possible."""
    splits = make_splits(wrong=frozenset(range(20)))
    packages = [make_package(name) for name in ("one", "two", "three")]
    params = PromoteParams(looks_per_year=1)
    perfect, poor = write_predictions(splits), write_predictions(splits, wrong=frozenset(range(30)), name="poor.parquet")
    decided = []
    for package, predictions in zip(packages, (perfect, poor, perfect), strict=True):
        register_in(sqlite_store, "digits", package)
        place = workspace(tmp_path, package, predictions, splits.folder / "test")
        decided.append(promote(sqlite_store, params, model="digits", workspace=place, actor="ada"))
    promote(sqlite_store, params, model="digits", workspace=place, actor="ada")

    assert [each.decision for each in decided] == ["promoted", "kept", "kept"]
    assert [each.allowed for each in decided] == [0.0, 0.05, 0.0]
    assert "have spent its error budget of 0.05. The next look is possible on" in decided[2].reasons[0]
    assert [entry.action for entry in ledger.read(place.ledger)] == ["promote", "look", "look"], "asked twice is one look"


def test_manual_mode_waits_for_a_person(sqlite_store, make_package, make_splits, write_predictions, tmp_path):
    """`promote --approve` is the approval, and it approves only what the comparison allows."""
    splits = make_splits()
    one, two = make_package("one"), make_package("two")
    predictions = write_predictions(splits)
    manual = PromoteParams(mode="manual", require="not_worse")
    register_in(sqlite_store, "digits", one)
    place = workspace(tmp_path, one, predictions, splits.folder / "test")
    promote(sqlite_store, manual, model="digits", workspace=place, actor="ada")
    register_in(sqlite_store, "digits", two)
    place = workspace(tmp_path, two, predictions, splits.folder / "test")
    waits = promote(sqlite_store, manual, model="digits", workspace=place, actor="ada")
    poor = write_predictions(splits, wrong=frozenset(range(30)), name="poor.parquet")
    worse = workspace(tmp_path, two, poor, splits.folder / "test")
    refused = promote(sqlite_store, manual, model="digits", workspace=worse, actor="ada", approve=True)
    approved = promote(sqlite_store, manual, model="digits", workspace=place, actor="ada", approve=True)

    assert [waits.decision, refused.decision, approved.decision] == ["awaiting approval", "kept", "promoted"]


def test_predictions_of_another_candidate_are_not_the_challengers(
    sqlite_store, make_package, make_splits, write_predictions, tmp_path
):
    """The workspace moved on since the challenger was registered: comparing its predictions would promote the wrong model."""
    splits = make_splits()
    register_in(sqlite_store, "digits", make_package("one"))
    place = workspace(tmp_path, make_package("two"), write_predictions(splits), splits.folder / "test")

    with pytest.raises(RegistryError, match="holds another package than version 1"):
        promote(sqlite_store, PromoteParams(), model="digits", workspace=place, actor="ada")


def test_no_challenger_has_a_clear_message(sqlite_store, make_package, make_splits, write_predictions, tmp_path):
    """The first thing a newcomer types out of order."""
    splits = make_splits()
    place = workspace(tmp_path, make_package(), write_predictions(splits), splits.folder / "test")

    with pytest.raises(RegistryError, match=r"has no challenger\. `headrace register`"):
        promote(sqlite_store, PromoteParams(), model="digits", workspace=place, actor="ada")


def test_rolling_back_what_was_never_promoted_has_a_clear_message(sqlite_store, tmp_path):
    """Also when there is no such model at all."""
    with pytest.raises(RegistryError, match="Model digits has no champion"):
        rollback(sqlite_store, model="digits", path=tmp_path / "ledger.jsonl", cache=tmp_path, actor="ada")


@pytest.mark.fault
def test_a_promotion_killed_before_its_alias_is_finished_by_the_next(
    sqlite_store, make_package, make_splits, write_predictions, tmp_path, monkeypatch
):
    """The ledger says who is champion; the alias follows, and nothing is decided or written twice."""
    splits = make_splits()
    one = make_package("one")
    place = workspace(tmp_path, one, write_predictions(splits), splits.folder / "test")
    register_in(sqlite_store, "digits", one)
    with monkeypatch.context() as patch:
        patch.setattr(champions, "_set_champion", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            promote(sqlite_store, PromoteParams(), model="digits", workspace=place, actor="ada")
    client = connect(sqlite_store.uri)

    assert version_of(client, "digits", CHAMPION) is None

    outcome = promote(sqlite_store, PromoteParams(), model="digits", workspace=place, actor="ada")

    assert outcome.decision == "promoted"
    assert int(version_of(client, "digits", CHAMPION).version) == 1
    assert len(ledger.read(place.ledger)) == 1


def test_a_model_is_traced_by_any_of_its_names(store, model, put, make_package, tmp_path):
    """By name, alias, version or run id: the same run, fingerprint and commit."""
    path = tmp_path / "ledger.jsonl"
    outcome = put(make_package())
    found = trace(store, model, path=path)

    assert found["version"]["package"] == outcome.package
    assert found["fingerprint"] == found["version"]["lineage"]["fingerprint"]
    for name in (f"{model}@challenger", f"{model}/1", found["run"]["id"]):
        assert trace(store, name, path=path)["run"] == found["run"]
    assert f"{model} version 1 (challenger)" in render(found)


def test_a_trace_names_sources_and_what_each_stage_made(sqlite_store, make_package, tmp_path):
    """Read from the run's own artifacts: nobody needs the checkout that made the model."""
    path = tmp_path / "ledger.jsonl"
    register_in(sqlite_store, "digits", make_package())
    client = connect(sqlite_store.uri)
    run_id = trace(sqlite_store, "digits", path=path)["run"]["id"]
    file = {"name": "digits.csv", "url": "bundled:digits", "size": 12, "sha256": "1" * 64}
    client.log_text(run_id, "stages:\n  split:\n    outs:\n    - path: data/splits\n      md5: abc.dir\n", "provenance/dvc.lock")
    weights = {"name": "model.safetensors", "url": "models:/low/3/model.safetensors", "size": 9, "sha256": "2" * 64}
    lock = {"sources": [{"files": [file]}], "initial": {"init_from": "models:/low@champion", "files": [weights]}}
    client.log_text(run_id, json.dumps(lock), "provenance/data/sources.lock")
    found = trace(sqlite_store, "digits@challenger", path=path)

    assert found["dvc_lock"]["stages"] == {"split": {"data/splits": "abc.dir"}}
    assert found["sources"] == [file, weights]
    assert "digits.csv  12 bytes  sha256 11111111  from bundled:digits" in render(found)
    assert "model.safetensors  9 bytes  sha256 22222222  from models:/low/3/model.safetensors" in render(found)


def test_a_trace_tells_who_made_it_champion_and_why(sqlite_store, make_package, make_splits, write_predictions, tmp_path):
    """The end of the chain is a decision; a ledger that has lost it is told apart from a model that never was champion."""
    splits, package = make_splits(), make_package()
    register_in(sqlite_store, "digits", package)
    place = workspace(tmp_path, package, write_predictions(splits), splits.folder / "test")
    before = render(trace(sqlite_store, "digits", path=place.ledger))
    promote(sqlite_store, PromoteParams(), model="digits", workspace=place, actor="ada")
    after = render(trace(sqlite_store, "digits", path=place.ledger))
    place.ledger.unlink()
    lost = render(trace(sqlite_store, "digits", path=place.ledger))

    assert before.splitlines()[-1] == "champion  never"
    assert "promoted by ada\n            The first model of this name" in after
    assert "the end of the ledger is lost" in lost


@pytest.mark.parametrize("what", ["nobody", "nobody@champion", "nobody/3", "nobody/x", "0" * 32])
def test_tracing_what_is_not_there_says_what_is(sqlite_store, what, tmp_path):
    """A wrong name is the user's, so it is no stack trace."""
    with pytest.raises(ParamsError, match=f"'{what}' is no"):
        trace(sqlite_store, what, path=tmp_path / "ledger.jsonl")


def test_trained_ids_are_those_of_train_and_validation(make_splits, sqlite_store, make_package, tmp_path):
    """Validation chose the epoch, so the model has seen it; they travel with the version."""
    splits = make_splits()
    ids = trained_ids(splits.folder)
    register_in(sqlite_store, "digits", make_package(), ids)
    (stored,) = (tmp_path / "mlartifacts").rglob("trained_ids.txt.gz")

    assert set(ids) == {each[:ID_DIGITS] for part in ("train", "validation") for each in splits.ids[part]}
    assert gzip.decompress(stored.read_bytes()).decode().split() == ids
