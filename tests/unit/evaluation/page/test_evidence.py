import pytest

from headrace.evaluation.page.evidence import Evidence, number, rows

DAG = """
stages:
  last: {cmd: x, deps: [reports/b.parquet, models/a/model.json], outs: [out]}
  middle: {cmd: x, deps: [data/first/train], outs: [models/a, {reports/b.parquet: {cache: false}}]}
  first: {cmd: x, outs: [data/first]}
  loose: {cmd: x}
"""


def test_dag_is_read_in_topological_order(tmp_path):
    """Parents are found through folders, files inside them, and outs with options."""
    (tmp_path / "dvc.yaml").write_text(DAG)

    dag = Evidence(tmp_path).dag

    assert dag == {"first": [], "middle": ["first"], "last": ["middle"], "loose": []}
    assert list(dag).index("middle") < list(dag).index("last")


@pytest.mark.badinput
@pytest.mark.parametrize("content", ["", "[]", "{", "[1, 2]", "null", '"text"', '{"stages": 3}', '{"stages": {"a": []}}'])
def test_unreadable_files_are_absent(tmp_path, content):
    """The page is made after failures too, when files may be anything."""
    (tmp_path / "reports").mkdir()
    for name in ("reports/timings.json", "dvc.yaml", "dvc.lock"):
        (tmp_path / name).write_text(content)
    evidence = Evidence(tmp_path)

    assert evidence.timings == {}
    assert evidence.dag == {}
    assert evidence.lock == {}
    assert evidence.table("train", "history") == []


@pytest.mark.parametrize(("value", "expected"), [("0.5", 0.5), (1, 1.0), ("nan", None), (None, None), ("", None), ([], None)])
def test_number_is_finite_or_nothing(value, expected):
    """'nan %' on a page is worse than a dash."""
    assert number(value) == expected


def test_rows_drop_what_is_no_row():
    """Tables come from files that others write."""
    assert rows([{"a": 1}, 3, None]) == [{"a": 1}]
    assert rows("text") == []
