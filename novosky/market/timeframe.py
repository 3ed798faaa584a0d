"""Time frames: how long a bar lasts, and on which grid bars open.

The one place that knows lengths of bars. All else is given a `Timeframe`, or its seconds where
compiled code takes plain numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

DAY_SECONDS = 86_400
WEEK_SECONDS = 7 * DAY_SECONDS
"""UTC has no summer time, so every day and every week is as long as another."""
MOMENT_YEARS = range(1970, 2200)
"""Years in which a moment may lie; beyond them epoch nanoseconds run over."""


@dataclass(frozen=True)
class Timeframe:
    """The length of a bar.

    Bars open on a grid that begins at 1970-01-01 00:00 UTC. UTC has no summer time, so every day
    holds the same number of bars and none is longer than another; only a broker's wall clock
    repeats an hour, which `novosky.market.server_time` takes away before bars come here.

    Attributes
    ----------
    name : str
        MetaTrader's, e.g. ``"M15"``.
    seconds : int
        Length of a bar; a day is a whole number of bars.

    Examples
    --------
    >>> bar = timeframe("M15")
    >>> bar.bars_per_day, bar.floor(1_704_103_262.5), bar.close(1_704_103_200)
    (96, 1704103200, 1704104100)
    """

    name: str
    seconds: int

    @property
    def minutes(self) -> int:
        """Length of a bar in minutes."""
        return self.seconds // 60

    @property
    def bars_per_day(self) -> int:
        """Bars of a market that never closes between two UTC midnights."""
        return DAY_SECONDS // self.seconds

    def floor(self, moment: float) -> int:
        """Return the open of the bar that holds a moment, UTC epoch seconds."""
        return int(moment) // self.seconds * self.seconds

    def close(self, opened: int) -> int:
        """Return the close of the bar that opens at `opened`, which is the open of the next (UTC epoch seconds)."""
        return opened + self.seconds

    def is_open(self, moment: float) -> bool:
        """Tell whether a bar can open at a moment, UTC epoch seconds."""
        return moment % self.seconds == 0


def _frames(lengths: Iterable[tuple[str, int]]) -> Mapping[str, Timeframe]:
    return MappingProxyType({name: Timeframe(name, seconds) for name, seconds in lengths})


TIMEFRAMES: Mapping[str, Timeframe] = _frames(
    (("M1", 60), ("M5", 300), ("M15", 900), ("M30", 1_800), ("H1", 3_600), ("H4", 14_400), ("D1", DAY_SECONDS))
)
"""The time frames that bars can have, by MetaTrader's names, shortest first."""
USUAL = TIMEFRAMES["M15"]
"""Taken where nobody names one: the default of config.json, and of reading bars that say nothing of themselves."""
TRADED: tuple[str, ...] = tuple(name for name, frame in TIMEFRAMES.items() if frame.seconds < DAY_SECONDS)
"""Time frames that models and bot work on; a day's bars leave no day to anchor an average in."""


def timeframe(name: str) -> Timeframe:
    """Return the time frame of a name such as ``"M15"``.

    Raises
    ------
    ValueError
        MetaTrader has none of that name.
    """
    found = TIMEFRAMES.get(name)
    if found is None:
        raise ValueError(f"{name!r} is no time frame; choose one of {', '.join(TIMEFRAMES)}")
    return found


def timeframe_name(seconds: int) -> str:
    """Return MetaTrader's name of a bar length, e.g. ``"M15"``; lengths without one are in seconds."""
    return next((name for name, frame in TIMEFRAMES.items() if frame.seconds == seconds), f"{seconds} s")
