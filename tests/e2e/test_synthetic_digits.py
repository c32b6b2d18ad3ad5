"""examples/synthetic-digits: pictures from a generator as extra training samples, in a project of its own."""

import json
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from tests.projects import REPOSITORY, Checkout, make_example

from headrace.dataset.schema import read_info
from headrace.dataset.shards import read_table
from headrace.errors import DataError
from headrace.listening import SilentProgress

EXAMPLE = REPOSITORY / "examples" / "synthetic-digits"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The example as a repository of its own, with the package installed."""
    checkout = make_example(EXAMPLE.name, tmp_path_factory.mktemp(EXAMPLE.name))
    checkout.headrace("setup")
    return checkout


@pytest.fixture(scope="module")
def finished(project: Checkout) -> Checkout:
    """Run up to `train` on scikit-learn's digits, with a generator that has learnt next to nothing: seconds, and no network."""
    project.set_param(
        "collect",
        format="pixel_csv",
        options={"height": 8, "width": 8, "max_value": 16},
        record={"height": 8, "width": 8, "channels": 1},
        sources=[{"kind": "bundled", "dataset": "digits"}],
    )
    project.set_param("split", test=0.2)
    project.set_param("scarce", per_class=6)
    project.set_param("augment", per_class=10, steps=20, hidden=16, latent=2)
    project.set_param("train", epochs=1, network_options={"width": 4, "stem_kernel": 3, "stem_stride": 1})
    project.headrace("sources", "refresh")
    for stage in ("split", "augment", "train"):  # each with a time limit of its own
        project.run("dvc", "repro", "-q", stage)
    return project


def test_it_reads_the_bytes_that_the_recipe_mnist_reads() -> None:
    """One pin of MNIST: whoever has the one has the other."""
    from headrace.params import read_yaml

    recipe, own = (read_yaml(path)["collect"] for path in (REPOSITORY / "recipes/mnist.yaml", EXAMPLE / "params.yaml"))

    assert own == recipe


def test_synthetic_samples_train_and_are_never_tested(finished: Checkout) -> None:
    """Else every number would be about the generator's own pictures."""
    real, made = finished.folder / "data/scarce", read_table(finished.folder / "data/augmented")
    report = json.loads((finished.folder / "reports/augment.json").read_text())
    parts = {name: read_table(real / name) for name in ("train", "validation", "test")}
    predicted = pq.read_table(finished.folder / "reports/predictions.parquet")

    assert report["by_class_in"] == {str(digit): 6 for digit in range(10)} == read_info(real / "train").by_class
    assert 0 < max(read_info(real / "validation").by_class.values()) <= 6
    assert (
        report["by_class_out"] == {str(digit): 4 for digit in range(10)} == read_info(finished.folder / "data/augmented").by_class
    )
    assert set(made["source"].to_pylist()) == {"synthetic"}
    assert all(origin.startswith("synthetic ") for origin in made["origin"].to_pylist())
    for table in parts.values():
        assert set(table["source"].to_pylist()) == {"digits"}
        assert not set(table["id"].to_pylist()) & set(made["id"].to_pylist())
    tested = [row["id"] for row in predicted.to_pylist() if row["split"] == "test"]
    assert tested == parts["test"]["id"].to_pylist() == read_table(finished.folder / "data/splits/test")["id"].to_pylist()
    assert json.loads((finished.folder / "reports/train.json").read_text())["samples"] == 100
    assert (finished.folder / "reports/plots/augment/contact_sheet.png").stat().st_size > 0


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The example's own stage, called as the runner calls it."""
    monkeypatch.syspath_prepend(EXAMPLE / "src")
    from synthetic_digits.augment import Params, run  # type: ignore[import-not-found]

    def call(train: Path, out: Path, **changed: object) -> object:
        usual = {"per_class": 8, "hidden": 8, "latent": 2, "steps": 3, "batch_size": 4, "peak_lr": 0.01, "seed": 17}
        params = Params(**{**usual, "augmentation": {"affine": {"degrees": 10}}, **changed})
        return run(params, train=train, out=out, plots=out.with_suffix(".plots"), progress=SilentProgress())

    return SimpleNamespace(run=call)


def test_equal_seeds_give_equal_samples(finished: Checkout, stage: SimpleNamespace, tmp_path: Path) -> None:
    """The stage is cached by its inputs, the seed among them."""
    train = finished.folder / "data/scarce/train"
    for name, seed in (("one", 17), ("two", 17), ("other", 18)):
        stage.run(train, tmp_path / name, seed=seed)
    ids = {name: read_table(tmp_path / name)["id"].to_pylist() for name in ("one", "two", "other")}

    assert ids["one"] == ids["two"]
    assert not set(ids["one"]) & set(ids["other"])


def test_nothing_is_made_where_classes_have_enough(finished: Checkout, stage: SimpleNamespace, tmp_path: Path) -> None:
    """`per_class: 0` is the variant without, and fits no generator."""
    report = stage.run(finished.folder / "data/scarce/train", tmp_path / "none", per_class=0)

    assert (report.samples_out, report.loss) == (0, None)
    assert read_info(tmp_path / "none").rows == 0


def test_a_generator_does_not_see_other_splits(finished: Checkout, stage: SimpleNamespace, tmp_path: Path) -> None:
    """One that has seen test records would hand them to the training."""
    with pytest.raises(DataError, match="only the training split"):
        stage.run(finished.folder / "data/scarce/test", tmp_path / "out")
