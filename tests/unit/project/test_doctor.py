"""What `headrace doctor` says of a machine."""

from headrace.project.doctor import examine
from headrace.settings import Settings


def test_a_check_that_cannot_be_made_has_failed_and_the_others_are_made(tmp_path):
    """A folder that is no project has no lock and no commit; the machine can be looked at all the same."""
    checks = {check.name: check for check in examine(Settings(project=tmp_path, home=tmp_path / "home"))}

    assert not checks["packages"].is_ok
    assert "git init" in checks["git"].found
    assert checks["free disk"].is_ok
    assert checks["MLflow store"].is_ok


def test_fp16_is_no_choice_on_a_cpu(tmp_path):
    """`train` refuses it there; a speed of 0.0x beside it would look like a measurement to act on."""
    checks = {check.name: check.found for check in examine(Settings(project=tmp_path, home=tmp_path / "home"))}

    assert checks["precision fp16"] == "needs a GPU (HEADRACE_DEVICE=cuda)"
    assert checks["precision fp32"].endswith("1.0x fp32")


def test_a_cache_beside_the_state_folder_is_not_in_it(tmp_path):
    """`home2` begins like `home`; the other checkouts would not find what this one made."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text(f"[core]\n    no_scm = true\n[cache]\n    dir = {tmp_path / 'home2' / 'cache'}\n")
    checks = {check.name: check for check in examine(Settings(project=tmp_path, home=tmp_path / "home"))}

    assert not checks["DVC cache"].is_ok
    assert "headrace setup" in checks["DVC cache"].found
