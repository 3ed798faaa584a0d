"""Time as a port: the real clock here, the replay's in `trading/paper/replay.py`."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where the bot gets the time from and how it waits."""

    def now(self) -> float:
        """Return UTC epoch seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of this clock's own time."""


class RealClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return UTC epoch seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait; negative spans return at once."""
        if seconds > 0:
            time.sleep(seconds)
