"""A DVC command at work: read its log and its replies until it ends, or end it."""

import json
import os
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from headrace.processes import ProcessId, end_group


@dataclass
class Execution:
    """A DVC command at work."""

    replies: socket.socket
    output: int
    process: ProcessId | None = None
    answer: dict[str, Any] = field(default_factory=dict)

    def wait(self, on_line: Callable[[str], None], *, timeout_s: float | None = None) -> dict[str, Any]:
        """Hand over the log line by line until the command ends; returns its last reply, {} when it was killed.

        Raises:
            TimeoutError: the limit passed; the process group has been killed.
        """
        deadline = time.monotonic() + timeout_s if timeout_s is not None else None
        rest, replies = b"", b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.output, selectors.EVENT_READ)
            selector.register(self.replies, selectors.EVENT_READ)
            waiting = 2
            while waiting:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                ready = selector.select(left)
                if not ready and deadline is not None and time.monotonic() >= deadline:
                    self.end()
                    raise TimeoutError
                for key, _ in ready:
                    if key.fileobj == self.output:
                        chunk = os.read(self.output, 65536)
                        rest += chunk.replace(b"\r", b"\n")
                        *lines, rest = rest.split(b"\n")
                        for line in lines:
                            on_line(line.decode("utf-8", "replace"))
                    else:
                        chunk = self.replies.recv(65536)
                        replies += chunk
                        *messages, replies = replies.split(b"\n")
                        for message in messages:
                            self._take(json.loads(message))
                    if not chunk:
                        selector.unregister(key.fileobj)
                        waiting -= 1
        if rest:
            on_line(rest.decode("utf-8", "replace"))
        os.close(self.output)
        self.replies.close()
        return self.answer

    def _take(self, message: dict[str, Any]) -> None:
        if "process" in message:
            self.process = ProcessId.from_text(message["process"])
        else:
            self.answer = message

    def end(self, *, grace_s: float = 0.0) -> None:
        """Kill the command with everything it started."""
        if self.process is None:  # its first message may still be in the socket
            self.replies.settimeout(2.0)
            try:
                for message in self.replies.recv(65536).split(b"\n"):
                    if message:
                        self._take(json.loads(message))
            except TimeoutError:
                return
        if self.process is not None:
            end_group(self.process.pid, grace_s=grace_s)
