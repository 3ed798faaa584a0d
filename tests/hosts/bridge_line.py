"""A line between the bridge's client and server that a test can break."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.helpers.bridge_module import TOKEN, SmallModule, serving
from trading.brokers.bridge.client import BridgeModule


@dataclass
class Line:
    """A line between client and server that a test can break.

    `fault` says what happens to the next call: "cut" ends the connection when the call has
    arrived at the server, "lose" before it does, "garble" replaces its answer, "swallow" never
    answers. It happens `times` times.
    """

    server: Any
    fault: str = "none"
    times: int = 1
    calls: int = 0
    garbled: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def run(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _carry(self, near: socket.socket) -> None:
        """Carry whole requests and answers; each is small here, and sent as head and body."""
        with near, socket.create_connection(self.server.server_address[:2]) as far:
            while data := self._message(near):
                fault = self._fault(data)
                if fault == "lose":
                    return
                far.sendall(data)
                answer = self._message(far)
                if fault == "cut":
                    return
                if fault == "swallow":
                    time.sleep(3)
                    return
                near.sendall(self.garbled if fault == "garble" else answer)

    def _fault(self, data: bytes) -> str:
        if not data.startswith(b"POST"):
            return "none"
        self.calls += 1
        if self.times == 0:
            return "none"
        self.times -= 1
        return self.fault

    @staticmethod
    def _message(line: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = line.recv(65536)
            if not chunk:
                return b""
            data += chunk
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [row.split(b":")[1] for row in head.split(b"\r\n") if row.lower().startswith(b"content-length")]
        while lengths and len(body) < int(lengths[0]):
            body += line.recv(65536)
        return head + b"\r\n\r\n" + body


@contextmanager
def breakable(module: SmallModule) -> Iterator[tuple[BridgeModule, Line]]:
    with serving(module) as server:
        line = Line(server)
        thread = threading.Thread(target=line.run, daemon=True)
        thread.start()
        try:
            with BridgeModule(line.url, TOKEN, call_seconds=0.5) as mt5:
                yield mt5, line
        finally:
            line.close()
            thread.join(5)
