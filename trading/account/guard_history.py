"""The breakers of an account from its history: judged at every close, as the bot would have judged them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from engine.breakers import start_guard
from engine.fills import floating_equity, rounded
from engine.records import Account, Guard, Params, new_record
from novosky.market.bars import epoch_seconds
from trading.account.opening_balance import balance_problem, is_below_halt
from trading.cycle.bookings import Booked, ClosedTrade, entry_of
from trading.cycle.money import events_of, judge_account

_VOLUME_NOISE = 1e-9


@dataclass
class Held:
    """One of the bot's positions: side, levels, the deals that opened it, and when how many lots were closed."""

    side: int
    sl: float
    tp: float
    entries: list[Mapping[str, Any]]
    exits: list[tuple[int, float]]

    def over_at(self, close: int) -> bool:
        """Tell whether all of it was closed before a moment."""
        opened = sum(deal["volume"] for deal in self.entries)
        return bool(opened - sum(lots for time, lots in self.exits if time < close) <= _VOLUME_NOISE)

    def put_into(self, account: Account, close: int) -> None:
        """Describe what was open of it just before a moment."""
        entry = entry_of([deal for deal in self.entries if deal["time"] < close])
        left = 0.0 if entry is None else entry["volume"] - sum(lots for time, lots in self.exits if time < close)
        if entry is not None and left > _VOLUME_NOISE:
            account.side, account.volume = self.side, round(left, 8)
            account.entry_time, account.entry_price = entry["time"], entry["price"]
            account.sl, account.tp = self.sl, self.tp


@dataclass(frozen=True)
class AccountHistory:
    """What an account has gone through.

    Attributes
    ----------
    held : sequence of Held
    booked : Booked
        Every deal, and the bot's closed trades.
    opening : float
        The balance before the first of them, USD.
    since : int
        The newest close that is judged already, UTC epoch seconds; 0 begins with the first of the bot's deals.
    bars : DataFrame
        The newest closed bars.
    spread : float
        USD; the terminal's bars tell it of their opens at best.
    """

    held: Sequence[Held]
    booked: Booked
    opening: float
    since: int
    bars: pd.DataFrame
    spread: float

    def balance_at(self, time: int | None) -> float:
        """Return the balance just before a moment, USD; None is now."""
        rows = [row for row in self.booked.deals if time is None or row["time"] < time]
        before = (row["profit"] + row["commission"] + row["swap"] for row in rows)
        return self.opening + float(sum(before))


def replay_guard(guard: Guard, params: Params, history: AccountHistory, until: int) -> None:
    """Bring a guard from `history.since` to the close `until`; one without a beginning is started first.

    At closes of which the terminal has no bar any more the equity is the balance.

    Parameters
    ----------
    until : int
        UTC epoch seconds; every deal of the history is older.
    """
    since = history.since or _start(guard, params, history, until)
    fits = bool(history.since) or not balance_problem(float(guard.equity), params.starting_balance, params)
    length = int(params.bar_seconds)
    prices = dict(zip((epoch_seconds(history.bars) + length).tolist(), history.bars["close"], strict=True))
    # A deal from before `since` that is new to the guard is counted at the first close there is.
    rows = sorted(history.booked.deals, key=lambda row: int(row["time"]))
    closes = {max(int(row["time"]) // length * length + length, since) for row in rows}
    running = list(history.held)
    closed, balance, seen = list(history.booked.closed), history.opening, 0
    # What was paid in before the bot began is in the balance it began with.
    moves = [move for move in history.booked.moves if history.since or move.time >= since]
    for close in sorted(each for each in closes | prices.keys() if since <= each <= until):
        while seen < len(rows) and rows[seen]["time"] < close:
            balance += rows[seen]["profit"] + rows[seen]["commission"] + rows[seen]["swap"]
            seen += 1
        new = [each for each in closed if each.trade.exit_time < close]
        closed = closed[len(new) :]
        paid = [move for move in moves if move.time < close]
        moves = moves[len(paid) :]
        running = [held for held in running if not held.over_at(close)]
        if close > since or new or paid:
            account = _account_at(params, guard, close, balance, new, running)
            price = prices.get(close)
            # At the account's own balance, on the grid of cents, as the bot judges it.
            cash = float(account.balance)
            equity = cash if price is None else float(floating_equity(account, params, float(price), history.spread))
            events = events_of(replace(history.booked, closed=new, moves=paid))
            judge_account(account, guard, params, events, cash, close, equity)
    if not fits:
        # The starting balance was stated later, by someone who saw what the account held then.
        guard.halt_moved = 0.0
        guard.halted = int(is_below_halt(float(guard.equity), params.starting_balance, params))


def _start(guard: Guard, params: Params, history: AccountHistory, until: int) -> int:
    """Begin where the bot must have begun: before the first of its own deals."""
    own = [int(entry["time"]) for held in history.held for entry in held.entries]
    first = min(own, default=until) // int(params.bar_seconds) * int(params.bar_seconds)
    balance = float(rounded(history.balance_at(first if first < until else None), params.money_scale))
    start_guard(guard, params, first, balance)
    return first


def _account_at(
    params: Params, guard: Guard, close: int, balance: float, new: Sequence[ClosedTrade], running: Sequence[Held]
) -> Account:
    account = new_record(Account)
    account.balance = float(rounded(balance, params.money_scale))
    account.closed = guard.closed + len(new)
    if new:
        account.last_net = _net(new[-1], params)
    for held in running:
        held.put_into(account, close)
    return account


def _net(closed: ClosedTrade, params: Params) -> float:
    trade = closed.trade
    return float(rounded(trade.profit + trade.commission + trade.swap, params.money_scale))
