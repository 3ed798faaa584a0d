"""Money paid in and out: how it reaches the breakers, and what people are told of it.

A movement is taken in at the next close, in the order of the account's deals: what was lost
before it is judged against what the account held then.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from alerts.message import Message
from engine.breakers import count_closed, judge_equity, move_references
from engine.fills import rounded
from engine.records import Account, Guard, Params, Trade
from trading.brokers.port import BrokerUnavailable
from trading.cycle.bookings import Booked, beginning_of
from trading.journal import BotStatus, Journal, MoneyMove

PATIENCE = 20
"""Looks at an account whose history lags behind its balance: some seconds at a close."""
_log = logging.getLogger(__name__)
_VERBS = {
    "deposit": "were paid in",
    "withdrawal": "were paid out",
    "credit": "of credit were granted",
    "charge": "were charged",
    "correction": "were booked as a correction",
    "bonus": "of bonus were granted",
}
_TAKEN = {"credit": "of credit were taken back", "bonus": "of bonus were taken back"}


def moved(move: MoneyMove) -> float:
    """Return what a movement changed the balance by, USD: a credit is lent and stays outside."""
    return 0.0 if move.kind == "credit" else move.amount


def events_of(booked: Booked) -> list[Trade | MoneyMove]:
    """Return the closed trades but for the newest, and the movements, in the order of the account's deals."""
    events: list[tuple[int, Trade | MoneyMove]] = [(closed.deal, closed.trade) for closed in booked.closed[:-1]]
    events += [(move.ticket, move) for move in booked.moves]
    return [event for _, event in sorted(events, key=lambda each: each[0])]


def since_beginning(booked: Booked, status: BotStatus) -> Booked:
    """Return what there is to judge and to tell: without money that was there before the bot began."""
    return replace(booked, moves=[move for move in booked.moves if move.time >= beginning_of(status)])


def take_in(
    guard: Guard,
    params: Params,
    events: Sequence[Trade | MoneyMove],
    cash: float,
    equity: float,
    close: int,
    gap: float = 0.0,
) -> None:
    """Bring the guard past what happened since the last bar, but for the newest closed trade and the close itself.

    Parameters
    ----------
    guard, params : records
    events : sequence of Trade or MoneyMove
        In order.
    cash, equity : float
        Sum of all deals and floating equity at the close, USD.
    close : int
        UTC epoch seconds.
    gap : float
        USD that the balance lies above what the deals make of the balance the bot began with.
    """
    for event in events:
        if isinstance(event, MoneyMove):
            amount = moved(event)
            if amount != 0.0:
                # What was earned after it was not there yet.
                before = equity - (cash - (event.balance - amount))
                move_references(guard, params, before, amount)
        else:
            net = rounded(event.profit + event.commission + event.swap, params.money_scale)
            balance = float(rounded(event.balance + gap, params.money_scale))
            count_closed(guard, params, balance, net, close)


def judge_account(
    account: Account,
    guard: Guard,
    params: Params,
    events: Sequence[Trade | MoneyMove],
    cash: float,
    close: int,
    equity: float,
    gap: float = 0.0,
) -> None:
    """Bring the guard to a close: what happened since the last one, in order, then the equity at it.

    Parameters
    ----------
    account, guard, params : records
        `account` as it stands at the close.
    events, cash, close, equity, gap
        See `take_in`.
    """
    take_in(guard, params, events, cash, equity, close, gap)
    judge_equity(account, guard, params, close, equity)


class ExplainedBalance:
    """Believes a balance once the deals explain it: money read before its deal would count as a result.

    Parameters
    ----------
    scale : float
        Booked sums are multiples of 1/scale USD.
    gap : float or None
        By how much the balance lay above the sum of all deals when it was last believed; None is not known.
    """

    def __init__(self, scale: float, gap: float | None = None) -> None:
        self._scale = scale
        self._gap = None if gap is None else float(rounded(gap, scale))
        self._asked = 0

    @property
    def waiting(self) -> bool:
        """True while a balance waits for its deals."""
        return self._asked > 0

    def balance(self, stated: float, booked: float) -> float:
        """Return the stated balance, USD.

        Parameters
        ----------
        stated : float
            What the broker says, USD.
        booked : float
            The sum of all deals read so far, USD. Where a broker has cut old deals off, the two
            differ, but always by the same.

        Raises
        ------
        BrokerUnavailable
            It has moved and no deal says why yet: both are to be asked again. What no deal
            explains in `PATIENCE` looks is taken as it is.
        """
        gap = float(rounded(stated - booked, self._scale))
        if self._gap is not None and gap != self._gap and self._asked < PATIENCE:
            self._asked += 1
            raise BrokerUnavailable(f"the balance moved by {gap - self._gap:.2f} USD and no deal says why yet")
        if self._asked >= PATIENCE:
            _log.warning("the balance is %.2f USD, the account's deals make %.2f", stated, booked)
        self._gap, self._asked = gap, 0
        return stated


def last_gap(journal: Journal, status: BotStatus) -> float | None:
    """Return by how much the balance lay above the sum of all deals at the newest bar, USD; None is not known.

    A terminal that has just logged in states the balance at once and lists its newest deals a moment
    later: only who knows how the two stood before notices what was paid out in a downtime.
    """
    if status.bars_processed == 0:
        return None
    if journal.is_flat():
        return float(status.guard.equity) - status.cash
    seen = [each for each in journal.account_snapshots(status.last_bar) if each.time == status.last_bar]
    # What was ordered at that bar may have cost something before the snapshot was taken.
    return seen[0].balance - status.cash if seen and not journal.intents_of(status.last_bar) else None


def move_messages(moves: Sequence[MoneyMove]) -> list[Message]:
    """Return what there is to tell of money paid in and out."""
    return [Message(f"money:{move.ticket}", "risk", move_text(move), move.time) for move in moves]


def move_text(move: MoneyMove) -> str:
    """Return a movement in words."""
    verbs = _TAKEN if move.amount < 0.0 and move.kind in _TAKEN else _VERBS
    note = f" ({move.comment})" if move.comment else ""
    amount = move.amount if move.kind == "correction" else abs(move.amount)
    text = f"{amount:.2f} USD {verbs[move.kind]}{note}, balance {move.balance:.2f}; "
    if moved(move) == 0.0:
        return text + "it is not the account's own money, and no limit counts it"
    return text + "it is no result: daily, weekly and total limits move with it"
