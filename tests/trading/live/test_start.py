"""A live bot that cannot start says what to set in one line, and leaves the account alone."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.trade_modes.live import Stop
from novosky.clock import RealClock
from novosky.database.place import sqlite_url
from novosky.errors import BrokerError, LockedError, UsageError
from tests.helpers.bridge_module import TOKEN
from tests.helpers.command_line import run_script
from tests.helpers.desk import Desk
from tests.helpers.live_runs import LiveDesk
from tests.helpers.paper_runs import Scenario, planted_bars
from trading.brokers.family import reach_from_environment
from trading.brokers.mt5.entry import TerminalReach, account_access
from trading.brokers.mt5.terms import Access
from trading.brokers.port import BrokerUnavailable
from trading.brokers.simulated.faults import pipe_cut_before
from trading.cycle.switches import Switches
from trading.doctor.broker import check_broker
from trading.journal import Journal
from trading.live.session import live_session

ACCOUNT = {"MT5_LOGIN": "12345678", "MT5_SERVER": "Simulated-Demo"}
BRIDGED = {"NOVOSKY_BROKER": "bridge", "NOVOSKY_BRIDGE_URL": "http://127.0.0.1:9", "NOVOSKY_BRIDGE_TOKEN": TOKEN}
MINE = ("NOVOSKY_", "MT5_", "TELEGRAM_")


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in [name for name in os.environ if name.startswith(MINE) and name != "NOVOSKY_LOCKS"]:
        monkeypatch.delenv(name)
    yield


@pytest.mark.parametrize("named", [None, "mt4"])
def test_without_a_broker_it_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    if named is not None:
        monkeypatch.setenv("NOVOSKY_BROKER", named)
    answer = run_script("trading.py", cwd=tmp_path)
    assert answer.code == 2
    assert all(word in answer.err for word in ("NOVOSKY_BROKER", "mt5", "bridge", "--paper"))
    assert list(tmp_path.iterdir()) == []


def test_paper_chosen_at_onboarding_is_paper_trading(tmp_path: Path, desk: Desk) -> None:
    (tmp_path / ".env").write_text("NOVOSKY_BROKER=paper\n", encoding="utf-8")
    answer = run_script("trading.py", "--once", *desk.flags, cwd=tmp_path)
    assert answer.code == 0, answer.err
    assert "NOVOSKY_BROKER is paper, so this is --paper" in answer.out
    assert "SYNTHETIC DATA" in answer.out
    assert (tmp_path / "logs" / "paper.sqlite").is_file()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"MT5_LOGIN": ""}, "MT5_LOGIN"),
        ({"MT5_LOGIN": "hunter2"}, "MT5_LOGIN"),
        ({"MT5_SERVER": ""}, "MT5_SERVER"),
        ({"NOVOSKY_ACCOUNT": "live"}, "NOVOSKY_ACCOUNT"),
        ({"NOVOSKY_BRIDGE_URL": ""}, "NOVOSKY_BRIDGE_URL"),
    ],
)
def test_an_account_that_is_not_fully_named_is_refused(changes: dict[str, str], word: str) -> None:
    with pytest.raises(UsageError, match=word) as refusal:
        reach_from_environment(ACCOUNT | BRIDGED | changes)
    assert "hunter2" not in str(refusal.value)


def test_real_money_has_to_be_asked_for() -> None:
    assert not account_access(ACCOUNT).real
    assert account_access(ACCOUNT | {"NOVOSKY_ACCOUNT": "real"}).real


@pytest.mark.skipif(os.name == "nt", reason="the package exists there")
def test_the_package_that_is_not_there_is_named() -> None:
    with pytest.raises(BrokerError, match="pip install MetaTrader5"):
        reach_from_environment(ACCOUNT | {"NOVOSKY_BROKER": "mt5"}).connect()


@pytest.mark.parametrize("option", [["--fresh"], ["--balance", "500"], ["--no-swap"], ["--start", "2024-01-01"]])
def test_a_real_account_takes_no_terms_of_a_simulated_one(tmp_path: Path, option: list[str]) -> None:
    answer = run_script("trading.py", *option, cwd=tmp_path)
    assert (answer.code, option[0] in answer.err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_wrong_models_end_it_before_the_journal(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (ACCOUNT | BRIDGED).items():
        monkeypatch.setenv(name, value)
    flags = ["--config", desk.config, "--ml-config", desk.ml_config, "--models", tmp_path / "none"]
    assert run_script("trading.py", *flags, cwd=tmp_path).code == 5
    assert not (tmp_path / "logs" / "novosky.sqlite").exists()


def test_a_bridge_nobody_serves_is_said_and_the_journal_stays_sound(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (ACCOUNT | BRIDGED).items():
        monkeypatch.setenv(name, value)
    flags = ["--config", desk.config, "--ml-config", desk.ml_config, "--models", desk.models]
    monkeypatch.setattr("trading.cycle.news.LiveNews.refresh", lambda self, now: None)
    answer = run_script("trading.py", "--once", *flags, cwd=tmp_path)
    assert answer.code == 8, answer.err
    assert TOKEN not in answer.err
    health = run_script("trading.py", "--health", cwd=tmp_path)
    assert (health.code, "novosky.sqlite" in health.err) == (7, True)


def test_a_second_bot_on_the_account_is_refused_whatever_its_journal(tmp_path: Path) -> None:
    desk = LiveDesk(Scenario(planted_bars(2)), tmp_path)
    with live_session(desk.parts()):
        with pytest.raises(LockedError), live_session(desk.parts()):
            pass
        with pytest.raises(LockedError), live_session(desk.parts(journal=desk.logs / "other.sqlite")):
            pass


def test_another_account_than_the_named_one_is_never_traded(tmp_path: Path) -> None:
    desk = LiveDesk(Scenario(planted_bars(2)), tmp_path)
    terminal = desk.parts().reach.connect()
    reach = TerminalReach(Access(999, desk.server.terms.server, real=False), lambda: terminal, True)
    with pytest.raises(BrokerError, match=r"this bot trades \.\.\.999 on"):
        desk.run(2, reach=reach)


def test_a_broker_away_at_the_first_start_is_waited_for(tmp_path: Path) -> None:
    desk = LiveDesk(Scenario(planted_bars(20)), tmp_path)
    desk.faults.plan(pipe_cut_before().on("initialize", times=2))
    assert desk.run(10, look=lambda session: session.journal.status().bars_processed) > 5


def test_a_stop_ends_the_wait_for_a_broker(tmp_path: Path) -> None:
    desk = LiveDesk(Scenario(planted_bars(20)), tmp_path)
    desk.faults.plan(pipe_cut_before().on("initialize", times=1_000))
    assert desk.run(5, look=lambda session: session.bot) is None


@pytest.mark.skipif(os.name != "posix", reason="sends itself a signal")
def test_sigterm_ends_the_wait_between_two_steps(tmp_path: Path) -> None:
    journal = Journal(sqlite_url(tmp_path / "j.sqlite"), symbol="BTCUSD", durable=False)
    stop = Stop()
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with stop.signals():
        stop.wait(60.0, Switches(journal, RealClock(), "test", tmp_path / "flag"))
    journal.close()
    assert stop()


def test_an_order_ends_the_wait(tmp_path: Path) -> None:
    journal = Journal(sqlite_url(tmp_path / "j.sqlite"), symbol="BTCUSD", durable=False)
    switches = Switches(journal, RealClock(), "test", tmp_path / "flag")
    switches.close_all()
    Stop().wait(60.0, switches)
    journal.close()


def test_the_doctors_probe_finds_the_terminal_as_the_settings_say(tmp_path: Path) -> None:
    desk = LiveDesk(Scenario(planted_bars(2)), tmp_path)
    desk.server.advance()
    parts = desk.parts()
    with parts.reach.probe("BTCUSD", parts.clock, parts.settings.instrument.magic) as probe:
        findings = check_broker(probe, parts.settings, parts.clock.now())
    assert [finding.grade.name for finding in findings] == ["OK"] * 5


def test_the_doctors_probe_says_when_the_terminal_is_away(tmp_path: Path) -> None:
    desk = LiveDesk(Scenario(planted_bars(2)), tmp_path)
    desk.faults.plan(pipe_cut_before().on("initialize"))
    parts = desk.parts()
    with (
        parts.reach.probe("BTCUSD", parts.clock, parts.settings.instrument.magic) as probe,
        pytest.raises(BrokerUnavailable),
    ):
        probe.facts()
