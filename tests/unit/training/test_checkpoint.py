"""A checkpoint is whole or ignored, and only for the run that wrote it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import ResumeRefused
from headrace.listening import SilentProgress
from headrace.training.checkpoint import MAGIC, CheckpointFile, random_state, restore_random_state


class Said(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def file(folder, *, fingerprint="a" * 64, machine="cpu, 2 threads", progress=None):
    return CheckpointFile(folder, fingerprint=fingerprint, machine=machine, progress=progress or Said())


def test_nothing_to_resume(tmp_path):
    """A first start has no checkpoint, and that is no error."""
    assert file(tmp_path).load() is None


def test_what_is_saved_comes_back(tmp_path):
    """Tensors to the bit, plain values as they were."""
    weights = torch.randn(3, 4)
    file(tmp_path).save({"weights": weights, "step": 7, "history": [{"loss": 0.1}]})
    loaded = file(tmp_path).load()

    assert torch.equal(loaded["weights"], weights)
    assert (loaded["step"], loaded["history"]) == (7, [{"loss": 0.1}])


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=25, deadline=None)
@given(state=st.dictionaries(st.text(), values, max_size=4))
def test_plain_values_round_trip(tmp_path_factory, state):
    """Whatever the loop's state grows into, it comes back equal."""
    folder = tmp_path_factory.mktemp("checkpoint")
    file(folder).save(state)

    assert file(folder).load() == state


@pytest.mark.fault
@pytest.mark.parametrize("kept", [0, 5, 40, 90, 0.5, 0.999])
def test_half_a_checkpoint_is_ignored_and_said(tmp_path, kept):
    """Starting afresh costs time; half a state costs the result."""
    file(tmp_path).save({"weights": torch.ones(100)})
    path = file(tmp_path).path
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(len(content) * kept)])
    progress = Said()

    assert file(tmp_path, progress=progress).load() is None
    assert "training starts afresh" in progress.lines[0]


@pytest.mark.fault
def test_a_flipped_byte_is_ignored_and_said(tmp_path):
    """torch.load would return it as data."""
    file(tmp_path).save({"weights": torch.ones(100)})
    path = file(tmp_path).path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    assert file(tmp_path).load() is None


@pytest.mark.badinput
def test_a_foreign_fingerprint_is_refused(tmp_path):
    """Params or data changed under the same folder: the message says so and what to do."""
    file(tmp_path).save({"step": 1})

    with pytest.raises(ResumeRefused, match=r"was written for run aaaaaaaaaaaa, this run is bbbbbbbbbbbb.*delete"):
        file(tmp_path, fingerprint="b" * 64).load()


@pytest.mark.badinput
def test_a_future_format_is_refused(tmp_path):
    """A newer version may mean other things by the same keys."""
    path = file(tmp_path).path
    path.write_bytes(MAGIC + b"2 " + b"0" * 64 + b"\nnew things")

    with pytest.raises(ResumeRefused, match="has format 2, this version of headrace knows 1"):
        file(tmp_path).load()


def test_another_class_of_machine_starts_afresh(tmp_path):
    """Bits agree only within a class, so a resume across classes would be neither run."""
    file(tmp_path, machine="cpu, 2 threads").save({"step": 1})

    assert file(tmp_path, machine="cpu, 1 threads").load() is None


def test_discarded_checkpoint_is_gone(tmp_path):
    """A forced rerun must train, not resume a finished training."""
    file(tmp_path).save({"step": 1})
    file(tmp_path).discard()

    assert file(tmp_path).load() is None


def test_random_state_round_trip():
    """Dropout after a resume draws what it would have drawn."""
    cpu = torch.device("cpu")
    torch.manual_seed(4)
    state = random_state(cpu)
    expected = torch.rand(5)
    torch.rand(100)
    restore_random_state(state, cpu)

    assert torch.equal(torch.rand(5), expected)
