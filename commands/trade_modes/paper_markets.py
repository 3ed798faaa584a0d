"""The markets that a paper bot follows in real time: the embedded one, and those of a feed of real prices."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from novosky.settings import Settings
    from trading.paper.feed.market import GrowingMarket
    from trading.paper.feed.port import BarFeed
    from trading.paper.session import PaperMarket, PaperSession

FeedName = Literal["mt5", "bridge", "binance"]
EMBEDDED = "embedded market"
POLL_SECONDS = 5.0
"""How often a paper bot looks for a closed bar; well below a bar, far above the cost of looking."""


class FollowedMarket(Protocol):
    """A market that keeps pace with the clock on the wall."""

    @property
    def flag(self) -> str:
        """What `trading.py --paper` is given to follow this market again, with a space before it."""

    def open(self, journal: Path, settings: Settings, *, fixed_spread: bool, once: bool) -> PaperMarket:
        """Return the market of a journal's account, new or where it was left.

        Parameters
        ----------
        once : bool
            Fail instead of waiting where there are no prices now.
        """

    def banner(self) -> list[str]:
        """Return what a person must know of these prices before anything else."""

    def catch_up(self, session: PaperSession) -> bool:
        """Let happen what has happened by now, and return whether the bot has anything to act on.

        Raises
        ------
        UsageError
            There is nothing left that could happen.
        """

    def close(self) -> None:
        """Let go of what the market holds."""


class EmbeddedMarket:
    """The synthetic market on today's clock."""

    flag = ""

    def open(self, journal: Path, settings: Settings, *, fixed_spread: bool, once: bool) -> PaperMarket:
        """Return the market around the moment the account was opened."""
        from novosky.clock import RealClock
        from trading.paper.embedded_market import live_market
        from trading.paper.feed.market import check_same_market

        check_same_market(journal, EMBEDDED)
        return live_market(journal, RealClock().now(), settings.frame)

    def banner(self) -> list[str]:
        """Say that nothing here is real."""
        return ["SYNTHETIC DATA: paper trading on the embedded market; Ctrl-C stops it"]

    def catch_up(self, session: PaperSession) -> bool:
        """Close the bars whose time has come."""
        from novosky.clock import RealClock
        from novosky.errors import UsageError
        from trading.paper.replay import PacedMarket

        PacedMarket(session.server, RealClock().now).catch_up()
        if session.server.at_end:
            raise UsageError("the embedded market has ended; begin a new account with --fresh")
        return True

    def close(self) -> None:
        """Nothing is held."""


@dataclass
class FeedMarket:
    """Real prices, pretend money.

    Attributes
    ----------
    name : str
        Which feed.
    url : str or None
        Another host for one that is asked over HTTP.
    """

    name: FeedName
    url: str | None = None
    _feed: BarFeed | None = field(default=None, init=False)
    _growing: GrowingMarket | None = field(default=None, init=False)

    @property
    def flag(self) -> str:
        """The flags that name this feed."""
        return f" --feed {self.name}" + ("" if self.url is None else f" --feed-url {self.url}")

    def open(self, journal: Path, settings: Settings, *, fixed_spread: bool, once: bool) -> PaperMarket:
        """Return the market as the feed shows it by now."""
        from ml.feature_engineering import live_window_bars
        from novosky.clock import RealClock
        from novosky.errors import NetworkError
        from trading.paper.feed.market import GrowingMarket, check_same_market
        from trading.reports.narrator import say

        self._feed = feed = self._make(settings)
        check_same_market(journal, feed.label)
        clock = RealClock()
        self._growing = GrowingMarket(feed, settings, clock.now, say, fixed_spread=fixed_spread)
        while (market := self._growing.open(journal, live_window_bars(settings.frame))) is None:
            if once:
                raise NetworkError(f"{feed.label} gives no prices now; start again, without --once the bot waits")
            clock.sleep(POLL_SECONDS)
        return market

    def _make(self, settings: Settings) -> BarFeed:
        import os

        from novosky.clock import RealClock
        from novosky.environment import BRIDGE, ENV_FILE, read_environment
        from novosky.errors import UsageError
        from trading.brokers.bridge.access import BridgeAccess
        from trading.brokers.bridge.entry import bridge_client
        from trading.brokers.mt5.entry import official_package
        from trading.paper.feed.binance import BinanceFeed
        from trading.paper.feed.terminal import TerminalFeed

        if self.name == "binance":
            return BinanceFeed(settings.symbol, settings.frame, RealClock(), self.url)
        if self.name == "mt5":
            return TerminalFeed(official_package(), settings, RealClock(), self.name)
        access = BridgeAccess.from_environment(read_environment(ENV_FILE, os.environ))
        if access is None:
            raise UsageError(f"--feed bridge needs {BRIDGE[0].name} and {BRIDGE[1].name} in .env or the environment")
        connect = bridge_client(access)
        return TerminalFeed(connect(), settings, RealClock(), self.name, renew=connect)

    def banner(self) -> list[str]:
        """Say whose prices these are and that the money is none."""
        feed = self._feed
        assert feed is not None, "the market was opened"
        lines = [f"PAPER: pretend money on real prices of {feed.label}, costs from config.json; Ctrl-C stops it"]
        return lines + ([f"note: {feed.caveat}"] if feed.caveat else [])

    def catch_up(self, session: PaperSession) -> bool:
        """Let happen what the feed shows by now; while it cannot be asked nothing does.

        As in a replay the first decision comes at the close of the account's first bar.
        """
        assert self._growing is not None, "the market was opened"
        self._growing.catch_up(session.server, session.bot.cycle)
        return session.server.begun

    def close(self) -> None:
        """Leave the source of the prices."""
        if self._feed is not None:
            self._feed.close()
