"""From version 2 of the journal to version 3, in plain SQL and frozen layouts."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from trading.journal.versions.third_money import add_halt_moved, add_money_moves
from trading.journal.versions.third_readable import add_readable

Step = Callable[[Connection], None]

STEPS: tuple[Step, ...] = (add_money_moves, add_halt_moved, add_readable)
"""Each part of the change, in order; all of them run in the migration's one transaction."""


def second_to_third(connection: Connection) -> None:
    """Turn a journal of version 2 into one of version 3."""
    for step in STEPS:
        step(connection)
