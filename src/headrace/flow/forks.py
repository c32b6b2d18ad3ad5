"""A small server that does each operation in a fork of itself, with a process group, an output and an answer of its own.

What is imported once, every fork has; what a fork breaks, or is killed in, touches no other. `launcher.py` is the other side.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from headrace.processes import ProcessId, children, end_group, end_process, watch
from headrace.variables import set_variable

LOOK_EVERY_S = 1.0


def serve(control: socket.socket, owner: ProcessId, operations: Mapping[str, Callable[..., Any]]) -> None:
    """Answer requests until the owner closes the control socket or dies; then end what still runs.

    A request is one JSON line with two file descriptors: a socket for replies, and where the command's output goes.
    """
    # Children are reaped by the system: their exit codes come over the reply socket, and its end tells of a kill.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's to handle: it ends our groups
    groups: list[int] = []
    beside: set[ProcessId] = set()
    while True:
        while not select.select([control], [], [], LOOK_EVERY_S)[0]:
            beside |= children(owner)
        message, descriptors, _, _ = socket.recv_fds(control, 65536, 2)
        if not message:
            break
        pid = os.fork()
        if pid == 0:
            control.close()
            reply, output = descriptors
            _child(json.loads(message), reply, output, owner, operations)
        for descriptor in descriptors:
            os.close(descriptor)
        groups.append(pid)
        with contextlib.suppress(BrokenPipeError):  # the owner has gone: the next look tells
            control.sendall(b".")
    for group in groups:
        end_group(group)
    if not owner.is_alive():
        # Killed: nobody else ends what it had started, such as Prefect's temporary server.
        for process in beside - {ProcessId.own()}:
            end_process(process)


def _child(
    request: dict[str, Any], reply: int, output: int, owner: ProcessId, operations: Mapping[str, Callable[..., Any]]
) -> None:
    code = 1
    with socket.socket(fileno=reply) as replies:
        try:
            os.setsid()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            with Path(os.devnull).open("rb") as nothing:
                os.dup2(nothing.fileno(), 0)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.close(output)
            for name, value in request.get("environment", {}).items():
                set_variable(name, value)
            _send(replies, {"process": ProcessId.own().to_text()})
            watch([owner], lambda: end_group(os.getpid()))
            operation = operations[request["operation"]]
            _send(replies, {"result": operation(**request.get("arguments", {}))})
            code = 0
        except BaseException as error:  # noqa: BLE001  # a fork must never return into the server's loop
            with contextlib.suppress(OSError):
                _send(replies, {"error": _message(error)})
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)


def _send(replies: socket.socket, message: dict[str, Any]) -> None:
    replies.sendall(json.dumps(message).encode() + b"\n")


def _message(error: BaseException | None) -> str:
    """Errors of DVC are wrapped: the innermost one says what happened."""
    parts: list[str] = []
    while error is not None:
        text = " ".join(str(error).split()) or type(error).__name__
        if text not in parts:
            parts.append(text)
        error = error.__cause__
    return ": ".join(parts)
