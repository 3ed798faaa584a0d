"""What bringing an older journal up to date must do, whichever database it is in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import pytest
from sqlalchemy import Connection, Engine, event, inspect, text

from alerts.message import Message
from engine.records import RING, Trade, from_text, to_bytes
from novosky.errors import StorageError
from tests.helpers.old_journals import (
    SAMPLE_TEXT,
    SECOND_GUARD,
    sample_rows,
    sample_trades,
    write_version_1,
    write_version_2,
    write_version_3,
)
from trading.journal import SCHEMA_VERSION, Journal
from trading.journal.versions.fourth_names import GATES_3

Described = Mapping[str, Any]


class Database(Protocol):
    """A database of its own for one test, empty at first."""

    def open(self, *, read_only: bool = False) -> Journal:
        """Open the journal; whoever opens it closes it."""

    def connect(self) -> Any:
        """Return a context manager that yields a connection past the journal, committed at its end."""


def described(connection: Connection) -> Described:
    """Return tables, columns, keys and indexes, by name and without what databases add of their own."""
    look = inspect(connection)
    tables: dict[str, Any] = {}
    for table in sorted(look.get_table_names()):
        columns = {
            column["name"]: (str(column["type"].as_generic()), column["nullable"]) for column in look.get_columns(table)
        }
        indexes = {
            (index["name"], tuple(index["column_names"]), bool(index["unique"]))
            for index in look.get_indexes(table)
            if "duplicates_constraint" not in index
        }
        unique = {tuple(constraint["column_names"]) for constraint in look.get_unique_constraints(table)}
        tables[table] = (columns, look.get_pk_constraint(table)["constrained_columns"], indexes, unique)
    tables["views"] = sorted(look.get_view_names())
    return tables


def content(connection: Connection) -> Mapping[str, Any]:
    """Return every row of every table."""
    names = inspect(connection).get_table_names()
    return {
        name: [tuple(row) for row in connection.execute(text(f"SELECT * FROM {name} ORDER BY 1"))] for name in names
    }


_MESSAGE_2 = {"kind": "trade", "attachment": None, "created": 5, "attempts": 0, "next_try": None, "sent_at": None}
MESSAGES_2: list[dict[str, Any]] = [
    {"id": 1, "key": "closed:1", "text": "sent", **_MESSAGE_2, "sent_at": 6, "error": None},
    {"id": 4, "key": "closed:2", "text": "given up", **_MESSAGE_2, "attempts": 1, "error": "too long"},
    {"id": 7, "key": "closed:3", "text": "waits", **_MESSAGE_2, "attempts": 2, "next_try": 99, "error": "no route"},
]
"""Rows of `outbox` as version 2 and 3 wrote them."""


class Death(BaseException):
    """The process died here."""


@contextmanager
def death_at_statement(number: int) -> Iterator[list[str]]:
    """Die before the n-th statement that changes something; yields those that were reached."""
    seen: list[str] = []

    def strike(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().split()[0].upper() in ("ALTER", "CREATE", "DROP", "INSERT", "UPDATE"):
            seen.append(statement)
            if len(seen) == number:
                raise Death(statement)

    event.listen(Engine, "before_cursor_execute", strike)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", strike)


def empty(connection: Connection) -> None:
    """Remove every view and table."""
    for view in inspect(connection).get_view_names():
        connection.execute(text(f"DROP VIEW {view}"))
    for table in inspect(connection).get_table_names():
        connection.execute(text(f"DROP TABLE {table}"))


class MigrationContract:
    """From every older version to this one. A test class inherits it and gives the fixture `database`."""

    stride = 1
    """Every how many statements death strikes."""

    @pytest.fixture(params=[0, 3, RING + 9], ids=["no trades", "few trades", "more trades than it remembers"])
    def trades(self, request: pytest.FixtureRequest) -> int:
        return int(request.param)

    def test_every_row_survives(self, database: Database) -> None:
        rows = sample_rows(3, results=True)
        with database.connect() as connection:
            write_version_1(connection, rows)
        journal = database.open()
        status = journal.status()
        assert status is not None
        (old,) = rows["bot_status"]
        for name in ("identity", "last_bar", "bars_processed", "bars_missed", "last_deal", "cash", "models"):
            assert getattr(status, name) == old[name]
        assert status.guard.halted == 1
        found = journal.decision(1_704_290_000)
        assert found is not None
        was = rows["decisions"][0]
        assert found["candidate"] == SAMPLE_TEXT
        assert {**found, "candidate": was["candidate"]} == {
            **was,
            "gates": "session_conf hard_halt margin",
            "multiplier": None,
        }, "nobody knows the multiplier"
        assert [intent.id for intent in journal.open_intents()] == ["e1"]
        assert journal.entry_deals(2)[0] == rows["position_events"][0]
        trades = [to_bytes(from_text(Trade, content)) for content in journal.trades()]
        assert trades == [row["trade"] for row in reversed(rows["trades"])]
        journal.close()

    @pytest.mark.parametrize(
        ("retcode", "outcome", "code"),
        [
            (10009, "filled", "10009"),
            (10018, "market closed", "10018"),
            (10040, "too many positions", "10040"),
            (10099, "unforeseen", "10099"),
            (-2, "not placed", None),
            (None, None, None),
        ],
    )
    def test_what_became_of_an_order_is_told_in_words(
        self, database: Database, retcode: int | None, outcome: str | None, code: str | None
    ) -> None:
        rows = sample_rows(3, results=True)
        ended = {**rows["intents"][0], "retcode": retcode}
        with database.connect() as connection:
            write_version_2(connection, {**rows, "intents": [ended]})
        journal = database.open()
        row = journal.intent("e1")
        journal.close()
        assert row is not None
        assert (row["outcome"], row["broker_code"]) == (outcome, code)

    def test_the_tables_are_those_of_a_new_journal(self, database: Database) -> None:
        database.open().close()
        with database.connect() as connection:
            new = described(connection)
            empty(connection)
            write_version_1(connection, sample_rows(3, results=False))
        database.open().close()
        with database.connect() as connection:
            assert described(connection) == new

    @pytest.mark.parametrize(
        ("identity", "symbol"),
        [
            ("demo account ...123 on Broker, Inc-Demo, EURUSD.r (0123456789ab)", "EURUSD.r"),
            ("replay of a.csv:0", "BTCUSD"),
        ],
        ids=["a live journal names its symbol", "a paper account's rows are its bot's"],
    )
    def test_every_row_says_of_which_symbol_it_is(self, database: Database, identity: str, symbol: str) -> None:
        with database.connect() as connection:
            write_version_1(connection, sample_rows(3, results=True))
            connection.execute(text("UPDATE bot_status SET identity = :identity"), {"identity": identity})
        database.open().close()
        with database.connect() as connection:
            for table in ("bot_status", "decisions", "intents", "deals", "trades"):
                found = connection.execute(text(f"SELECT DISTINCT symbol FROM {table}")).scalars().all()
                assert found == [symbol], table
            shown = connection.execute(text("SELECT DISTINCT symbol FROM trades_readable")).scalars().all()
            assert shown == [symbol]

    def test_what_is_new_works(self, database: Database) -> None:
        with database.connect() as connection:
            write_version_1(connection, sample_rows(3, results=True))
        journal = database.open()
        journal.outbox.enqueue(Message("a", "trade", "first", 5), Message("b", "trade", "second", 5))
        assert [queued.key for queued in journal.outbox.due(5, 9)] == ["a", "b"]
        journal.record_position_event(7, 5, "opened", "buy")
        assert len(journal.position_events()) == 1
        journal.close()

    def test_a_guard_without_results_gets_those_of_the_trades(self, database: Database, trades: int) -> None:
        with database.connect() as connection:
            write_version_1(connection, sample_rows(trades, results=False))
        journal = database.open()
        status = journal.status()
        assert status is not None
        expected = np.zeros(RING)
        for number, trade in enumerate(sample_trades(trades)):
            expected[number % RING] = round(float(trade["profit"] + trade["commission"] + trade["swap"]), 2)
        assert status.guard.closed == trades
        assert np.array_equal(status.guard.results, expected)
        journal.close()

    def test_a_guard_with_results_keeps_them(self, database: Database) -> None:
        with database.connect() as connection:
            write_version_1(connection, sample_rows(3, results=True))
        journal = database.open()
        status = journal.status()
        assert status is not None
        assert list(status.guard.results[:4]) == [1_000.0, 1_001.0, 1_002.0, 0.0]
        assert status.guard.halt_moved == 0.0
        journal.close()

    def test_a_journal_of_version_2_keeps_its_guard_and_its_halt_has_not_moved(self, database: Database) -> None:
        rows = sample_rows(3, results=True)
        with database.connect() as connection:
            write_version_2(connection, rows)
        journal = database.open()
        status = journal.status()
        assert status is not None
        old = np.frombuffer(rows["bot_status"][0]["guard"], dtype=SECOND_GUARD)[0]
        for name in SECOND_GUARD.names or ():
            assert np.array_equal(status.guard[name], old[name]), name  # type: ignore[index]
        assert status.guard.halt_moved == 0.0
        assert list(journal.money_moves()) == []
        assert [intent.id for intent in journal.open_intents()] == ["e1"]
        journal.close()

    def test_the_tables_of_version_2_become_those_of_a_new_journal(self, database: Database) -> None:
        database.open().close()
        with database.connect() as connection:
            new = described(connection)
            empty(connection)
            write_version_2(connection, sample_rows(3, results=True))
        database.open().close()
        with database.connect() as connection:
            assert described(connection) == new

    def test_messages_of_before_stay_telegrams_with_their_numbers_and_their_story(self, database: Database) -> None:
        with database.connect() as connection:
            write_version_2(connection, sample_rows(3, results=True))
            for row in MESSAGES_2:
                names, slots = ", ".join(row), ", ".join(f":{name}" for name in row)
                connection.execute(text(f"INSERT INTO outbox ({names}) VALUES ({slots})"), row)
            if connection.dialect.name == "postgresql":
                # The rows above brought their ids along, so the server's counter has to be told.
                connection.execute(text("SELECT setval(pg_get_serial_sequence('outbox', 'id'), 7)"))
        journal = database.open()
        with database.connect() as connection:
            rows = connection.execute(text("SELECT * FROM outbox ORDER BY id")).mappings().all()
        assert [dict(row) for row in rows] == [{**row, "channel": "telegram"} for row in MESSAGES_2]
        journal.outbox.enqueue(Message("closed:1", "trade", "known", 5), Message("closed:9", "trade", "new", 5))
        waiting, new = journal.outbox.due(2**40, 9)
        assert (waiting.id, waiting.key, new.key) == (7, "closed:3", "closed:9")
        assert new.id > 7, "numbers go on; a server may leave some out"
        journal.outbox.queue("webhook").enqueue(Message("closed:1", "trade", "for another channel", 5))
        assert len(journal.outbox.queue("webhook").due(5, 9)) == 1
        journal.close()

    def test_the_tables_of_version_3_become_those_of_a_new_journal(self, database: Database) -> None:
        database.open().close()
        with database.connect() as connection:
            new = described(connection)
            empty(connection)
            write_version_3(connection, sample_rows(3, results=True))
        database.open().close()
        with database.connect() as connection:
            assert described(connection) == new

    def test_bits_become_names_and_bytes_become_named_fields(self, database: Database) -> None:
        """Floats to the last digit, what was NULL stays NULL, and the views tell the same as before."""
        rows = sample_rows(3, results=True)
        blank = {**rows["decisions"][0], "bar": 1_704_290_900, "gates": None, "candidate": None}
        passed = {**rows["decisions"][0], "bar": 1_704_291_800, "gates": 0}
        every = {**rows["decisions"][0], "bar": 1_704_292_700, "gates": (1 << 18) - 1}
        shown = text("SELECT failing_gates FROM decisions_readable ORDER BY bar")
        with database.connect() as connection:
            write_version_3(connection, {**rows, "decisions": [*rows["decisions"], blank, passed, every]})
            before = connection.execute(shown).scalars().all()
        journal = database.open()
        found, status = journal.decisions(), journal.status()
        trades = [to_bytes(from_text(Trade, content)) for content in journal.trades()]
        journal.close()
        assert [row["gates"] for row in found] == ["session_conf hard_halt margin", None, "", " ".join(GATES_3)]
        assert [row["candidate"] for row in found] == [SAMPLE_TEXT, None, SAMPLE_TEXT, SAMPLE_TEXT]
        assert trades == [row["trade"] for row in reversed(rows["trades"])]
        old = np.frombuffer(rows["bot_status"][0]["guard"], dtype=SECOND_GUARD)[0]
        assert status is not None
        for name in SECOND_GUARD.names or ():
            assert np.array_equal(status.guard[name], old[name]), name  # type: ignore[index]
        with database.connect() as connection:
            assert connection.execute(shown).scalars().all() == before

    def test_a_record_of_another_length_is_refused_and_nothing_has_changed(self, database: Database) -> None:
        rows = sample_rows(3, results=True)
        with database.connect() as connection:
            write_version_3(connection, {**rows, "decisions": [{**rows["decisions"][0], "candidate": bytes(5)}]})
            before = described(connection), content(connection)
        with pytest.raises(StorageError, match=r"record of 5 bytes where its version has 76; use the release"):
            database.open()
        with database.connect() as connection:
            assert (described(connection), content(connection)) == before

    def test_results_that_cannot_be_known_are_refused_and_nothing_has_changed(self, database: Database) -> None:
        with database.connect() as connection:
            write_version_1(connection, sample_rows(5, results=False))
            connection.execute(text("DELETE FROM trades WHERE deal = 3"))
            before = described(connection), content(connection)
        with pytest.raises(StorageError, match=r"counted 5 closed trades.* holds 4"):
            database.open()
        with database.connect() as connection:
            assert (described(connection), content(connection)) == before

    def test_death_at_any_statement_leaves_the_old_version(self, database: Database) -> None:
        with database.connect() as connection:
            write_version_1(connection, sample_rows(3, results=False))
            before = described(connection), content(connection)
        deaths = 0
        while True:
            with death_at_statement(1 + self.stride * deaths) as seen:
                try:
                    database.open().close()
                except Death:
                    deaths += 1
                    with database.connect() as connection:
                        assert (described(connection), content(connection)) == before, seen[-1]
                else:
                    break
        assert deaths * self.stride > 15
        with database.connect() as connection:
            assert connection.execute(text("SELECT version FROM schema_version")).scalar() == SCHEMA_VERSION

    def test_a_look_leaves_the_old_version(self, database: Database) -> None:
        with database.connect() as connection:
            write_version_1(connection, sample_rows(3, results=False))
            before = described(connection)
        with pytest.raises(StorageError, match=r"version 1.* start the bot once"):
            database.open(read_only=True)
        with database.connect() as connection:
            assert described(connection) == before

    def test_it_happens_once(self, database: Database) -> None:
        with database.connect() as connection:
            write_version_1(connection, sample_rows(3, results=False))
        database.open().close()
        with death_at_statement(1):
            database.open().close()

    def test_death_while_a_new_journal_is_made_leaves_nothing(self, database: Database) -> None:
        with death_at_statement(9), pytest.raises(Death):
            database.open()
        with database.connect() as connection:
            assert inspect(connection).get_table_names() == []
        journal = database.open()
        assert journal.status() is None
        journal.close()
