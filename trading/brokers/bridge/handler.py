"""One HTTP connection of the bridge's server: reads requests within bounds, answers or refuses."""

from __future__ import annotations

import io
import logging
import socket
import ssl
import time
from contextlib import AbstractContextManager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, Protocol

from trading.brokers.bridge.admission import Doorkeeper
from trading.brokers.bridge.limits import Limits
from trading.brokers.bridge.protocol import CALL_PATH, HELLO_PATH, MAX_REQUEST_BYTES, Call, Refused, dump, load_call
from trading.brokers.bridge.refusal import ProtocolError, Reason, Refusal

_log = logging.getLogger(__name__)


class Serving(Protocol):
    """What a connection needs of the server it belongs to."""

    limits: Limits
    doorkeeper: Doorkeeper

    def proved(self, connection: socket.socket) -> None:
        """Keep the place of a connection that has shown the token."""

    def answering(self) -> AbstractContextManager[None]:
        """Hold back the end of the server until an answer is out."""

    def hello(self) -> bytes:
        """Return the bytes of the server's hello."""

    def answer(self, call: Call) -> bytes:
        """Execute a call and return the bytes of its answer; raises `Refusal`."""


class DeadlineReader(io.RawIOBase):
    """Reads a socket so that a whole request has one deadline, however slowly its bytes drip.

    A socket's own timeout begins anew with every byte, which is all that a slow client needs to
    keep a connection for ever.
    """

    def __init__(self, connection: socket.socket, limits: Limits) -> None:
        self._connection = connection
        self._limits = limits
        self._deadline = 0.0
        self._idle = True
        self.idle_seconds = min(limits.idle_seconds, limits.first_seconds)
        """Until the connection has shown the token it is not waited for long."""
        self.await_request()

    def await_request(self) -> None:
        """Begin to wait for the next request."""
        self._idle = True
        self._deadline = time.monotonic() + self.idle_seconds

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there; TimeoutError when the deadline of a begun request has passed."""
        left = self._deadline - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError("the request took too long")
            self._connection.settimeout(left)
            count = self._connection.recv_into(buffer)
        except TimeoutError:
            if self._idle:
                return 0
            raise
        if self._idle:
            self._idle = False
            self._deadline = time.monotonic() + self._limits.request_seconds
        return count


class Handler(BaseHTTPRequestHandler):
    """Serves the requests of one connection, one after the other."""

    server: Serving  # type: ignore[assignment]  # the base class wants to know its own server
    protocol_version = "HTTP/1.1"
    # Waiting to fill a packet would cost the other side's delayed acknowledgement, 40 ms a call.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Put the deadline between the connection and the parser."""
        super().setup()
        self._sending = False
        self._reader = DeadlineReader(self.connection, self.server.limits)
        self.rfile = io.BufferedReader(self._reader)

    def handle_one_request(self) -> None:
        """Read and answer one request; the deadline counts from its first byte."""
        self._reader.await_request()
        try:
            super().handle_one_request()
        except (ConnectionError, ssl.SSLError) as error:
            _log.info("%s went away: %s", self.client_address[0], type(error).__name__)
            self.close_connection = True

    def do_GET(self) -> None:
        """Answer `GET /v1/hello`."""
        self._respond(HELLO_PATH)

    def do_POST(self) -> None:
        """Answer `POST /v2/call`."""
        self._respond(CALL_PATH)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse what the parser cannot read or has no method for."""
        refusal = Refusal(Reason.METHOD if code == 501 else Reason.MALFORMED, "this is no request of the bridge")
        self.close_connection = True
        self.request_version = self.protocol_version
        self._refuse(refusal)

    def log_message(self, format: str, *args: Any) -> None:
        """Log the parser's words, which are about slow clients; never what a client sent."""
        if self._sending:
            _log.warning("gave up an answer to %s: it was taken too slowly", self.client_address[0])
        else:
            _log.warning("refused a request from %s: it came too slowly", self.client_address[0])

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing of a request that was served; calls come every second."""

    def _respond(self, path: str) -> None:
        try:
            body = self._read_body()
        except Refusal as refusal:
            self._refuse(refusal)
            return
        with self.server.answering():
            self._answer(path, body)

    def _answer(self, path: str, body: bytes) -> None:
        try:
            self.server.doorkeeper.check(self.headers.get("Authorization"))
            self.server.proved(self.connection)
            self._reader.idle_seconds = self.server.limits.idle_seconds
            if self.path != path:
                raise Refusal(Reason.PATH, "there is nothing at this address")
            if path == HELLO_PATH:
                data, kind = self.server.hello(), "application/json"
            else:
                data, kind = self.server.answer(load_call(body)), "application/octet-stream"
        except Refusal as refusal:
            self._refuse(refusal)
        except ProtocolError as error:
            self._refuse(Refusal(Reason.MALFORMED, str(error)))
        else:
            self._send(200, data, kind)

    def _read_body(self) -> bytes:
        """Return the body; one of unknown or excessive length is not read and ends the connection."""
        lengths = self.headers.get_all("Content-Length", [])
        # Until the body is read whole the connection cannot be kept: what is left of it would be the next request.
        keep, self.close_connection = self.close_connection, True
        if self.headers.get("Transfer-Encoding") is not None or (not lengths and self.command == "POST"):
            raise Refusal(Reason.LENGTH, "a request must tell its length")
        text = lengths[0] if lengths else "0"
        # Two lengths, signs or blanks are read differently by whoever may stand in between.
        if len(lengths) > 1 or not (text.isascii() and text.isdigit()) or len(text) > 12:
            raise Refusal(Reason.MALFORMED, "the length of the request is not a number")
        if int(text) > MAX_REQUEST_BYTES:
            raise Refusal(Reason.OVERSIZED, f"a request has at most {MAX_REQUEST_BYTES} bytes")
        body = self.rfile.read(int(text))
        if len(body) != int(text):
            raise Refusal(Reason.MALFORMED, "the request is shorter than it says")
        self.close_connection = keep
        return body

    def _refuse(self, refusal: Refusal) -> None:
        _log.warning("refused a request from %s: %s: %s", self.client_address[0], refusal.reason.word, refusal.message)
        self._send(refusal.reason.status, dump(Refused(refusal.reason.word, refusal.message)))

    def _send(self, status: int, data: bytes, kind: str = "application/json") -> None:
        self.connection.settimeout(self.server.limits.answer_seconds)
        lines = [
            f"{self.protocol_version} {status} {HTTPStatus(status).phrase}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(data)}",
            *(["Connection: close"] if self.close_connection else []),
        ]
        head = "\r\n".join((*lines, "", ""))
        self._sending = True
        # In one piece: head and body sent by themselves wake the other side twice.
        self.wfile.write(head.encode("ascii") + data)
        self._sending = False
