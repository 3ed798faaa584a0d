"""Check that a session of a PostgreSQL client keeps its server process; behind some poolers it does not.

A pooler in transaction mode gives every transaction whatever server process is free. A lock taken
by one transaction is then held by a process that the next one does not meet again, and two bots
hold "the same" lock without noticing. No port or name tells of it; so it is tried out: while other
sessions stand in transactions of their own, this one must find itself at one and the same process
again and again, and none of the others there. Nothing is changed on the server by looking.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from novosky.database.use import Use
from novosky.errors import StorageError

OTHERS = 3
"""Sessions that are opened beside this one; a pooler with idle processes hands those out first."""
ROUNDS = 2
PATIENCE = 20.0
"""Seconds for one of them to be served: where a pooler has no second process to give, it waits."""
WHAT_TO_USE = (
    "take the direct connection to the server (usually port 5432), or a pooler in session mode (Supabase: the session "
    "pooler; Neon: the address without -pooler; PgBouncer: pool_mode = session)"
)


class NoSession(StorageError):
    """The connection does not keep one server process, or not long enough to hold a lock."""


def prove_session(own: Any, open_another: Callable[[], Any], place: str, use: Use) -> int:
    """Return the server process of a connection that keeps it.

    Parameters
    ----------
    own : connection
        The driver's, without a transaction.
    open_another : callable
        Returns a further connection of the driver to the same address.
    place : str
        The database, for messages.
    use : Use
        What it holds for whom, for messages.

    Raises
    ------
    NoSession
        It does not, or there is no second session to try it with.
    """
    home = backend_of(own)
    own.commit()
    for _ in range(ROUNDS):
        with ExitStack() as stack:
            for _ in range(OTHERS):
                other = stack.enter_context(_held(open_another))
                with _limited(other, place, use):
                    met = backend_of(other)
                if met == home:
                    raise _shared(place, use)
                with _limited(own, place, use):
                    met = backend_of(own)
                own.commit()
                if met != home:
                    raise _shared(place, use)
    return home


def backend_of(connection: Any) -> int:
    """Return the server process a connection is served by at this moment, in a transaction left open."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    return int(row[0])


@contextmanager
def _held(open_another: Callable[[], Any]) -> Iterator[Any]:
    connection = open_another()
    try:
        yield connection
        # A pooler throws away the process of a client that leaves in the middle of a transaction.
        connection.rollback()
    finally:
        connection.close()


@contextmanager
def _limited(connection: Any, place: str, use: Use) -> Iterator[None]:
    """Cut a connection off that waits for longer than anybody should."""
    descriptor = os.dup(connection.fileno())
    late = threading.Event()

    def cut() -> None:
        late.set()
        with socket.socket(fileno=descriptor) as line:
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(PATIENCE, cut)
    timer.start()
    try:
        yield
    except Exception as error:
        if late.is_set():
            raise NoSession(
                f"{use.noun} {place} cannot be used: its pooler serves no second session beside the {use.holder}'s "
                f"own; give it more of them (PgBouncer: default_pool_size of 5 or more), or {WHAT_TO_USE}"
            ) from error
        raise
    finally:
        timer.cancel()
        timer.join()
        if not late.is_set():
            os.close(descriptor)


def _shared(place: str, use: Use) -> NoSession:
    return NoSession(
        f"{use.noun} {place} cannot be used: the address leads to a connection pooler that changes the server process "
        f"between transactions, which cannot hold the lock that keeps a second {use.holder} away; {WHAT_TO_USE}"
    )
