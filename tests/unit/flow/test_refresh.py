"""What a scheduled run asks its sources."""

from pathlib import Path

import pytest

from headrace.errors import ParamsError
from headrace.flow.refresh import in_words, refresh_sources
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
    assert [change.file for change in refresh_sources(settings)] == ["incoming/1.csv"]
    assert in_words(refresh_sources(settings)) == ["no source has changed"]
    (settings.project / "incoming" / "2.csv").write_text("2\n")

    told = in_words(refresh_sources(settings))
    assert told == ["added    here: incoming/2.csv", "1 file came, went or changed: data/sources.lock is new"]
    assert len(read_lock(settings.project / "data" / "sources.lock").sources[0].files) == 2


def test_a_project_without_sources_has_nothing_to_refresh(settings: Settings) -> None:
    (settings.project / "params.yaml").write_text("train: {}\n")

    assert refresh_sources(settings) == []
    assert not (settings.project / "data").exists()


def test_a_wrong_source_is_named_as_everywhere(settings: Settings) -> None:
    (settings.project / "params.yaml").write_text(PARAMS.replace("kind: files", "kind: ftp"))

    with pytest.raises(ParamsError, match=r"collect\.sources"):
        refresh_sources(settings)
