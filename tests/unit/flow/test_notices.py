"""The message to whoever keeps watch, and where it goes."""

from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.receiver import receiver

from headrace.flow.notices import Notice, send, tail_of
from headrace.settings import Settings

NOTICE = Notice(
    flow="train", subject="stage validate", reason="stage validate failed: 300 of 1,000 records", tail=("first", "last"),
    look="headrace runs 7d9bcf47",
)  # fmt: skip


def test_one_message_has_stage_reason_log_and_command(tmp_path: Path) -> None:
    """Whoever is woken needs no second page to know what to type."""
    with receiver() as (port, posted):
        settings = Settings(project=tmp_path, notify_urls=SecretStr(f"json://user:canary@127.0.0.1:{port}/hook"))

        assert send(settings, NOTICE, say=print)

    assert len(posted) == 1
    assert posted[0]["title"].endswith("train: stage validate failed")
    message = posted[0]["message"]
    assert "300 of 1,000 records" in message
    assert "    last" in message
    assert "headrace runs 7d9bcf47" in message


@pytest.mark.fault
def test_an_address_that_does_not_answer_is_said_without_its_secret(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The run has failed already; a dead chat server must not hide why, nor print its token."""
    settings = Settings(project=tmp_path, notify_urls=SecretStr("json://user:canary@127.0.0.1:9/hook"))
    said: list[str] = []

    assert not send(settings, NOTICE, say=said.append)

    assert "not every address took the message" in said[0]
    assert "canary" not in " ".join(said) + "".join(capfd.readouterr())


def test_an_address_of_no_known_kind_is_said(tmp_path: Path) -> None:
    """A misspelt scheme would otherwise be silence."""
    said: list[str] = []

    send(Settings(project=tmp_path, notify_urls=SecretStr("gibberish")), NOTICE, say=said.append)

    assert "does not know" in said[0]
    assert "gibberish" not in said[0]


def test_passwords_in_urls_of_a_log_are_masked() -> None:
    """A stage's last words can be the URL that it could not reach."""
    notice = Notice(flow="train", subject="x", reason="r", look="l", tail=("GET https://robot:canary@example.invalid/data",))

    assert "canary" not in notice.body


def test_the_tail_is_the_end_of_a_log_without_colours(tmp_path: Path) -> None:
    """Escape sequences are noise in a mail."""
    log = tmp_path / "train.log"
    log.write_text("".join(f"\x1b[32mline {n}\x1b[0m\n\n" for n in range(40)))

    assert tail_of(log)[-1] == "line 39"
    assert len(tail_of(log)) == 12
    assert tail_of(tmp_path / "none.log") == ()
