"""The bridge's server: HTTP with a bearer token in front of one terminal's module.

`GET /v1/hello` tells a client whom it speaks to, `POST /v2/call` executes one function. Both need
the bearer token. Only the functions of `trading.brokers.bridge.functions` can be called, and only the
terminal that the server was started for can be launched.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import os
import secrets
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from novosky.clock import Clock
from novosky.errors import BrokerError, NetworkError, UsageError
from trading.brokers.bridge.admission import Doorkeeper, ReplayGuard, check_token
from trading.brokers.bridge.functions import FUNCTIONS
from trading.brokers.bridge.handler import Handler
from trading.brokers.bridge.limits import Limits
from trading.brokers.bridge.places import Place, Places
from trading.brokers.bridge.protocol import MAX_ANSWER_BYTES, PROTOCOL_VERSION, Answer, Call, Hello, dump, dump_answer
from trading.brokers.bridge.refusal import ProtocolError, Reason, Refusal
from trading.brokers.bridge.values import Codec
from trading.brokers.bridge.worker import ModuleWorker, Outcome
from trading.brokers.mt5_package.errors import no_terminal
from trading.brokers.mt5_package.structs import STRUCTS

_log = logging.getLogger(__name__)

_QUIET_SECONDS = 5.0
LONGEST_PATIENCE = 300.0
"""Seconds; the first request for deep history has been seen to take 91."""
CARRIED_EXCEPTIONS = (TypeError, ValueError, OverflowError, NotImplementedError)


def tls_context(cert: Path, key: Path) -> ssl.SSLContext:
    """Return the server's side of TLS 1.2 or newer from PEM files.

    Raises
    ------
    UsageError
        The files are missing or do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"--cert {cert} and --key {key} are no certificate and its key in PEM: {error}") from error
    return context


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address leads to this machine only.

    Raises
    ------
    UsageError
        The name does not resolve.
    """
    try:
        found = socket.getaddrinfo(host or "0.0.0.0", None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(f"{host!r} is no address of this machine: {error}") from error
    return all(ipaddress.ip_address(str(address[4][0]).split("%")[0]).is_loopback for address in found)


class BridgeServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves one module to authenticated clients until it is closed.

    Parameters
    ----------
    module
        The package, or anything with its functions; from now on only the server may use it.
    token : str
        The bearer token, see `admission.check_token`.
    clock : Clock
        The wall clock that clients compare theirs with.
    host, port
        Where to listen; port 0 draws a free one.
    tls : ssl.SSLContext, optional
        Required unless `host` is this machine's loopback.
    terminal : str, optional
        The program that `initialize()` is to start or attach to.
    any_terminal : bool
        Let clients name the program. Never with the package: it launches what it is told.
    before : callable, optional
        Called before each call, on the thread that owns the module.
    limits : Limits
        Time limits.

    Raises
    ------
    UsageError
        An open address without TLS, or an unfit token.
    NetworkError
        The port is taken.
    """

    daemon_threads = True
    # On Windows this option would let a second server share the port.
    allow_reuse_address = os.name == "posix"
    # Many may knock while one is let in; the system lowers it to what it allows.
    request_queue_size = 1024

    def __init__(
        self,
        module: Any,
        token: str,
        clock: Clock,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        terminal: str | None = None,
        any_terminal: bool = False,
        before: Callable[[], None] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.doorkeeper = Doorkeeper(check_token(token))
        if tls is None and not is_loopback(host):
            raise UsageError(
                f"{host} can be reached from other machines, and without TLS anyone on the way reads the token and "
                "the trades; give --cert and --key, or listen on 127.0.0.1"
            )
        self._tls = tls
        self._clock = clock
        self._terminal = terminal
        self._any_terminal = any_terminal
        self._package = str(getattr(module, "__version__", "unknown"))
        self._codec = Codec({kind.__name__: getattr(module, kind.__name__, kind) for kind in STRUCTS})
        self._identity = secrets.token_hex(16)
        self._guard = ReplayGuard(self._identity)
        self._places = Places(self.limits.connections, self.limits.strangers)
        self._placed: dict[socket.socket, Place] = {}
        self._complained = -math.inf
        self._answering = 0
        self._quiet = threading.Condition()
        self._connections: set[socket.socket] = set()
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), Handler)
        except OSError as error:
            raise NetworkError(
                f"cannot listen on {host} port {port}: {error.strerror}; choose another --port"
            ) from error
        self._worker = ModuleWorker(module, before)

    @property
    def url(self) -> str:
        """Where clients find the server."""
        host, port = self.server_address[:2]
        name = f"[{host!s}]" if self.address_family == socket.AF_INET6 else str(host)
        return f"{'https' if self._tls else 'http'}://{name}:{port}"

    def serve(self, stop: threading.Event) -> None:
        """Serve until `stop` is set, then let running calls end and be answered.

        Raises
        ------
        BrokerError
            A call hangs in the terminal or the module broke: only a new process helps.
        """
        listener = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        listener.start()
        try:
            while not stop.wait(0.2):
                if self._worker.busy_seconds() > self.limits.hung_seconds:
                    raise BrokerError("a call hangs in the terminal; close the terminal and start the bridge again")
                self._end_overdue()
                if not self._worker.alive:
                    raise BrokerError("the terminal's module broke down; start the bridge again")
        finally:
            self.shutdown()
            listener.join()
            self.close()

    def close(self, patience: float = 5.0) -> None:
        """Stop listening; answer what is running, for at most `patience` seconds."""
        self.server_close()
        if not self._worker.close(patience):
            _log.warning("a call is still running in the terminal and is left behind")
        with self._quiet:
            self._quiet.wait_for(lambda: not self._answering, patience)
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def hello(self) -> bytes:
        """Return the bytes of the server's hello."""
        layout = self._codec.layout()
        busy = self._worker.busy_seconds()
        stamp, now = time.monotonic(), self._clock.now()
        return dump(Hello(PROTOCOL_VERSION, self._package, self._identity, stamp, now, busy, layout))

    def answer(self, call: Call) -> bytes:
        """Execute a call and return the bytes of its answer.

        Raises
        ------
        Refusal
            It was not executed, or its answer cannot be given.
        """
        if call.function not in FUNCTIONS:
            raise Refusal(Reason.FUNCTION, "the bridge does not carry this function")
        try:
            args = [self._codec.decode(item) for item in call.args]
            kwargs = None
            if call.kwargs is not None:
                kwargs = {name: self._codec.decode(item) for name, item in call.kwargs.items()}
        except ProtocolError as error:
            raise Refusal(Reason.MALFORMED, str(error)) from error
        # After its arguments were read: a call refused for its form has not used up its number.
        self._guard.admit(call)
        return self._answer_bytes(call, self._execute(call, args, kwargs))

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Hold back the end of the server until an answer is out."""
        with self._quiet:
            self._answering += 1
        try:
            yield
        finally:
            with self._quiet:
                self._answering -= 1
                self._quiet.notify_all()

    def _execute(self, call: Call, args: list[Any], kwargs: dict[str, Any] | None) -> Outcome:
        if call.function == "initialize" and not self._any_terminal:
            named = args[:1] or [value for name, value in (kwargs or {}).items() if name == "path"]
            if named and named[0] != self._terminal:
                failure = no_terminal("the bridge starts no other terminal than its own")
                return Outcome(False, None, (failure.code, failure.text))
            if self._terminal is not None and not named:
                args = [self._terminal]
        return self._worker.call(call.function, args, kwargs, min(call.patience, LONGEST_PATIENCE))

    def _answer_bytes(self, call: Call, outcome: Outcome) -> bytes:
        raised = None
        if outcome.raised is not None:
            name = next((kind.__name__ for kind in CARRIED_EXCEPTIONS if isinstance(outcome.raised, kind)), None)
            if name is None:
                _log.error("%s raised %s", call.function, type(outcome.raised).__name__, exc_info=outcome.raised)
            raised = [name or "RuntimeError", str(outcome.raised)]
        rows: list[bytes] = []
        try:
            value = self._codec.encode(outcome.value, rows)
        except ProtocolError as error:
            raise Refusal(Reason.ANSWER, f"{call.function} returned what cannot be carried: {error}") from error
        data = dump_answer(Answer(call.seq, time.monotonic(), value, raised, list(outcome.error)), rows)
        if len(data) > MAX_ANSWER_BYTES:
            raise Refusal(Reason.ANSWER, f"the answer of {call.function} is {len(data)} bytes; ask for less")
        return data

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a new connection its thread, in place of an older stranger where there are too many."""
        place = Place(str(client_address[0]), time.monotonic(), request)
        entered, victim = self._places.enter(place)
        if victim is not None:
            self._complain("closed a connection from %s that had not shown the token", victim.address)
            victim.end()
        if not entered:
            self._complain("refused a connection from %s", place.address)
            self.shutdown_request(request)
            return
        self._placed[request] = place
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection; TLS is agreed here, so that nobody can hold up the listener."""
        place = self._placed.pop(request)
        try:
            connection = self._secured(request, client_address, place)
            if connection is not None:
                self._serve_connection(connection, client_address, place)
        finally:
            self._places.leave(place)

    def proved(self, connection: socket.socket) -> None:
        """Keep the place of a connection that has shown the token."""
        place = self._placed.get(connection)
        if place is not None:
            self._places.prove(place)

    def _end_overdue(self) -> None:
        for place in self._places.overdue(time.monotonic() - self.limits.stranger_seconds):
            place.end()

    def _complain(self, what: str, address: str) -> None:
        """Log what crowding does, at most once in `_QUIET_SECONDS`: a crowd must not fill the disk."""
        if time.monotonic() - self._complained >= _QUIET_SECONDS:
            self._complained = time.monotonic()
            _log.warning(f"{what}: %d are open", address, self._places.count)

    def _serve_connection(self, connection: socket.socket, client_address: Any, place: Place) -> None:
        self._placed[connection] = place
        with self._quiet:
            self._connections.add(connection)
        try:
            super().process_request_thread(connection, client_address)
        finally:
            self._placed.pop(connection, None)
            with self._quiet:
                self._connections.discard(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log what ended a connection: the client went away, or a defect with its traceback."""
        _log.warning("the connection from %s ended early", client_address[0], exc_info=True)

    def _secured(self, request: socket.socket, client_address: Any, place: Place) -> socket.socket | None:
        connection = None
        try:
            request.settimeout(self.limits.request_seconds)
            if self._tls is None:
                return request
            connection = self._tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
            place.connection = connection
            if place.lost:
                raise ConnectionAbortedError("its place was given to another")
            connection.do_handshake()
        except OSError as error:
            _log.warning("refused a connection from %s: no TLS: %s", client_address[0], error)
            (connection or request).close()
            return None
        return connection
