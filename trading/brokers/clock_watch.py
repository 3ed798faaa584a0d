"""The machine's clock against the server's: measured while quotes come, said when they part and when they agree.

Only a quote that has just arrived tells the time; one that stands for hours tells that the
market is closed. Between two looks a new quote has arrived at some moment, so that its stamp
bounds how far the clocks are apart. Which of the two is wrong no program can know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from novosky.market.server_time import ZONE_STEP

TOLERATED = 20.0
"""Seconds of difference that networks and quiet markets explain; an entry may wait 60 for its quote."""
AGREED = 10.0
"""Below this the clocks agree again."""
CERTAIN = 120.0
"""Old quotes from a terminal that has stood connected prove so much at once, less when it shows twice."""
_OF_A_ZONE = 120.0
"""Time zones differ by whole quarters of an hour; a difference this near to one is a rule's, not a clock's."""


@dataclass(frozen=True)
class Measured:
    """A look at the newest quote.

    Attributes
    ----------
    stamp_msc : int
        The server's own stamp, milliseconds.
    lead : float
        Seconds by which the quote, converted by `broker.server_clock`, lies ahead of this machine's clock.
    connected : bool
        True while the terminal has its line to the trade server.
    """

    stamp_msc: int
    lead: float
    connected: bool


def clock_text(lead: float, rule: str) -> str:
    """Say by how much the newest quotes and this machine's clock differ, and what to do."""
    quarters = round(lead / ZONE_STEP)
    if quarters and abs(lead - quarters * ZONE_STEP) <= _OF_A_ZONE:
        return (
            f"the newest quote is stamped {quarters * ZONE_STEP / 3600:+g} h from what broker.server_clock = {rule!r} "
            "says; set the rule of this server, or this machine's clock and zone if they are wrong"
        )
    side = "ahead of" if lead > 0 else "behind"
    return (
        f"the newest quotes are {abs(lead):.0f} s {side} this machine's clock, so decisions come too late for an "
        "entry; let this machine's clock be set by NTP (timedatectl, w32tm), or ask the broker about the server's"
    )


class ClockWatch:
    """Judges the measurements of one run.

    Parameters
    ----------
    measure : callable
        Returns a look at the newest quote, None while there is none to be had.
    now : callable
        UTC epoch seconds of this machine.
    rule : str
        `broker.server_clock`, for the texts.
    every : float
        Seconds from one look to the next, at least.

    Attributes
    ----------
    problem : str
        What is wrong now, empty while the clocks agree or nothing is known.
    """

    def __init__(
        self, measure: Callable[[], Measured | None], now: Callable[[], float], rule: str, every: float
    ) -> None:
        self._measure, self._now, self._rule, self._every = measure, now, rule, every
        self._last: Measured | None = None
        self._looked = float("-inf")
        self._suspicion = 0
        self._said = 0.0
        self.problem = ""

    def look(self) -> str:
        """Measure when it is time, and return what there is to say now; mostly nothing."""
        now = self._now()
        # A clock that is set back begins anew.
        if 0.0 <= now - self._looked < self._every:
            return ""
        seen = self._measure()
        last, before = self._last, self._looked
        self._last, self._looked = seen, now
        if seen is None:
            return ""
        arrived = last is not None and last.stamp_msc != seen.stamp_msc and now > before
        # It arrived between the two looks; without an earlier one it may be of any age.
        latest = seen.lead + (now - before) if arrived else float("inf")
        if seen.lead > TOLERATED:
            return self._apart(seen.lead)
        if not arrived:
            return ""
        if latest < -TOLERATED:
            certain = last is not None and last.connected and seen.connected and latest < -CERTAIN
            self._suspicion += 1
            return self._apart(latest) if certain or self._suspicion > 1 else ""
        self._suspicion = 0
        if self.problem and seen.lead < AGREED and latest > -AGREED:
            self.problem, self._said = "", 0.0
            return "the clocks of this machine and of the server agree again"
        return ""

    def _apart(self, lead: float) -> str:
        """Say it once, and again only when it has become another difference."""
        if self.problem and abs(lead - self._said) <= max(60.0, 0.5 * abs(self._said)):
            return ""
        self._said = lead
        self.problem = clock_text(lead, self._rule)
        return self.problem
