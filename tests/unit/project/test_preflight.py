import re
import shutil
from pathlib import Path

import pytest
from tests.projects import REPOSITORY

from headrace.errors import ParamsError
from headrace.project.preflight import check_params


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("params.yaml", "params.schema.json", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    (tmp_path / "src").symlink_to(REPOSITORY / "src")
    return tmp_path


def _write(project: Path, old: str, new: str) -> None:
    path = project / "params.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize("recipe", sorted(path.name for path in (REPOSITORY / "recipes").glob("*.yaml")))
def test_every_recipe_passes(project: Path, recipe: str) -> None:
    """What we ship is right."""
    shutil.copy(REPOSITORY / "recipes" / recipe, project / "params.yaml")

    check_params(project)


@pytest.mark.badinput
def test_a_slip_in_a_late_stage_is_found_before_the_first_one_runs(project: Path) -> None:
    """A misspelt key of `evaluate` must not cost a training."""
    _write(project, "  resamples: 10000\n", "  resample: 10000\n")

    with pytest.raises(ParamsError, match=r"unknown key 'evaluate\.resample'\. Did you mean 'resamples'\?"):
        check_params(project)


@pytest.mark.badinput
def test_a_section_nobody_reads_is_refused(project: Path) -> None:
    """A value that is silently ignored is worse than an error."""
    _write(project, "baseline:\n", "baselines: {seed: 3}\nbaseline:\n")

    with pytest.raises(ParamsError, match=r"no stage or flow has a section 'baselines'\. Did you mean 'baseline'\?"):
        check_params(project)


@pytest.mark.badinput
def test_a_value_of_the_wrong_type_names_its_key(project: Path) -> None:
    """Where and what, before anything runs."""
    _write(project, "  batch_size: 64\n", "  batch_size: many\n")

    with pytest.raises(ParamsError, match=r"'train\.batch_size': 'many' is not of type 'integer'"):
        check_params(project)


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("time", "told"),
    [
        (
            "{column: t, validation_from: 2024-03-01, test_from: '2024-04-01'}",
            "validation_from' is 2024-03-01, which YAML takes for a time",
        ),
        ("{colum: t}", "unknown key 'split.time.colum'. Did you mean 'column'"),
    ],
)
def test_a_slip_in_a_section_that_may_be_left_out_is_named(project: Path, time: str, told: str) -> None:
    """Null or a mapping: a mapping was meant, and its value is what is wrong."""
    _write(project, "  by: hash\n", f"  by: time\n  time: {time}\n")

    with pytest.raises(ParamsError, match=re.escape(told)):
        check_params(project)


@pytest.mark.badinput
def test_a_name_without_its_file_is_refused_with_the_nearest_one(project: Path) -> None:
    """DVC would say that a dep is missing, after the stages before it have run."""
    _write(project, "network: small_cnn", "network: smal_cnn")

    with pytest.raises(ParamsError, match=r"'train.network' is 'smal_cnn', .* is not there\. Did you mean 'small_cnn'\?"):
        check_params(project)


@pytest.mark.badinput
def test_a_name_like_no_other_is_refused_with_all_there_are(project: Path) -> None:
    """What a room asks of its modules is none of them."""
    _write(project, "trainer: network", "trainer: zzz")

    with pytest.raises(ParamsError, match=r"'zzz', but .* is not there\. Known: .*network") as refused:
        check_params(project)

    assert "contract" not in str(refused.value)


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("stem_kernel: 3", "stem_kernl: 3", r"unknown key 'train\.network_options\.stem_kernl'\. Did you mean 'stem_kernel'\?"),
        ("record: {height: 8", "record: {height: eight", r"'collect\.record\.height' is 'eight', which fits none"),
        ("  policy:\n", "  policy:\n    shfit: 1\n", r"unknown key 'augment\.policy\.shfit'"),
    ],
)
def test_options_that_a_name_types_are_held_against_that_type(project: Path, right: str, wrong: str, told: str) -> None:
    """The task, the network or the format says what they may be; the stage that reads them may be hours away."""
    _write(project, right, wrong)

    with pytest.raises(ParamsError, match=told):
        check_params(project)


def test_options_of_own_code_are_left_to_it(project: Path) -> None:
    """The schema is generated from the package, and knows nothing of it."""
    _write(project, "network: small_cnn", "network: own:Network")
    _write(project, "stem_kernel: 3", "own_kernel: 3")

    with pytest.raises(ParamsError, match="lint --fix") as refused:
        check_params(project)
    assert "own_kernel" not in str(refused.value)


def test_the_section_of_an_own_stage_is_left_to_it(project: Path) -> None:
    """The schema is generated; a stage that was added a minute ago is not in it."""
    _write(project, "baseline:\n", "clean: {seed: 3}\nbaseline:\n")
    dag = project / "dvc.yaml"
    dag.write_text(
        dag.read_text(encoding="utf-8").replace("stages:\n", "stages:\n  clean:\n    cmd: echo\n", 1), encoding="utf-8"
    )

    check_params(project)


@pytest.mark.badinput
def test_an_empty_file_is_called_empty(project: Path) -> None:
    """An editor that ran into a full disk leaves one; the first template that misses its key is not the trouble."""
    (project / "params.yaml").write_text("")

    with pytest.raises(ParamsError, match=r"params\.yaml is empty"):
        check_params(project)
