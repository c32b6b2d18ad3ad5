"""What a scheduled run asks its sources."""

from pathlib import Path

import pytest

from headrace.errors import ParamsError
from headrace.flow.refresh import refresh_sources
from headrace.settings import Settings
from headrace.sources.snapshot import read_lock

PARAMS = """collect:
  task: image_classification
  format: csv
  options: {}
  sources: [{kind: files, name: here, paths: ["incoming/*.csv"]}]
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming" / "1.csv").write_text("1\n")
    (tmp_path / "params.yaml").write_text(PARAMS)
    return Settings(project=tmp_path, home=tmp_path / "home")


def test_a_new_file_is_the_only_change(settings: Settings) -> None:
    told: list[str] = []
    assert refresh_sources(settings, told.append) == 1
    assert refresh_sources(settings, told.append) == 0
    (settings.project / "incoming" / "2.csv").write_text("2\n")

    assert refresh_sources(settings, told.append) == 1
    assert told[2] == "no source has changed"
    assert told[3] == "added here: incoming/2.csv"
    assert len(read_lock(settings.project / "data" / "sources.lock").sources[0].files) == 2


def test_a_project_without_sources_has_nothing_to_refresh(settings: Settings) -> None:
    (settings.project / "params.yaml").write_text("train: {}\n")

    assert refresh_sources(settings, print) == 0
    assert not (settings.project / "data").exists()


def test_a_wrong_source_is_named_as_everywhere(settings: Settings) -> None:
    (settings.project / "params.yaml").write_text(PARAMS.replace("kind: files", "kind: ftp"))

    with pytest.raises(ParamsError, match=r"collect\.sources"):
        refresh_sources(settings, print)
