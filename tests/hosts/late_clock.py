"""What a server writes whose clock is set late: bars by its stamps, from known minutes in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from novosky.market.server_time import ClockChange, ServerClock

Minutes = npt.NDArray[np.void]
Keeping = Literal["in order", "merged", "first", "last"]
"""What a database does with a stamp that comes twice."""
MINUTE = np.dtype([("time", "<i8"), *((name, "<f8") for name in ("open", "high", "low", "close", "volume", "spread"))])


@dataclass(frozen=True)
class LateServer:
    """A server that makes one change of its clock so many seconds late; negative is early."""

    clock: ServerClock
    change: ClockChange
    late: int = 0
    keeping: Keeping = "in order"

    def stamps(self, utc: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return what it writes on UTC moments of the days around the change."""
        return utc + np.where(utc < self.change.utc + self.late, self.change.before, self.change.after)

    def bars(self, minutes: Minutes, seconds: int) -> Minutes:
        """Return the bars that its database holds of these minutes."""
        stamped = minutes.copy()
        stamped["time"] = self.stamps(minutes["time"]) // seconds * seconds
        runs = gathered(stamped)
        if self.keeping == "in order":
            return runs
        if self.keeping == "merged":
            return gathered(runs[np.argsort(runs["time"], kind="stable")])
        kept = runs if self.keeping == "first" else runs[::-1]
        return kept[np.unique(kept["time"], return_index=True)[1]]


def true_bars(minutes: Minutes, seconds: int) -> Minutes:
    """Return the bars of UTC periods."""
    stamped = minutes.copy()
    stamped["time"] = minutes["time"] // seconds * seconds
    return gathered(stamped)


def gathered(rows: Minutes) -> Minutes:
    """Gather neighbours of the same stamp into one bar."""
    begins = np.flatnonzero(np.append(True, np.diff(rows["time"]) != 0))
    ends = np.append(begins[1:], len(rows)) - 1
    bars = rows[begins].copy()
    bars["close"] = rows["close"][ends]
    bars["high"] = np.maximum.reduceat(rows["high"], begins)
    bars["low"] = np.minimum.reduceat(rows["low"], begins)
    bars["volume"] = np.add.reduceat(rows["volume"], begins)
    bars["spread"] = np.minimum.reduceat(rows["spread"], begins)
    return bars


def random_minutes(begin: int, end: int, seed: int) -> Minutes:
    """Return a market's minutes between two UTC moments."""
    rng = np.random.default_rng(seed)
    count = (end - begin) // 60
    minutes = np.zeros(count, dtype=MINUTE)
    minutes["time"] = begin + 60 * np.arange(count)
    minutes["close"] = 50_000.0 + np.cumsum(rng.integers(-20, 21, count))
    minutes["open"] = np.append(50_000.0, minutes["close"][:-1]) + rng.integers(-2, 3, count)
    minutes["high"] = np.maximum(minutes["open"], minutes["close"]) + rng.integers(0, 9, count)
    minutes["low"] = np.minimum(minutes["open"], minutes["close"]) - rng.integers(0, 9, count)
    minutes["volume"] = rng.integers(20, 60, count)
    minutes["spread"] = rng.integers(1, 9, count)
    return minutes


def change_of(rule: str, year: int, season: Literal["spring", "autumn"]) -> ClockChange:
    """Return a year's change: forward in spring, back in autumn."""
    begin = int(np.datetime64(f"{year}-01-01", "s").astype(np.int64))
    changes = ServerClock(rule).changes(begin, begin + 365 * 86_400)
    (found,) = (each for each in changes if (each.after > each.before) == (season == "spring"))
    return found
