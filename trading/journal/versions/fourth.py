"""From version 3 of the journal to version 4, in plain SQL and frozen layouts."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from trading.journal.versions.fourth_alerts import add_channel
from trading.journal.versions.fourth_names import name_records
from trading.journal.versions.fourth_outcomes import name_outcomes
from trading.journal.versions.fourth_symbol import add_symbol

Step = Callable[[Connection], None]

# Names before symbols: the former still finds the status by its number, and makes the views that the latter changes.
STEPS: tuple[Step, ...] = (add_channel, name_outcomes, name_records, add_symbol)
"""Each part of the change, in order; all of them run in the migration's one transaction."""


def third_to_fourth(connection: Connection) -> None:
    """Turn a journal of version 3 into one of version 4."""
    for step in STEPS:
        step(connection)
