"""One UTC day of the bot, as its journal tells it: the account it began with, decisions, positions.

The journal stores the breakers of the newest bar only. Those of an earlier moment are built
again from what it keeps of every bar, by the bot's own rules: the equity and the closed trades.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from backtest.run import Opening
from engine.breakers import count_closed, judge_equity, start_guard
from engine.fills import floating_profit, required_margin, rounded
from engine.outputs.tables import utc_text
from engine.records import Account, Guard, Params, Trade, from_text, new_record
from novosky.errors import DataError
from trading.brokers.port import DealEntry
from trading.cycle.money import take_in
from trading.journal import INTENT_FILLED, Journal, MoneyMove

DAY_SECONDS = 86_400
OPEN = 0
"""The exit reason of a position that has not been closed."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Quoted:
    """Bid and spread in USD at a close."""

    bid: float
    spread: float


@dataclass(frozen=True)
class Held:
    """A position of the bot with what it earned within the day.

    Attributes
    ----------
    decided : int
        Close at which it was decided, UTC epoch seconds.
    exit_time : int or None
        None while it is open.
    exit_price : float
        Of an open position the price it could be closed at.
    reason : int
        `EXIT_...` of `engine.fills`, or OPEN.
    profit, commission, swap : Decimal
        USD as booked; the change since the day's beginning of what was carried into it.
    """

    decided: int
    side: int
    volume: float
    entry_time: int
    entry_price: float
    sl: float
    tp: float
    exit_time: int | None
    exit_price: float
    reason: int
    profit: Decimal
    commission: Decimal
    swap: Decimal

    @property
    def key(self) -> tuple[int, int]:
        """What makes it the same position in live and replay: the close it was decided at, and the side."""
        return self.decided, self.side

    @property
    def net(self) -> Decimal:
        """The day's result, USD."""
        return self.profit + self.commission + self.swap

    def held_at(self, close: int) -> bool:
        """Tell whether it was open when the bar that ends at `close` had closed."""
        return self.entry_time < close and (self.exit_time is None or self.exit_time >= close)


@dataclass(frozen=True)
class JournalDay:
    """What the journal holds of a day.

    Attributes
    ----------
    start, end : int
        The day, or the part of it the journal covers, UTC epoch seconds.
    rows : sequence of mappings
        The decisions up to the end, those before the day included.
    intents, deals : sequences of mappings
        All of them.
    magic : int
        Marks the bot's own deals.
    trades : sequence of Trade
        All closed trades in order of exit.
    moves : sequence of MoneyMove
        All that was paid in and out.
    """

    start: int
    end: int
    rows: Sequence[Row]
    intents: Sequence[Row]
    deals: Sequence[Row]
    trades: Sequence[Trade]
    magic: int
    moves: Sequence[MoneyMove] = ()

    @property
    def before(self) -> Row | None:
        """The last decision that the day began with."""
        return next((row for row in reversed(self.rows) if row["bar"] <= self.start), None)

    @property
    def decisions(self) -> dict[int, Row]:
        """The decisions of the day, and the one its first order came from, by their close."""
        return {row["bar"]: row for row in self.rows if row["bar"] >= self.start}

    def intents_of(self, kind: str) -> dict[int, Row]:
        """Return the intents of a kind by the close they were decided at."""
        return {row["bar"]: row for row in self.intents if row["kind"] == kind}

    def cash(self, moment: int, params: Params) -> float:
        """Return the balance before the deals of a moment; a deposit of that very moment is in it."""
        cash = 0.0
        for deal in self.deals:
            if deal["time"] < moment or (deal["time"] == moment and deal["entry"] == DealEntry.BALANCE):
                cash = float(rounded(cash + deal["profit"] + deal["commission"] + deal["swap"], params.money_scale))
        return cash

    def own_positions(self) -> dict[int, list[Row]]:
        """Return the bot's positions: ticket and deals, in order of entry."""
        opened = [deal for deal in self.deals if deal["entry"] == DealEntry.IN]
        own = [deal["position"] for deal in opened if deal["magic"] == self.magic]
        found: dict[int, list[Row]] = {ticket: [] for ticket in own}
        for deal in self.deals:
            if deal["position"] in found and deal["entry"] in (DealEntry.IN, DealEntry.OUT):
                found[deal["position"]].append(deal)
        return found

    def entry_intent(self, entry: Row) -> Row:
        """Return the intent a position was opened by; DataError when the journal has none."""
        for row in self.intents:
            if row["id"] == entry["comment"] or (row["kind"] == "entry" and row["order"] == entry["position"]):
                return row
        raise DataError(
            f"position {entry['position']} of {utc_text(entry['time'])} has no order in the journal; "
            "put the journal that opened it back"
        )


def read_journal_day(journal: Journal, day: int, bar_seconds: int) -> JournalDay:
    """Read what is needed of a day.

    Parameters
    ----------
    journal : Journal
        Open for reading.
    day : int
        Its midnight, UTC epoch seconds.
    bar_seconds : int
        Length of a bar.

    Raises
    ------
    DataError
        The journal has no bar of the day, or no order of a position.
    StorageError
        It cannot be read.
    """
    rows = journal.decisions()
    inside = [row["bar"] for row in rows if day < row["bar"] <= day + DAY_SECONDS]
    if not inside:
        covered = f"it covers {utc_text(rows[0]['bar'])} to {utc_text(rows[-1]['bar'])}" if rows else "it is empty"
        raise DataError(
            f"the journal has no bar of {datetime.fromtimestamp(day, tz=UTC):%Y-%m-%d}: {covered}; name another day "
            "or, with --journal, another journal"
        )
    began = any(row["bar"] <= day for row in rows)
    return JournalDay(
        start=day if began else inside[0] - bar_seconds,
        # After its newest bar nobody knows what the bot did, or whether it was meant to run.
        end=min(day + DAY_SECONDS, rows[-1]["bar"]),
        rows=[row for row in rows if row["bar"] <= day + DAY_SECONDS],
        intents=journal.intents(),
        deals=journal.deals(),
        trades=[from_text(Trade, content) for content in journal.trades()],
        moves=journal.money_moves(),
        magic=journal.magic,
    )


def opening_state(day: JournalDay, params: Params) -> Opening:
    """Return the account and the breakers as the day found them."""
    account = new_record(Account)
    account.time = day.start
    account.balance = day.cash(day.start, params)
    before = day.before
    closed = [trade for trade in day.trades if trade.exit_time < day.start]
    account.closed = len(closed)
    if closed:
        account.last_net = _net(closed[-1], params)
    for ticket, deals in day.own_positions().items():
        earlier = [deal for deal in deals if deal["time"] < day.start]
        if _open_volume(earlier) > 0.0:
            _carry(account, day, params, earlier)
            _set_exit_on_its_way(account, day, ticket)
    if account.side == 0:
        _set_entry_on_its_way(account, day)
    guard = guard_at(day, params, day.start)
    for trade in closed[int(guard.closed) :]:
        # Closed while the bot was away over midnight; it found out with its first bar.
        count_closed(guard, params, trade.balance, _net(trade, params), day.start)
    return Opening(account, guard, day.start if before is None else before["bar"] - int(params.bar_seconds))


def guard_at(day: JournalDay, params: Params, moment: int) -> Guard:
    """Return the breakers as they stood after the last bar that was processed by `moment`."""
    guard, account = new_record(Guard), new_record(Account)
    first = day.rows[0]["bar"] - int(params.bar_seconds)
    start_guard(guard, params, first, day.cash(first, params))
    before = first
    for row in day.rows:
        if row["bar"] > moment:
            break
        fresh = [trade for trade in day.trades[int(guard.closed) :] if trade.exit_time < row["bar"]]
        moves = [move for move in day.moves if before < move.time <= row["bar"]]
        before = row["bar"]
        earlier: list[Trade | MoneyMove] = [*fresh[:-1], *moves]
        events = sorted(earlier, key=_moment)
        take_in(guard, params, events, day.cash(row["bar"], params), row["equity"], row["bar"])
        if fresh:
            account.balance, account.last_net = fresh[-1].balance, _net(fresh[-1], params)
            account.closed = guard.closed + 1
        judge_equity(account, guard, params, row["bar"], row["equity"])
    return guard


def _moment(event: Trade | MoneyMove) -> int:
    return event.time if isinstance(event, MoneyMove) else int(event.exit_time)


def live_positions(day: JournalDay, params: Params, opening: Opening, last: Quoted) -> list[Held]:
    """Return the bot's positions of the day; what is open at its end is worth what `last` quotes."""
    found = []
    for deals in day.own_positions().values():
        known = [deal for deal in deals if deal["time"] < day.end]
        earlier = [deal for deal in known if deal["time"] < day.start]
        if known and (not earlier or _open_volume(earlier) > 0.0):
            found.append(_live_position(day, params, opening, known, last))
    return found


def _live_position(day: JournalDay, params: Params, opening: Opening, deals: Sequence[Row], last: Quoted) -> Held:
    entries, exits = _split(deals)
    intent = day.entry_intent(entries[0])
    left = _open_volume(deals)
    account = position_record(intent, entries, left)
    today = [deal for deal in deals if deal["time"] >= day.start]
    profit = sum((exact_usd(deal["profit"], params.money_scale) for deal in today), Decimal(0))
    swap = sum((exact_usd(deal["swap"], params.money_scale) for deal in today), Decimal(0))
    if left > 0.0:
        profit += exact_usd(floating_profit(account, params, last.bid, last.spread), params.money_scale)
        swap += exact_usd(_floating_swap(day, params, account, day.end), params.money_scale)
    volume = sum(deal["volume"] for deal in entries)
    held = Held(
        decided=intent["bar"],
        side=intent["side"],
        volume=volume,
        entry_time=entries[0]["time"],
        entry_price=float(account.entry_price),
        sl=intent["sl"],
        tp=intent["tp"],
        exit_time=None if left > 0.0 else exits[-1]["time"],
        exit_price=exit_quote(account, last) if left > 0.0 else _mean_price(exits),
        reason=OPEN if left > 0.0 else _exit_reason(day, exits[-1]),
        profit=profit,
        commission=sum((exact_usd(deal["commission"], params.money_scale) for deal in today), Decimal(0)),
        swap=swap,
    )
    return since_opening(held, opening, day, params)


def since_opening(held: Held, opening: Opening, day: JournalDay, params: Params) -> Held:
    """Return a position with only what it earned since the day began, if it was carried into it."""
    carried, before = opening.account, day.before
    if before is None or carried.side == 0 or held.entry_time != carried.entry_time:
        return held
    worth = exact_usd(floating_profit(carried, params, before["price"], before["spread"]), params.money_scale)
    values = {
        **held.__dict__,
        "profit": held.profit - worth,
        "swap": held.swap - exact_usd(carried.swap, params.money_scale),
    }
    return Held(**values)


def position_record(intent: Row, entries: Sequence[Row], volume: float) -> Account:
    """Return the engine's record of a position with what is left of its volume."""
    account = new_record(Account)
    account.side, account.volume = intent["side"], volume
    account.entry_time, account.entry_price = entries[0]["time"], _mean_price(entries)
    account.sl, account.tp = intent["sl"], intent["tp"]
    return account


def exact_usd(usd: float, money_scale: float) -> Decimal:
    """Return USD as the broker books them, half away from zero: multiples of 1/money_scale, exact in every sum."""
    return Decimal(f"{float(rounded(float(usd), money_scale)):.{round(math.log10(money_scale))}f}")


def exit_quote(account: Account, quoted: Quoted) -> float:
    """Return the price at which the open position could be closed: a long at the bid, a short at the ask."""
    return quoted.bid if account.side > 0 else quoted.bid + quoted.spread


def _exit_reason(day: JournalDay, deal: Row) -> int:
    ended = [trade for trade in day.trades if trade.exit_time == deal["time"]]
    if not ended:
        raise DataError(f"deal {deal['ticket']} closed a position, but the journal has no trade of it; put a copy back")
    return int(ended[-1].reason)


def _carry(account: Account, day: JournalDay, params: Params, deals: Sequence[Row]) -> None:
    entries, _ = _split(deals)
    position = position_record(day.entry_intent(entries[0]), entries, _open_volume(deals))
    for name in ("side", "volume", "entry_time", "entry_price", "sl", "tp"):
        setattr(account, name, getattr(position, name))
    account.commission = sum(deal["commission"] for deal in entries)
    quote = rounded(account.entry_price - account.side * params.slippage, params.price_scale)
    account.margin = required_margin(params, account.volume, quote)
    account.swap = _floating_swap(day, params, account, day.start)


def _floating_swap(day: JournalDay, params: Params, account: Account, moment: int) -> float:
    """Return the swap that has gathered on an open position: what the equity holds besides balance and profit."""
    rows = [row for row in day.rows if account.entry_time < row["bar"] <= moment]
    if not rows:
        # No bar has closed upon it: whatever is charged is charged later.
        return 0.0
    row = rows[-1]
    profit = floating_profit(account, params, row["price"], row["spread"])
    return float(rounded(row["equity"] - day.cash(row["bar"], params) - profit, params.money_scale))


def _set_entry_on_its_way(account: Account, day: JournalDay) -> None:
    intent = day.intents_of("entry").get(day.start)
    if intent is not None:
        account.pending_side, account.pending_time = intent["side"], day.start
        account.pending_volume = intent["volume"]
        account.pending_sl, account.pending_tp = intent["sl"], intent["tp"]


def _set_exit_on_its_way(account: Account, day: JournalDay, ticket: int) -> None:
    intent = day.intents_of("exit").get(day.start)
    if intent is not None and intent["position"] == ticket:
        account.pending_exit, account.pending_time = intent["reason"], day.start


def _split(deals: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    entries: list[Row] = []
    exits: list[Row] = []
    for deal in deals:
        (entries if deal["entry"] == DealEntry.IN else exits).append(deal)
    return entries, exits


def _open_volume(deals: Iterable[Row]) -> float:
    entries, exits = _split(deals)
    left = sum(deal["volume"] for deal in entries) - sum(deal["volume"] for deal in exits)
    return float(rounded(left, 1e8))


def _mean_price(deals: Sequence[Row]) -> float:
    if len({deal["price"] for deal in deals}) == 1:
        return float(deals[0]["price"])
    return float(sum(deal["price"] * deal["volume"] for deal in deals) / sum(deal["volume"] for deal in deals))


def _net(trade: Trade, params: Params) -> float:
    return float(rounded(trade.profit + trade.commission + trade.swap, params.money_scale))


def is_refused(intent: Row | None) -> bool:
    """Tell whether an order was meant to be sent and was refused, or has no outcome yet."""
    return intent is not None and intent["state"] != INTENT_FILLED
