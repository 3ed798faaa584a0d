"""Check the token of a caller, and that no call is executed twice."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from novosky.errors import UsageError
from trading.brokers.bridge.protocol import Call
from trading.brokers.bridge.refusal import Reason, Refusal

TOKEN_VARIABLE = "NOVOSKY_BRIDGE_TOKEN"
SHORTEST_TOKEN = 32
"""Characters; 32 random ones cannot be guessed over a network."""
WINDOW_SECONDS = 30.0
"""How far a call's moment may lie from the server's clock. Clients stamp their calls by the
server's own clock, so this has to cover the network and the drift since the last answer."""
MOST_SESSIONS = 1024


def check_token(token: str) -> str:
    """Return a token that is fit to protect an account.

    Raises
    ------
    UsageError
        Missing, too short, or of characters that a header cannot carry.
    """
    mend = f"set {TOKEN_VARIABLE} to at least {SHORTEST_TOKEN} random letters and digits, the same on both machines"
    if len(token) < SHORTEST_TOKEN:
        raise UsageError(f"{TOKEN_VARIABLE} is missing or too short; {mend}")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise UsageError(f"{TOKEN_VARIABLE} holds characters that a header cannot carry; {mend}")
    return token


class Doorkeeper:
    """Compares tokens in a time that tells nothing about the right one."""

    def __init__(self, token: str) -> None:
        self._expected = hashlib.sha256(b"Bearer " + check_token(token).encode("ascii")).digest()

    def check(self, header: str | None) -> None:
        """Let a request in by its Authorization header, or raise `Refusal`."""
        if header is None:
            raise Refusal(Reason.TOKEN, "the request has no token")
        given = hashlib.sha256(header.encode("utf-8", "surrogateescape")).digest()
        if not hmac.compare_digest(given, self._expected):
            raise Refusal(Reason.TOKEN, "the token is not this server's")


@dataclass
class _Session:
    seq: int
    used: float


class ReplayGuard:
    """Admits every call once; safe for use by many threads.

    A call is admitted when it is meant for this start of the server, was made within
    `WINDOW_SECONDS` of now and has a greater number than every earlier call of its session.
    A session is forgotten only when all that was ever sent in it lies outside the window.

    Parameters
    ----------
    server : str
        Identity of this start of the server.
    clock : callable
        Seconds of a clock that never goes back.
    """

    def __init__(self, server: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self._clock = clock
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()

    def admit(self, call: Call) -> None:
        """Note the call as seen, or raise `Refusal`."""
        if call.server != self._server:
            raise Refusal(Reason.RESTARTED, "the call is meant for an earlier start of this server")
        with self._lock:
            now = self._clock()
            if abs(now - call.stamp) > WINDOW_SECONDS:
                raise Refusal(Reason.STALE, f"the call was not made within {WINDOW_SECONDS:g} s of now")
            session = self._sessions.get(call.session)
            if session is None:
                session = self._open(call.session, now)
            if call.seq <= session.seq:
                raise Refusal(Reason.REPLAYED, "a call of this number or a later one was here before")
            session.seq, session.used = call.seq, now

    def _open(self, name: str, now: float) -> _Session:
        if len(self._sessions) >= MOST_SESSIONS:
            # Calls of so old a session are refused by their moment, whether it is remembered or not.
            forgettable = [key for key, old in self._sessions.items() if now - old.used > 2 * WINDOW_SECONDS]
            for key in forgettable:
                del self._sessions[key]
        if len(self._sessions) >= MOST_SESSIONS:
            raise Refusal(Reason.BUSY, "there are too many sessions")
        self._sessions[name] = _Session(0, now)
        return self._sessions[name]
