"""What people are told of a bar: the words, and their way into the bar's own transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from trading.bookings import Booked, ClosedTrade
from trading.engine.fills import EXIT_NAMES
from trading.engine.records import Guard
from trading.exports import SIDE_NAMES, volume_text
from trading.journal import Journal, Message
from trading.money import move_messages
from trading.notify import Notifier


class Announcer:
    """Shows messages at once and, where there is a reader for it, queues them in the outbox.

    Parameters
    ----------
    journal : Journal
    notifier : Notifier
        Shows them; must not fail.
    queued : bool
        True where something sends the outbox's messages on; elsewhere it would only grow.
    """

    def __init__(self, journal: Journal, notifier: Notifier, *, queued: bool) -> None:
        self._journal, self._notifier, self._queued = journal, notifier, queued

    def within(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Return what belongs into the transaction that makes the messages true."""
        return messages if self._queued else ()

    def show(self, messages: Iterable[Message]) -> None:
        """Show messages whose transaction is done."""
        for message in messages:
            self._notifier.send(message.text)

    def tell(self, message: Message) -> None:
        """Queue and show a message that belongs to no transaction."""
        if self._queued:
            self._journal.outbox.enqueue(message)
        self._notifier.send(message.text)


def bar_messages(booked: Booked, before: Guard, after: Guard, close: int) -> list[Message]:
    """Return what there is to tell of a bar: closed trades, money paid in or out, limits reached or lifted."""
    trades = [
        Message(f"closed:{closed.deal}", "trade", trade_text(closed), int(closed.trade.exit_time))
        for closed in booked.closed
    ]
    trades += move_messages(booked.moves)
    return trades + [
        Message(f"alarm:{close}:{name}", "risk", text, close) for name, text in alarms_between(before, after).items()
    ]


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
    texts = {
        "day_blocked": "daily loss limit reached: no entries until 00:00 UTC",
        "week_blocked": "weekly drawdown limit reached: no entries until Monday 00:00 UTC",
        "halted": (
            f"HARD HALT: equity {after.equity:.2f} USD against a starting balance of {after.halt_balance:.2f}; "
            "no entries until risk_profile.starting_balance_usd is changed"
        ),
    }
    moved: dict[str, str] = {}
    if after.halt_balance != before.halt_balance:
        moved["halt_balance"] = (
            f"the hard halt now measures from {after.halt_balance:.2f} USD, before {before.halt_balance:.2f}"
        )
    return moved | {name: text for name, text in texts.items() if getattr(after, name) > getattr(before, name)}
