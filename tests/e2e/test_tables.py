"""A recipe of tables on its real rows."""

from tests.projects import clone

TITANIC = ("tabular-titanic", "titanic.csv")


def test_titanic_runs_whole(tmp_path, origin, shared_data):
    """All 891 passengers; 177 ages and 687 cabins are missing, tickets stay together, and the interval is as wide as it is."""
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "titanic.csv").write_bytes(shared_data.joinpath(*TITANIC).read_bytes())
    made = clone(origin, tmp_path / "titanic", tmp_path / "home")
    made.headrace("recipe", "use", "titanic")
    made.set_param("collect", sources=[{"kind": "files", "name": "rows", "paths": ["../rows"]}])
    made.headrace("sources", "refresh")

    made.run("dvc", "repro")

    evaluated = made.report("evaluate")
    assert {"age is missing: 177 of 891 records", "cabin is missing: 687 of 891 records"} <= set(
        made.report("validate")["warnings"]
    )
    assert made.report("split")["by"] == "group"
    assert evaluated["metrics"]["roc_auc_macro"] > 0.75
    assert evaluated["score_high"] - evaluated["score_low"] > 0.05
