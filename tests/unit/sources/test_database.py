"""Which address a database is asked at."""

import socket

import pytest
import sqlalchemy

from headrace.errors import SourceError
from headrace.settings import Settings
from headrace.sources.database import open_database
from headrace.sources.places import Places
from headrace.sources.spec import Sql


@pytest.fixture
def answers(monkeypatch):
    """What names are looked up to: host to addresses."""
    table: dict[str, list[str]] = {}

    def getaddrinfo(host, port, *rest, **more):
        if host not in table:
            raise OSError("unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in table[host]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return table


def connects(tmp_path, host, **more):
    """What libpq would be told."""
    source = Sql(kind="sql", name="a", url=f"postgresql://me@{host}/db", query="select 1", order_by=["id"], **more)
    engine = open_database(source, Places(project=tmp_path, downloads=tmp_path)).engine
    told = {}

    @sqlalchemy.event.listens_for(engine, "do_connect")
    def connect(dialect, record, arguments, parameters):
        told.update(parameters)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        engine.connect()
    return told


@pytest.mark.fault
def test_the_checked_addresses_are_dialled(answers, tmp_path):
    """A second look-up could answer with the machine's own network; TLS still verifies the name."""
    answers["db.test"] = ["93.184.215.14", "93.184.215.15"]

    told = connects(tmp_path, "db.test")

    assert told["hostaddr"] == "93.184.215.14,93.184.215.15"
    assert told["host"] == "db.test,db.test"


@pytest.mark.fault
@pytest.mark.parametrize("address", ["10.0.0.7", "127.0.0.1", "169.254.169.254", "::1"])
def test_one_private_address_is_enough_to_refuse(answers, tmp_path, address):
    answers["db.test"] = ["93.184.215.14", address]
    with pytest.raises(SourceError, match=r"list 'db\.test' in allow_hosts"):
        connects(tmp_path, "db.test")

    assert "hostaddr" not in connects(tmp_path, "db.test", allow_hosts=["db.test"])


def test_an_unknown_host_is_told(answers, tmp_path):
    with pytest.raises(SourceError, match=r"the host db\.test has no address"):
        connects(tmp_path, "db.test")


def test_a_source_has_its_own_password_before_that_for_all(tmp_path, monkeypatch):
    """Two databases, two passwords; the environment before the file."""
    (tmp_path / ".env").write_text("HEADRACE_SQL_PASSWORD_MY_SHOP=filed\n")
    settings = Settings(project=tmp_path, sql_password="for all")

    assert settings.password_of("other").get_secret_value() == "for all"
    assert settings.password_of("my-shop").get_secret_value() == "filed"
    monkeypatch.setenv("HEADRACE_SQL_PASSWORD_MY_SHOP", "set")
    assert settings.password_of("my-shop").get_secret_value() == "set"
    assert Settings(project=tmp_path).password_of("other") is None
