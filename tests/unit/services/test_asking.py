"""A question to a server that may be there, half there, or not there."""

import socket
import threading
from collections.abc import Iterator

import pytest
from tests.services import free_port

from headrace.services.asking import NO_ANSWER, ask, wait_for

REFUSAL = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno"


@pytest.fixture
def answering(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that sends given bytes and hangs up."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(request.param)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(5)


@pytest.mark.parametrize(
    "answering",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", b"\0\0\0\0"],
    indirect=True,
)
def test_a_server_that_dies_in_mid_answer_has_not_answered(answering: str) -> None:
    """Kill -9 may come between any two bytes."""
    assert ask(answering) == (NO_ANSWER, b"")


@pytest.mark.parametrize("answering", [REFUSAL], indirect=True)
def test_a_refusal_is_an_answer(answering: str) -> None:
    assert ask(answering) == (401, b"no")


def test_nobody_there_is_no_answer() -> None:
    assert ask(f"http://127.0.0.1:{free_port()}") == (NO_ANSWER, b"")


@pytest.mark.parametrize("answering", [REFUSAL], indirect=True)
def test_a_proxy_of_the_environment_is_left_aside(answering: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be asked for this machine's own services, with their passwords."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")

    assert ask(answering)[0] == 401


def test_waiting_ends() -> None:
    assert wait_for(lambda: True, timeout_s=0)
    assert not wait_for(lambda: False, timeout_s=0.05, every_s=0.01)
