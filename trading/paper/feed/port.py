"""The feed port: closed bars and the one that is forming, from wherever real prices come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from novosky.errors import NetworkError
from novosky.market.bars import epoch_seconds
from novosky.market.timeframe import Timeframe

SETTLE_SECONDS = 5.0
"""A bar without a successor counts as closed this long after its end: venues still book late trades at the turn."""


class FeedUnavailable(NetworkError):
    """The feed cannot be asked at the moment; asking again later may work.

    Parameters
    ----------
    reason : str
    wait : float
        Seconds for which the source asks to be left alone.
    """

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Window:
    """Bars of a feed, oldest first.

    Attributes
    ----------
    frame : pandas.DataFrame
        A bar frame, with `spread` (points) where the source tells it. The row of a bar that is
        forming is the last; of it only open and spread are final.
    closed : int
        Rows that have closed: all, or all but the last.
    """

    frame: pd.DataFrame
    closed: int


class BarFeed(Protocol):
    """A source of one symbol's bars of one time frame. One thread uses it at a time."""

    @property
    def label(self) -> str:
        """Source and symbol, for people and for the account's identity."""

    @property
    def caveat(self) -> str:
        """What people must know of these prices; empty for nothing."""

    def history(self, count: int, since: int) -> Window:
        """Return the bars up to now, beginning at least `count` bars before the one that opens at `since`.

        Parameters
        ----------
        count : int
        since : int
            UTC epoch seconds.

        Raises
        ------
        FeedUnavailable
            It does not answer now.
        NovoskyError
            What no waiting mends.
        """

    def newer(self, than: int) -> Window:
        """Return the bars that open after a moment (UTC epoch seconds); see `history`. There may be none."""

    def close(self) -> None:
        """Let go of the source."""


def window_of(frame: pd.DataFrame, length: Timeframe, now: float) -> Window:
    """Return bars of a time frame as a window: the last is forming unless its time is over."""
    if len(frame) == 0:
        return Window(frame, 0)
    over = int(epoch_seconds(frame.iloc[-1:])[0]) + length.seconds + SETTLE_SECONDS <= now
    return Window(frame, len(frame) if over else len(frame) - 1)
