"""The client's side of the wire: one kept connection, and every way it fails as the package's own.

| what happened | `last_error()` | was the call executed? |
|---|---|---|
| nobody listens, or TLS fails | -10004 No IPC connection | no |
| the server was restarted since | -10004 No IPC connection | no |
| the call could not be sent, or was refused | -10001 IPC send failed | no, unless the line broke while sending |
| the line broke before the answer, or it is no answer | -10002 IPC recv failed | unknown |
| no answer in time | -10005 IPC timeout | unknown |
| wrong token | -6 Terminal: Authorization failed | no |
| other protocol or other structs | -5 Incompatible versions, ... | no |
| an argument that cannot be carried | -2 Invalid arguments | no |
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from trading.brokers.bridge import protocol
from trading.brokers.bridge.functions import SENT_ONCE
from trading.brokers.bridge.line import CONNECT_SECONDS, Line, LinkFailure
from trading.brokers.bridge.refusal import ProtocolError
from trading.brokers.bridge.values import Codec, portable
from trading.brokers.mt5_package import errors
from trading.brokers.mt5_package.constants import ModuleConstants
from trading.brokers.mt5_package.errors import Failure
from trading.brokers.mt5_package.structs import STRUCTS

_log = logging.getLogger(__name__)

GRACE_SECONDS = 2.0
"""Waited beyond a call's patience, so that the server's own word on the timeout arrives first."""


@dataclass(frozen=True)
class Reply:
    """What came back: the value, or the exception the function raised, and the last error."""

    value: Any
    raised: tuple[str, str] | None
    error: tuple[int, str]


@dataclass
class _Meeting:
    """The server as met by hello, and the session begun with it."""

    hello: protocol.Hello
    session: str
    seq: int
    lead: float
    """Seconds the server's clock is ahead of this machine's monotonic one."""


class Transport:
    """Calls functions on one server; used by one thread at a time.

    Parameters
    ----------
    url, token : str
        The server and its bearer token.
    ca : Path, optional
        The certificate (or its authority's) to trust instead of the public authorities.

    Raises
    ------
    UsageError
        An address or token that must not be used.
    """

    def __init__(self, url: str, token: str, ca: Path | None = None) -> None:
        self._line = Line(url, token, ca)
        self._codec = Codec({kind.__name__: kind for kind in STRUCTS})
        self._meeting: _Meeting | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give up the connection; the next call opens a new one."""
        self._line.close()

    def hello(self) -> protocol.Hello:
        """Ask the server who it is, and begin a new session with it.

        Raises
        ------
        LinkFailure
            It does not answer, or cannot be worked with.
        """
        return self._meet().hello

    def _meet(self) -> _Meeting:
        before = time.monotonic()
        status, data = self._line.exchange("GET", protocol.HELLO_PATH, b"", CONNECT_SECONDS)
        if status == 404:
            raise LinkFailure(_incompatible("the server does not know this client's protocol"))
        if status != 200:
            raise self._refusal(data)
        try:
            hello = protocol.load_hello(data)
        except ProtocolError as error:
            raise self._not_understood(error) from error
        if hello.protocol != protocol.PROTOCOL_VERSION:
            versions = f"the bridge server speaks protocol {hello.protocol}, this client {protocol.PROTOCOL_VERSION}"
            raise LinkFailure(_incompatible(f"{versions}; bring both to the same release of novosky"))
        own = self._codec.layout()
        strange = sorted(name for name in own.keys() | hello.structs.keys() if own.get(name) != hello.structs.get(name))
        if strange:
            raise LinkFailure(_incompatible(f"package {hello.package} has another {strange[0]} than this client knows"))
        # The server has stamped it about half way between the asking and the hearing.
        lead = hello.stamp - (before + time.monotonic()) / 2
        self._meeting = _Meeting(hello, secrets.token_hex(16), 0, lead)
        return self._meeting

    @property
    def package(self) -> str | None:
        """Version of the package on the other side, once it is known."""
        return self._meeting.hello.package if self._meeting else None

    def call(self, function: str, args: Sequence[Any], kwargs: Mapping[str, Any] | None, patience: float) -> Reply:
        """Call a function; what only reads is tried once more on a new connection.

        Parameters
        ----------
        function : str
            Its name.
        args, kwargs
            Its arguments; `kwargs` is None where the call was written without any.
        patience : float
            Seconds to wait for the answer.

        Raises
        ------
        LinkFailure
            There is no answer.
        """
        try:
            return self._call(function, args, kwargs, patience)
        except LinkFailure as failure:
            # What became of an order is for the caller to look up; it is never sent again on a guess.
            if function in SENT_ONCE or not failure.passing:
                raise
            _log.info("%s: %s; trying once more", function, failure)
        return self._call(function, args, kwargs, patience)

    def _call(self, function: str, args: Sequence[Any], kwargs: Mapping[str, Any] | None, patience: float) -> Reply:
        meeting = self._meeting or self._meet()
        meeting.seq += 1
        data = self._call_bytes(meeting, function, args, kwargs, patience)
        before = time.monotonic()
        status, data = self._line.exchange("POST", protocol.CALL_PATH, data, patience + GRACE_SECONDS)
        if status != 200:
            raise self._refusal(data)
        try:
            answer, rows = protocol.load_answer(data)
            if answer.seq != meeting.seq:
                raise ProtocolError("the answer belongs to another call")
            value = self._codec.decode(answer.value, rows)
        except ProtocolError as error:
            raise self._not_understood(error) from error
        # The two clocks drift apart by seconds a week; each answer sets the lead anew.
        meeting.lead = answer.stamp - (before + time.monotonic()) / 2
        raised = (answer.raised[0], answer.raised[1]) if answer.raised else None
        return Reply(value, raised, (answer.error[0], answer.error[1]))

    def _call_bytes(
        self,
        meeting: _Meeting,
        function: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any] | None,
        patience: float,
    ) -> bytes:
        try:
            encoded = [self._codec.encode(portable(value)) for value in args]
            named = None
            if kwargs is not None:
                named = {name: self._codec.encode(portable(value)) for name, value in kwargs.items()}
        except ProtocolError as error:
            _log.warning("%s was not sent: %s", function, error)
            raise LinkFailure(errors.INVALID_ARGUMENTS) from error
        stamp = time.monotonic() + meeting.lead
        hello = meeting.hello
        data = protocol.dump(
            protocol.Call(hello.server, meeting.session, meeting.seq, stamp, float(patience), function, encoded, named)
        )
        if len(data) > protocol.MAX_REQUEST_BYTES:
            _log.warning("%s was not sent: its arguments are too large", function)
            raise LinkFailure(errors.INVALID_ARGUMENTS)
        return data

    def _refusal(self, data: bytes) -> LinkFailure:
        """Return what the package would say of a refused request."""
        try:
            refused = protocol.load_refused(data)
        except ProtocolError as error:
            return self._not_understood(error)
        _log.warning("the bridge refused a request: %s: %s", refused.refused, refused.message)
        if refused.refused in ("restarted", "stale", "replayed"):
            self._meeting = None
        failure, passing = _REFUSALS.get(refused.refused, (errors.SEND_FAILED, False))
        return LinkFailure(failure, passing=passing)

    def _not_understood(self, error: ProtocolError) -> LinkFailure:
        _log.warning("bridge %s: its answer cannot be read: %s", self._line.url, error)
        return LinkFailure(errors.RECEIVE_FAILED)


_REFUSALS: Mapping[str, tuple[Failure, bool]] = {
    "token": (errors.AUTH_FAILED, False),
    "restarted": (errors.NO_CONNECTION, True),
    "stale": (errors.SEND_FAILED, True),
    "replayed": (errors.SEND_FAILED, True),
    "timeout": (errors.TIMEOUT, False),
    "answer": (errors.RECEIVE_FAILED, False),
}


def _incompatible(detail: str) -> Failure:
    return Failure(ModuleConstants.RES_E_INVALID_VERSION, f"Incompatible versions, {detail}")
