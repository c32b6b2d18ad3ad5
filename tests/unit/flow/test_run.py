from pathlib import Path

from headrace.flow import run
from headrace.settings import Settings


def test_a_run_takes_the_process_that_was_started_ahead(tmp_path: Path) -> None:
    """A second one would import DVC once more, and the first would wait for nobody."""
    settings = Settings(project=tmp_path, home=tmp_path / "home")
    run.start_dvc(settings)
    run.start_dvc(settings)
    [ahead] = run._started

    with run.open_run(settings) as opened:
        assert opened.launcher is ahead
        assert not run._started

    with run.open_run(settings) as opened:
        assert opened.launcher is not ahead
