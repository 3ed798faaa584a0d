"""The client's one kept HTTP connection, each failure of it told by how far the request had come."""

from __future__ import annotations

import http.client
import ipaddress
import logging
import select
import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from novosky.errors import UsageError
from novosky.web_address import is_host_name
from trading.brokers.bridge.admission import check_token
from trading.brokers.bridge.protocol import MAX_ANSWER_BYTES
from trading.brokers.mt5_package import errors
from trading.brokers.mt5_package.errors import Failure

_log = logging.getLogger(__name__)

IDLE_SECONDS = 30.0
"""A connection unused for longer is not used again; well below the server's limit, so that the
server never closes the door a call is just going through."""
CONNECT_SECONDS = 5.0
_PORTS = {"http": 80, "https": 443}


class LinkFailure(Exception):
    """The call has no answer; `failure` is what the package would say."""

    def __init__(self, failure: Failure, *, passing: bool = False) -> None:
        super().__init__(failure.text)
        self.failure = failure
        self.passing = passing
        """Whether a new connection may mend it."""


def check_address(url: str) -> str:
    """Return the address of a bridge that a token may be sent to.

    Raises
    ------
    UsageError
        Not an address, or an open line to another machine.
    """
    shape = "the bridge's address must look like https://host:8787 or http://127.0.0.1:8787"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise UsageError(shape) from error
    more = parts.path.strip("/") or parts.query or parts.username
    if parts.scheme not in _PORTS or not host or not is_host_name(host) or more:
        raise UsageError(shape)
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if parts.scheme == "http" and not loopback:
        raise UsageError(f"{host} is another machine; its bridge must be called by https://, or through a tunnel")
    return url.rstrip("/")


class Line:
    """Sends requests and reads responses, one at a time, over a connection that is kept.

    Written on a plain socket: a request is one packet, which an HTTP library takes several times
    as long to send. Proxies, redirects and `.netrc` are not known here, so the token goes nowhere else.

    Parameters
    ----------
    url, token : str
        The server and its bearer token.
    ca : Path or None
        The certificate (or its authority's) to trust instead of the public authorities.

    Raises
    ------
    UsageError
        An address, token or certificate that must not be used.
    """

    def __init__(self, url: str, token: str, ca: Path | None) -> None:
        self.url = check_address(url)
        parts = urlsplit(self.url)
        self._host, self._port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
        self._tls = _trust(ca) if parts.scheme == "https" else None
        self._head = f"Host: {parts.netloc}\r\nAuthorization: Bearer {check_token(token)}\r\n"
        self._socket: socket.socket | None = None
        self._used = 0.0

    def close(self) -> None:
        """Give up the connection; the next request opens a new one."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
        self._socket = None

    def exchange(self, method: str, path: str, body: bytes, wait: float) -> tuple[int, bytes]:
        """Send a request and return status and body of the response.

        Parameters
        ----------
        wait : float
            Seconds of silence to bear.

        Raises
        ------
        LinkFailure
            There is no response; the connection is given up.
        """
        try:
            line = self._open()
            line.settimeout(wait)
            self._send(line, method, path, body)
            status, data, last = self._receive(line, method)
        except LinkFailure as failure:
            self.close()
            cause = type(failure.__cause__).__name__ if failure.__cause__ else "no answer of the bridge"
            # An error's own text may quote the request; the kind of error says enough.
            _log.warning("bridge %s: %s (%s)", self.url, failure.failure.text, cause)
            raise
        self._used = time.monotonic()
        if last:
            self.close()
        return status, data

    def _open(self) -> socket.socket:
        if self._socket is not None and (time.monotonic() - self._used > IDLE_SECONDS or _has_news(self._socket)):
            self.close()
        if self._socket is None:
            try:
                self._socket = self._connect()
            except OSError as error:
                raise LinkFailure(errors.NO_CONNECTION) from error
        return self._socket

    def _connect(self) -> socket.socket:
        line = socket.create_connection((self._host, self._port), CONNECT_SECONDS)
        # Waiting to fill a packet would cost the other side's delayed acknowledgement, 40 ms a call.
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is None:
            return line
        try:
            return self._tls.wrap_socket(line, server_hostname=self._host)
        except OSError:
            line.close()
            raise

    def _send(self, line: socket.socket, method: str, path: str, body: bytes) -> None:
        head = f"{method} {path} HTTP/1.1\r\n{self._head}Content-Length: {len(body)}\r\n\r\n"
        try:
            line.sendall(head.encode("ascii") + body)
        except OSError as error:
            raise LinkFailure(errors.SEND_FAILED, passing=True) from error

    def _receive(self, line: socket.socket, method: str) -> tuple[int, bytes, bool]:
        """Return status, body, and whether the server closes the connection after it."""
        response = http.client.HTTPResponse(line, method=method)
        try:
            response.begin()
            if response.length is None or response.length > MAX_ANSWER_BYTES:
                raise LinkFailure(errors.RECEIVE_FAILED)
            return response.status, response.read(), response.will_close
        except TimeoutError as error:
            raise LinkFailure(errors.TIMEOUT) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise LinkFailure(errors.RECEIVE_FAILED, passing=True) from error
        finally:
            response.close()


def _has_news(line: socket.socket) -> bool:
    """Tell whether something has come on an idle connection: its end, or what nobody asked for."""
    try:
        return bool(select.select([line], [], [], 0)[0])
    except (OSError, ValueError):
        return True


def _trust(ca: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca) if ca else None)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{ca} is no certificate in PEM: {error}") from error
