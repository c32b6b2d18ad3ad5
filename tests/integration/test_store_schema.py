"""The shipped schema and MLflow's own migrations agree."""

import sqlite3
from pathlib import Path

import pytest

from headrace.errors import EngineError
from headrace.tracking import store


def dump(path: Path) -> list[str]:
    database = sqlite3.connect(path)
    try:
        return sorted(_settled(statement) for statement in database.iterdump())
    finally:
        database.close()


def _settled(statement: str) -> str:
    """The statement with its table constraints sorted: SQLAlchemy writes them in the order of a set, which differs from run to run."""
    lines = [line.strip().rstrip(",") for line in statement.splitlines()]
    constraints = [line for line in lines if line.startswith(("CONSTRAINT ", "CHECK ", "FOREIGN KEY"))]
    return "\n".join([line for line in lines if line not in constraints] + sorted(constraints))


def test_the_shipped_schema_is_what_the_migrations_make(tmp_path):
    """A new MLflow in the lock needs `python -m headrace.tracking.store`; without it every first run pays for 60 migrations."""
    store.prepare(f"sqlite:///{tmp_path / 'shipped.db'}")
    store._migrate(tmp_path / "migrated.db")

    assert store._shipped().exists()
    assert dump(tmp_path / "shipped.db") == dump(tmp_path / "migrated.db")


def test_a_database_of_an_older_mlflow_is_migrated_and_kept(tmp_path):
    """Upgrading the package must not lose runs; the file as it was stays beside it."""
    path = tmp_path / "mlflow.db"
    make_older(path)
    before = dump(path)
    store.prepare(f"sqlite:///{path}")
    (kept,) = tmp_path.glob("mlflow.db.before-*")

    assert store._revision(path) == store._shipped_revision()
    assert dump(kept) == before


def test_a_migration_that_fails_names_the_file(tmp_path):
    """A database whose tables and revision disagree was mended by hand."""
    path = tmp_path / "mlflow.db"
    store.prepare(f"sqlite:///{path}")
    (tmp_path / "mlflow.db.ready").unlink()
    database = sqlite3.connect(path)
    database.execute("UPDATE alembic_version SET version_num = 'unknown'")
    database.commit()
    database.close()

    with pytest.raises(EngineError, match=r"could not migrate .*mlflow\.db.*Move the file away"):
        store.prepare(f"sqlite:///{path}")


def make_older(path: Path) -> None:
    """A database one migration behind, with a row of its own."""
    import sqlalchemy
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config
    from mlflow.store.tracking.dbmodels.initial_models import Base

    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    config = _get_alembic_config(f"sqlite:///{path}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head-1")
        connection.execute(sqlalchemy.text("INSERT INTO experiments (name, lifecycle_stage) VALUES ('mine', 'active')"))
    engine.dispose()
