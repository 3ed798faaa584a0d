"""`novosky journal`: the advice that a refused start gives, followed word by word, leads to a bot that trades."""

from __future__ import annotations

import io
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from novosky.data.synthetic import synthetic_bars
from novosky.errors import BrokerError
from tests.helpers.bridge_module import TOKEN, serving
from tests.helpers.command_line import Answer, run_novosky
from tests.helpers.live_runs import LiveDesk, bot_of
from tests.helpers.paper_runs import MARKET_BARS, WARM_UP, Scenario, planted_bars
from tests.hosts.postgres_server import PostgresServer
from tests.hosts.postgres_server import serving as serving_postgres
from trading.account.lock import account_lock
from trading.brokers.mt5.entry import package_reach
from trading.cycle.unknown_orders import UNKNOWN_ORDERS
from trading.journal import Journal, journal_url, sqlite_url
from trading.live.session import LiveSession

ROOT = Path(__file__).resolve().parents[2]
TRADED = 120


@pytest.fixture
def desk(tmp_path: Path) -> LiveDesk:
    """A market that has reached the present, and on whose account a bot has traded."""
    now = int(time.time()) // 900 * 900
    bars = synthetic_bars("planted", WARM_UP + MARKET_BARS, seed=11).iloc[: WARM_UP + TRADED + 60].copy()
    bars["time"] = pd.date_range(
        pd.Timestamp(now - (WARM_UP + TRADED) * 900, unit="s", tz="UTC"), periods=len(bars), freq="15min"
    )
    desk = LiveDesk(replace(Scenario(planted_bars(1)), bars=bars), tmp_path)
    desk.run(until=lambda session: desk.server.next_close > now - 40 * 900)
    shutil.copy(desk.logs / "novosky.sqlite", tmp_path / "older.sqlite")
    desk.run(until=lambda session: desk.server.next_close > now)
    return desk


@pytest.fixture
def bridged(desk: LiveDesk, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What `.env` says of the account, with a bridge to it."""
    with serving(desk.parts().reach.connect(), any_terminal=True) as server:
        for name, value in {
            "NOVOSKY_BROKER": "bridge",
            "NOVOSKY_BRIDGE_URL": server.url,
            "NOVOSKY_BRIDGE_TOKEN": TOKEN,
            "MT5_LOGIN": str(desk.server.terms.login),
            "MT5_SERVER": desk.server.terms.server,
        }.items():
            monkeypatch.setenv(name, value)
        yield


def command(folder: Path, *arguments: str) -> Answer:
    files = ["--config", str(ROOT / "config.json"), "--ml-config", str(ROOT / "ml_config.json")]
    return run_novosky("journal", *arguments, *(files if arguments[0] == "adopt" else []), cwd=folder)


def forget(desk: LiveDesk) -> None:
    for file in desk.logs.glob("novosky.sqlite*"):
        file.unlink()


def closed_trades(session: LiveSession) -> int:
    assert bot_of(session).status.guard.closed == len(session.journal.trades())
    return len(session.journal.trades())


def test_the_advice_for_a_lost_journal_leads_to_a_bot_that_trades(
    desk: LiveDesk, bridged: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trades = Journal(sqlite_url(desk.logs / "novosky.sqlite"), symbol="BTCUSD", durable=False).trades()
    assert len(trades) > 2
    forget(desk)
    with pytest.raises(BrokerError, match="run `novosky journal adopt`") as refusal:
        desk.run(1)
    assert refusal.value.exit_code == 8
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    asked = command(tmp_path, "adopt")
    assert (asked.code, "Write this" in asked.out) == (130, True), "without an answer nothing is written"
    with pytest.raises(BrokerError, match="journal adopt"):
        desk.run(1)
    done = command(tmp_path, "adopt", "--yes")
    assert done.code == 0, done.err
    assert f"{len(trades)} closed trade(s)" in done.out
    assert "next: start the bot" in done.out
    assert desk.run(20, look=closed_trades) >= len(trades)
    shown = command(tmp_path, "show")
    assert shown.code == 0, shown.err
    assert "novosky.sqlite" in shown.out


def test_another_database_begins_where_the_file_ended(
    desk: LiveDesk, bridged: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trades = len(Journal(sqlite_url(desk.logs / "novosky.sqlite"), symbol="BTCUSD", durable=False).trades())
    with serving_postgres() as server:
        url = address(server)
        monkeypatch.setenv("NOVOSKY_DATABASE_URL", url)
        with pytest.raises(BrokerError, match="journal adopt"):
            desk.run(1, database=journal_url(url))
        done = command(tmp_path, "adopt", "--yes")
        assert done.code == 0, done.err
        assert "postgresql" in command(tmp_path, "show").out
        assert desk.run(20, database=journal_url(url), look=closed_trades) >= trades


def test_an_older_copy_that_was_put_back_is_brought_up_to_date(desk: LiveDesk, bridged: None, tmp_path: Path) -> None:
    trades = Journal(sqlite_url(desk.logs / "novosky.sqlite"), symbol="BTCUSD", durable=False).trades()
    forget(desk)
    shutil.copy(tmp_path / "older.sqlite", desk.logs / "novosky.sqlite")
    assert len(Journal(sqlite_url(desk.logs / "novosky.sqlite"), symbol="BTCUSD", durable=False).trades()) < len(trades)
    with pytest.raises(BrokerError, match="run `novosky journal adopt`"):
        desk.run(1)
    done = command(tmp_path, "adopt", "--yes")
    assert done.code == 0, done.err
    assert desk.run(20, look=closed_trades) >= len(trades)


def address(server: PostgresServer) -> str:
    return server.url().render_as_string(hide_password=False)


def test_nothing_is_adopted_while_a_bot_runs(desk: LiveDesk, bridged: None, tmp_path: Path) -> None:
    terms = desk.server.terms
    reach = package_reach({"MT5_LOGIN": str(terms.login), "MT5_SERVER": terms.server})
    with account_lock(reach.key, "it", tmp_path / "elsewhere", 0.0, Path(os.environ["NOVOSKY_LOCKS"])):
        refused = command(tmp_path, "adopt", "--yes")
    assert (refused.code, "elsewhere" in refused.err) == (9, True)


def test_without_a_broker_it_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOVOSKY_BROKER", "MT5_LOGIN", "MT5_SERVER"):
        monkeypatch.delenv(name, raising=False)
    answer = command(tmp_path, "adopt", "--yes")
    assert (answer.code, "NOVOSKY_BROKER" in answer.err) == (2, True)
    assert command(tmp_path, "show").code == 7


def test_the_stop_is_shown_and_lifted(desk: LiveDesk, bridged: None, tmp_path: Path) -> None:
    books = Journal(sqlite_url(desk.logs / "novosky.sqlite"), symbol="BTCUSD", durable=False)
    books.set_flag(UNKNOWN_ORDERS, "position 7 (BUY 0.36)", 0)
    assert "position 7" in command(tmp_path, "show").out
    assert command(tmp_path, "adopt", "--yes").code == 0
    assert books.flag(UNKNOWN_ORDERS) is None
    books.close()
