"""What commands read from the bot and what they ask of it.

Values are plain and finished; None means unknown and is shown as such, never as zero.
Money is USD, prices are USD, times are UTC epoch seconds, percentages are percent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class StatusView:
    """Where the bot stands.

    Attributes
    ----------
    state : str
        "running", "paused", "frozen", "halted" ... in one word.
    reasons : tuple of str
        Why no entries are made now, in words; empty when they may be.
    mode : str
        "live" or "paper".
    account : str
        Which account, without secrets.
    last_bar : int or None
        Close of the newest processed bar.
    bars_missed : int
        Bars that closed while the bot was away.
    """

    state: str
    reasons: tuple[str, ...]
    mode: str
    symbol: str
    account: str
    started: int
    last_bar: int | None
    bars_processed: int
    bars_missed: int


@dataclass(frozen=True)
class AccountView:
    """The account's money."""

    balance: float | None
    equity: float | None
    margin: float | None
    free_margin: float | None


@dataclass(frozen=True)
class AccountSnapshot:
    """The account at a moment (UTC epoch seconds): USD, and how many positions were open."""

    time: int
    balance: float
    equity: float
    margin: float
    positions: int


@dataclass(frozen=True)
class PositionView:
    """An open position; side is 1 for long and -1 for short, profit floats."""

    ticket: int
    symbol: str
    side: int
    volume: float
    entry_time: int
    entry_price: float
    price: float | None
    stop: float | None
    target: float | None
    profit: float | None


@dataclass(frozen=True)
class TradeView:
    """A closed trade; `net` has all costs in it."""

    symbol: str
    side: int
    volume: float
    entry_time: int
    entry_price: float
    exit_time: int
    exit_price: float
    exit_reason: str
    net: float
    balance: float | None = None


@dataclass(frozen=True)
class PerformanceView:
    """Closed trades in sum. Rates are fractions, None where there are too few trades to say."""

    since: int
    trades: int
    wins: int
    net: float
    profit_factor: float | None
    expectancy_r: float | None
    max_drawdown: float | None
    longest_losing_run: int
    score: float | None = None


@dataclass(frozen=True)
class ProfileView:
    """The rules in force: percentages of equity, stop and target in ATR."""

    name: str
    risk_percent: float
    confidence: float
    stop_atr: float
    target_atr: float
    daily_loss_percent: float
    weekly_pause_percent: float
    hard_halt_percent: float
    starting_balance: float


@dataclass(frozen=True)
class HealthItem:
    """One thing that is well or is not."""

    name: str
    good: bool
    detail: str


class BotView(Protocol):
    """What a person may ask. Called from the thread that polls; must not block on the broker."""

    def status(self) -> StatusView:
        """Where the bot stands."""

    def account(self) -> AccountView:
        """The account's money as last seen."""

    def positions(self) -> Sequence[PositionView]:
        """Open positions as last seen."""

    def trades(self, limit: int) -> Sequence[TradeView]:
        """The newest closed trades, newest first."""

    def performance(self) -> PerformanceView:
        """Closed trades in sum."""

    def profile(self) -> ProfileView:
        """The rules in force."""

    def health(self) -> Sequence[HealthItem]:
        """What is well and what is not."""


class BotControls(Protocol):
    """What a person may order. Called from the thread that polls.

    Every order may come twice and then does no more than once. Each returns one sentence
    that says what has happened, or will, for the person who gave the order; each may raise a
    `NovoskyError` when it could not be carried out.
    """

    def pause(self) -> str:
        """Make no entries until `resume`, across restarts."""

    def resume(self) -> str:
        """Lift pause and freeze."""

    def freeze(self) -> str:
        """Set the freeze flag: no entries of any bot in this folder."""

    def close_all(self) -> str:
        """Close this bot's open positions at the market."""

    def halt(self) -> str:
        """Close this bot's positions and trade no more until the settings are changed."""
