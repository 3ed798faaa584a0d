"""Why a request or a message is refused."""

from __future__ import annotations

from enum import Enum


class Reason(Enum):
    """The word a client sees and the HTTP status that goes with it.

    What was refused was not executed, with two exceptions: of TIMEOUT the call may still be
    running, of ANSWER it has been executed and only its answer is missing.
    """

    MALFORMED = ("malformed", 400)
    TOKEN = ("token", 401)
    FUNCTION = ("function", 403)
    PATH = ("path", 404)
    METHOD = ("method", 405)
    RESTARTED = ("restarted", 409)
    REPLAYED = ("replayed", 409)
    STALE = ("stale", 409)
    LENGTH = ("length", 411)
    OVERSIZED = ("oversized", 413)
    ANSWER = ("answer", 500)
    BUSY = ("busy", 503)
    STOPPING = ("stopping", 503)
    TIMEOUT = ("timeout", 504)

    def __init__(self, word: str, status: int) -> None:
        self.word = word
        self.status = status


class ProtocolError(ValueError):
    """A message or value that the protocol does not know; the message says which."""


class Refusal(Exception):
    """A request that is answered with a reason instead of a result."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
