"""What a trader looks at each day: where the bot stands, how near each limit is, and what it decided last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.outputs.tables import LONG_SHORT, money_text, utc_text, volume_text
from engine.records import Guard, Params
from novosky.market.timeframe import DAY_SECONDS
from novosky.settings import Settings
from trading.journal import BotStatus, NewsEvent
from trading.reports.bar_line import clock, decision_text
from trading.reports.health import Health, Verdict, latched_breakers


@dataclass(frozen=True)
class Limit:
    """A limit and what stands against it.

    Attributes
    ----------
    name : str
    used, most : float
        USD lost, or losses; the limit is reached when `used` gets to `most`.
    reached : bool
    unit : str
        "USD" or "losses".
    until : str
        When it is lifted, in words.
    """

    name: str
    used: float
    most: float
    reached: bool
    unit: str
    until: str

    @property
    def share(self) -> float:
        """How much of the limit is used up, as a fraction."""
        return self.used / self.most if self.most > 0.0 else 1.0


@dataclass(frozen=True)
class DailyStatus:
    """Everything the status shows, as read; times UTC epoch seconds, money USD.

    Attributes
    ----------
    place : str
        Which journal.
    settings, params
        In force according to the settings files.
    status : BotStatus
    health : Health or None
        Of this bot's process; None where its file is missing or another bot's.
    verdict : Verdict
    decision : mapping or None
        Row of the newest decision.
    intents : sequence of mappings
        Of the same bar.
    news : sequence of NewsEvent
        Known releases that count and are still to come.
    calendar : str
        How much the stored calendar can be believed, and what a missing one means.
    closed_today : int
    frozen : bool
    now : float
    """

    place: str
    settings: Settings
    params: Params
    status: BotStatus
    health: Health | None
    verdict: Verdict
    decision: Mapping[str, Any] | None
    intents: Sequence[Mapping[str, Any]]
    news: Sequence[NewsEvent]
    calendar: str
    closed_today: int
    frozen: bool
    now: float

    @property
    def floating(self) -> float:
        """The open position's result at the newest close: what equity has that the balance has not."""
        return round(float(self.status.guard.equity) - self.status.cash, 2) + 0.0

    @property
    def decision_words(self) -> str:
        """The newest decision in words."""
        if self.decision is None:
            return "none yet"
        return decision_text(self.decision, self.intents, self.status.guard, self.params)


def limits_of(guard: Guard, params: Params) -> list[Limit]:
    """Return every limit on losses with what is used of it."""
    halt = float(params.starting_balance * (1.0 - params.max_total_drawdown))
    equity = float(guard.equity)
    return [
        Limit(
            "losses in a row",
            float(guard.day_losses),
            float(params.max_consecutive_losses),
            bool(guard.day_losses >= params.max_consecutive_losses),
            "losses",
            "00:00 UTC",
        ),
        Limit(
            "daily loss",
            max(0.0, float(guard.day_equity) - equity),
            float(params.max_daily_loss * guard.day_equity),
            bool(guard.day_blocked),
            "USD",
            "00:00 UTC",
        ),
        Limit(
            "weekly drawdown",
            max(0.0, float(guard.week_peak) - equity),
            float(params.max_weekly_drawdown * guard.week_peak),
            bool(guard.week_blocked),
            "USD",
            "Monday 00:00 UTC",
        ),
        Limit(
            "hard halt",
            max(0.0, float(params.starting_balance) - equity),
            float(params.starting_balance) - halt,
            bool(guard.halted),
            "USD",
            "risk_profile.starting_balance_usd is changed",
        ),
    ]


def status_lines(shown: DailyStatus) -> list[str]:
    """Return the status for a person, within 80 columns."""
    status, guard = shown.status, shown.status.guard
    pairs = [
        ("bot", f"{shown.settings.symbol} {shown.settings.timeframe}, {_process(shown)}"),
        ("account", status.identity),
        ("health", f"{'ok' if shown.verdict.healthy else 'NOT OK'}: {shown.verdict}"),
        ("position", _position(shown)),
        ("money", f"equity {money_text(guard.equity)} USD, balance {money_text(status.cash)} USD"),
        ("today", _today(shown)),
        ("this week", f"{_signed(guard.equity - guard.week_peak)} USD from its highest equity"),
        *((limit.name, _limit(limit)) for limit in limits_of(guard, shown.params)),
        ("entries", _entries(shown)),
        ("last decision", f"{utc_text(status.last_bar)}: {shown.decision_words}" if status.last_bar else "none yet"),
        ("next bar", f"closes {clock(_next_close(shown))} UTC"),
        ("news", _news(shown)),
        ("journal", shown.place),
    ]
    return [piece for name, text in pairs for piece in _wrapped(name, text)]


def status_values(shown: DailyStatus) -> dict[str, Any]:
    """Return the status as a flat object for programs; None means unknown."""
    status, guard, health = shown.status, shown.status.guard, shown.health
    trade = None if health is None else health.position
    values: dict[str, Any] = {
        "symbol": shown.settings.symbol,
        "account": status.identity,
        "journal": shown.place,
        "healthy": shown.verdict.healthy,
        "health": shown.verdict.reason,
        "state": None if health is None else health.state,
        "last_bar": utc_text(status.last_bar) if status.last_bar else None,
        "next_close": utc_text(_next_close(shown)),
        "bars_processed": status.bars_processed,
        "bars_missed": status.bars_missed,
        "equity": round(float(guard.equity), 2),
        "balance": round(status.cash, 2),
        "floating": shown.floating,
        "day_result": round(float(guard.equity - guard.day_equity), 2),
        "week_drawdown": round(float(guard.week_peak - guard.equity), 2),
        "trades_closed": int(guard.closed),
        "trades_closed_today": shown.closed_today,
        "frozen": shown.frozen,
        "last_decision": shown.decision_words,
        "side": None if trade is None else LONG_SHORT[trade.side],
        "volume": None if trade is None else trade.volume,
        "entry_price": None if trade is None else trade.price_open,
        "stop": None if trade is None else trade.sl,
        "target": None if trade is None else trade.tp,
    }
    for limit in limits_of(guard, shown.params):
        key = limit.name.replace(" ", "_")
        values |= {f"{key}_used": round(limit.used, 2), f"{key}_limit": round(limit.most, 2)}
        values[f"{key}_reached"] = limit.reached
    return values


def _process(shown: DailyStatus) -> str:
    health = shown.health
    if health is None:
        return "whether it runs is not known (no health file of it)"
    since = utc_text(health.started if health.state == "running" else health.written)
    return f"{health.state} since {since}, pid {health.pid}"


def _position(shown: DailyStatus) -> str:
    health, digits = shown.health, shown.settings.broker.digits
    if health is None:
        return f"not known here, floating {_signed(shown.floating)} USD" if shown.floating else "flat"
    trade = health.position
    if trade is None:
        return "flat"
    named = (("stop", trade.sl), ("target", trade.tp))
    levels = ", ".join(f"{name} {level:.{digits}f}" if level else f"NO {name}" for name, level in named)
    opened = f"{LONG_SHORT[trade.side]} {volume_text(trade.volume)} lots from {trade.price_open:.{digits}f}"
    return f"{opened}, {levels}, floating {_signed(shown.floating)} USD"


def _today(shown: DailyStatus) -> str:
    guard, count = shown.status.guard, shown.closed_today
    if shown.status.last_bar // DAY_SECONDS != int(shown.now) // DAY_SECONDS:
        return "no bar of this UTC day yet"
    closed = f"{count} trade{'' if count == 1 else 's'} closed"
    return f"{_signed(guard.equity - guard.day_equity)} USD since 00:00 UTC, {closed}"


def _limit(limit: Limit) -> str:
    amount = "g" if limit.unit == "losses" else ".2f"
    text = f"{limit.used:{amount}} of {limit.most:{amount}} {limit.unit} ({limit.share:.0%})"
    return f"REACHED, until {limit.until}: {text}" if limit.reached else text


def _entries(shown: DailyStatus) -> str:
    guard, reasons = shown.status.guard, []
    if shown.frozen:
        reasons.append("the freeze flag is set")
    if guard.paused_until > shown.now:
        reasons.append(f"equity curve pause until {utc_text(int(guard.paused_until))}")
    reasons += [f"limit reached: {name}" for name in latched_breakers(guard)]
    if guard.day_losses >= shown.params.max_consecutive_losses:
        reasons.append("too many losses in a row until 00:00 UTC")
    return f"none: {'; '.join(reasons)}" if reasons else "allowed"


def _news(shown: DailyStatus) -> str:
    if not shown.news:
        return f"no release that counts is known to come; calendar {shown.calendar}"
    first = min(shown.news, key=lambda event: event.time)
    minutes = (first.time - shown.now) / 60.0
    block = shown.params.news_minutes
    blocked = f", entries blocked {block:.0f} min around it" if block > 0.0 else ""
    return f"{first.currency} {first.title} at {utc_text(first.time)}, in {minutes:.0f} min{blocked}"


def _next_close(shown: DailyStatus) -> int:
    frame = shown.settings.frame
    return frame.close(max(shown.status.last_bar, frame.floor(shown.now)))


def _signed(value: float) -> str:
    return f"{round(float(value), 2) + 0.0:+.2f}"


def _wrapped(name: str, text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(
        f"{name:<17}{text}", 80, subsequent_indent=" " * 17, break_long_words=False, break_on_hyphens=False
    )
