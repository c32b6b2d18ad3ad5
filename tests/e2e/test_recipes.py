"""Every recipe on a cut of its data, through both doors, down to the page and to a champion."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.projects import Checkout, clone
from tests.recipes import CUTS, RECIPES, is_offline, write_cut

RUN = [name for name in RECIPES if name != "digits"]
"""That one is the default: test_two_doors has it, whole."""
ONE_OF_EACH_TASK = {"diabetes", "news", "shakespeare", "titanic"}
"""Every stage is executed by both doors for these; for the others, which take minutes together, where slow tests run too."""


@dataclass(frozen=True)
class Finished:
    """What `headrace run` left of a recipe, kept before the next one."""

    reports: Path
    lock: dict[str, Any]
    pins: bytes
    by_hand: str
    """What `dvc repro` said in the same checkout."""

    def report(self, stage: str) -> dict[str, Any]:
        """What a stage, or a step after the DAG, reported."""
        return dict(json.loads((self.reports / f"{stage}.json").read_text(encoding="utf-8")))

    @property
    def page(self) -> str:
        """The report, without its pictures: a bitmap may spell anything."""
        return re.sub(r"base64,[A-Za-z0-9+/=]+", "", (self.reports / "report.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recipes")


@pytest.fixture(scope="module")
def operator(top: Path, origin: Path, prefect_server: str) -> Checkout:
    """A clone that goes from recipe to recipe by `headrace run`."""
    mirror = str(top / "mirror")
    return clone(origin, top / "operator", top / "home-operator", PREFECT_API_URL=prefect_server, HEADRACE_MIRROR=mirror)


@pytest.fixture(scope="module")
def engineer(top: Path, origin: Path, operator: Checkout) -> Checkout:
    """Another with a cache of its own, which goes by `dvc repro`; the registry is the operator's."""
    variables = operator.variables | {"MLFLOW_TRACKING_URI": f"sqlite:///{operator.home / 'mlflow.db'}"}
    return clone(origin, top / "engineer", top / "home-engineer", **variables)


@pytest.fixture(scope="module")
def whole(request: pytest.FixtureRequest) -> Callable[[str], Path | None]:
    """Where the whole data of a recipe are; skips where they are not."""
    return lambda recipe: None if is_offline(recipe) else request.getfixturevalue("shared_data")


@pytest.fixture(scope="module")
def finished(top: Path, operator: Checkout, whole: Callable[[str], Path | None]) -> Callable[[str], Finished]:
    """`finished(recipe)`: it went through `headrace run`, once."""
    known: dict[str, Finished] = {}

    def finish(recipe: str) -> Finished:
        if recipe not in known:
            before = CUTS[recipe].after
            if before:
                finish(before)
            write_cut(recipe, operator.folder, whole(recipe), top / "mirror")
            operator.headrace("recipe", "use", recipe)
            if before or CUTS[recipe].weights:
                operator.headrace("sources", "refresh")
            operator.headrace("run")
            lock, by_hand = operator.lock(), operator.run("dvc", "repro").stdout
            shutil.copytree(operator.folder / "reports", top / "kept" / recipe)
            pins = (operator.folder / "data" / "sources.lock").read_bytes()
            known[recipe] = Finished(top / "kept" / recipe, lock, pins, by_hand)
        return known[recipe]

    return finish


@pytest.mark.parametrize("recipe", RUN)
def test_a_recipe_ends_with_a_champion_and_a_page(recipe, finished):
    """Whatever the task; and `dvc repro` accepts every entry that the flow wrote into dvc.lock."""
    run = finished(recipe)

    assert run.report("evaluate")["verdict"]["allowed"]
    assert run.report("promotion")["decision"] == "promoted"
    assert "The model may ship" in run.page
    assert "NaN" not in run.page
    assert "Running stage" not in run.by_hand


@pytest.mark.parametrize(
    "recipe", [name if name in ONE_OF_EACH_TASK else pytest.param(name, marks=pytest.mark.slow) for name in RUN]
)
def test_both_doors_leave_the_same_lock(recipe, finished, operator, engineer, whole, top):
    """Entry for entry: what DVC hashes is a function of the inputs, whatever the task and whoever starts the stages."""
    run = finished(recipe)
    write_cut(recipe, engineer.folder, whole(recipe), top / "mirror")
    engineer.headrace("recipe", "use", recipe)
    (engineer.folder / "data" / "sources.lock").write_bytes(run.pins)  # as git brings it
    if CUTS[recipe].weights:  # one folder, whoever downloads it
        shutil.copytree(operator.folder / "weights", engineer.folder / "weights", dirs_exist_ok=True)
    engineer.run("dvc", "repro", "-q")

    assert engineer.lock() == run.lock


# Texts


def test_bad_texts_are_kept_back_and_copies_collapse(finished):
    """Each with its reason; the latin-1 article is read as the recipe says."""
    news = finished("news-transformer")
    faults = {kind: fault["count"] for kind, fault in news.report("collect")["faults"].items()}
    dropped = news.report("split")["dropped"]
    repeats = sum(found["rows"] for cause, found in dropped.items() if "repeats an earlier record" in cause)
    assert faults == {"NUL": 1, "too long": 1}
    assert news.report("collect")["rows"] == 5 * CUTS["news-transformer"].keep + 4
    assert news.report("validate")["quarantined"] == 2
    assert repeats >= 1


def test_the_page_says_which_baseline_wins_and_shows_the_mistakes(finished):
    """One epoch loses to a linear model: the reader learns it in a sentence, with what to type, and sees the texts that were mistaken."""
    page = finished("news-transformer").page
    assert "a baseline, wins: the candidate is worse" in page
    assert "<code>train.trainer: " in page
    assert "<q>" in page
    assert "tokens cut off" in page
    assert "Accuracy by what was measured" in page


@pytest.fixture
def transformer(finished: Callable[[str], Finished], operator: Checkout) -> Iterator[Checkout]:
    """The operator's clone at recipe news-transformer, to change its params."""
    finished("news-transformer")
    operator.headrace("recipe", "use", "news-transformer")
    yield operator
    operator.headrace("recipe", "use", "news-transformer", "--force")  # else the next recipe would not replace the changes


def test_the_gate_prefers_the_linear_model_and_it_ships_when_it_is_typed(transformer):
    """Nothing but `evaluate` runs again for the refusal; then the key that it names gives a champion."""
    transformer.set_param("evaluate", allow_beaten=False)
    told = transformer.headrace("run").stdout
    verdict = transformer.report("evaluate")["verdict"]
    key = next(reason for reason in verdict["reasons"] if reason.startswith("To make"))
    trainer = re.search(r"`train.trainer: (\w+)`", key)[1]
    transformer.set_param("train", trainer=trainer)
    states = transformer.states()

    assert not verdict["allowed"]
    assert key in told
    assert states["baseline"] == "unchanged"
    assert transformer.report("evaluate")["verdict"]["allowed"]
    assert json.loads((transformer.folder / "models/package/model.json").read_text())["network"]["name"] == trainer


# Running text


def test_the_end_of_the_text_is_held_out(finished):
    """In one piece: no line between two that are trained on."""
    rows = finished("shakespeare").report("split")["rows"]
    assert finished("shakespeare").report("validate")["quarantined"] == 1  # the NUL sign
    assert rows["train"] > 10 * rows["test"] > 0


@pytest.mark.parametrize("recipe", ["shakespeare", "wikitext2"])
def test_the_page_says_what_the_text_costs_and_shows_some(recipe, finished):
    """Losses beside the baselines' in nats and bits, not in percent, and a sample with what it copied."""
    evaluated, page = finished(recipe).report("evaluate"), finished(recipe).page
    assert "bits per byte" in page
    assert "perplexity per word" in page
    assert f"{evaluated['metrics']['perplexity_per_word']:,.4g}" in page
    assert "What it writes" in page
    assert "word for word" in page
    assert "ngram" in page


def test_the_champion_goes_on_with_a_text(finished, operator):
    """From the registry, verified, the same text for the same seed."""
    finished("shakespeare")
    command = ("generate", "First Citizen:", "--model", "shakespeare@champion", "--max-tokens", "20", "--seed", "4")
    one, again = (operator.headrace(*command).stdout for _ in range(2))
    assert one == again
    assert one.startswith("First Citizen:")


# Tables


def test_missing_ages_and_cabins_are_told_and_the_interval_is_as_wide_as_it_is(finished):
    """All 891 passengers; tickets stay together."""
    titanic = finished("titanic")
    evaluated = titanic.report("evaluate")
    told = titanic.report("validate")["warnings"]
    assert {"age is missing: 177 of 891 records", "cabin is missing: 687 of 891 records"} <= set(told)
    assert titanic.report("split")["by"] == "group"
    assert evaluated["metrics"]["roc_auc_macro"] > 0.75
    assert evaluated["score_high"] - evaluated["score_low"] > 0.05


def test_the_blank_cells_of_churn_are_found(finished):
    """Pandas keeps them as a space, and the column as text."""
    validated = finished("churn").report("validate")
    assert "TotalCharges is missing: 11 of 7,043 records" in validated["warnings"]
    assert validated["quarantined"] == 0


def test_boosted_trees_are_judged_and_shown(finished):
    """Gate, registry, promotion and page know no trainer; what a network would have and trees do not, the page leaves out."""
    churn = finished("churn")
    assert "gradient_boosted_trees" in churn.report("train")["headline"]
    assert churn.report("evaluate")["metrics"]["roc_auc_macro"] >= 0.84
    assert "The model relies on" in churn.page
    assert "fitted numbers" in churn.page
    assert "epoch" not in churn.page


def test_a_number_is_predicted_in_its_own_unit(finished):
    """Better than the mean by far, with a page that says so; the trainer of trees is named where those are ahead."""
    evaluated, page = finished("diabetes").report("evaluate"), finished("diabetes").page
    trivial = next(row for row in evaluated["comparison"] if row["model"] == "mean")
    assert trivial["difference_low"] > 0
    assert evaluated["score"] == "negative_mae"
    trees = next(row for row in evaluated["comparison"] if row["model"] == "boosted_trees")
    assert ("train.trainer: gradient_boosted_trees" in " ".join(evaluated["verdict"]["reasons"])) == (trees["difference"] < 0)
    assert f"mean absolute error {evaluated['metrics']['mae']:#.4g}" in page
    assert "Progression as predicted and as it is" in page
