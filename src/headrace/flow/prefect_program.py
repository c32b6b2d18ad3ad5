"""Prefect's command line, with schedules that fire: `python -m headrace.flow.prefect_program server start ...`.

Prefect 3.8.8 with SQLAlchemy 2.1 never makes a scheduled run: its scheduler inserts rows in bulk with a key, `state`, that is a hybrid
property, which 2.0 passed over and 2.1 refuses ("Can't evaluate bulk DML statement"), in the log of the server only. The states are
inserted by the statement after it, so passing over is right. With a Prefect that knows SQLAlchemy 2.1 this module can go.
"""

import sys
from typing import Any


def let_schedules_fire() -> None:
    """Have a bulk insert of flow runs pass over `state`, as it did with SQLAlchemy 2.0."""
    from prefect.server.database.orm_models import FlowRun
    from sqlalchemy import inspect

    state: Any = inspect(FlowRun).all_orm_descriptors["state"]
    if getattr(state, "bulk_dml_setter", state) is None:  # no such attribute: SQLAlchemy 2.0; set: a newer Prefect
        state.bulk_dml_setter = _pass_over


def _pass_over(cls: type, mapping: dict[str, Any], value: Any) -> None:
    """Leave a row as it is."""


def main() -> None:
    """Prefect's own entry point, after the mend."""
    let_schedules_fire()
    from prefect.cli import app

    sys.argv[0] = "prefect"
    app()


if __name__ == "__main__":
    main()
