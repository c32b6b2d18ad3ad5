"""What may be asked of a database."""

import pytest

from headrace.errors import ParamsError
from headrace.sources.statements import checked


@pytest.mark.parametrize(
    "statement",
    [
        "select id from t;",
        "  WITH a AS (SELECT 1 AS x) SELECT x FROM a  ;\n-- done;",
        "(select 1 as a) union all (select 2)",
        "select 'a;b' as text, \"random\" from t /* ; now() */",
        "select $$now(); --$$ as text, now_in_words, updated_now from t",
        "select date(day) from t where label in ('now', 'today') and date = 'today'",
    ],
)
def test_a_select_passes(statement):
    """Strings, names and comments may hold anything."""
    assert checked(statement, "query").startswith(statement.rstrip(" \n;")[:10])
    assert not checked(statement, "query").rstrip().endswith(";")


@pytest.mark.badinput
@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("delete from t", "no SELECT"),
        ("", "no SELECT"),
        ("select 1; drop table t", "more than one statement"),
        ("select id, random() from t", "'random'"),
        ("select * from t where day < NOW ()", "'NOW'"),
        ("select * from t where day < current_date", "'current_date'"),
        ("select * from t where day < date('now')", "something else each time"),
        ("select * from t where day < strftime('%Y', 'now')", "something else each time"),
        ("select * from t where day < date 'yesterday'", "something else each time"),
        ("select * from t where day < cast('now' as date)", "something else each time"),
        ("select * from t where day < 'today'::date", "something else each time"),
        ("select * from t tablesample system (10)", "'tablesample'"),
        ("select gen_random_uuid() as id", "gen_random_uuid"),
        ("select datetime() as t", "datetime"),
    ],
)
def test_what_cannot_be_repeated_is_refused(statement, told):
    """A snapshot that depends on the moment of the query could never be had again."""
    with pytest.raises(ParamsError, match=told):
        checked(statement, "query of source 'a'")
