"""Prepared statements: the same rows as SQLAlchemy's own, nothing lost, and one transaction for a bar."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import bindparam, insert, select, update

from engine.records import Guard, new_record
from novosky.database.place import sqlite_url
from novosky.database.prepared import driver_of
from novosky.errors import StorageError
from trading.journal import BarNotes, BotStatus, Decision, Intent, Journal, ModelMetric
from trading.journal.tables import MODEL_METRICS

FIGURE = ModelMetric(900, "signal.confidence@x", 0.1 + 0.2)
ROW = {"symbol": "BTCUSD", **FIGURE.__dict__}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    opened = Journal(sqlite_url(tmp_path / "journal.sqlite"), symbol="BTCUSD", durable=True)
    status = BotStatus("x", 0, 0, 0, 0, 0.0, new_record(Guard), "none", finished=False)
    opened.save_status(status)
    return opened


def test_what_is_written_prepared_is_read_by_sqlalchemy_and_the_other_way_round(journal: Journal) -> None:
    database = journal._database
    put = database.prepare(insert(MODEL_METRICS))
    database.write(lambda connection: put.run(connection, ROW))
    assert database.read(select(MODEL_METRICS)) == [ROW]
    found = database.prepare(select(MODEL_METRICS).where(MODEL_METRICS.c.time == bindparam("at")))
    assert database.find(found, at=900) == [ROW]
    assert database.find(found, at=901) == []


def test_values_a_statement_fixes_stay_and_the_touched_rows_are_counted(journal: Journal) -> None:
    database = journal._database
    put = database.prepare(insert(MODEL_METRICS))
    change = database.prepare(update(MODEL_METRICS).where(MODEL_METRICS.c.time == 900), ["value"])
    touched: list[int] = []
    database.write(lambda connection: put.run_each(connection, [ROW, {**ROW, "time": 1800}]))
    database.write(lambda connection: touched.append(change.run(connection, {"value": 2.0})))
    assert touched == [1]
    assert [row["value"] for row in database.read(select(MODEL_METRICS))] == [2.0, ROW["value"]]


@pytest.mark.parametrize("values", [{"symbol": "BTCUSD", "time": 900, "name": "x"}, {**ROW, "valeu": 1.0}])
def test_a_value_that_is_missing_or_has_no_column_is_refused(journal: Journal, values: dict[str, object]) -> None:
    put = journal._database.prepare(insert(MODEL_METRICS))
    with pytest.raises(KeyError, match="takes symbol, time, name, value"):
        journal._database.write(lambda connection: put.run(connection, values))
    assert journal._database.read(select(MODEL_METRICS)) == []


def test_a_transaction_that_mixes_both_ways_is_one_and_ends_whole(journal: Journal) -> None:
    database = journal._database
    put = database.prepare(insert(MODEL_METRICS))

    def both(connection: object, last: dict[str, object]) -> None:
        put.run(connection, ROW)  # type: ignore[arg-type]
        connection.execute(insert(MODEL_METRICS), last)  # type: ignore[attr-defined]

    with pytest.raises(StorageError, match="UNIQUE"):
        database.write(lambda connection: both(connection, ROW))
    assert database.read(select(MODEL_METRICS)) == []
    database.write(lambda connection: both(connection, {**ROW, "time": 1800}))
    assert len(database.read(select(MODEL_METRICS))) == 2


def test_a_bar_is_one_transaction(journal: Journal) -> None:
    statements: list[str] = []
    with journal._database.transaction() as connection:
        driver_of(connection).set_trace_callback(statements.append)
    statements.clear()
    status = BotStatus("x", 900, 1, 0, 0, 0.0, new_record(Guard), "none", finished=False)
    order = Intent("e384", 900, "entry", 1, 0.1, 1.0, 3.0, 0, 0)
    notes = BarNotes([], [FIGURE], [])
    journal.record_bar(status, Decision(900, "entry", 2.0, 0.0, 0.0), [order], [], [], (), notes)
    kinds = [line.split()[0] for line in statements]
    assert kinds == ["BEGIN", "INSERT", "INSERT", "INSERT", "SELECT", "UPDATE", "COMMIT"]


def test_prepared_errors_are_the_journals_own(journal: Journal) -> None:
    put = journal._database.prepare(insert(MODEL_METRICS))
    journal._database.write(lambda connection: put.run(connection, ROW))
    with pytest.raises(StorageError, match=r"journal\.sqlite cannot be used: UNIQUE"):
        journal._database.write(lambda connection: put.run(connection, ROW))
    # The failed one has left no transaction open.
    journal._database.write(lambda connection: put.run(connection, {**ROW, "time": 1800}))
