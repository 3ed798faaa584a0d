"""What a journal holds, table by table, for files, reports and people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select

from trading.journal.tables import DEALS, DECISIONS, INTENTS, TRADES
from trading.journal.takeover import Takeover


class Rows(Takeover):
    """Reads whole tables of the journal's symbol."""

    def trades(self) -> list[str]:
        """Return the records of all closed trades in order of exit, as `engine.layouts.to_text` writes them."""
        query = self._read(TRADES).order_by(TRADES.c.exit_time, TRADES.c.deal)
        return [row["trade"] for row in self._database.read(query)]

    def blocks(self) -> Sequence[Mapping[str, Any]]:
        """Return the decisions that were blocked, oldest first."""
        query = self._read(DECISIONS, DECISIONS.c.action == "blocked").order_by(DECISIONS.c.bar)
        return self._database.read(query)

    def table_sizes(self) -> tuple[int, int]:
        """Return how many trades were closed and how many decisions were blocked so far."""
        blocked = self._read(DECISIONS, DECISIONS.c.action == "blocked").subquery()
        trades = self._read(TRADES).subquery()
        counts = (
            select(func.count()).select_from(each).scalar_subquery().label(name)
            for each, name in ((trades, "trades"), (blocked, "blocked"))
        )
        row = self._one(select(*counts))
        assert row is not None, "counting always gives a row"
        return row["trades"], row["blocked"]

    def decision(self, bar: int) -> Mapping[str, Any] | None:
        """Return the row of the decision at a bar's close (UTC epoch seconds), or None."""
        return self._one(self._read(DECISIONS, DECISIONS.c.bar == bar))

    def decisions(self) -> Sequence[Mapping[str, Any]]:
        """Return the rows of all decisions, oldest first."""
        return self._database.read(self._read(DECISIONS).order_by(DECISIONS.c.bar))

    def intents(self) -> Sequence[Mapping[str, Any]]:
        """Return the rows of all intents, oldest first."""
        return self._database.read(self._read(INTENTS).order_by(INTENTS.c.bar))

    def deals(self) -> Sequence[Mapping[str, Any]]:
        """Return the rows of all deals in order of their tickets, foreign ones and deposits too."""
        return self._database.read(self._read(DEALS).order_by(DEALS.c.ticket))

    def _one(self, query: Any) -> Mapping[str, Any] | None:
        return first(self._database.read(query))


def first(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the first row, None when there is none."""
    return rows[0] if rows else None
