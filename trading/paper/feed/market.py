"""A paper market that grows with a feed: bars happen when the feed has them, and never before."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from engine.inputs.columns import bar_columns
from novosky.errors import DataError, StorageError, UsageError
from novosky.market.bars import epoch_seconds, validate_bars
from novosky.settings import Settings
from trading.brokers.simulated.server import TradeServer
from trading.brokers.simulated.store import SqliteStore
from trading.paper.feed.port import BarFeed, FeedUnavailable, Window
from trading.paper.session import PaperMarket, broker_file

LATE_SECONDS = 90.0
"""A bar that is due for so long without being shown is worth a word: an outage, or a closed market."""


class GrowingMarket:
    """The bars that a feed has shown so far, and the paper market over them.

    Parameters
    ----------
    feed : BarFeed
    settings : Settings
    now : callable
        UTC epoch seconds.
    say : callable
        Takes a line for people.
    fixed_spread : bool
        True when `costs.spread` replaces the feed's own spreads.
    """

    def __init__(
        self,
        feed: BarFeed,
        settings: Settings,
        now: Callable[[], float],
        say: Callable[[str], None],
        *,
        fixed_spread: bool,
    ) -> None:
        self._feed, self._settings, self._now, self._say = feed, settings, now, say
        self._fixed_spread = fixed_spread
        self._window = Window(pd.DataFrame(), 0)
        self._waiting = False
        self._not_before = float("-inf")

    def open(self, journal: Path, history: int) -> PaperMarket | None:
        """Return the market of a journal's account, new or where it was left; None asks for another try.

        Parameters
        ----------
        history : int
            Bars that the bot looks back over.

        Raises
        ------
        DataError
            The feed has too few bars.
        """
        left = _left_at(journal, self._settings.symbol)
        since = self._settings.frame.floor(self._now()) if left is None else left.bar
        try:
            window = self._checked(self._feed.history(history, since))
        except FeedUnavailable as error:
            self._wait(str(error), error.wait)
            return None
        if left is None and window.closed == len(window.frame):
            self._wait(f"{self._feed.label} shows no bar of now; the market may be closed")
            return None
        opens = epoch_seconds(window.frame)
        row = window.closed if left is None else int(np.searchsorted(opens, left.bar))
        if row < history or row >= len(opens):
            raise DataError(
                f"{self._feed.label} has {row} bars before the account's, the bot looks back over {history}; "
                "let the terminal load more history (Max bars in chart), or begin anew with --fresh"
            )
        # Where the account's first bar is older than all of these, any row that is over will do.
        first = row if left is None else int(np.searchsorted(opens, left.opening)) or row
        self._window = window
        self._back()
        return PaperMarket(
            self._feed.label, window.frame, first, None, self._fixed_spread, repeatable=False, growing=True
        )

    def catch_up(self, server: TradeServer, act: Callable[[], bool]) -> None:
        """Let happen what the feed shows by now.

        Parameters
        ----------
        server : TradeServer
            Of the market that `open` returned.
        act : callable
            `Bot.cycle`; asked once before a bar passes, for an order that waits for its open.
        """
        if self._now() < self._not_before:
            return
        if self._due() and not self._grow(server):
            return
        if server.begun and not server.at_end:
            act()
        while not server.at_end:
            server.advance()

    def _due(self) -> bool:
        """Tell whether the feed has more to show than is known: the forming bar's close, or any at all."""
        if self._window.closed == len(self._window.frame):
            return True
        return self._now() >= self._settings.frame.close(self._opens(-1))

    def _opens(self, row: int) -> int:
        return int(epoch_seconds(self._window.frame.iloc[[row]])[0])

    def _grow(self, server: TradeServer) -> bool:
        """Ask the feed for more; False while it cannot be asked."""
        newest = self._opens(self._window.closed - 1)
        try:
            added = self._feed.newer(newest)
            window = self._checked(self._joined(added))
        except FeedUnavailable as error:
            self._wait(str(error), error.wait)
            return False
        bars = bar_columns(window.frame, self._settings, fixed_spread=self._fixed_spread)
        volume = window.frame["volume"].to_numpy(dtype=np.float64)
        server.main.grow(bars, volume, closed=window.closed)
        self._window = window
        late = self._now() - (self._settings.frame.close(self._opens(-1)))
        if late > LATE_SECONDS and window.closed == len(window.frame):
            self._wait(
                f"{self._feed.label} has shown no new bar for {late / 60 + self._settings.frame.minutes:.0f} min"
            )
        else:
            self._back()
        return True

    def _joined(self, added: Window) -> Window:
        """Return the closed bars known and those that are new; what has closed once stays as it was seen."""
        known = self._window.frame.iloc[: self._window.closed]
        frame = pd.concat([known, added.frame], ignore_index=True)[list(self._window.frame.columns)]
        forming = self._window.frame.iloc[self._window.closed :]
        if len(forming) and len(added.frame) and "spread" in frame.columns:
            same = frame["time"] == forming["time"].iloc[0]
            # The spread a bar opened with, which a trade at its open has paid.
            frame.loc[same, "spread"] = float(forming["spread"].iloc[0])
        return Window(frame, len(known) + added.closed)

    def _checked(self, window: Window) -> Window:
        try:
            return Window(
                validate_bars(window.frame, source=self._feed.label, seconds=self._settings.frame.seconds),
                window.closed,
            )
        except DataError as error:
            raise FeedUnavailable(f"its bars break a rule: {error}") from error

    def _wait(self, reason: str, seconds: float = 0.0) -> None:
        self._not_before = self._now() + seconds
        if not self._waiting:
            self._waiting = True
            self._say(f"the bot waits for prices: {reason}")

    def _back(self) -> None:
        if self._waiting:
            self._waiting = False
            self._say(f"prices of {self._feed.label} are back")


def check_same_market(journal: Path, name: str) -> None:
    """Refuse the account of another market before anything is asked of this one.

    Raises
    ------
    UsageError
        The journal's account trades something else.
    """
    stored = _stored(journal)
    if stored is None:
        return
    found = str(stored[0].get("identity", "")).rpartition(":")[0]
    if found != name:
        raise UsageError(
            f"the paper account {journal} trades the {found}, this start the {name}; "
            "name another account with --journal FILE, or discard that one with --fresh"
        )


@dataclass(frozen=True)
class _Left:
    """Where an account was left: its newest bar and its first one, by their opens in UTC epoch seconds."""

    bar: int
    opening: int


def _left_at(journal: Path, symbol: str) -> _Left | None:
    """Return where an account was left, None for a new one."""
    stored = _stored(journal)
    if stored is None:
        return None
    content, opening = stored
    try:
        return _Left(int(content["feeds"][symbol][0]), opening)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StorageError(f"{broker_file(journal)} is damaged ({error}); start with --fresh") from error


def _stored(journal: Path) -> tuple[dict[str, Any], int] | None:
    """Return an account's state and the moment of its first deposit, which is its first bar's open."""
    path = broker_file(journal)
    if not path.exists() or not path.stat().st_size:
        return None
    store = SqliteStore(path, durable=False)
    try:
        text, deals = store.load(), store.deals()
    finally:
        store.close()
    if text is None or not deals:
        return None
    content = json.loads(text)
    return (content, int(deals[0].time)) if isinstance(content, dict) else None
