"""The journal: a bar is there as a whole or not at all, and everything read back is what was written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from novosky.errors import StorageError
from trading.engine.records import Candidate, Guard, Trade, from_bytes, new_record, to_bytes
from trading.journal import INTENT_FILLED, INTENT_REJECTED, BotStatus, Decision, Intent, Journal, sqlite_url

BAR = 1_704_284_100
LATER = BAR + 900


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(file: Path) -> Journal:
    return Journal(sqlite_url(file), durable=True)


def status_at(bar: int = BAR, **changes: Any) -> BotStatus:
    guard = new_record(Guard)
    guard.time, guard.equity, guard.closed = bar, 512.25, 3
    guard.balances[:3] = (500.0, 505.5, 512.25)
    return replace(BotStatus("me", bar, 1, 0, 7, 512.25, guard, "rf=rf.pkl", finished=False), **changes)


def decision_at(bar: int = BAR, action: str = "none", **changes: Any) -> Decision:
    return replace(Decision(bar, action, 50_000.0, 10.0, 512.25), **changes)


def entry_at(bar: int = BAR) -> Intent:
    return Intent(f"e{bar:x}", bar, "entry", 1, 0.05, 49_900.0, 50_100.0, 0, 0)


def deal(ticket: int, position: int, entry: int, **changes: Any) -> dict[str, Any]:
    row = {
        "ticket": ticket,
        "position": position,
        "time": BAR,
        "entry": entry,
        "reason": 3,
        "volume": 0.05,
        "price": 50_010.0,
        "commission": -0.1,
        "swap": 0.0,
        "profit": 0.0,
        "magic": 1,
        "comment": "e1",
    }
    return {**row, **changes}


def trade_row(deal_ticket: int, exit_time: int, profit: float) -> dict[str, Any]:
    trade = new_record(Trade)
    trade.exit_time, trade.profit = exit_time, profit
    return {"deal": deal_ticket, "position": deal_ticket - 1, "trade": to_bytes(trade), "exit_time": exit_time}


def test_a_new_journal_knows_nothing(journal: Journal) -> None:
    assert journal.status() is None
    assert journal.open_intents() == []
    assert journal.trades() == []
    assert list(journal.blocks()) == []
    assert journal.intent("e1") is None
    assert journal.entry_deal(4) is None


def test_the_status_survives_a_restart_to_the_byte(journal: Journal, file: Path) -> None:
    journal.save_status(status_at())
    journal.close()
    read = Journal(sqlite_url(file), durable=True).status()
    assert read is not None
    assert to_bytes(read.guard) == to_bytes(status_at().guard)
    assert replace(read, guard=None) == replace(status_at(), guard=None)  # type: ignore[arg-type]


def test_there_is_one_status(journal: Journal, file: Path) -> None:
    journal.save_status(status_at())
    journal.record_bar(status_at(LATER, bars_processed=2), decision_at(LATER), [], [], [])
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT last_bar, bars_processed FROM bot_status").fetchall() == [(LATER, 2)]


def test_everything_of_a_bar_is_written_together(journal: Journal) -> None:
    journal.record_bar(status_at(), decision_at(action="entry"), [entry_at()], [deal(3, 2, 0)], [trade_row(9, BAR, 1)])
    status = journal.status()
    assert status is not None
    assert status.last_bar == BAR
    assert journal.open_intents() == [entry_at()]
    entry = journal.entry_deal(2)
    assert entry is not None
    assert (entry["price"], entry["magic"], entry["comment"]) == (50_010.0, 1, "e1")
    assert len(journal.trades()) == 1


def test_a_bar_that_cannot_be_written_whole_leaves_no_trace(journal: Journal) -> None:
    journal.record_bar(status_at(), decision_at(), [], [deal(3, 2, 0)], [])
    later = status_at(LATER)
    with pytest.raises(StorageError):
        journal.record_bar(later, decision_at(LATER), [entry_at(LATER)], [deal(4, 2, 1), deal(3, 2, 0)], [])
    status = journal.status()
    assert status is not None
    assert status.last_bar == BAR
    assert journal.open_intents() == []
    journal.record_bar(later, decision_at(LATER), [entry_at(LATER)], [deal(4, 2, 1)], [])
    assert journal.open_intents() == [entry_at(LATER)]


def test_the_same_bar_is_refused_twice(journal: Journal) -> None:
    journal.record_bar(status_at(), decision_at(), [], [], [])
    with pytest.raises(StorageError):
        journal.record_bar(status_at(), decision_at(), [], [], [])


def test_a_filled_intent_is_closed(journal: Journal) -> None:
    journal.record_bar(status_at(), decision_at(action="entry"), [entry_at()], [], [])
    journal.close_intent(entry_at(), INTENT_FILLED, 10_009, 17)
    assert journal.open_intents() == []
    row = journal.intent(entry_at().id)
    assert row is not None
    assert (row["state"], row["retcode"], row["order"]) == ("filled", 10_009, 17)
    assert list(journal.blocks()) == []


def test_a_rejected_entry_turns_its_decision_into_a_block(journal: Journal) -> None:
    candidate = to_bytes(new_record(Candidate))
    journal.record_bar(status_at(), decision_at(action="entry", candidate=candidate, gates=0), [entry_at()], [], [])
    journal.close_intent(entry_at(), INTENT_REJECTED, 10_018, 0, gates=1)
    (block,) = journal.blocks()
    assert (block["bar"], block["gates"], block["candidate"], block["price"]) == (BAR, 1, candidate, 50_000.0)


def test_a_rejected_exit_blocks_nothing(journal: Journal) -> None:
    leave = replace(entry_at(), id="x1", kind="exit")
    journal.record_bar(status_at(), decision_at(action="exit:halt"), [leave], [], [])
    journal.close_intent(leave, INTENT_REJECTED, 10_018, 0, gates=1)
    assert list(journal.blocks()) == []
    assert journal.open_intents() == []


def test_trades_come_in_order_of_exit(journal: Journal) -> None:
    journal.record_bar(status_at(), decision_at(), [], [], [trade_row(9, LATER, 2.0), trade_row(5, BAR, 1.0)])
    journal.record_bar(status_at(LATER), decision_at(LATER), [], [], [trade_row(12, LATER, 3.0)])
    assert [float(from_bytes(Trade, content).profit) for content in journal.trades()] == [1.0, 2.0, 3.0]


def test_blocks_come_in_order_of_time(journal: Journal) -> None:
    for bar in (LATER, BAR):
        journal.record_bar(status_at(bar), decision_at(bar, action="blocked", gates=4), [], [], [])
    assert [row["bar"] for row in journal.blocks()] == [BAR, LATER]


def test_partial_exits_of_one_position_are_separate_trades(journal: Journal) -> None:
    parts = [{**trade_row(ticket, BAR, 1.0), "position": 4} for ticket in (6, 8)]
    journal.record_bar(status_at(), decision_at(), [], [], parts)
    assert len(journal.trades()) == 2


def test_another_version_is_refused(journal: Journal, file: Path) -> None:
    journal.save_status(status_at())
    journal.close()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE schema_version SET version = 99")
        connection.commit()
    with pytest.raises(StorageError, match="version 99"):
        Journal(sqlite_url(file), durable=True)


def test_a_guard_of_another_layout_is_refused(journal: Journal, file: Path) -> None:
    journal.save_status(status_at())
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE bot_status SET guard = X'0011'")
        connection.commit()
    with pytest.raises(StorageError, match="another version"):
        journal.status()


def test_a_file_that_is_no_database_is_named(file: Path) -> None:
    file.write_bytes(b"text" * 1_000)
    with pytest.raises(StorageError, match=r"journal\.sqlite"):
        Journal(sqlite_url(file), durable=True)


def test_a_place_that_cannot_hold_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        Journal(sqlite_url(tmp_path / "nowhere" / "journal.sqlite"), durable=True)


def test_a_journal_in_use_by_a_writer_is_not_writable(journal: Journal, file: Path) -> None:
    journal.check_writable()
    journal.close()
    read_only = Journal(
        sqlite_url(file).update_query_dict({"mode": "ro", "uri": "true"}).set(database=file.as_uri()), durable=True
    )
    with pytest.raises(StorageError, match="readonly"):
        read_only.check_writable()


@pytest.mark.parametrize(("durable", "level"), [(True, 2), (False, 1)])
def test_live_accounts_are_synced_to_the_disk_at_every_commit(file: Path, durable: bool, level: int) -> None:
    journal = Journal(sqlite_url(file), durable=durable)
    with journal._database._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == level
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
