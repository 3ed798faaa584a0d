"""What SQL reads of a journal without this program."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from engine.outputs.tables import SIDE_NAMES, utc_text
from engine.records import Trade, from_text
from novosky.database.place import sqlite_url
from tests.helpers.old_journals import sample_rows, write_version_1
from tests.helpers.paper_runs import Scenario, finish, open_scenario, planted_bars, settings_with
from trading.journal import Journal
from trading.journal.versions.third_readable import VIEWS


def rows(file: Path, query: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query)]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("readable") / "journal.sqlite"
    scenario = Scenario(planted_bars(200), settings=settings_with(costs={"commission_per_lot": 3.0}))
    session = open_scenario(scenario, path)
    finish(session)
    session.close()
    return path


def test_trades_stand_in_plain_columns_with_utc_text_and_words(file: Path) -> None:
    journal = Journal(sqlite_url(file), symbol="BTCUSD", durable=True, read_only=True)
    trades = [from_text(Trade, content) for content in journal.trades()]
    journal.close()
    read = rows(file, "SELECT * FROM trades_readable ORDER BY exit_time, deal")
    assert len(read) == len(trades) > 5
    for row, trade in zip(read, trades, strict=True):
        assert row["entry_time"] == utc_text(int(trade.entry_time))
        assert row["exit_time"] == utc_text(int(trade.exit_time))
        assert row["side"] == SIDE_NAMES[int(trade.side)]
        for name in ("volume", "entry_price", "exit_price", "sl", "tp", "profit", "commission", "swap", "balance"):
            assert row[name] == getattr(trade, name), name
        assert row["exit_reason"] in ("sl", "tp", "so", "model", "halt", "manual")
        assert row["net"] == pytest.approx(trade.profit + trade.commission + trade.swap, abs=1e-9)
        assert row["r_multiple"] == pytest.approx(row["net"] / trade.risk)


def test_decisions_name_their_failing_gates_and_the_status_its_money(file: Path) -> None:
    journal = Journal(sqlite_url(file), symbol="BTCUSD", durable=True, read_only=True)
    decisions, status = journal.decisions(), journal.status()
    journal.close()
    read = rows(file, "SELECT * FROM decisions_readable ORDER BY bar")
    assert [row["failing_gates"] for row in read] == [row["gates"] or "" for row in decisions]
    assert any(row["failing_gates"] for row in read)
    assert read[0]["bar"] == utc_text(decisions[0]["bar"])
    (shown,) = rows(file, "SELECT * FROM status_readable")
    assert status is not None
    assert (shown["equity"], shown["balance"]) == (status.guard.equity, status.cash)
    assert shown["day_result"] == status.guard.equity - status.guard.day_equity
    assert shown["last_bar"] == utc_text(status.last_bar)
    assert (shown["trades_closed"], shown["limits_reached"]) == (status.guard.closed, "")


def test_an_old_journal_is_filled_when_it_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    old = sample_rows(3, results=True)
    engine = create_engine(sqlite_url(path))
    with engine.begin() as connection:
        write_version_1(connection, old)
    engine.dispose()
    journal = Journal(sqlite_url(path), symbol="BTCUSD", durable=True)
    trades, status = [from_text(Trade, content) for content in journal.trades()], journal.status()
    journal.close()
    read = rows(path, "SELECT * FROM trades_readable ORDER BY exit_time, deal")
    assert [row["net"] for row in read] == [round(t.profit + t.commission + t.swap, 8) for t in trades]
    (shown,) = rows(path, "SELECT * FROM status_readable")
    assert status is not None
    assert (shown["equity"], shown["limits_reached"]) == (status.guard.equity, "hard_halt")
    assert len(VIEWS) == 3
