"""The device is a setting: checked, and said aloud."""

import pytest
import torch

from headrace.errors import ConfigError
from headrace.listening import SilentProgress
from headrace.training.device import machine_class, pick_device, resident_bytes


class Said(SilentProgress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_the_device_is_said_aloud():
    """Nobody should find out after an hour that the GPU was idle."""
    progress = Said()

    assert pick_device("cpu", progress) == torch.device("cpu")
    assert "training on the CPU" in progress.lines[0]


def test_params_can_fix_the_threads():
    """The bits of a small network are then those of every machine, whatever its number of cores."""
    before = torch.get_num_threads()
    try:
        pick_device("cpu", SilentProgress(), threads=1)

        assert torch.get_num_threads() == 1
        assert ", 1 thread" in machine_class(torch.device("cpu"))
    finally:
        torch.set_num_threads(before)


@pytest.mark.badinput
@pytest.mark.parametrize("name", ["gpu", "xla", "cuda:99"])
def test_a_device_that_is_not_here_is_refused(name):
    """Falling back to the CPU in silence would hide a driver problem."""
    with pytest.raises(ConfigError, match=f"the device is set to '{name}'"):
        pick_device(name, SilentProgress())


def test_machine_class_names_what_decides_bits():
    """Threads and vector width change the order of sums."""
    text = machine_class(torch.device("cpu"))

    assert f", {torch.get_num_threads()} thread" in text
    assert torch.backends.cpu.get_cpu_capability() in text


def test_some_memory_may_be_used():
    """A budget of nothing would map every data set from disk."""
    assert resident_bytes(torch.device("cpu")) > 2**28
