"""Number formats of the forward and backward pass: written in params, never chosen silently."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from headrace.errors import ParamsError
from headrace.training.options import PrecisionName


class Precision:
    """Autocast and loss scaling for one device.

    Args:
        name: fp32; bf16: matrix products in bfloat16; fp16: in float16, with a scaled loss.
        device: where training runs.

    Raises:
        ParamsError: the device cannot do it.
    """

    def __init__(self, name: PrecisionName, device: torch.device) -> None:
        if name == "fp16" and device.type == "cpu":
            raise ParamsError("train.precision is fp16, which needs a GPU; this run is on the CPU. Set it to bf16 or fp32.")
        if name == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
            raise ParamsError(
                f"train.precision is bf16, which {torch.cuda.get_device_name(device)} cannot do. Set it to fp16 or fp32."
            )
        self._device = device
        self._dtype = torch.bfloat16 if name == "bf16" else torch.float16
        self._enabled = name != "fp32"
        self._scaler = torch.amp.GradScaler(device.type, enabled=name == "fp16")

    def autocast(self) -> AbstractContextManager[Any]:
        """Context in which the forward pass runs."""
        # Entering a disabled autocast still costs microseconds, which a small network notices.
        return torch.autocast(self._device.type, self._dtype) if self._enabled else nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss`, scaled if the format needs it."""
        torch.autograd.backward(self._scaler.scale(loss))

    def step(self, optimizer: Optimizer, network: nn.Module, *, max_grad_norm: float | None, measure: bool) -> Tensor | None:
        """Clip, step, forget the gradients.

        Returns:
            The gradients' norm before clipping where it was clipped or asked for by `measure`, on the device; else None.
        """
        norm = None
        if max_grad_norm is not None or measure:
            self._scaler.unscale_(optimizer)
            grads = [p.grad for p in network.parameters() if p.grad is not None]
            norm = nn.utils.get_total_norm(grads)
            if max_grad_norm is not None:
                nn.utils.clip_grads_with_norm_(network.parameters(), max_grad_norm, norm)
        self._scaler.step(optimizer)
        self._scaler.update()
        optimizer.zero_grad(set_to_none=True)
        return norm

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return self._scaler.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._scaler.load_state_dict(state)
