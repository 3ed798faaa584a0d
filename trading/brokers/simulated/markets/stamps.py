"""The server's wall clock on its stamps: UTC inside the simulator, the broker's time at its edge."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from novosky.market.server_time import ZONE_STEP, ServerClock

_BLOCK = 1_024
"""Quarters whose offsets are worked out at once: time goes forward, and asking for one costs as much as for all."""
_KEPT = 64
"""Blocks that are remembered, two years."""


class Stamps:
    """Turns UTC into what a server of this rule writes; zero stays zero.

    Parameters
    ----------
    clock : ServerClock
    """

    def __init__(self, clock: ServerClock) -> None:
        self.clock = clock
        self._shifts: dict[int, list[int]] = {}

    def _shift(self, utc: int) -> int:
        # Every zone keeps one offset for a whole quarter of an hour.
        block, place = divmod(utc // ZONE_STEP, _BLOCK)
        shifts = self._shifts.get(block)
        if shifts is None:
            moments = np.arange(block * _BLOCK, (block + 1) * _BLOCK, dtype=np.int64) * ZONE_STEP
            if len(self._shifts) == _KEPT:
                self._shifts.clear()
            shifts = self._shifts[block] = (self.clock.from_utc(moments) - moments).tolist()
        return shifts[place]

    def seconds(self, utc: int) -> int:
        """Return the stamp of a UTC moment, both in epoch seconds."""
        return utc + self._shift(utc) if utc else 0

    def milliseconds(self, utc: int) -> int:
        """Return the stamp of a UTC moment, both in epoch milliseconds."""
        return utc + 1000 * self._shift(utc // 1000) if utc else 0

    def of(self, utc: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the stamps of UTC epoch seconds, shape (n,)."""
        return self.clock.from_utc(utc)
