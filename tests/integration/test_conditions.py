"""What holds a challenger back although it is better on the test split: limits, and further test sets."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.test_registry import register_in

from headrace.errors import ConfigError
from headrace.registry.champions import history
from headrace.registry.judgement import Conditions, PromoteParams, Promotion
from headrace.registry.promotion import Workspace, promote
from headrace.tracking.runs import Store
from headrace.training.export import export_program

CLASSES, SHAPE = 3, (4, 4, 1)


@pytest.fixture
def challenge(sqlite_store: Store, make_package, make_splits, write_predictions, tmp_path: Path) -> Callable[..., Promotion]:
    """A champion that is wrong on 30 of 60 test records; a challenger with a program of its own, right on all of them."""
    splits = make_splits(wrong=frozenset(range(30)))
    champion, challenger = make_package("one"), make_package("two")
    (challenger / "model.pt2").write_bytes(_constant())
    manifest = json.loads((challenger / "manifest.json").read_text())
    content = (challenger / "model.pt2").read_bytes()
    manifest["files"]["model.pt2"] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (challenger / "manifest.json").write_text(json.dumps(manifest))
    perfect = write_predictions(splits)

    def decide(package: Path, conditions: Conditions) -> Promotion:
        register_in(sqlite_store, "digits", package)
        place = Workspace(
            package=package,
            predictions=perfect,
            test=splits.folder / "test",
            report=tmp_path / "promotion.json",
            ledger=tmp_path / "ledger.jsonl",
            cache=tmp_path / "cache",
            project=tmp_path,
        )
        return promote(sqlite_store, PromoteParams(conditions=conditions), model="digits", workspace=place, actor="ada")

    def run(conditions: Conditions, *, first: bool = False) -> Promotion:
        if first:
            return decide(champion, conditions)
        decide(champion, Conditions())
        return decide(challenger, conditions)

    return run


def _constant() -> bytes:
    """A program that answers class 0 whatever it is shown."""
    import torch

    class Constant(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.one_hot(x[:, 0, 0, 0].long() * 0, CLASSES).float() * 0.97 + 0.01

    return export_program(Constant().eval(), torch.zeros((2, *SHAPE), dtype=torch.uint8), name="constant")


def test_without_conditions_the_better_challenger_is_promoted(challenge) -> None:
    """What the other tests hold back."""
    assert challenge(Conditions()).decision == "promoted"


@pytest.mark.parametrize(("conditions", "reason"), [({"max_mb": 0.001}, "MB"), ({"max_latency_ms": 1e-6}, "ms on this machine")])
@pytest.mark.parametrize("first", [True, False])
def test_a_package_over_a_limit_is_refused(challenge, tmp_path: Path, conditions, reason: str, *, first: bool) -> None:
    """Too big for the phone, too slow for the page: also as the first of its name; and no look is spent on it."""
    outcome = challenge(Conditions(**conditions), first=first)

    assert outcome.decision == "refused"
    assert reason in outcome.reasons[0]
    assert [each.action for each in history(tmp_path / "ledger.jsonl", "digits")] == ([] if first else ["promote"])


def test_limits_that_are_kept_refuse_nothing(challenge) -> None:
    """A second for 16 pixels."""
    assert challenge(Conditions(max_mb=10, max_latency_ms=1000)).decision == "promoted"


def test_a_challenger_that_is_worse_on_a_further_set_is_held_back(challenge, make_splits) -> None:
    """Good on the frozen test split and worse on last week's records: the name of the set is in the reason."""
    make_splits("recent", seed="recent")

    outcome = challenge(Conditions(test_sets={"recent": "recent/test"}))

    assert outcome.decision == "refused"
    assert "On 'recent' the challenger may be worse: difference in accuracy -0.6667" in outcome.reasons[0]


@pytest.mark.badinput
def test_a_set_that_is_not_there_is_named(challenge) -> None:
    """A path that nobody makes."""
    with pytest.raises(ConfigError, match="'recent' is data/recent"):
        challenge(Conditions(test_sets={"recent": "data/recent"}))
