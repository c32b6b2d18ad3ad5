"""The import graph is the cache graph: what cannot change a result reruns nothing."""

from pathlib import Path

import pytest
from tests.projects import REPOSITORY

from headrace.dagfile import read_stanzas

HARMLESS = {
    "a network that is not in use": "src/headrace/networks/mlp.py",
    "a source kind that is not in use": "src/headrace/sources/http.py",
    "tracking": "src/headrace/tracking/runs.py",
    "the registry": "src/headrace/registry/versions.py",
    "settings": "src/headrace/settings.py",
    "the stage runner": "src/headrace/stages/_runner.py",
    "the flow": "src/headrace/flow/run.py",
    "the command line": "src/headrace/cli.py",
    "a format that is not in use": "src/headrace/formats/idx.py",
    "the report page": "src/headrace/evaluation/report.py",
}


@pytest.mark.parametrize("what", HARMLESS)
def test_no_stage_depends_on(what: str) -> None:
    """An edit to it reruns no stage of the default recipe."""
    file = Path(HARMLESS[what])
    assert (REPOSITORY / file).exists()

    touched = [
        stanza.name
        for stanza in read_stanzas(REPOSITORY).values()
        if any(file == Path(dep) or Path(dep) in file.parents for dep in stanza.deps)
    ]

    assert touched == []
