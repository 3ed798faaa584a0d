"""The tables beside the running bot are current after every bar, whole at any moment, and never its end."""

from __future__ import annotations

import itertools
import logging
from pathlib import Path

import pytest

from novosky.errors import StorageError
from tests.helpers.live_runs import LiveDesk, live_outcome
from tests.helpers.paper_runs import Scenario, planted_bars
from trading.live.session import LiveSession


@pytest.fixture
def desk(tmp_path: Path) -> LiveDesk:
    return LiveDesk(Scenario(planted_bars(60)), tmp_path)


def kept(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "trades.csv").read_bytes(), (folder / "blocked_signals.csv").read_bytes()


def test_both_tables_are_there_from_the_first_bar_and_current_after_each(desk: LiveDesk, tmp_path: Path) -> None:
    compared = []

    def compare(session: LiveSession) -> bool:
        if session.bot is not None and session.bot.status.bars_processed % 7 == 1:
            outcome = live_outcome(session, desk.scenario, tmp_path)
            assert kept(desk.logs) == (outcome.trades, outcome.blocked)
            compared.append(len(outcome.trade_rows))
        return False

    desk.run(until=compare)
    assert len(compared) >= 8
    assert compared[-1] > 1


def test_a_started_bot_without_trades_has_tables_of_a_header(desk: LiveDesk) -> None:
    desk.run(0)
    assert [len(table.splitlines()) for table in kept(desk.logs)] == [1, 1]


def test_only_a_change_is_written(desk: LiveDesk) -> None:
    def stamps(session: LiveSession) -> tuple[int, int, tuple[int, int]]:
        trades, blocked = desk.logs / "trades.csv", desk.logs / "blocked_signals.csv"
        return trades.stat().st_ino, blocked.stat().st_ino, session.journal.table_sizes()

    seen: list[tuple[int, int, tuple[int, int]]] = []
    desk.run(until=lambda session: seen.append(stamps(session)) is not None)  # type: ignore[func-returns-value]
    for earlier, later in itertools.pairwise(seen):
        assert (earlier[0] == later[0]) == (earlier[2][0] == later[2][0])
        assert (earlier[1] == later[1]) == (earlier[2][1] == later[2][1])


def test_they_are_kept_where_they_were_asked_for(desk: LiveDesk, tmp_path: Path) -> None:
    desk.run(30, trades_file=tmp_path / "mine" / "t.csv", blocked_file=tmp_path / "mine" / "b.csv")
    assert {path.name for path in (tmp_path / "mine").iterdir()} == {"t.csv", "b.csv"}
    assert not (desk.logs / "trades.csv").exists()


def test_a_table_that_cannot_be_written_is_said_once_and_the_bot_trades_on(
    desk: LiveDesk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "held").mkdir()
    with caplog.at_level(logging.WARNING, "trading.reports.tables"):
        trades = desk.run(look=lambda session: len(session.journal.trades()), trades_file=tmp_path / "held")
    assert trades > 1
    assert sum("held could not be written" in record.getMessage() for record in caplog.records) == 1


def test_once_it_can_be_written_again_it_is_current(desk: LiveDesk, tmp_path: Path) -> None:
    obstacle = tmp_path / "held"
    obstacle.mkdir()

    def clear(session: LiveSession) -> bool:
        if obstacle.is_dir() and session.bot is not None and session.bot.status.bars_processed > 30:
            obstacle.rmdir()
        return False

    outcome = desk.run(
        until=clear, look=lambda session: live_outcome(session, desk.scenario, tmp_path), trades_file=obstacle
    )
    assert obstacle.read_bytes() == outcome.trades


def test_at_the_end_a_table_that_cannot_be_written_is_an_error(desk: LiveDesk, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="could not be written"):
        desk.run(10, look=lambda session: session.tables.write(), trades_file=tmp_path)
