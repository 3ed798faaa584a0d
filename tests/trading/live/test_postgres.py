"""The live bot with its journal in PostgreSQL: killed, cut off from its database, and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from novosky.database.place import journal_url
from novosky.errors import LockedError
from tests.helpers.live_runs import LiveDesk, live_outcome
from tests.helpers.paper_runs import Scenario, planted_bars, replay_outcome
from tests.hosts.postgres_server import PostgresServer, serving
from trading.journal import Journal
from trading.live.session import LiveSession, live_session

ROOT = Path(__file__).resolve().parents[3]
BARS = 90
KILLED_AT = 30
PATIENCE = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with serving() as server:
        yield server


@pytest.fixture
def url(server: PostgresServer, request: pytest.FixtureRequest) -> str:
    """A database of the test's own."""
    import psycopg

    name = f"live_{abs(hash(request.node.name)) % 10**8}"
    with psycopg.connect(server.url().set(drivername="postgresql").render_as_string(False), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    return server.url(name).render_as_string(hide_password=False)


def bars_in(url: str) -> int:
    import psycopg

    with psycopg.connect(url) as connection:
        try:
            row = connection.execute("SELECT count(*) FROM decisions").fetchone()
        except psycopg.errors.UndefinedTable:
            return 0
    return 0 if row is None else int(row[0])


def test_a_bot_killed_in_the_middle_goes_on_and_trades_as_if_nothing_had_been(url: str, tmp_path: Path) -> None:
    scenario = Scenario(planted_bars(BARS))
    expected = replay_outcome(scenario, tmp_path)
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "helpers" / "live_child.py"), str(tmp_path), str(BARS)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "NOVOSKY_DATABASE_URL": url},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and process.poll() is None and bars_in(url) < KILLED_AT:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGKILL, errors
    reached = bars_in(url)
    assert KILLED_AT <= reached < BARS - 1
    desk = LiveDesk(scenario, tmp_path)
    outcome = desk.run(database=journal_url(url), look=lambda session: live_outcome(session, scenario, tmp_path))
    assert outcome.trades == expected.trades
    assert len(outcome.trade_rows) > 5
    assert bars_in(url) > reached


def test_a_database_that_goes_away_for_a_moment_is_waited_for(url: str, server: PostgresServer, tmp_path: Path) -> None:
    scenario = Scenario(planted_bars(60))
    expected = replay_outcome(scenario, tmp_path)
    cut: list[bool] = []

    def restart(session: LiveSession) -> bool:
        if not cut and session.bot is not None and session.bot.status.bars_processed == 20:
            cut.append(True)
            server.stop()
            server.start()
        return False

    desk = LiveDesk(scenario, tmp_path)
    outcome = desk.run(
        database=journal_url(url),
        # The server ends as in a power cut: what was not synced would be gone.
        durable=True,
        until=restart,
        look=lambda session: live_outcome(session, scenario, tmp_path),
    )
    assert cut
    assert outcome == expected


def test_a_second_bot_on_the_database_is_refused_from_any_folder(url: str, tmp_path: Path) -> None:
    desk = LiveDesk(Scenario(planted_bars(2)), tmp_path)
    other = desk.parts(database=journal_url(url), folder=tmp_path / "other")
    with (
        live_session(desk.parts(database=journal_url(url))),
        pytest.raises(LockedError, match="another bot"),
        live_session(other),
    ):
        pass
    Journal(journal_url(url), symbol="BTCUSD", durable=False).close()
