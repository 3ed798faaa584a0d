"""Version 3 of the journal: money paid in and out has a table, and the guard knows how far it moved the halt."""

from __future__ import annotations

import numpy as np
from sqlalchemy import Connection, text

from trading.journal.versions.old_records import GUARD_2, GUARD_3


def add_money_moves(connection: Connection) -> None:
    """Create the table of what is paid in and out; what was before stands among the deals, with entry -1."""
    number = "FLOAT" if connection.dialect.name == "sqlite" else "DOUBLE PRECISION"
    connection.execute(
        text(
            "CREATE TABLE money_moves (ticket BIGINT NOT NULL, time BIGINT NOT NULL, kind VARCHAR NOT NULL, "
            f"amount {number} NOT NULL, balance {number} NOT NULL, comment VARCHAR NOT NULL, PRIMARY KEY (ticket))"
        )
    )


def add_halt_moved(connection: Connection) -> None:
    """Give the guard the amount by which money has moved its halt: none, as it measured until now."""
    for key, content in connection.execute(text("SELECT id, guard FROM bot_status")).all():
        if len(content) != GUARD_2.itemsize:
            # Another length is refused by `Journal.status`.
            continue
        old = np.frombuffer(content, dtype=GUARD_2)[0]
        guard = np.zeros(1, dtype=GUARD_3)
        for name in GUARD_2.names or ():
            guard[0][name] = old[name]
        connection.execute(
            text("UPDATE bot_status SET guard = :guard WHERE id = :id"), {"guard": guard.tobytes(), "id": key}
        )
