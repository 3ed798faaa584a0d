"""Tell the bot's own orders from others: its magic marks them, but only its journal knows which it wrote.

Another bot on the account, on another machine or from a lost journal, marks its orders alike, and
one that decides at the same close names its intent alike, too. An intent belongs to one order: the
one whose ticket the broker answered, or, while no ticket is known, the one that carries its name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from trading.brokers.port import Outcome
from trading.journal import INTENT_REJECTED

_NEVER_LATE = Outcome.TOO_MANY_POSITIONS
"""Refused because there is a position: the one with its name is another bot's. Other refusals can be mistaken."""


class Books(Protocol):
    """What is asked of a journal to tell its own deals from others, see `trading.journal.Journal`."""

    @property
    def magic(self) -> int:
        """The mark of the bot's own orders and positions at the broker."""

    def intent(self, intent_id: str) -> Mapping[str, Any] | None:
        """Return one intent's row, or None."""

    def intent_of_order(self, order: int) -> Mapping[str, Any] | None:
        """Return the row of the entry whose order had this ticket, or None."""

    def exit_of(self, position: int) -> Mapping[str, Any] | None:
        """Return the row of the newest intent to close a position, or None."""

    def entry_deals(self, position: int) -> Sequence[Mapping[str, Any]]:
        """Return the rows of the deals that opened a position."""

    def closed_volume(self, position: int) -> float:
        """Return the lots of a position that recorded deals have closed."""


def intent_behind(books: Books, ticket: int, comment: str) -> Mapping[str, Any] | None:
    """Return the intent of an order or of the position it opened, None when this journal never wrote it.

    Parameters
    ----------
    books : Books
    ticket : int
        The order's, which is also that of a position it opened.
    comment : str
        As the broker shows it: brokers cut comments and write over them.
    """
    by_ticket = books.intent_of_order(ticket)
    return by_ticket if by_ticket is not None else _by_name(books, ticket, comment)


def may_be_late(row: Mapping[str, Any]) -> bool:
    """Tell whether an order that was taken for refused may have been carried out all the same."""
    return bool(row["outcome"] != _NEVER_LATE)


def _by_name(books: Books, ticket: int, comment: str) -> Mapping[str, Any] | None:
    row = books.intent(comment) if comment else None
    if row is None or row["order"] == ticket:
        return row
    # The broker answered this intent with another ticket: somebody else's order bears its name.
    if row["order"]:
        return None
    return None if row["state"] == INTENT_REJECTED and row["outcome"] == _NEVER_LATE else row
