"""The server's stamps and UTC: MetaTrader 5 writes its server's wall clock as if it were epoch seconds.

Whatever the documentation says. A stamp of zero means "never" and stays zero. Around a change of
the clock, which servers make some minutes late or early, the rule of `novosky.market.clock_changes`
holds, as for imported files; no stamp stands for a moment in the future.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from novosky.errors import BrokerError, DataError
from novosky.market.clock_changes import Placed, place_stamps
from novosky.market.server_time import ZONE_STEP, Seconds, ServerClock
from trading.brokers.clock_watch import clock_text
from trading.brokers.port import BrokerUnavailable

_DAY = 86_400
"""Time zones differ by whole quarters of an hour."""
_LASTING = 5_400.0
"""Seconds for which a server that agreed before may contradict its rule: clocks are set late, feeds break."""
_AHEAD = 5
"""Seconds by which a server's clock may run ahead of this machine's."""


class ServerTime:
    """Converts stamps by a time zone rule.

    Parameters
    ----------
    rule : str
        As in `broker.server_clock`: ``"UTC"``, ``"NewYork+7"`` or an IANA zone.
    """

    def __init__(self, rule: str) -> None:
        self.rule = rule
        self._clock = ServerClock(rule)
        self._offsets: dict[int, int | None] = {}

    def stamp(self, utc: int) -> int:
        """Return the server's stamp of a UTC moment, both in epoch seconds; zero stays zero."""
        if utc == 0:
            return 0
        offset = self._offset(utc // _DAY)
        if offset is not None:
            return utc + offset
        return int(self._clock.from_utc(np.array([utc], dtype=np.int64))[0])

    def utc(self, stamp: int, now: float) -> int:
        """Return the UTC moment of a stamp, both in epoch seconds; zero stays zero.

        Parameters
        ----------
        stamp : int
        now : float
            UTC epoch seconds, to tell the two passes of a repeated hour apart.

        Raises
        ------
        BrokerError
            The rule knows no such time: it is not this server's.
        """
        if stamp == 0:
            return 0
        offset = self._offset(stamp // _DAY)
        if offset is not None:
            return stamp - offset
        return int(self._placed(np.array([stamp], dtype=np.int64), now).utc[0])

    def bars(self, stamps: Seconds, now: float, seconds: int, volume: npt.NDArray[np.float64]) -> Placed:
        """Return where closed bars of so many seconds stand, by their stamps in the terminal's order."""
        if len(stamps):
            first, last = self._offset(int(stamps[0]) // _DAY), self._offset(int(stamps[-1]) // _DAY)
            days = (int(stamps[-1]) - int(stamps[0])) // _DAY
            if first is not None and first == last and 0 <= days < _SHORTEST_SEASON:
                return Placed(stamps - first, np.zeros(len(stamps), dtype=np.bool_), np.arange(len(stamps)))
        return self._placed(stamps, now, seconds, volume)

    def near_change(self, stamp: int) -> bool:
        """Tell whether the clock changes within about a day of a stamp."""
        return self._offset(stamp // _DAY) is None

    def _placed(
        self, stamps: Seconds, now: float, seconds: int = 0, volume: npt.NDArray[np.float64] | None = None
    ) -> Placed:
        newest = now - seconds if seconds else now + _AHEAD
        try:
            return place_stamps(self._clock, stamps, seconds=seconds, newest=newest, volume=volume)
        except DataError as error:
            raise BrokerError(f"the server's stamps contradict broker.server_clock: {error}") from error

    def late_by(self, utc: int) -> int:
        """Return by how much a clock not yet set, or set too early, differs from the rule now; 0 far from a change.

        Parameters
        ----------
        utc : int
            UTC epoch seconds.

        Returns
        -------
        int
            Seconds that such a server's stamps are ahead of the rule's.
        """
        if self._offset(utc // _DAY) is not None:
            return 0
        for change in self._clock.changes(utc - _DAY, utc + _DAY):
            if 0 <= utc - change.utc < change.slack:
                return change.before - change.after
            if 0 < change.utc - utc <= change.slack:
                return change.after - change.before
        return 0

    def _offset(self, day: int) -> int | None:
        """Return the offset that holds all through a day and its neighbours, None around a switch."""
        if day not in self._offsets:
            edges = np.array([day - 1, day + 2], dtype=np.int64) * _DAY
            before, after = self._clock.from_utc(edges) - edges
            self._offsets[day] = int(before) if before == after else None
        return self._offsets[day]


_SHORTEST_SEASON = 60
"""Days that two switches are apart at least: equal offsets at both ends mean no switch between."""


@dataclass
class OffsetCheck:
    """Compares fresh ticks with the rule; entries wait until one has confirmed it.

    A tick in the future proves the rule wrong, and so do two in a row that have just arrived
    with stamps equally far behind. An old tick proves nothing: the market may be closed. Nor
    does a single new one: after an outage the terminal shows the last tick of a market that
    has closed meanwhile.

    Attributes
    ----------
    time : ServerTime
    confirmed : bool
        True once a tick agreed with the rule.
    """

    time: ServerTime
    confirmed: bool = False
    _stamp_msc: int = 0
    _read_at: float = 0.0
    _behind: int = 0
    _wrong_since: float | None = None

    def lead(self, time_msc: int, now: float) -> float:
        """Return by how many seconds a tick lies ahead of a moment of ours, by the rule or by a clock not yet set."""
        lead = time_msc / 1000.0 - self.time.stamp(int(now)) - (now - int(now))
        unset = self.time.late_by(int(now))
        return min(lead, lead - unset, key=abs)

    def observe(self, time_msc: int, now: float) -> None:
        """Take note of the newest tick.

        Parameters
        ----------
        time_msc : int
            The tick's stamp in milliseconds.
        now : float
            UTC epoch seconds at which it was read.

        Raises
        ------
        BrokerError
            The measured offset contradicts the rule.
        BrokerUnavailable
            The same of a server that agreed before: it is waited for, as long as a change of clocks may take.
        """
        arrived = self._stamp_msc not in (0, time_msc) and 0 <= now - self._read_at < ZONE_STEP / 2
        self._stamp_msc, self._read_at = time_msc, now
        lead = self.lead(time_msc, now)
        if abs(lead) < ZONE_STEP / 2:
            self.confirmed = True
            self._behind, self._wrong_since = 0, None
            return
        quarters = round(lead / ZONE_STEP)
        again = arrived and quarters == self._behind
        if arrived:
            self._behind = quarters
        if lead > 0 or again:
            text = clock_text(lead, self.time.rule)
            self._wrong_since = now if self._wrong_since is None else self._wrong_since
            if self.confirmed and now - self._wrong_since < _LASTING:
                raise BrokerUnavailable(text)
            raise BrokerError(text)

    def age(self, time_msc: int, now: float) -> float:
        """Return for how many seconds a tick has stood, by its stamp: quotes that freeze grow old."""
        return max(0.0, now - self.time.utc(time_msc // 1000, now) - time_msc % 1000 / 1000.0)
