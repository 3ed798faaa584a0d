"""What people are told of a bar: the words, and their way into the bar's own transaction."""

from __future__ import annotations

from collections.abc import Iterable

from alerts.message import Message
from alerts.notify import Notifier
from engine.fills import EXIT_NAMES
from engine.outputs.tables import SIDE_NAMES, utc_text, volume_text
from engine.records import Guard, Params, values_of
from trading.cycle.bookings import Booked, ClosedTrade
from trading.cycle.money import move_messages
from trading.journal import Journal

_LATCHES = ("day_blocked", "week_blocked", "halted", "paused_until")
"""The guard's fields that rise when a limit is reached."""


class Announcer:
    """Shows messages at once and queues them in the outbox, for those channels that the journal serves.

    Parameters
    ----------
    journal : Journal
    notifier : Notifier
        Shows them; must not fail.
    """

    def __init__(self, journal: Journal, notifier: Notifier) -> None:
        self._journal, self._notifier = journal, notifier

    def show(self, messages: Iterable[Message]) -> None:
        """Show messages whose transaction is done."""
        for message in messages:
            self._notifier.send(message.text)

    def tell(self, message: Message) -> None:
        """Queue and show a message that belongs to no transaction."""
        self._journal.outbox.enqueue(message)
        self._notifier.send(message.text)


def bar_messages(booked: Booked, before: Guard, after: Guard, close: int, params: Params) -> list[Message]:
    """Return what there is to tell of a bar: closed trades, money paid in or out, limits reached or lifted."""
    trades = [
        Message(f"closed:{closed.deal}", "trade", trade_text(closed), int(closed.trade.exit_time))
        for closed in booked.closed
    ]
    trades += move_messages(booked.moves)
    alarms = alarms_between(before, after)
    if after.day_losses >= params.max_consecutive_losses > before.day_losses:
        alarms["day_losses"] = latches(after, params)["day_losses"]
    return trades + [Message(f"alarm:{close}:{name}", "risk", text, close) for name, text in alarms.items()]


def start_messages(guard: Guard, params: Params, bar: int) -> list[Message]:
    """Return what to say at a start of the limits that are in force, whichever way that came about.

    Parameters
    ----------
    bar : int
        The newest processed close: starts without a bar between them say it once.
    """
    return [
        Message(f"in force:{bar}:{name}", "risk", f"in force at the start: {text}", bar)
        for name, text in latches(guard, params).items()
    ]


def latches(guard: Guard, params: Params) -> dict[str, str]:
    """Return every limit that stops entries now, in words, by the guard's field."""
    texts = _texts(guard)
    found = {name: texts[name] for name in ("day_blocked", "week_blocked", "halted") if getattr(guard, name)}
    if guard.paused_until > guard.time:
        found["paused_until"] = texts["paused_until"]
    if guard.day_losses >= params.max_consecutive_losses:
        found["day_losses"] = f"{guard.day_losses} losses in a row: no entries until 00:00 UTC"
    return found


def trade_text(closed: ClosedTrade) -> str:
    """Return a closed trade in words."""
    trade = closed.trade
    net = trade.profit + trade.commission + trade.swap
    return (
        f"closed {SIDE_NAMES[int(trade.side)]} {volume_text(trade.volume)} at {trade.exit_price:.2f} "
        f"({EXIT_NAMES[int(trade.reason)]}), result {net:+.2f} USD, balance {trade.balance:.2f}"
    )


def alarms_between(before: Guard, after: Guard) -> dict[str, str]:
    """Return what to say of the limits this bar has reached or lifted, by the guard's field."""
    was, now = values_of(before), values_of(after)
    moved: dict[str, str] = {}
    if now["halt_balance"] != was["halt_balance"]:
        moved["halt_balance"] = (
            f"the hard halt now measures from {after.halt_balance:.2f} USD, before {before.halt_balance:.2f}"
        )
    reached = [name for name in _LATCHES if now[name] > was[name]]
    if not reached:
        # Nearly every bar: no words for what did not happen.
        return moved
    texts = _texts(after)
    if now["paused_until"] <= now["time"]:
        del texts["paused_until"]
    return moved | {name: text for name, text in texts.items() if name in reached}


def _texts(guard: Guard) -> dict[str, str]:
    base = guard.halt_balance + guard.halt_moved
    return {
        "day_blocked": "daily loss limit reached: no entries until 00:00 UTC",
        "week_blocked": "weekly drawdown limit reached: no entries until Monday 00:00 UTC",
        "halted": (
            f"HARD HALT: equity {guard.equity:.2f} USD against a starting balance of {base:.2f}; "
            "no entries until risk_profile.starting_balance_usd is changed"
        ),
        "paused_until": f"balance below the mean of its last trades: no entries until {utc_text(guard.paused_until)}",
    }
