"""The journal's schema through time: an older database is brought up to date when it is opened.

A migration is a function that takes a connection and turns version n into n + 1. All that are
needed run in one transaction together with the new version number: a journal is of one version
or of the next. They are written in plain SQL and frozen layouts, because the tables and
records of the program go on changing and what a version looked like does not.

| version | what it brought |
|---|---|
| 1 | status, decisions, intents, deals (then called position_events), trades |
| 2 | `schema_version`; deals under their own name; events, snapshots, news, metrics, outbox, flags; \
the multiplier of a decision; the guard's results |
| 3 | what outside testing asked for: see `trading.journal.versions.third` |
| 4 | names in place of numbers, and whose row it is: see `trading.journal.versions.fourth` |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from sqlalchemy import Connection, inspect, select, text

from novosky.database.connection import Database
from novosky.errors import StorageError
from trading.journal.tables import METADATA, SCHEMA, SCHEMA_VERSION
from trading.journal.versions.fourth import third_to_fourth
from trading.journal.versions.fourth_names import create_named_views
from trading.journal.versions.fourth_symbol import has_unnamed, name_rows, show_symbol
from trading.journal.versions.old_records import GUARD_1, GUARD_2, GUARD_RING, TRADE_1
from trading.journal.versions.older_copy import keep_copy
from trading.journal.versions.third import second_to_third

Migration = Callable[[Connection], None]


def bring_up_to_date(database: Database, symbol: str | None = None) -> None:
    """Create the tables of a new journal, or bring those of an older one to this version.

    The file of an older one is copied first, see `trading.journal.versions.older_copy`.

    Parameters
    ----------
    database : Database
    symbol : str or None
        What the bot trades that opens it: rows of which nobody had said so are its own.

    Raises
    ------
    StorageError
        The journal is damaged or newer than this program, or cannot be written; it is left as
        it was.
    """
    with database.looking() as connection:
        _check_undamaged(connection, database.place)
        version = _version_of(connection)
        unnamed = version == SCHEMA_VERSION and symbol is not None and has_unnamed(connection)
    if version == SCHEMA_VERSION and (not unnamed or database.read_only):
        return
    _check_known(version, database)
    if version not in (None, SCHEMA_VERSION) and database.file is not None:
        keep_copy(database.file, version)
    with database.transaction() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({database.use.lock_class})"))
        # Another program may have been quicker.
        version = _version_of(connection)
        _check_known(version, database)
        if version is None:
            METADATA.create_all(connection, checkfirst=False)
            connection.execute(SCHEMA.insert().values(id=1, version=SCHEMA_VERSION))
            create_named_views(connection)
            show_symbol(connection)
        for number in range(version or SCHEMA_VERSION, SCHEMA_VERSION):
            MIGRATIONS[number](connection)
        if symbol is not None and has_unnamed(connection):
            name_rows(connection, symbol)
        connection.execute(SCHEMA.update().values(version=SCHEMA_VERSION))
        if connection.dialect.name == "postgresql":
            _close_to_others(connection)


def _close_to_others(connection: Connection) -> None:
    """Show the rows to the owner alone.

    Supabase serves every table of the public schema over HTTP, to whoever knows a key that is
    not secret. Without a policy nobody but the owner passes row level security.
    """
    for name in METADATA.tables:
        connection.execute(text(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"))


def _check_known(version: int | None, database: Database) -> None:
    if version is not None and version > SCHEMA_VERSION:
        raise StorageError(
            f"journal {database.place} has version {version}, this program knows up to {SCHEMA_VERSION}; "
            "install the release that wrote it, or a later one"
        )
    if database.read_only and version != SCHEMA_VERSION:
        found = "holds no bot yet" if version is None else f"has version {version}, this program {SCHEMA_VERSION}"
        raise StorageError(f"journal {database.place} {found}; start the bot once")


def _check_undamaged(connection: Connection, place: str) -> None:
    if connection.dialect.name != "sqlite":
        return
    verdict = connection.execute(text("PRAGMA quick_check(1)")).scalar()
    if verdict != "ok":
        words = " ".join(str(verdict).replace("*", " ").split())
        raise StorageError(f"journal {place} is damaged ({words}); put back a copy, or begin a new journal")


def _version_of(connection: Connection) -> int | None:
    """Return the version of the database, None when it holds no journal."""
    names = inspect(connection).get_table_names()
    if "schema_version" in names:
        return int(connection.execute(select(SCHEMA.c.version)).scalar_one())
    return 1 if "bot_status" in names else None


def _first_to_second(connection: Connection) -> None:
    kinds = {"float": "DOUBLE PRECISION", "serial": "SERIAL"}
    if connection.dialect.name == "sqlite":
        kinds = {"float": "FLOAT", "serial": "INTEGER"}
    for statement in _SECOND.format(**kinds).split(";"):
        if statement.strip():
            connection.execute(text(statement))
    _add_results(connection)


_SECOND = """
ALTER TABLE position_events RENAME TO deals;
DROP INDEX ix_position_events_position;
CREATE INDEX ix_deals_position ON deals (position);
ALTER TABLE decisions ADD COLUMN multiplier {float};
CREATE TABLE schema_version (id INTEGER NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (id));
INSERT INTO schema_version (id, version) VALUES (1, 2);
ALTER TABLE bot_status DROP COLUMN schema_version;
CREATE TABLE position_events (
    ticket BIGINT NOT NULL, time BIGINT NOT NULL, kind VARCHAR NOT NULL, detail VARCHAR NOT NULL,
    PRIMARY KEY (ticket, time, kind)
);
CREATE TABLE account_snapshots (
    time BIGINT NOT NULL, balance {float} NOT NULL, equity {float} NOT NULL, margin {float} NOT NULL,
    positions INTEGER NOT NULL, PRIMARY KEY (time)
);
CREATE TABLE news_events (
    time BIGINT NOT NULL, currency VARCHAR NOT NULL, title VARCHAR NOT NULL, impact VARCHAR NOT NULL,
    PRIMARY KEY (time, currency, title)
);
CREATE TABLE model_metrics (
    time BIGINT NOT NULL, name VARCHAR NOT NULL, value {float} NOT NULL, PRIMARY KEY (time, name)
);
CREATE TABLE outbox (
    id {serial} NOT NULL, key VARCHAR NOT NULL, kind VARCHAR NOT NULL, text VARCHAR NOT NULL, attachment VARCHAR,
    created BIGINT NOT NULL, attempts INTEGER NOT NULL, next_try BIGINT, sent_at BIGINT, error VARCHAR,
    PRIMARY KEY (id), UNIQUE (key)
);
CREATE INDEX ix_outbox_next_try ON outbox (next_try);
CREATE TABLE flags (name VARCHAR NOT NULL, value VARCHAR NOT NULL, time BIGINT NOT NULL, PRIMARY KEY (name));
"""


def _add_results(connection: Connection) -> None:
    """Give a guard that has none the results of the trades it has counted.

    They are computed from the closed trades, not from differences of the balances it holds:
    deposits are in those. The journal keeps every trade the guard ever counted, so one that
    does not is not repaired but refused.
    """
    for key, content in connection.execute(text("SELECT id, guard FROM bot_status")).all():
        if len(content) != GUARD_1.itemsize:
            # Written when results were there already; another length is refused by `Journal.status`.
            continue
        old = np.frombuffer(content, dtype=GUARD_1)[0]
        trades = connection.execute(text("SELECT trade FROM trades ORDER BY deal")).scalars().all()
        if len(trades) != old["closed"]:
            raise StorageError(
                f"the journal's status has counted {old['closed']} closed trades, its table holds {len(trades)}; "
                "put back a copy, or begin a new journal"
            )
        guard = np.zeros(1, dtype=GUARD_2)
        for name in GUARD_1.names or ():
            guard[0][name] = old[name]
        for number, stored in enumerate(trades):
            guard[0]["results"][number % GUARD_RING] = _net_result(stored)
        connection.execute(
            text("UPDATE bot_status SET guard = :guard WHERE id = :id"), {"guard": guard.tobytes(), "id": key}
        )


def _net_result(stored: bytes) -> float:
    """Return a trade's net result as the bot books it, in USD rounded half away from zero to cents."""
    trade = np.frombuffer(stored, dtype=TRADE_1)[0]
    net = float(trade["profit"] + trade["commission"] + trade["swap"])
    return float(np.copysign(np.floor(abs(net) * 100.0 + 0.5) / 100.0, net)) + 0.0


MIGRATIONS: Mapping[int, Migration] = {1: _first_to_second, 2: second_to_third, 3: third_to_fourth}
"""What turns a version into the next."""
