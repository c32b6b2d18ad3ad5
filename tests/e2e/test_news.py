"""The recipes of texts on a handful of real articles, through both doors."""

import json
import re
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.projects import Checkout, clone

PER_CLASS = 30
MILLION = 1_000_001


def write_articles(archive: Path, folder: Path) -> None:
    """Some articles of each class, one of them twice, one in latin-1, one with a NUL byte and one of a million characters."""
    taken: Counter[str] = Counter()
    with tarfile.open(archive) as members:
        for member in members:
            _, kind, name = [*member.name.split("/"), "", ""][:3]
            content = members.extractfile(member) if name.endswith(".txt") else None
            if content is not None and taken[kind] < PER_CLASS:
                taken[kind] += 1
                (folder / kind).mkdir(parents=True, exist_ok=True)
                (folder / kind / name).write_bytes(content.read())
    first = sorted((folder / "sport").iterdir())[0]
    (folder / "sport" / "again.txt").write_bytes(first.read_bytes())
    (folder / "tech" / "pounds.txt").write_bytes("It costs £ 5 and not £ 6, said the maker of it.".encode("latin-1"))
    (folder / "tech" / "zero.txt").write_bytes(b"Somebody wrote \0 here.")
    (folder / "tech" / "endless.txt").write_text("word " * (MILLION // 5 + 1))


@pytest.fixture(scope="module")
def checkout(
    tmp_path_factory: pytest.TempPathFactory, origin: Path, prefect_server: str, shared_data: Path
) -> Callable[[str], Checkout]:
    """`checkout(name)`: a clone with its articles and a cache of its own; nothing has run in it yet."""
    top = tmp_path_factory.mktemp("news")
    write_articles(shared_data / "bbc-news" / "bbc-fulltext.tar.gz", top / "articles")

    def make(name: str) -> Checkout:
        made = clone(origin, top / name, top / f"home-{name}", PREFECT_API_URL=prefect_server)
        made.headrace("recipe", "use", "news-transformer")
        made.set_param("collect", sources=[{"kind": "files", "name": "articles", "paths": ["../articles"]}])
        made.set_param("validate", max_bad_fraction=0.05)
        made.set_param("train", epochs=1, encoding={"max_tokens": 64})
        made.set_param("evaluate", thresholds={"min_accuracy": 0.05}, max_regression=1.0, allow_beaten=True)
        made.headrace("sources", "refresh")
        return made

    return make


@pytest.fixture(scope="module")
def operator(checkout: Callable[[str], Checkout]) -> Checkout:
    """It went through `headrace run`."""
    made = checkout("operator")
    made.headrace("run")
    return made


@pytest.fixture(scope="module")
def engineer(checkout: Callable[[str], Checkout]) -> Checkout:
    """`dvc repro` brought it as far as `package`."""
    made = checkout("engineer")
    made.run("dvc", "repro")
    return made


@pytest.mark.slow
def test_both_doors_leave_the_same_lock(engineer, operator):
    """Entry for entry, as for pictures: what DVC hashes is a function of the inputs."""
    assert engineer.lock() == operator.lock()


def test_bad_texts_are_kept_back_and_copies_collapse(operator):
    """Each with its reason; the latin-1 article is read as the recipe says."""
    faults = {kind: fault["count"] for kind, fault in operator.report("collect")["faults"].items()}
    dropped = operator.report("split")["dropped"]
    repeats = sum(found["rows"] for cause, found in dropped.items() if "repeats an earlier record" in cause)
    assert faults == {"NUL": 1, "too long": 1}
    assert operator.report("collect")["rows"] == 5 * PER_CLASS + 4
    assert operator.report("validate")["quarantined"] == 2
    assert repeats >= 1


def test_a_package_of_texts_is_registered(operator):
    """Gate, registry and promotion know no task."""
    assert operator.report("evaluate")["verdict"]["allowed"]
    assert operator.report("promotion")["decision"] == "promoted"


def test_the_page_says_which_baseline_wins_and_shows_the_mistakes(operator):
    """One epoch loses to a linear model: the reader learns it in a sentence, with what to type, and sees the texts that were mistaken."""
    page = (operator.folder / "reports" / "report.html").read_text(encoding="utf-8")

    assert "a baseline, wins: the candidate is worse" in page
    assert "<code>train.trainer: " in page
    assert "<q>" in page
    assert "tokens cut off" in page
    assert "Accuracy by what was measured" in page


def test_the_gate_prefers_the_linear_model_and_it_ships_when_it_is_typed(checkout, operator):
    """Nothing but `evaluate` runs again for the refusal; then the key that it names gives a champion."""
    operator.set_param("evaluate", allow_beaten=False)
    told = operator.headrace("run").stdout
    verdict = operator.report("evaluate")["verdict"]
    key = next(reason for reason in verdict["reasons"] if reason.startswith("To make"))
    trainer = re.search(r"`train.trainer: (\w+)`", key)[1]
    operator.set_param("train", trainer=trainer)
    states = operator.states()

    assert not verdict["allowed"]
    assert key in told
    assert states["baseline"] == "unchanged"
    assert operator.report("evaluate")["verdict"]["allowed"]
    assert json.loads((operator.folder / "models/package/model.json").read_text())["network"]["name"] == trainer


@pytest.mark.slow
def test_both_doors_leave_the_same_lock_for_the_linear_model_too(engineer, operator):
    """Its packages are a group of their own, which both doors have to read."""
    for made in (engineer, operator):
        made.set_param("train", trainer="tfidf_linear_svm")
        made.set_param("evaluate", allow_beaten=False)
    engineer.run("dvc", "repro")
    operator.headrace("run")

    assert engineer.lock() == operator.lock()
    assert operator.report("evaluate")["verdict"]["allowed"]
