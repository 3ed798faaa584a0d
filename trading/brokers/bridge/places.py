"""Who may hold a connection: a place is kept by those who have shown the token, and lent to all others.

Without this, whoever opens connections and says nothing keeps the honest client out, from the same
address too. So a stranger's place goes to the next who comes: the honest client needs one only for
the moment in which it shows its token, and what it holds then nobody can take.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(eq=False)
class Place:
    """One open connection.

    Attributes
    ----------
    address : str
        The other side's.
    since : float
        When it was opened, seconds of a clock that never goes back.
    connection : socket
        Replaced once TLS lies over it.
    proved : bool
        It has shown the token.
    lost : bool
        Its place was given to another; it is to end.
    """

    address: str
    since: float
    connection: socket.socket = field(repr=False)
    proved: bool = False
    lost: bool = False

    def end(self) -> None:
        """Wake whoever waits on the connection; its own thread closes it."""
        self.lost = True
        with suppress(OSError):
            # Of TLS too only the line below: its own farewell belongs to the thread that reads.
            socket.socket.shutdown(self.connection, socket.SHUT_RDWR)


class Places:
    """The places of one server; safe for use by many threads.

    Parameters
    ----------
    most : int
        Connections open at a time.
    strangers : int
        Of these, at most so many that have not shown the token.
    """

    def __init__(self, most: int, strangers: int) -> None:
        self._most, self._strangers = most, min(most, strangers)
        self._open: dict[Place, None] = {}
        self._lock = threading.Lock()

    def enter(self, place: Place) -> tuple[bool, Place | None]:
        """Give a newcomer a place.

        Returns
        -------
        tuple of bool and Place or None
            Whether there is one, which is so unless all are held by those who have shown the
            token; and the stranger who lost his for it, who is to be ended.
        """
        with self._lock:
            strangers = [each for each in self._open if not each.proved]
            victim = None
            if len(strangers) >= self._strangers or len(self._open) >= self._most:
                victim = self._oldest_of_the_most(strangers)
                if victim is None:
                    return False, None
                victim.lost = True
                del self._open[victim]
            self._open[place] = None
            return True, victim

    @staticmethod
    def _oldest_of_the_most(strangers: list[Place]) -> Place | None:
        """Return the oldest stranger of the address that has most: others are not driven out by its many."""
        counts = Counter(each.address for each in strangers)
        return max(strangers, key=lambda each: (counts[each.address], -each.since), default=None)

    def prove(self, place: Place) -> bool:
        """Keep a place for its connection, which has shown the token; False when it was lost before."""
        with self._lock:
            place.proved = not place.lost
            return place.proved

    def leave(self, place: Place) -> None:
        """Give a place back."""
        with self._lock:
            self._open.pop(place, None)

    def overdue(self, before: float) -> list[Place]:
        """Take the places of strangers who came before a moment, and return them to be ended."""
        with self._lock:
            late = [each for each in self._open if not each.proved and each.since < before]
            for each in late:
                each.lost = True
                del self._open[each]
            return late

    @property
    def count(self) -> int:
        """How many are open."""
        with self._lock:
            return len(self._open)
