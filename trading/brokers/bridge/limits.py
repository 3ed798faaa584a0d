"""How long the bridge's server waits for others, and for how many."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How long the server waits for others.

    Attributes
    ----------
    request_seconds : float
        For all of a request, from its first byte to its last; also for the TLS handshake.
    idle_seconds : float
        Between requests. Above the client's own limit (`transport.IDLE_SECONDS`), so that it is
        always the client who closes and no call runs into a closed door.
    answer_seconds : float
        For a client to take an answer.
    connections : int
        Open at a time.
    strangers : int
        Of these, at most so many that have not shown the token; the oldest makes room for the next.
    stranger_seconds : float
        For a connection to show the token.
    first_seconds : float
        For its first byte; a client sends its request with the connection.
    hung_seconds : float
        A call that runs longer than this ends the server: nothing else can interrupt it.
    """

    request_seconds: float = 10.0
    idle_seconds: float = 75.0
    answer_seconds: float = 60.0
    connections: int = 64
    strangers: int = 32
    stranger_seconds: float = 15.0
    first_seconds: float = 3.0
    hung_seconds: float = 600.0
