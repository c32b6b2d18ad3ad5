"""A SELECT of params.yaml, looked at before a database sees it: one statement, and a function of the data."""

import re

from headrace.errors import ParamsError

_ASIDE = re.compile(
    r"--[^\n]*|/\*.*?\*/"  # comments
    r"|'(?:[^']|'')*'"  # strings
    r'|"(?:[^"]|"")*"'  # names
    r"|\$(\w*)\$.*?\$\1\$",  # PostgreSQL's other strings
    re.DOTALL,
)
_STARTS = ("select", "with", "values", "table")
_CALLS = (
    r"now|random|rand|randomblob|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|gen_random_uuid|uuid_generate_v\d\w*"
    r"|uuidv[47]|nextval|lastval|pg_backend_pid|txid_current|pg_current_xact_id|changes|total_changes|last_insert_rowid"
)
_WORDS = "current_timestamp|current_date|current_time|localtime|localtimestamp|tablesample"
_MOMENT = re.compile(rf"\b(?:{_WORDS})\b|\b(?:{_CALLS})\s*\(", re.IGNORECASE)
_NOW = re.compile(
    r"\b(?:date|time\w*|datetime|julianday|unixepoch|strftime)\s*(?:\([^()]*)?'\s*(?:now|today|tomorrow|yesterday)\s*'"
    r"|'\s*(?:now|today|tomorrow|yesterday)\s*'\s*::|\bcast\s*\(\s*'\s*(?:now|today|tomorrow|yesterday)\s*'",
    re.IGNORECASE,
)
"""SQLite's date('now'); PostgreSQL's date 'now', 'now'::date."""
_CLOCKLESS_DATE = re.compile(r"\b(?:date|time|datetime|julianday|unixepoch)\s*\(\s*\)", re.IGNORECASE)


def checked(statement: str, where: str) -> str:
    """The statement without a semicolon at its end.

    Args:
        statement: as params.yaml has it.
        where: what it is, for messages.

    Raises:
        ParamsError: it is no SELECT, more than one statement, or it calls something whose answer is another one each time.
    """
    bare = _ASIDE.sub(lambda found: _blank(found.group()), statement)
    body = bare.rstrip().rstrip(";").rstrip()
    if not body.strip().lower().lstrip("(").startswith(_STARTS):
        raise ParamsError(f"collect.sources: the {where} is no SELECT: {' '.join(statement.split())[:80]!r}.")
    if ";" in body:
        raise ParamsError(f"collect.sources: the {where} holds more than one statement. Keep one SELECT.")
    moment = _MOMENT.search(body) or _CLOCKLESS_DATE.search(body) or _NOW.search(statement)
    if moment:
        raise ParamsError(
            f"collect.sources: the {where} has {moment.group().rstrip(' (')!r}, which gives something else each time: what comes in "
            "would depend on the moment, not on the data. Write the value, or store it in the table."
        )
    return statement[: len(body)]


def table(query: str, columns: str = "*", end: str = "") -> str:
    """A SELECT from the query's result. It is the user's own query, in a read-only transaction with the user's own rights."""
    return f"SELECT {columns} FROM (\n{query}\n) AS asked {end}"  # noqa: S608


def _blank(text: str) -> str:
    """As long as before, so that positions stay."""
    return re.sub(r"[^\n]", " ", text)
