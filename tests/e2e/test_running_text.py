"""The recipes of running text on a few pages, through both doors, down to a text that the registered model writes."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.projects import Checkout, clone

CHARACTERS = 60_000


@pytest.fixture(scope="module")
def checkout(
    tmp_path_factory: pytest.TempPathFactory, origin: Path, prefect_server: str, shared_data: Path
) -> Callable[[str], Checkout]:
    """`checkout(name)`: a clone with the recipe, some pages of it, and a cache of its own; nothing has run in it yet."""
    top = tmp_path_factory.mktemp("running-text")
    whole = (shared_data / "tinyshakespeare" / "input.txt").read_text(encoding="utf-8")
    (top / "play.txt").write_text(whole[:CHARACTERS] + "Somebody wrote \0 here.\n\n" + whole[CHARACTERS : CHARACTERS + 3000])

    def make(name: str) -> Checkout:
        made = clone(origin, top / name, top / f"home-{name}", PREFECT_API_URL=prefect_server)
        made.headrace("recipe", "use", "shakespeare")
        made.set_param(
            "collect", record={"characters": 512}, sources=[{"kind": "files", "name": "play", "paths": ["../play.txt"]}]
        )
        made.set_param("validate", max_bad_fraction=0.05)
        made.set_param("train", epochs=1, network_options={"width": 16, "blocks": 1, "heads": 2}, encoding={"context": 32})
        made.set_param("train", prediction={"samples": 1, "sampling": {"max_tokens": 40}})
        made.set_param("evaluate", thresholds={"max_loss_per_character": 5.0}, max_regression=5.0)
        made.headrace("sources", "refresh")
        return made

    return make


@pytest.fixture(scope="module")
def operator(checkout: Callable[[str], Checkout]) -> Checkout:
    """It went through `headrace run`."""
    made = checkout("operator")
    made.headrace("run")
    return made


@pytest.mark.slow
def test_both_doors_leave_the_same_lock(checkout, operator):
    """Entry for entry, as for pictures: what DVC hashes is a function of the inputs."""
    engineer = checkout("engineer")
    engineer.run("dvc", "repro")

    assert engineer.lock() == operator.lock()


def test_the_end_of_the_text_is_held_out(operator):
    """In one piece: no line between two that are trained on."""
    rows = operator.report("split")["rows"]
    assert operator.report("validate")["quarantined"] == 1  # the NUL sign
    assert rows["train"] > 10 * rows["test"] > 0


def test_a_model_without_classes_is_registered_and_promoted(operator):
    """Gate, registry and promotion know no task."""
    assert operator.report("evaluate")["verdict"]["allowed"]
    assert operator.report("promotion")["decision"] == "promoted"


def test_the_page_says_what_the_text_costs_and_shows_some(operator):
    """Losses beside the baselines' in nats and bits, not in percent, and a sample with what it copied."""
    page = (operator.folder / "reports" / "report.html").read_text(encoding="utf-8")
    assert "bits per byte" in page
    assert "What it writes" in page
    assert "word for word" in page
    assert "ngram" in page


def test_the_champion_goes_on_with_a_text(operator):
    """From the registry, verified, the same text for the same seed."""
    command = ("generate", "First Citizen:", "--model", "shakespeare@champion", "--max-tokens", "20", "--seed", "4")
    one, again = (operator.headrace(*command).stdout for _ in range(2))
    assert one == again
    assert one.startswith("First Citizen:")
