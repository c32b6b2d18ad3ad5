"""What a run says about itself."""

from headrace.tracking.facts import InputFact, RunFacts, flatten, note, run_name, tags


def facts(**more: object) -> RunFacts:
    params = {
        "collect": {"task": "image_classification", "sources": [{"name": "digits", "url": "https://me:pw@host/x.zip"}]},
        "train": {"network": {"name": "small_cnn", "options": {}}, "epochs": 3, "lr": 1e-3, "milestones": [1, 2]},
        "register": {"model": "digits"},
    }
    return RunFacts(params=params, **more)  # type: ignore[arg-type]


def test_params_have_one_key_per_leaf():
    """Two runs compare at a glance only when every number stands in a cell of its own."""
    flat = flatten(facts().params)

    assert flat["train.lr"] == "0.001"
    assert flat["train.milestones"] == "[1, 2]"
    assert flat["train.network.options"] == "{}"
    assert flat["collect.sources.0.name"] == "digits"


def test_credentials_do_not_reach_params_or_tags():
    """A source's URL may carry a password; MLflow is read by many."""
    recorded = facts(commit="c" * 40, extra={"remote": "https://token@git.example/x.git"})

    assert "pw" not in str(flatten(recorded.params))
    assert "token@" not in str(tags(recorded, "f" * 64))
    assert flatten({"s3": {"secret_key": "abc"}}) == {"s3.secret_key": "***"}


def test_long_values_are_cut_to_what_mlflow_takes():
    """One long list must not refuse the whole run."""
    assert len(flatten({"a": "x" * 10_000})["a"]) == 6000


def test_run_name_says_model_network_and_fingerprint():
    """Names like 'magnificent-pug-150' tell a reader nothing."""
    assert run_name(facts(), "3f2a91ff") == "digits small_cnn 3f2a91"


def test_note_says_what_the_run_is():
    """The first thing a reader of the run sees."""
    text = note(facts(commit="a" * 40, branch="main", inputs=(InputFact("data/splits", "0123456789.dir", "data/splits"),)), "f1")

    assert "`small_cnn` for image classification on `digits`" in text
    assert "commit `aaaaaaaaaa` on `main`, clean" in text
    assert "`data/splits` 01234567" in text


def test_facts_survive_the_spool():
    """A run made later from the spool carries the same facts."""
    whole = facts(inputs=(InputFact("a", "b", "c"),), is_dirty=True)

    assert RunFacts.from_json(whole.to_json()) == whole
    assert RunFacts.from_json({"unheard": 1, "commit": "c"}) == RunFacts(params={}, commit="c")
