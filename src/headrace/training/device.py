"""Where training runs: the machine's setting, checked, and said aloud."""

import ctypes
import os
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from headrace.errors import ConfigError
from headrace.listening import Progress

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Names of glibc's malloc.h."""


def pick_device(name: str, progress: Progress, *, threads: int | None = None) -> torch.device:
    """The device of this name, ready to use.

    Args:
        name: 'cpu', 'cuda' (or 'cuda:1') or 'mps', from the machine's settings.
        progress: told which device it is.
        threads: CPU threads of one operation in this process from now on; None: as they are.

    Raises:
        ConfigError: no such device here, or not a device name.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"the device is set to '{name}'; it may be cpu, cuda or mps. Set HEADRACE_DEVICE.") from None
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise ConfigError(f"the device is set to '{name}', but torch {torch.__version__} sees {count} CUDA devices here.")
        progress.say(f"training on {device}: {torch.cuda.get_device_name(device)}")
    elif device.type == "mps":
        if not torch.backends.mps.is_available():
            raise ConfigError(f"the device is set to 'mps', which torch {torch.__version__} does not offer on this machine.")
        progress.say("training on the Apple GPU (mps)")
    elif device.type == "cpu":
        _keep_freed_memory()
        progress.say(f"training on the CPU, {_threads()}, {torch.backends.cpu.get_cpu_capability()}")
    else:
        raise ConfigError(f"the device is set to '{name}'; Headrace trains on cpu, cuda or mps. Set HEADRACE_DEVICE.")
    return device


def _keep_freed_memory() -> None:
    # glibc gives large blocks back to the system at once, and a training asks for the same ones again in every step: the page faults
    # take a quarter of the time of a convolutional network (docs/log.md). The process ends after the training; no result changes.
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def machine_class(device: torch.device) -> str:
    """What must be equal for two trainings to give equal bits, as text: device, CPU capability, threads, torch release."""
    parts = [device.type, f"torch {torch.__version__}", torch.backends.cpu.get_cpu_capability(), _threads()]
    if device.type == "cuda":
        parts.append(torch.cuda.get_device_name(device))
    return ", ".join(parts)


def _threads() -> str:
    count = torch.get_num_threads()
    return f"{count} thread{'s' if count > 1 else ''}"


def resident_bytes(device: torch.device) -> int:
    """Bytes of training data that may stay on the device: half of what is free on a GPU, a quarter of the machine's memory."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] // 2)
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4


def as_numpy(program: nn.Module, device: torch.device) -> Callable[[np.ndarray], np.ndarray]:
    """A program on `device`, in evaluation mode, as a function of arrays."""
    program.eval()

    def run(inputs: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            found: np.ndarray = program(torch.tensor(inputs).to(device)).float().cpu().numpy()
            return found

    return run
