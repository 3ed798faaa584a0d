"""Version 4: rows say of which symbol they are, so that the bots of several may keep one journal.

| table | key until version 3 | key from version 4 on |
|---|---|---|
| `bot_status` | `id`, always 1 | `symbol` |
| `decisions` | `bar` | `symbol, bar` |
| `intents` | `id` | `symbol, id` |
| `deals` | `ticket` | `symbol, ticket` |
| `trades` | `deal` | `symbol, deal` |
| `position_events` | `ticket, time, kind` | `symbol, ticket, time, kind` |
| `model_metrics` | `time, name` | `symbol, time, name` |

Deals are kept once for each symbol: the balance that a bot has counted to is the sum of the deals
in its own books.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlalchemy import Connection, inspect, text

UNNAMED = ""
"""The symbol of rows whose journal names none, until the bot comes whose journal it is."""
_KEYS: Mapping[str, tuple[str, ...]] = {
    "bot_status": (),
    "decisions": ("bar",),
    "intents": ("id",),
    "deals": ("ticket",),
    "trades": ("deal",),
    "position_events": ("ticket", "time", "kind"),
    "model_metrics": ("time", "name"),
}
"""What tells the rows of one symbol apart."""
_DROPPED: Mapping[str, frozenset[str]] = {"bot_status": frozenset({"id"})}
_LIVE = re.compile(r"(?:demo|real) account .*, (?P<symbol>.+) \([0-9a-f]{12}\)", re.DOTALL)
"""How the identity of a real account's journal was written in versions 1 to 3."""


def symbol_in(identity: str) -> str:
    """Return the symbol that a journal's identity names, `UNNAMED` where it names none.

    A paper account was called by its market, e.g. by the file of a replay.

    Examples
    --------
    >>> symbol_in("demo account ...123 on Broker-Demo, BTCUSD (0123456789ab)"), symbol_in("replay of a.csv:0123")
    ('BTCUSD', '')
    """
    found = _LIVE.fullmatch(identity)
    return UNNAMED if found is None else found["symbol"]


def add_symbol(connection: Connection) -> None:
    """Name the symbol in every row of one, as part of its key, and show it in the views."""
    identity = connection.execute(text("SELECT identity FROM bot_status")).scalar()
    symbol = UNNAMED if identity is None else symbol_in(str(identity))
    views = _views(connection)
    for name in views:
        # SQLite renames no table while a view speaks of another that is gone.
        connection.execute(text(f"DROP VIEW {name}"))
    change = _rebuild if connection.dialect.name == "sqlite" else _alter
    for table, key in _KEYS.items():
        change(connection, table, key, symbol)
    _create(connection, views)


def show_symbol(connection: Connection) -> None:
    """Put the symbol into the views of a new journal."""
    views = _views(connection)
    for name in views:
        connection.execute(text(f"DROP VIEW {name}"))
    _create(connection, views)


def has_unnamed(connection: Connection) -> bool:
    """Tell whether the journal's bot is not known by its symbol yet."""
    return connection.execute(text("SELECT 1 FROM bot_status WHERE symbol = ''")).first() is not None


def name_rows(connection: Connection, symbol: str) -> None:
    """Give the rows that no symbol was known of to the bot whose journal this is."""
    for table in _KEYS:
        connection.execute(text(f"UPDATE {table} SET symbol = :symbol WHERE symbol = ''"), {"symbol": symbol})


def _alter(connection: Connection, table: str, key: tuple[str, ...], symbol: str) -> None:
    """Change a table of PostgreSQL in place."""
    # A table that was renamed keeps the name of its key.
    name = inspect(connection).get_pk_constraint(table)["name"]
    connection.execute(text(f"ALTER TABLE {table} ADD COLUMN symbol VARCHAR"))
    connection.execute(text(f"UPDATE {table} SET symbol = :symbol"), {"symbol": symbol})
    connection.execute(text(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"'))
    for column in _DROPPED.get(table, ()):
        connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
    connection.execute(text(f"ALTER TABLE {table} ADD PRIMARY KEY ({', '.join(('symbol', *key))})"))


def _rebuild(connection: Connection, table: str, key: tuple[str, ...], symbol: str) -> None:
    """Copy a table of SQLite, which cannot change a key, into one with the new key.

    Whatever other columns it has by now are taken over as they are.
    """
    indexes = connection.execute(
        text("SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = :table AND sql IS NOT NULL"),
        {"table": table},
    ).scalars()
    # Read before the table they belong to is gone.
    statements = list(indexes)
    found = connection.execute(text(f"PRAGMA table_info({table})")).all()
    kept = [column for column in found if column.name not in _DROPPED.get(table, ())]
    lines = ["symbol VARCHAR NOT NULL"]
    for column in kept:
        default = "" if column.dflt_value is None else f" DEFAULT {column.dflt_value}"
        lines.append(f'"{column.name}" {column.type}{default}{" NOT NULL" if column.notnull else ""}')
    names = ", ".join(f'"{column.name}"' for column in kept)
    connection.exec_driver_sql(
        f"CREATE TABLE {table}_keyed ({', '.join(lines)}, PRIMARY KEY ({', '.join(('symbol', *key))}))"
    )
    connection.execute(
        text(f"INSERT INTO {table}_keyed (symbol, {names}) SELECT :symbol, {names} FROM {table}"), {"symbol": symbol}
    )
    connection.execute(text(f"DROP TABLE {table}"))
    connection.execute(text(f"ALTER TABLE {table}_keyed RENAME TO {table}"))
    for statement in statements:
        connection.exec_driver_sql(statement)


def _views(connection: Connection) -> dict[str, str]:
    """Return the query of each view."""
    look = inspect(connection)
    return {name: str(look.get_view_definition(name)) for name in sorted(look.get_view_names())}


def _create(connection: Connection, views: Mapping[str, str]) -> None:
    """Create views as they were, with the symbol in front."""
    # Others must not see through a view what row level security hides from them.
    guarded = " WITH (security_invoker = true)" if connection.dialect.name == "postgresql" else ""
    for name, definition in views.items():
        # SQLite gives back the whole statement, PostgreSQL the query alone.
        query = re.sub(r"\A\s*CREATE VIEW \S+ AS\s*", "", definition).strip().removeprefix("SELECT").strip()
        # As it stands: a colon in it is no parameter, nor is a percent sign.
        escaped = query.replace(":", r"\:")
        connection.execute(text(f"CREATE VIEW {name}{guarded} AS SELECT symbol, {escaped}"))
