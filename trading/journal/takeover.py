"""Beginning after an account's newest deal: everything a journal lacks, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete

from trading.journal.history import History
from trading.journal.tables import DEALS, FLAGS, INTENTS, TRADES
from trading.journal.values import INTENT_FILLED, Intent, PositionEvent


class Takeover(History):
    """What `trading.adoption` writes."""

    def _take_over_within(
        self,
        connection: Connection,
        entries: Sequence[tuple[Intent, int]],
        deals: Sequence[Mapping[str, Any]],
        trades: Sequence[Mapping[str, Any]],
        events: Sequence[PositionEvent],
        lifted: str,
    ) -> None:
        """Write rows, of which those that are there already stay as they are, and lift a switch.

        Parameters
        ----------
        entries : sequence of (Intent, int)
            Intents with the tickets of their executed orders.
        deals, trades : sequences of mappings
        events : sequence of PositionEvent
        lifted : str
            The switch's name.
        """
        insert = self._database.insert_new
        for intent, order in entries:
            row = {**intent.__dict__, "state": INTENT_FILLED, "retcode": None, "order": order}
            connection.execute(insert(INTENTS), row)
        for table, rows in ((DEALS, deals), (TRADES, trades)):
            for each in rows:
                connection.execute(insert(table), dict(each))
        for event in events:
            connection.execute(self._insert_event, event.__dict__)
        connection.execute(delete(FLAGS).where(FLAGS.c.name == lifted))
