"""Health: a beat per processed bar, a verdict by the clock and the market's hours, exit codes for a watchdog."""

from __future__ import annotations

import dataclasses
import json
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.records import Guard, new_record
from novosky.errors import StorageError
from novosky.market.instrument import BOT_MAGIC as MAGIC
from novosky.settings import Settings
from tests.helpers.command_line import run_script
from tests.helpers.desk import Desk
from tests.helpers.paper_runs import settings_with
from trading.brokers.port import Position
from trading.journal import BotStatus
from trading.reports.health import (
    Health,
    Heartbeat,
    Verdict,
    health_file,
    is_running,
    judge_health,
    read_health,
    shown_identity,
    shown_models,
)

BAR = 900
MONDAY = 1_717_372_800
"""2024-06-03 00:00 UTC."""
OWN = Position(7, -1, 0.02, MONDAY, 70_000.0, 70_500.0, 69_500.0, 0.0, 1.5, 2.8, MAGIC, "e1")


def status_at(last_bar: int, **other: object) -> BotStatus:
    guard = new_record(Guard)
    guard.equity = 512.345
    status = BotStatus("embedded market:1", last_bar, 40, 2, 9, 510.0, guard, "rf=a.pkl", finished=False)
    return dataclasses.replace(status, **other)  # type: ignore[arg-type]


def health_at(
    folder: Path,
    status: BotStatus,
    positions: list[Position] | None = None,
    *,
    now: float = MONDAY,
    settings: Settings | None = None,
) -> Health:
    path = folder / "health.json"
    look: Callable[[], tuple[BotStatus, list[Position]]] = lambda: (status, positions or [])  # noqa: E731
    Heartbeat(path, settings or settings_with(), "f00d", look, lambda: now).beat()
    health = read_health(path)
    assert health is not None
    return health


def test_a_beat_tells_everything_and_reads_back(tmp_path: Path) -> None:
    foreign = dataclasses.replace(OWN, ticket=8, magic=0)
    status = status_at(MONDAY)
    status.guard.week_blocked = 1
    health = health_at(tmp_path, status, [foreign, OWN], now=MONDAY + 3.7)
    assert (health.state, health.started, health.written) == ("running", MONDAY + 3, MONDAY + 3)
    assert (health.last_bar, health.bars_processed, health.bars_missed) == (MONDAY, 40, 2)
    assert (health.equity, health.balance) == (512.35, 510.0)
    assert health.position is not None
    assert (health.position.ticket, health.position.side, health.position.sl) == (7, -1, 70_500.0)
    assert health.breakers == ("week",)
    assert (health.models, health.fingerprint) == ("rf=a.pkl", "f00d")
    assert {"novosky", "python", "lightgbm"} <= health.versions.keys()
    assert health.pid > 0


def test_the_file_lies_beside_the_journal() -> None:
    assert health_file(Path("logs/paper.sqlite")) == Path("logs/health.json")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', "null", "\ufffd"])
def test_another_file_in_its_place_is_an_error_with_a_mend(tmp_path: Path, content: str) -> None:
    (tmp_path / "health.json").write_text(content, encoding="utf-8")
    with pytest.raises(StorageError, match="remove it, the bot writes it anew"):
        read_health(tmp_path / "health.json")


def test_no_file_is_none(tmp_path: Path) -> None:
    assert read_health(tmp_path / "health.json") is None


def test_a_beat_that_cannot_be_written_is_logged_and_the_bot_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "taken").write_text("a file")
    heartbeat = Heartbeat(tmp_path / "taken" / "health.json", settings_with(), "", lambda: (status_at(0), []), float)
    with caplog.at_level(logging.ERROR):
        heartbeat.beat()
    assert "could not be written" in caplog.text


@pytest.mark.parametrize(
    ("error", "state"), [(None, "stopped"), (KeyboardInterrupt(), "stopped"), (ValueError("a defect"), "running")]
)
def test_only_a_clean_end_is_called_one(tmp_path: Path, error: BaseException | None, state: str) -> None:
    path = tmp_path / "health.json"

    def run() -> None:
        with Heartbeat(path, settings_with(), "", lambda: (status_at(MONDAY), []), lambda: MONDAY):
            if error is not None:
                raise error

    if error is None:
        run()
    else:
        with pytest.raises(type(error)):
            run()
    health = read_health(path)
    assert health is not None
    assert health.state == state


@pytest.mark.parametrize(
    ("seconds", "healthy"), [(0, True), (BAR, True), (3 * BAR - 1, True), (3 * BAR, False), (90 * BAR, False)]
)
def test_two_unanswered_bars_are_tolerated_three_are_not(seconds: int, healthy: bool) -> None:
    assert judge_health(status_at(MONDAY), None, MONDAY + seconds).healthy is healthy


def test_the_tolerance_can_be_chosen() -> None:
    assert judge_health(status_at(MONDAY), None, MONDAY + BAR, most_behind=0).healthy is False
    assert judge_health(status_at(MONDAY), None, MONDAY + 10 * BAR, most_behind=10).healthy is True


def test_the_reason_counts_the_bars_and_names_the_mend() -> None:
    assert judge_health(status_at(MONDAY), None, MONDAY + 5 * BAR) == Verdict(
        False, "5 bars have closed unanswered, 2 are tolerated; see its log, then restart it"
    )


def test_a_closed_market_owes_no_bars(tmp_path: Path) -> None:
    closed = settings_with(broker={"server_clock": "UTC", "trading_hours": {"monday": "12:00-24:00"}})
    status = status_at(MONDAY)
    health = health_at(tmp_path, status, settings=closed)
    noon = MONDAY + 12 * 3600
    assert judge_health(status, health, noon + 2 * BAR).healthy is True
    assert judge_health(status, health, noon + 3 * BAR).healthy is False


def test_pauses_and_the_hours_after_a_session_over_midnight_owe_no_bars(tmp_path: Path) -> None:
    hours = {"sunday": "22:00-06:00", "monday": "08:00-10:00, 12:00-24:00"}
    settings = settings_with(broker={"server_clock": "UTC", "trading_hours": hours})
    status = status_at(MONDAY + 6 * 3600)
    health = health_at(tmp_path, status, settings=settings)
    for hour, healthy in ((8, True), (8.5, True), (8.75, False)):
        assert judge_health(status, health, MONDAY + hour * 3600).healthy is healthy
    status = status_at(MONDAY + 10 * 3600)
    health = health_at(tmp_path, status, settings=settings)
    for hour, healthy in ((12, True), (12.5, True), (12.75, False)):
        assert judge_health(status, health, MONDAY + hour * 3600).healthy is healthy
    status = status_at(MONDAY + 3600)
    health = health_at(tmp_path, status, settings=settings)
    assert judge_health(status, health, MONDAY + 2 * 3600).healthy is False, "Sunday's session is still on"


def test_a_clock_that_is_off_is_unhealthy_with_its_number(tmp_path: Path) -> None:
    status = status_at(MONDAY)
    health = dataclasses.replace(
        health_at(tmp_path, status), clock="the newest quotes are 300 s behind this machine's clock"
    )
    verdict = judge_health(status, health, MONDAY + 60.0)
    assert verdict.healthy is False and verdict.reason == health.clock


def test_a_health_file_from_before_the_clocks_were_compared_is_read(tmp_path: Path) -> None:
    health = health_at(tmp_path, status_at(MONDAY))
    content = json.loads(json.dumps(dataclasses.asdict(health)))
    del content["clock"]
    (tmp_path / "old.json").write_text(json.dumps(content), encoding="utf-8")
    assert read_health(tmp_path / "old.json") == health


def test_a_health_file_of_another_account_is_not_believed(tmp_path: Path) -> None:
    closed = settings_with(broker={"server_clock": "UTC", "trading_hours": {"monday": "closed"}})
    health = health_at(tmp_path, status_at(MONDAY, identity="another:2"), settings=closed)
    assert judge_health(status_at(MONDAY), health, MONDAY + 5 * BAR).healthy is False


def test_a_bot_that_has_just_started_has_time_for_its_first_bar(tmp_path: Path) -> None:
    status = status_at(0)
    health = health_at(tmp_path, status, now=MONDAY + 100)
    assert judge_health(status, health, MONDAY + 200).healthy is True
    assert judge_health(status, health, MONDAY + 4 * BAR).healthy is False


def test_a_bot_that_never_processed_a_bar_is_not_healthy() -> None:
    verdict = judge_health(status_at(0), None, MONDAY)
    assert verdict.healthy is False
    assert "no bar was ever processed" in verdict.reason


def test_a_bar_from_the_future_accuses_the_clock() -> None:
    verdict = judge_health(status_at(MONDAY + 2 * BAR), None, MONDAY)
    assert verdict.healthy is False
    assert "set this machine's clock" in verdict.reason


@pytest.mark.parametrize("bars", [0, 1, 9])
def test_a_clean_stop_is_not_health_and_says_since_when(tmp_path: Path, bars: int) -> None:
    status = status_at(MONDAY)
    health = dataclasses.replace(health_at(tmp_path, status), state="stopped")
    verdict = judge_health(status, health, MONDAY + bars * BAR)
    assert (verdict.healthy, verdict.word) == (False, "STOPPED")
    assert "2024-06-03T00:00:00Z" in verdict.reason


def test_a_run_for_one_bar_is_judged_by_the_bars_alone(tmp_path: Path) -> None:
    status = status_at(MONDAY)
    health = dataclasses.replace(health_at(tmp_path, status), state="once")
    assert judge_health(status, health, MONDAY + BAR, running=False).healthy is True
    assert judge_health(status, health, MONDAY + 9 * BAR, running=False).word == "STALE"


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.helpers.paper_runs import settings_with
from tests.trading.reports.test_health import MONDAY, status_at
from trading.reports.health import Heartbeat
with Heartbeat(Path(sys.argv[1]), settings_with(), "", lambda: (status_at(MONDAY), []), lambda: MONDAY):
    print("beats", flush=True)
    time.sleep(120)
"""


def test_a_killed_process_is_missed_at_once(tmp_path: Path, root: Path) -> None:
    path = tmp_path / "health.json"
    assert is_running(path) is None
    command = [sys.executable, "-c", KILLED, str(path), str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().strip() == "beats"
            health = read_health(path)
            assert is_running(path) is True
            assert judge_health(status_at(MONDAY), health, MONDAY + 10, running=True).healthy is True
        finally:
            process.kill()
    assert is_running(path) is False
    verdict = judge_health(status_at(MONDAY), health, MONDAY + 10, running=False)
    assert (verdict.healthy, verdict.word) == (False, "STOPPED")
    assert str(process.pid) in verdict.reason


def test_what_programs_compare_is_not_shown_to_people() -> None:
    live = "demo account ...123 on Broker-Demo, BTCUSD (0123456789ab)"
    assert shown_identity(live) == "demo account ...123 on Broker-Demo, BTCUSD"
    assert shown_identity("embedded market:521cd0d55173c71e") == "embedded market"
    files = "rf=a_rf_calibrated.pkl, xgb=a_xgb.onnx, lgb=a_lgb.pkl, risk lgb=risk_lgb.txt"
    assert shown_models(files) == "signal: rf (calibrated), xgb (ONNX), lgb (raw); risk: lgb"
    assert (
        shown_models("SYNTHETIC (planted market): scaler=s.pkl, rf=a.pkl")
        == "SYNTHETIC (planted market): signal: rf (raw)"
    )
    assert shown_models("") == "none yet"


@pytest.mark.parametrize("other", [{"identity": "replay of x.parquet:1"}, {"finished": True}])
def test_a_replay_is_not_judged_by_the_clock(other: dict[str, object]) -> None:
    assert judge_health(status_at(MONDAY, **other), None, MONDAY + 999 * BAR).healthy is True


def test_the_command_exits_1_when_the_bot_has_fallen_behind(desk: Desk, tmp_path: Path) -> None:
    once = run_script("trading.py", *desk.flags, "--paper", "--once", cwd=tmp_path)
    assert once.code == 0, once.err
    health = json.loads((tmp_path / "logs" / "health.json").read_text())
    assert (health["state"], health["bars_processed"]) == ("once", 1)
    answer = run_script("trading.py", "--health", cwd=tmp_path)
    assert answer.code == 0, answer.out
    for line in ("process        once, pid ", "position       ", "healthy        "):
        assert f"\n{line}" in answer.out
    with closing(sqlite3.connect(tmp_path / "logs" / "paper.sqlite")) as connection, connection:
        connection.execute("UPDATE bot_status SET last_bar = last_bar - ?", (5 * BAR,))
    stale = run_script("trading.py", "--health", cwd=tmp_path)
    assert stale.code == 1
    assert "STALE          " in stale.out
    assert "bars have closed unanswered" in stale.out
    assert run_script("trading.py", "--health", "--stale-bars", 6, cwd=tmp_path).code == 0


def test_the_command_names_a_freeze(desk: Desk, tmp_path: Path) -> None:
    assert run_script("trading.py", *desk.flags, "--paper", "--once", cwd=tmp_path).code == 0
    (tmp_path / "logs" / "trading_frozen.flag").touch()
    assert "no new entries" in run_script("trading.py", "--health", cwd=tmp_path).out
