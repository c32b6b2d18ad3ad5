"""Where an interrupted training stood, on disk: whole or not at all, and only for the run that wrote it.

A checkpoint lies in the scratch folder of its fingerprint, one file for each class of machine: bits agree only within one class.
Layout: a line of text with the format, the sha256 of what follows, then `torch.save` of tensors and plain values.
"""

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from headrace.errors import ResumeRefused
from headrace.listening import Progress
from headrace.storage.local import atomic_path

FORMAT = 1
MAGIC = b"headrace checkpoint "


class CheckpointFile:
    """The checkpoint of one training on one class of machine.

    Args:
        folder: scratch folder of the run.
        fingerprint: digest of params, inputs, code and environment of the run.
        machine: class of machine, as `training.device.machine_class` says.
        progress: told what is resumed or ignored.
    """

    def __init__(self, folder: Path, *, fingerprint: str, machine: str, progress: Progress) -> None:
        name = hashlib.sha256(machine.encode()).hexdigest()[:12]
        self.path = folder / f"checkpoint-{name}.pt"
        self._fingerprint, self._machine, self._progress = fingerprint, machine, progress

    def save(self, state: dict[str, Any]) -> None:
        """Write tensors and plain values; the previous checkpoint stays until this one is whole and on disk."""
        body = io.BytesIO()
        torch.save({"fingerprint": self._fingerprint, "machine": self._machine, "state": state}, body)
        content = body.getbuffer()
        head = MAGIC + f"{FORMAT} {hashlib.sha256(content).hexdigest()}\n".encode()
        with atomic_path(self.path) as temporary, temporary.open("wb") as file:
            file.write(head)
            file.write(content)

    def load(self) -> dict[str, Any] | None:
        """The saved state, or None when there is none, or only half of one (which is said aloud).

        Raises:
            ResumeRefused: it belongs to another run, or was written by a newer version.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        head, _, body = content.partition(b"\n")
        words = head.removeprefix(MAGIC).split()
        if not head.startswith(MAGIC) or len(words) != 2 or not words[0].isdigit():
            self._say_ignored("is not a checkpoint")
            return None
        if int(words[0]) > FORMAT:
            raise ResumeRefused(
                f"checkpoint {self.path.name} has format {int(words[0])}, this version of headrace knows {FORMAT}: it was "
                f"written by a newer one. Install that, or delete {self.path.parent} to start afresh."
            )
        if hashlib.sha256(body).hexdigest().encode() != words[1]:
            self._say_ignored("is damaged or was cut short")
            return None
        kept = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
        if kept["fingerprint"] != self._fingerprint:
            raise ResumeRefused(
                f"checkpoint {self.path.name} was written for run {kept['fingerprint'][:12]}, this run is "
                f"{self._fingerprint[:12]}: params, data or code changed. Restore them, or "
                f"delete {self.path.parent} to start afresh."
            )
        state: dict[str, Any] = kept["state"]
        return state

    def _say_ignored(self, why: str) -> None:
        self._progress.say(f"checkpoint {self.path.name} {why}; training starts afresh")

    def discard(self) -> None:
        """Remove the checkpoint: the training is done and its outputs are written."""
        self.path.unlink(missing_ok=True)


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """State of the generators that weights and dropout draw from."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore_random_state(state: dict[str, torch.Tensor], device: torch.device) -> None:
    """Put the generators back where `random_state` found them."""
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(state["mps"])
