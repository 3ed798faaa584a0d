"""From version 3 of the journal to version 4, in plain SQL and frozen layouts."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from trading.journal.versions.fourth_names import name_records

Step = Callable[[Connection], None]

STEPS: tuple[Step, ...] = (name_records,)
"""Each part of the change, in order; all of them run in the migration's one transaction."""


def third_to_fourth(connection: Connection) -> None:
    """Turn a journal of version 3 into one of version 4."""
    for step in STEPS:
        step(connection)
