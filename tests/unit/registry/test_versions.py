"""Names and refusals, without a registry."""

import pytest

from headrace.errors import ParamsError, RegistryError
from headrace.params import parse_section
from headrace.registry.packages import read_package
from headrace.registry.versions import RegisterParams, register
from headrace.tracking.runs import Store


@pytest.mark.badinput
@pytest.mark.parametrize("name", ["a/b", "", "x" * 101, "gâteau", "🙂", "-rf", "../up", "a b"])
def test_names_that_a_registry_or_a_path_cannot_take_are_refused(name):
    """MLflow accepts some of them and fails later."""
    with pytest.raises(ParamsError, match=r"'register\.model'"):
        parse_section({"model": name}, "register", RegisterParams, where="params.yaml")


def test_a_candidate_that_failed_the_gate_is_refused_with_its_reasons(package):
    """A refusal is a result: no registry is asked, nothing is raised."""
    outcome = attempt(package, verdict={"allowed": False, "reasons": ["accuracy 0.71 < 0.98"]})

    assert outcome.is_refused
    assert outcome.reasons == ("accuracy 0.71 < 0.98",)


def test_a_verdict_that_says_nothing_is_a_refusal(package):
    """A missing or odd value is not a yes."""
    assert attempt(package, verdict={}).is_refused
    assert attempt(package, verdict={"allowed": "yes"}).is_refused


def test_an_experiment_on_a_branch_does_not_reach_a_shared_registry(package):
    """Only branches named in the settings register where others look."""
    outcome = attempt(package, verdict={"allowed": True}, branch="try-it", is_shared=True)

    assert "branch 'try-it' may not register there" in outcome.reasons[0]


@pytest.mark.badinput
@pytest.mark.parametrize("name", ["model.pt2", "signature.json", "input_example.json", "manifest.json"])
def test_a_package_that_lacks_a_file_is_refused(package, name):
    """A version nobody can serve, or verify, is worse than none."""
    (package / name).unlink()

    with pytest.raises(RegistryError, match=name):
        read_package(package)


@pytest.mark.fault
def test_a_flipped_byte_is_refused(package):
    """What is registered is what was packaged."""
    weights = bytearray((package / "model.pt2").read_bytes())
    weights[len(weights) // 2] ^= 1
    (package / "model.pt2").write_bytes(weights)

    with pytest.raises(RegistryError, match=r"content of model.pt2 has changed"):
        read_package(package)


@pytest.mark.fault
def test_a_file_that_the_manifest_does_not_know_is_refused(package):
    """An added file could be what a loader picks up."""
    (package / "model.pth").write_bytes(b"x")

    with pytest.raises(RegistryError, match=r"model.pth is not in the manifest"):
        read_package(package)


def attempt(package, *, verdict, branch="main", is_shared=False):
    return register(
        Store("http://127.0.0.1:9", "x"),
        RegisterParams(model="digits"),
        package=package,
        verdict=verdict,
        trained=[],
        run_id="",
        lineage={},
        is_shared=is_shared,
        branch=branch,
        allowed_branches=["main"],
    )
