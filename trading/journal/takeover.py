"""Beginning after an account's newest deal: everything a journal lacks, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete

from trading.journal.history import History
from trading.journal.readable import trade_columns
from trading.journal.tables import DEALS, FLAGS, INTENTS, TRADES
from trading.journal.values import INTENT_FILLED, Intent, MoneyMove, PositionEvent


@dataclass(frozen=True)
class TakenOver:
    """What `trading.account.adoption` has found.

    Attributes
    ----------
    entries : sequence of (Intent, int)
        Intents with the tickets of their executed orders.
    deals, trades : sequences of mappings
        Rows of `deals` and `trades`.
    moves : sequence of MoneyMove
    events : sequence of PositionEvent
    lifted : str
        The switch to take away.
    """

    entries: Sequence[tuple[Intent, int]]
    deals: Sequence[Mapping[str, Any]]
    trades: Sequence[Mapping[str, Any]]
    moves: Sequence[MoneyMove]
    events: Sequence[PositionEvent]
    lifted: str


class Takeover(History):
    """Writes what a journal lacks; rows that are there already stay as they are."""

    def _take_over_within(self, connection: Connection, rows: TakenOver) -> None:
        insert = self._database.insert_new
        for intent, order in rows.entries:
            row = {**intent.__dict__, "state": INTENT_FILLED, "outcome": None, "order": order}
            connection.execute(insert(INTENTS), self._own(row))
        for deal in rows.deals:
            connection.execute(insert(DEALS), self._own(deal))
        for trade in rows.trades:
            connection.execute(insert(TRADES), self._own({**trade, **trade_columns(trade["trade"])}))
        self._move_within(connection, rows.moves)
        self._insert_event.run_each(connection, [self._own(event.__dict__) for event in rows.events])
        connection.execute(delete(FLAGS).where(FLAGS.c.name == rows.lifted))
