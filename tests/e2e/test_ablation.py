"""What a choice is worth, asked of the real default recipe; and what is refused before anything runs."""

import json
from collections.abc import Callable

import pytest
from tests.projects import Checkout

from headrace.errors import ConfigError
from headrace.flow.ablation import changes

PARAMS = {
    "augment": {"copies": 1, "balance_to": 0},
    "train": {"seed": 17, "ema": None, "network": "small_cnn", "augmentation": {"shift": 2}},
}


def test_a_choice_is_compared_on_the_same_records_and_the_workspace_stays(new_clone: Callable[..., Checkout]) -> None:
    """One epoch instead of four is worse, beyond doubt; four is what the workspace has, and its own score."""
    checkout = new_clone("asked")
    checkout.set_param("train", epochs=4)
    checkout.set_param("baseline", models=["majority"])
    checkout.run("dvc", "repro", "-q", "evaluate")
    before = {name: (checkout.folder / name).read_bytes() for name in ("params.yaml", "dvc.lock", "reports/evaluate.json")}
    score = json.loads(before["reports/evaluate.json"])["metrics"]["accuracy"]

    told = json.loads(checkout.headrace("ablate", "train.epochs=1", "--json").stdout)

    ((with_, without),) = told["scores"].values()
    assert with_ == pytest.approx(score)
    assert told["difference"] == pytest.approx(with_ - without)
    assert 0 < told["low"] <= told["difference"] <= told["high"]
    assert told["without"] == {"train.epochs": 1}
    assert {name: (checkout.folder / name).read_bytes() for name in before} == before
    assert checkout.run("git", "for-each-ref", "refs/exps").stdout == ""
    assert checkout.run("git", "stash", "list").stdout == ""


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (["augment"], {"augment.copies": 0, "train.augmentation": {}}),  # balance_to is 0 already
        (["train.network=mlp"], {"train.network": "mlp"}),
        (["augment.copies=0", "train.seed=3"], {"augment.copies": 0, "train.seed": 3}),
        (["train.augmentation.shift=0"], {"train.augmentation.shift": 0}),
    ],
)
def test_what_is_left_out_is_a_change_of_params(asked: list[str], expected: dict[str, object]) -> None:
    assert changes(asked, PARAMS) == expected


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["augmnt"], "Did you mean 'augment'"),
        (["train.netwrok=mlp"], "Did you mean 'train.network'"),
        (["train=3"], "params.yaml has no train"),
        (["train.ema=null"], "left out already"),
        (["train.network=[mlp"], "no YAML"),
        (["init_from"], "left out already"),
    ],
)
def test_what_cannot_be_left_out_is_named(asked: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told.replace("[", r"\[")):
        changes(asked, PARAMS)
