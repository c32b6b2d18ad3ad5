"""Ports: free at first, the same ever after, and a taken one is told with its holder."""

import os
import re
import socket
from collections.abc import Iterator

import pytest
from tests.services import free_port

from headrace.errors import ConfigError
from headrace.services import ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_the_first_choice_passes_over_a_taken_port(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ports.FIRST, "mlflow", taken)

    assert ports.choose("mlflow", wanted=None, remembered=None, taken=set()) > taken


def test_the_remembered_port_is_taken_again() -> None:
    """Clients know the URL."""
    port = free_port()

    assert ports.choose("mlflow", wanted=None, remembered=port, taken=set()) == port


def test_the_setting_is_stronger_than_the_memory() -> None:
    wanted = free_port()

    assert ports.choose("mlflow", wanted=wanted, remembered=free_port(), taken=set()) == wanted


@pytest.mark.parametrize("how", ["wanted", "remembered"])
def test_a_port_in_use_is_told_with_its_holder_and_a_free_one(taken: int, how: str) -> None:
    """Moving on silently would change a URL that others have."""
    with pytest.raises(ConfigError) as refused:
        ports.choose("mlflow", **{"wanted": None, "remembered": None, how: taken}, taken=set())

    assert f"port {taken} of mlflow is in use by process {os.getpid()}" in str(refused.value)
    other = re.search(r"HEADRACE_MLFLOW_PORT=(\d+)", str(refused.value))
    assert other is not None
    assert ports.is_free(int(other.group(1)))


def test_a_port_promised_to_another_service_is_not_given_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """They start one after the other: the first does not listen yet."""
    port = free_port(8)
    monkeypatch.setitem(ports.FIRST, "object-store", port)

    chosen = ports.choose("object-store", wanted=None, remembered=None, taken={port + 2})

    assert chosen > port + 2


def test_the_object_store_needs_four_free_ports_in_a_row() -> None:
    port = free_port(4)
    with socket.socket() as other:
        other.bind(("127.0.0.1", port + 2))
        other.listen()

        with pytest.raises(ConfigError, match=r"port \d+ of object-store is in use") as refused:
            ports.choose("object-store", wanted=port, remembered=None, taken=set())

    assert any(f"port {each} of" in str(refused.value) for each in range(port, port + 3))
