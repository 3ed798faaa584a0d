"""Version 4 of the journal: a message is queued once for every channel that carries it."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

_COLUMNS = "id, key, channel, kind, text, attachment, created, attempts, next_try, sent_at, error"


def add_channel(connection: Connection) -> None:
    """Give every message its channel; those of before were Telegram's, sent or not, and go on from there."""
    if connection.dialect.name == "sqlite":
        _build_anew(connection)
        return
    connection.execute(text("ALTER TABLE outbox ADD COLUMN channel VARCHAR NOT NULL DEFAULT 'telegram'"))
    connection.execute(text("ALTER TABLE outbox ALTER COLUMN channel DROP DEFAULT"))
    # Its name is the server's own choice.
    for constraint in inspect(connection).get_unique_constraints("outbox"):
        connection.execute(text(f'ALTER TABLE outbox DROP CONSTRAINT "{constraint["name"]}"'))
    connection.execute(text("ALTER TABLE outbox ADD UNIQUE (key, channel)"))


def _build_anew(connection: Connection) -> None:
    """Copy the table: SQLite cannot take a constraint away, and ids are the numbers that people were told."""
    connection.execute(text("DROP INDEX ix_outbox_next_try"))
    connection.execute(text("ALTER TABLE outbox RENAME TO outbox_3"))
    connection.execute(
        text(
            "CREATE TABLE outbox (id INTEGER NOT NULL, key VARCHAR NOT NULL, channel VARCHAR NOT NULL, "
            "kind VARCHAR NOT NULL, text VARCHAR NOT NULL, attachment VARCHAR, created BIGINT NOT NULL, "
            "attempts INTEGER NOT NULL, next_try BIGINT, sent_at BIGINT, error VARCHAR, "
            "PRIMARY KEY (id), UNIQUE (key, channel))"
        )
    )
    old = _COLUMNS.replace("channel", "'telegram'")
    connection.execute(text(f"INSERT INTO outbox ({_COLUMNS}) SELECT {old} FROM outbox_3"))
    connection.execute(text("DROP TABLE outbox_3"))
    connection.execute(text("CREATE INDEX ix_outbox_next_try ON outbox (next_try)"))
