"""The standard library's own HTTP server and client on loopback: what an exchange of so many bytes costs by itself."""

from __future__ import annotations

import http.client
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection

WANTED = "X-Answer-Bytes"
"""The header by which a request says how long its answer shall be."""

Exchange = Callable[[int, int], bytes]
"""Sends so many bytes and returns the answer, of so many."""


class _Blank(BaseHTTPRequestHandler):
    """Reads a body and answers with as many zeros as it was asked for, on a line that stays open."""

    protocol_version = "HTTP/1.1"
    # As the bridge's: without it each answer waits 40 ms for the other side's acknowledgement.
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = bytes(int(self.headers[WANTED]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing, as the bridge does of a call."""


@contextmanager
def bare_http() -> Iterator[Exchange]:
    """Give an exchange with a server on a thread of this process."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Blank) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        with _exchange(server.server_port) as exchange:
            yield exchange
        server.shutdown()
        thread.join()


@contextmanager
def distant_http() -> Iterator[Exchange]:
    """Give an exchange with a server in a process of its own."""
    near, far = multiprocessing.Pipe()
    child = multiprocessing.get_context("spawn").Process(target=_serve, args=(far,), daemon=True)
    child.start()
    try:
        with _exchange(near.recv()) as exchange:
            yield exchange
    finally:
        child.terminate()
        child.join()


def _serve(told: Connection) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Blank) as server:
        told.send(server.server_port)
        server.serve_forever()


@contextmanager
def _exchange(port: int) -> Iterator[Exchange]:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:

        def exchange(asked: int, answered: int) -> bytes:
            line.request("POST", "/", bytes(asked), {WANTED: str(answered)})
            return line.getresponse().read()

        yield exchange
    finally:
        line.close()
