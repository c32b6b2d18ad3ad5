"""What a person sees of a transfer, and when one is taken for standing still."""

import json
from pathlib import Path

import pytest

from headrace.flow import meter
from headrace.flow.progress import GRACE_S, MIN_BYTES_PER_S, PLAIN_EVERY_S, Shown

MARK = "mark "


class Watched:
    """A transfer whose clock the test moves."""

    def __init__(self) -> None:
        self.now, self.said, self.ended = 0.0, list[str](), 0
        self.shown = Shown("push", self.said.append, self.end, clock=lambda: self.now)

    def end(self) -> None:
        self.ended += 1

    def tell(self, after_s: float, *, moved: int, objects: int = 0, of: int = 2, unseen: int = 0) -> None:
        self.now += after_s
        count = {"objects": objects, "of": of, "moved": moved, "unseen": unseen}
        self.shown.take(f"{MARK}{json.dumps(count)}", MARK)


def test_a_plain_line_now_and_then_tells_bytes_and_rate() -> None:
    watched = Watched()
    watched.tell(1, moved=1_000_000)
    watched.tell(PLAIN_EVERY_S, moved=12_000_000, objects=1)

    assert watched.said == ["push: 1 of 2 objects, 12.0 MB, 2.0 MB/s"]


def test_other_lines_are_the_log() -> None:
    watched = Watched()
    watched.shown.take("collecting", MARK)

    assert watched.shown.log == ["collecting"]


@pytest.mark.fault
@pytest.mark.parametrize("rate", [0, 1000])
def test_what_stands_still_or_crawls_is_ended(rate: int) -> None:
    """A silent server, and one that gives 1 kB a second."""
    watched = Watched()
    for second in range(int(GRACE_S) + 2):
        watched.tell(1, moved=rate * second)

    assert watched.shown.is_stalled
    assert watched.ended == 1


def test_what_moves_is_left_alone() -> None:
    watched = Watched()
    for second in range(600):
        watched.tell(1, moved=int(2 * MIN_BYTES_PER_S * second))

    assert not watched.shown.is_stalled


def test_an_object_that_goes_in_one_request_gets_its_time() -> None:
    """Nothing is known of it until all of it is there."""
    watched, size = Watched(), 50_000_000
    watched.tell(GRACE_S + size / MIN_BYTES_PER_S - 1, moved=0, unseen=size)
    assert not watched.shown.is_stalled

    watched.tell(2, moved=0, unseen=size)
    assert watched.shown.is_stalled


def test_before_and_after_the_transfer_nothing_stands_still() -> None:
    """DVC hashes and lists first, and checks out afterwards."""
    watched = Watched()
    watched.tell(10 * GRACE_S, moved=0, of=0)
    watched.tell(10 * GRACE_S, moved=5, objects=2)

    assert not watched.shown.is_stalled


def test_bytes_are_counted_and_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meter.Meter, "count", meter.Count())
    whole = meter.Meter(unit="file", desc="Pushing")
    with meter.telling(MARK):
        whole.set_size(2)
        with whole.branched("here", "there") as part:
            part.set_size(10)
            part.relative_update(4)
            assert whole.count.told() == {"objects": 0, "of": 2, "moved": 4, "unseen": 6}
            part.relative_update(6)
        whole.relative_update()

    last = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(last.removeprefix(MARK)) == {"objects": 1, "of": 2, "moved": 10, "unseen": 0}


def test_no_vendor_is_imported_to_count() -> None:
    """The adapter is the one place that imports DVC."""
    assert "import dvc" not in Path(meter.__file__).read_text(encoding="utf-8")
