"""What a person is shown of the live bot: the journal, and what the bot's thread last saw at the broker."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alerts.views import AccountView, HealthItem, PerformanceView, PositionView, ProfileView, StatusView, TradeView
from engine.fills import EXIT_NAMES
from engine.records import Guard, Trade, from_text
from novosky.clock import Clock
from novosky.measures.score import MIN_TRADES, score_of
from novosky.settings import MlSettings, Settings
from trading.brokers.port import AccountState, Broker, Position, Quote
from trading.cycle.news import NewsSource
from trading.cycle.switches import Switches
from trading.journal import BotStatus, Journal
from trading.reports.health import judge_health


@dataclass(frozen=True)
class Sight:
    """The broker's side at a moment; nothing in it before the first look."""

    quote: Quote | None = None
    account: AccountState | None = None
    positions: tuple[Position, ...] = ()


class Watch:
    """Keeps the newest sight of the broker for other threads, which must not ask it themselves."""

    def __init__(self) -> None:
        self.sight = Sight()
        self.away = False
        self.clock_problem = ""
        """How the server's clock and this machine's differ; empty while they agree."""

    def look(self, broker: Broker) -> None:
        """Take a new one; BrokerUnavailable leaves the last."""
        self.sight = Sight(broker.quote(), broker.account(), tuple(broker.positions()))


class LiveView:
    """Answers `alerts.views.BotView` from any thread.

    Parameters
    ----------
    journal : Journal
    switches : Switches
    watch : Watch
    news : NewsSource
    settings : Settings
    ml_settings : MlSettings
    clock : Clock
    account : str
        Which account, without secrets.
    """

    def __init__(
        self,
        journal: Journal,
        switches: Switches,
        watch: Watch,
        news: NewsSource,
        settings: Settings,
        ml_settings: MlSettings,
        clock: Clock,
        account: str,
    ) -> None:
        self._journal, self._switches, self._watch, self._news = journal, switches, watch, news
        self._settings, self._ml_settings, self._clock, self._account = settings, ml_settings, clock, account
        self._started = math.floor(clock.now())
        self.more_health: Callable[[], Sequence[HealthItem]] = tuple
        """Further items of the health report."""

    def status(self) -> StatusView:
        """Where the bot stands."""
        status, stops = self._journal.status(), self._switches.stops()
        reasons = stops if status is None else stops + self._limits(status.guard)
        return StatusView(
            state=self._state(status, stops),
            reasons=reasons,
            mode="live",
            symbol=self._settings.symbol,
            account=self._account,
            started=self._started,
            last_bar=None if status is None or status.last_bar == 0 else status.last_bar,
            bars_processed=0 if status is None else status.bars_processed,
            bars_missed=0 if status is None else status.bars_missed,
        )

    def _state(self, status: BotStatus | None, stops: tuple[str, ...]) -> str:
        if status is not None and status.guard.halted:
            return "halted"
        if self._watch.away:
            return "waiting for the broker"
        return "stopped from entering" if stops else "starting" if status is None else "running"

    def _limits(self, guard: Guard) -> tuple[str, ...]:
        now, most = self._clock.now(), self._settings.max_consecutive_losses
        limits = (
            ("hard halt until risk_profile.starting_balance_usd is changed", guard.halted),
            ("weekly drawdown limit until Monday 00:00 UTC", guard.week_blocked),
            ("daily loss limit until 00:00 UTC", guard.day_blocked),
            (f"{guard.day_losses} losses in a row until 00:00 UTC", guard.day_losses >= most),
            ("equity curve below its mean", guard.paused_until > now),
        )
        return tuple(text for text, reached in limits if reached)

    def account(self) -> AccountView:
        """The account's money as last seen."""
        money = self._watch.sight.account
        if money is None:
            return AccountView(None, None, None, None)
        return AccountView(money.balance, money.equity, money.margin, money.equity - money.margin)

    def positions(self) -> Sequence[PositionView]:
        """The bot's own open positions as last seen."""
        sight = self._watch.sight
        return [self._position(each, sight.quote) for each in sight.positions if each.magic == self._journal.magic]

    def _position(self, position: Position, quote: Quote | None) -> PositionView:
        price = None if quote is None else quote.bid if position.side > 0 else quote.ask
        return PositionView(
            ticket=position.ticket,
            symbol=self._settings.symbol,
            side=position.side,
            volume=position.volume,
            entry_time=position.time,
            entry_price=position.price_open,
            price=price,
            stop=position.sl or None,
            target=position.tp or None,
            profit=position.profit + position.swap,
        )

    def trades(self, limit: int) -> Sequence[TradeView]:
        """The newest closed trades, newest first."""
        return [self.trade(content) for content in reversed(self._journal.trades()[-limit:])]

    def trade(self, content: str) -> TradeView:
        """Return a trade of the journal as people see it."""
        trade = from_text(Trade, content)
        return TradeView(
            symbol=self._settings.symbol,
            side=int(trade.side),
            volume=float(trade.volume),
            entry_time=int(trade.entry_time),
            entry_price=float(trade.entry_price),
            exit_time=int(trade.exit_time),
            exit_price=float(trade.exit_price),
            exit_reason=EXIT_NAMES[int(trade.reason)],
            net=_net(trade),
            balance=float(trade.balance),
        )

    def performance(self) -> PerformanceView:
        """Closed trades in sum."""
        trades = [from_text(Trade, content) for content in self._journal.trades()]
        return performance_of(trades, self._started)

    def profile(self) -> ProfileView:
        """The rules in force."""
        settings = self._settings
        risk = settings.risk_management
        return ProfileView(
            name=settings.risk_profile.name,
            risk_percent=settings.dynamic_position_sizing.risk_percent,
            confidence=self._ml_settings.prediction.confidence_threshold,
            stop_atr=risk.sl_atr_mult,
            target_atr=risk.tp_atr_mult,
            daily_loss_percent=settings.max_daily_loss,
            weekly_pause_percent=settings.max_weekly_drawdown_pct,
            hard_halt_percent=settings.max_total_drawdown_pct,
            starting_balance=settings.risk_profile.starting_balance_usd,
        )

    def health(self) -> Sequence[HealthItem]:
        """What is well and what is not."""
        now, status = self._clock.now(), self._journal.status()
        if status is None:
            bars = HealthItem("Bars", False, "none was processed yet")
        else:
            verdict = judge_health(status, None, now)
            bars = HealthItem("Bars", verdict.healthy, verdict.reason)
        calendar = self._news.state(now)
        told = "does not answer" if self._watch.away else "answers"
        return [
            bars,
            HealthItem("Broker", not self._watch.away, told),
            HealthItem("Clocks", not self._watch.clock_problem, self._watch.clock_problem or "agree"),
            HealthItem("News calendar", calendar.freshness == "fresh", str(calendar)),
            *self.more_health(),
        ]


def performance_of(trades: Sequence[Trade], since: int) -> PerformanceView:
    """Sum closed trades up.

    Parameters
    ----------
    trades : sequence of Trade
        In order of exit.
    since : int
        What the sum begins with when there are none, UTC epoch seconds.
    """
    net = np.array([_net(trade) for trade in trades])
    if len(net) == 0:
        return PerformanceView(since, 0, 0, 0.0, None, None, None, 0)
    lost, wins = float(-net[net < 0.0].sum()), int((net > 0.0).sum())
    factor = float(net[net > 0.0].sum()) / lost if lost > 0.0 else None
    drawdown = _drawdown([trade.balance for trade in trades], net)
    multiples = [value / trade.risk for value, trade in zip(net, trades, strict=True) if trade.risk > 0.0]
    enough = len(net) >= MIN_TRADES
    return PerformanceView(
        since=int(trades[0].entry_time),
        trades=len(net),
        wins=wins,
        net=float(net.sum()),
        profit_factor=factor if enough else None,
        expectancy_r=float(np.mean(multiples)) if enough and multiples else None,
        max_drawdown=drawdown,
        longest_losing_run=_longest_run([value < 0.0 for value in net]),
        score=score_of(wins / len(net), factor, drawdown) if enough and factor is not None else None,
    )


def _net(trade: Trade) -> float:
    return round(float(trade.profit + trade.commission + trade.swap), 8)


def _drawdown(balances: Sequence[float], net: npt.NDArray[np.float64]) -> float:
    """Return the deepest fall of what the trades made of one USD: money paid in or out is none of their doing."""
    before = np.array(balances) - net
    curve = np.append(1.0, np.cumprod(np.array(balances) / before))
    return float(np.max(1.0 - curve / np.maximum.accumulate(curve)))


def _longest_run(flags: Sequence[bool]) -> int:
    longest = running = 0
    for flag in flags:
        running = running + 1 if flag else 0
        longest = max(longest, running)
    return longest
