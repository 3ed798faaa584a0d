"""From the account's deals to closed trades: what happened at the broker since the last bar."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from novosky.errors import BrokerError
from trading.broker import (
    DEAL_ENTRY_IN,
    DEAL_ENTRY_OUT,
    DEAL_REASON_SL,
    DEAL_REASON_SO,
    DEAL_REASON_TP,
    MONEY_CREDIT,
    Broker,
    Deal,
)
from trading.engine.fills import EXIT_MANUAL, EXIT_STOP, EXIT_STOP_OUT, EXIT_TARGET, rounded
from trading.engine.records import Params, Trade, new_record, to_bytes
from trading.journal import BotStatus, Journal, MoneyMove

MAGIC = 770_001
"""Marks the bot's own orders and positions at the broker."""

_EXIT_REASONS = {DEAL_REASON_SL: EXIT_STOP, DEAL_REASON_TP: EXIT_TARGET, DEAL_REASON_SO: EXIT_STOP_OUT}


_VOLUME_NOISE = 1e-9
_VOLUME_DIGITS = 8


@dataclass(frozen=True)
class ClosedTrade:
    """A closed position of the bot, or the part of it that was closed.

    Attributes
    ----------
    deal, position : int
        Tickets of the closing deal and of the position.
    trade : Trade
    bar : int
        The close at which its entry was decided, UTC epoch seconds.
    partial : bool
        True while a part of the position stays open.
    """

    deal: int
    position: int
    trade: Trade
    bar: int
    partial: bool

    @property
    def row(self) -> dict[str, Any]:
        """The row for the journal's `trades`."""
        return {
            "deal": self.deal,
            "position": self.position,
            "trade": to_bytes(self.trade),
            "exit_time": int(self.trade.exit_time),
        }


@dataclass(frozen=True)
class Booked:
    """What the deals since the last bar amount to.

    Attributes
    ----------
    deals : list of dict
        Rows for the journal's `deals`, foreign deals and deposits included, credits not:
        summed up they are the balance.
    closed : list of ClosedTrade
        The bot's own, oldest first.
    last_deal : int
        Ticket of the newest deal.
    cash : float
        The balance after it, USD.
    opened : frozenset of int
        The bot's own positions that were opened and not closed again.
    moves : list of MoneyMove
        What was paid in and out, and lent, oldest first.
    """

    deals: list[dict[str, Any]]
    closed: list[ClosedTrade]
    last_deal: int
    cash: float
    opened: frozenset[int]
    moves: list[MoneyMove] = field(default_factory=list)


def book_deals(
    broker: Broker,
    journal: Journal,
    params: Params,
    status: BotStatus,
    seen: Callable[[Deal], None] = lambda deal: None,
) -> Booked:
    """Read the deals after `status.last_deal` and pair exits with their entries.

    Whose position it was is told by its entry deal: an exit by hand carries no magic.

    Parameters
    ----------
    seen : callable
        Called with each deal before it is paired: what the journal says of its order may have to be corrected.

    Raises
    ------
    BrokerError
        A deal of the bot's own cannot be traced to an order of the journal.
    """
    cash, last = status.cash, status.last_deal
    rows: list[dict[str, Any]] = []
    moves: list[MoneyMove] = []
    closed: list[ClosedTrade] = []
    entries: dict[int, list[Mapping[str, Any]]] = {}
    gone: dict[int, float] = {}
    for deal in broker.deals(last):
        last = deal.ticket
        seen(deal)
        if deal.money != MONEY_CREDIT:
            cash = float(rounded(cash + deal.profit + deal.commission + deal.swap, params.money_scale))
        if deal.money:
            amount = float(rounded(deal.profit + deal.commission + deal.swap, params.money_scale))
            moves.append(MoneyMove(last, deal.time, deal.money, amount, cash, deal.comment))
        if deal.money == MONEY_CREDIT:
            continue
        row = _row(deal)
        rows.append(row)
        if deal.entry == DEAL_ENTRY_IN:
            entries.setdefault(deal.position, list(journal.entry_deals(deal.position))).append(row)
        elif deal.entry == DEAL_ENTRY_OUT:
            entry = entry_of(entries.get(deal.position) or journal.entry_deals(deal.position))
            if entry is None and deal.magic == MAGIC:
                raise BrokerError(
                    f"position {deal.position} was closed but its entry is neither in the journal nor in the history; "
                    "put the journal that opened it back"
                )
            if entry is not None and entry["magic"] == MAGIC:
                before = gone.get(deal.position)
                before = journal.closed_volume(deal.position) if before is None else before
                gone[deal.position] = before + deal.volume
                trade, bar = _trade_of(journal, params, entry, deal, cash)
                paid = _commission_of_part(params, entry, before, deal.volume)
                trade.commission = rounded(paid + deal.commission, params.money_scale)
                partial = gone[deal.position] < entry["volume"] - _VOLUME_NOISE
                closed.append(ClosedTrade(deal.ticket, deal.position, trade, bar, partial))
    own = {position for position, opening in entries.items() if opening[0]["magic"] == MAGIC}
    return Booked(rows, closed, last, cash, frozenset(own - {trade.position for trade in closed}), moves)


def _row(deal: Deal) -> dict[str, Any]:
    """Return a deal's row for the journal; what kind of money it was stands in `money_moves`."""
    row = asdict(deal)
    del row["money"]
    return row


def entry_of(deals: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the deals that opened a position as one: an order can be filled in several, at several prices.

    Parameters
    ----------
    deals : sequence of mapping
        Rows of the journal's `deals`, oldest first.

    Returns
    -------
    mapping or None
        The first deal, its volume and commission those of all together, its price the mean weighted
        by volume, which is the position's own; None without deals.
    """
    if len(deals) < 2:
        return deals[0] if deals else None
    volume = sum(deal["volume"] for deal in deals)
    return {
        **deals[0],
        "volume": round(volume, _VOLUME_DIGITS),
        "price": sum(deal["price"] * deal["volume"] for deal in deals) / volume,
        "commission": sum(deal["commission"] for deal in deals),
    }


def _commission_of_part(params: Params, entry: Mapping[str, Any], before: float, volume: float) -> float:
    """Return a part's share of what the entry cost, so that the shares of all parts sum to it.

    Parameters
    ----------
    before, volume : float
        Lots closed earlier, and by this part.
    """

    def up_to(lots: float) -> float:
        if lots >= entry["volume"] - _VOLUME_NOISE:
            return float(entry["commission"])
        return float(rounded(entry["commission"] * lots / entry["volume"], params.money_scale))

    return up_to(before + volume) - up_to(before)


def _trade_of(journal: Journal, params: Params, entry: Any, exit_deal: Deal, cash: float) -> tuple[Trade, int]:
    """Return the trade and the close at which its entry was decided."""
    # The position's ticket is that of the order which opened it; brokers cut comments and write over them.
    intent = journal.intent(entry["comment"]) or journal.intent_of_order(entry["position"])
    if intent is None:
        raise BrokerError(
            f"position {exit_deal.position} carries the order id {entry['comment']!r}, which this journal never wrote; "
            "put the journal that opened it back"
        )
    exit_intent = journal.intent(exit_deal.comment) if exit_deal.comment else None
    if exit_intent is None and exit_deal.magic == MAGIC:
        exit_intent = journal.exit_of(exit_deal.position)
    trade = new_record(Trade)
    trade.entry_time, trade.exit_time = entry["time"], exit_deal.time
    trade.side = intent["side"]
    trade.reason = _EXIT_REASONS.get(exit_deal.reason, exit_intent["reason"] if exit_intent else EXIT_MANUAL)
    trade.volume = exit_deal.volume
    trade.entry_price, trade.exit_price = entry["price"], exit_deal.price
    trade.sl, trade.tp = intent["sl"], intent["tp"]
    trade.profit, trade.swap = exit_deal.profit, exit_deal.swap
    trade.balance = cash
    trade.risk = abs(trade.entry_price - trade.sl) * trade.volume * params.lot_units
    return trade, int(intent["bar"])
