"""What the bot does besides trading: freezing, being away, other people's positions, halts, real time."""

from __future__ import annotations

import logging
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from alerts.notify import SilentNotifier
from novosky.errors import BrokerError
from novosky.market.timeframe import USUAL
from novosky.supervision.freeze import is_frozen
from tests.helpers.command_line import run_script
from tests.helpers.deployments import Deployment, deploy
from tests.helpers.desk import Desk
from tests.helpers.paper_runs import (
    WARM_UP,
    Scenario,
    finish,
    go_on,
    go_on_until,
    live,
    open_scenario,
    planted_bars,
    session_outcome,
    settings_with,
)
from tests.helpers.sets.signal_sets import TRAIN_BARS
from trading.brokers.mt5.broker import Mt5Broker
from trading.brokers.port import Deal, DealEntry, DealReason, OrderRequest, Outcome
from trading.paper.embedded_market import live_market
from trading.paper.replay import PacedMarket
from trading.paper.session import PaperSession, journal_files, open_session

SOMEONE_ELSE = 4_711


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return Scenario(planted_bars(120))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


def test_the_freeze_flag_blocks_entries_while_it_is_set(scenario: Scenario, journal: Path, tmp_path: Path) -> None:
    flag = tmp_path / "frozen.flag"
    session = open_scenario(scenario, journal, frozen=lambda: is_frozen(flag))
    flag.touch()
    go_on(session, 40)
    frozen = session_outcome(session, scenario, tmp_path)
    assert frozen.trade_rows == []
    assert "frozen" in frozen.reasons
    assert all("frozen" in row[6].split() for row in frozen.block_rows)
    flag.unlink()
    go_on(session, 40)
    assert len(session.broker.deals(0)) > 1, "it trades again"
    session.close()


def test_a_frozen_bot_keeps_its_position_until_its_stop_or_target(scenario: Scenario, journal: Path) -> None:
    frozen: list[bool] = []
    session = open_scenario(scenario, journal, frozen=lambda: bool(frozen))
    go_on_until(session, lambda: bool(session.broker.positions()))
    (held,) = session.broker.positions()
    frozen.append(True)
    go_on_until(session, lambda: not session.broker.positions())
    leave = exit_of(session, held.ticket)
    assert leave.reason in (DealReason.STOP, DealReason.TARGET), "closed by the server"
    session.close()


def exit_of(session: PaperSession, position: int) -> Deal:
    (leave,) = [deal for deal in session.broker.deals(0) if (deal.position, deal.entry) == (position, DealEntry.OUT)]
    return leave


def test_the_freeze_fails_closed(tmp_path: Path) -> None:
    assert not is_frozen(tmp_path / "logs" / "frozen.flag")
    (tmp_path / "logs").write_text("not a folder")
    assert is_frozen(tmp_path / "logs" / "frozen.flag"), "a flag that cannot be looked up counts as set"


@pytest.mark.skipif(os.name == "nt", reason="needs a privilege on Windows")
def test_a_flag_that_leads_nowhere_still_freezes(tmp_path: Path) -> None:
    (tmp_path / "frozen.flag").symlink_to(tmp_path / "missing")
    assert is_frozen(tmp_path / "frozen.flag")


def test_missed_bars_are_counted_and_only_the_newest_is_acted_on(scenario: Scenario, journal: Path) -> None:
    session = open_scenario(scenario, journal)
    go_on(session, 3)
    for _ in range(5):
        session.server.advance()
    assert session.bot.cycle() is True
    assert (session.bot.status.bars_processed, session.bot.status.bars_missed) == (4, 4)
    assert session.bot.status.last_bar == session.broker.quote().time
    assert session.bot.cycle() is False, "once per bar"
    session.close()


def test_a_closed_market_misses_no_bars(journal: Path) -> None:
    whole = planted_bars(60)
    bars = whole.drop(index=range(WARM_UP + 10, WARM_UP + 30)).reset_index(drop=True)
    session = open_scenario(Scenario(bars), journal)
    finish(session)
    assert (session.bot.status.bars_processed, session.bot.status.bars_missed) == (40, 0)
    session.close()


def test_more_bars_missed_than_a_window_holds_are_all_counted(scenario: Scenario, journal: Path) -> None:
    short = replace(scenario, first=20)
    session = open_scenario(short, journal)
    go_on(session, 1)
    for _ in range(WARM_UP + 40):
        session.server.advance()
    session.bot.cycle()
    assert session.bot.status.bars_missed == WARM_UP + 39
    session.close()


class Cut(BaseException):
    """The bot's process ends here."""


def test_an_order_that_was_never_sent_is_dropped_once_it_is_stale(
    scenario: Scenario, journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(self: Mt5Broker, request: OrderRequest) -> None:
        raise Cut

    session = open_scenario(scenario, journal)
    with monkeypatch.context() as broken, pytest.raises(Cut):
        broken.setattr(Mt5Broker, "send", cut)
        finish(session)
    (intent,) = session.journal.open_intents()
    session.server.advance()
    session.close()
    session = open_scenario(scenario, journal)
    assert session.journal.open_intents() == []
    row = session.journal.intent(intent.id)
    assert row is not None
    assert row["state"] == "rejected"
    assert len(session.broker.deals(0)) == 1, "nothing but the deposit"
    (block,) = [row for row in session_outcome(session, scenario, tmp_path).block_rows if row[5] == "market_closed"]
    assert block[6] == "market_closed"
    session.close()


def foreign_order(session: PaperSession, volume: float = 0.01) -> OrderRequest:
    bid = session.broker.quote().bid
    return OrderRequest(1, volume, bid - 400.0, bid + 400.0, 0, SOMEONE_ELSE, "by hand")


def test_foreign_positions_are_reported_once_and_never_touched(
    journal: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scenario = Scenario(planted_bars(120))
    session = open_scenario(scenario, journal)
    go_on(session, 2)
    go_on_until(session, lambda: not session.broker.positions())
    balance = session.broker.account().balance
    assert session.broker.send(foreign_order(session)).outcome == Outcome.FILLED
    (foreign,) = session.broker.positions()
    own_trades = len(session.journal.trades())
    with caplog.at_level(logging.WARNING):
        go_on_until(session, lambda: not session.broker.positions())
    assert len([record for record in caplog.records if "someone else" in record.message]) == 1
    leave = exit_of(session, foreign.ticket)
    assert (leave.reason in (DealReason.STOP, DealReason.TARGET), leave.magic) == (True, SOMEONE_ELSE)
    assert len(session.journal.trades()) == own_trades, "not a trade of this bot"
    assert session.bot.status.cash == pytest.approx(balance + leave.profit + leave.swap), "but the same money"
    refused = [row for row in session_outcome(session, scenario, tmp_path).block_rows if row[5] == "volume"]
    assert refused, "the broker takes no second position here"
    session.close()


def test_a_position_closed_by_hand_is_booked_as_manual(scenario: Scenario, journal: Path, tmp_path: Path) -> None:
    session = open_scenario(scenario, journal)
    go_on_until(session, lambda: bool(session.broker.positions()))
    session.close()
    session = open_scenario(scenario, journal)
    (held,) = session.broker.positions()
    session.broker.send(OrderRequest(-held.side, held.volume, 0.0, 0.0, held.ticket, 0, ""))
    session.server.advance()
    session.bot.cycle()
    assert session_outcome(session, scenario, tmp_path).trade_rows[-1][8] == "manual"
    assert session.bot.status.cash == session.broker.account().balance
    session.close()


def test_a_position_of_an_unknown_order_stops_a_new_journal(scenario: Scenario, journal: Path) -> None:
    session = open_scenario(live(scenario), journal)
    go_on_until(session, lambda: bool(session.broker.positions()))
    session.close()
    for file in journal_files(journal)[:3]:
        file.unlink(missing_ok=True)
    with pytest.raises(BrokerError, match="it is new or an older copy"):
        open_scenario(live(scenario), journal)


def test_the_hard_halt_survives_restarts_and_lifts_with_the_starting_balance(journal: Path) -> None:
    wild = {
        "costs": {"spread": 30.0},
        "dynamic_position_sizing": {"risk_percent": 4.0},
        "risk_management": {"sl_atr_mult": 5.0, "tp_atr_mult": 1.0, "max_spread_atr": 1.0},
    }
    tight = live(Scenario(planted_bars(500)), settings_with(max_total_drawdown_pct=2.0, **wild))
    session = open_scenario(tight, journal)
    go_on_until(session, lambda: bool(session.bot.status.guard.halted))
    session.close()

    wider = live(tight, settings_with(max_total_drawdown_pct=80.0, **wild))
    session = open_scenario(wider, journal)
    go_on(session, 30)
    assert session.bot.status.guard.halted == 1, "a wider limit does not lift it"
    assert session.broker.positions() == [], "and it has closed what was open"
    session.close()

    lifted = live(tight, settings_with(max_total_drawdown_pct=80.0, risk_profile={"starting_balance_usd": 480}, **wild))
    session = open_scenario(lifted, journal)
    go_on(session, 30)
    assert session.bot.status.guard.halted == 0
    assert session.broker.deals(session.bot.status.last_deal - 1), "it trades again"
    deposits = [deal.profit for deal in session.broker.deals(0) if deal.entry == DealEntry.BALANCE]
    assert deposits == [500.0], "the changed balance is no deposit"
    session.close()


class HandClock:
    """Shows the time it was set to."""

    def __init__(self, time: float) -> None:
        self.time = time

    def now(self) -> float:
        """Return UTC epoch seconds."""
        return self.time


def open_live(journal: Path, scenario: Scenario, clock: HandClock) -> PaperSession:
    return open_session(
        live_market(journal, clock.now(), USUAL),
        scenario.settings,
        scenario.ml_settings,
        scenario.models,
        journal,
        SilentNotifier(),
        news=None,
        frozen=lambda: False,
        durable=True,
        now=clock.now,
    )


def test_real_time_paper_keeps_pace_with_the_clock_and_finds_its_market_again(
    scenario: Scenario, journal: Path
) -> None:
    clock = HandClock(1_717_200_000.0 + 400.0)
    session = open_live(journal, scenario, clock)
    pace = PacedMarket(session.server, clock.now)
    assert pace.catch_up() == 0
    assert session.bot.cycle() is True, "the newest closed bar is there at once"
    clock.time += 400.0
    assert (pace.catch_up(), session.bot.cycle()) == (0, False)
    clock.time += 200.0
    assert (pace.catch_up(), session.bot.cycle()) == (1, True)
    first = session.broker.closed_bars(3)
    session.close()

    clock.time += 3 * 900.0
    session = open_live(journal, scenario, clock)
    assert session.broker.closed_bars(6).iloc[:3]["close"].tolist() == first["close"].tolist()
    assert session.broker.quote().time <= clock.time < session.server.next_close, "the market went on meanwhile"
    session.bot.cycle()
    assert (session.bot.status.bars_processed, session.bot.status.bars_missed) == (3, 2)
    session.close()


def test_a_start_that_died_between_its_files_is_no_other_market(scenario: Scenario, journal: Path) -> None:
    clock = HandClock(1_717_200_000.0)
    session = open_live(journal, scenario, clock)
    session.close()
    journal.unlink()
    clock.time += 5_000.0
    session = open_live(journal, scenario, clock)
    assert session.bot.cycle() is True
    session.close()


def test_once_acts_on_the_newest_bar_and_health_tells_of_it(desk: Desk, tmp_path: Path) -> None:
    once = run_script("trading.py", *desk.flags, "--paper", "--once", "--trades", "trades.csv", cwd=tmp_path)
    assert once.code == 0, once.err
    assert "SYNTHETIC DATA" in once.out
    assert "1 bars processed, 0 missed" in once.out
    assert (tmp_path / "trades.csv").read_text().startswith("entry_time,side,")
    health = run_script("trading.py", "--health", cwd=tmp_path)
    assert health.code == 0
    for line in ("embedded market", "signal: rf", "1 processed, 0 missed", "balance 500.00 USD", "none latched"):
        assert line in health.out


@pytest.mark.skipif(os.name == "nt", reason="signals cannot be sent to one process of a Windows console")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_replay_cleanly_and_the_next_start_resumes(desk: Desk, tmp_path: Path, name: str) -> None:
    first = TRAIN_BARS + 500
    deployment: Deployment = deploy(desk, tmp_path, first, 600)
    expected = deployment.backtest_trades()
    with deployment.running("--trades", "cut.csv") as process:
        deployment.wait_for_bar(first + 50, lambda: process.poll() is None)
        process.send_signal(getattr(signal, name))
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert err.rstrip().endswith("interrupted")
    assert "Traceback" not in err
    assert not (tmp_path / "cut.csv").exists(), "half a replay is no result"
    assert deployment.replay_trades() == expected
