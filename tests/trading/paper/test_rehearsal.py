"""A file of past bars comes to pass from now on, and a live bot trades it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ml.feature_engineering import live_window_bars
from ml.load_models import load_deployment
from ml.sets.deployment import Deployment
from novosky.data.store import load_bars
from novosky.data.synthetic import synthetic_bars
from novosky.errors import DataError, StorageError, UsageError
from novosky.market.bars import epoch_seconds
from novosky.market.news import NewsCalendar
from novosky.market.timeframe import DAY_SECONDS, USUAL, WEEK_SECONDS
from tests.helpers.bridge_module import TOKEN
from tests.helpers.command_line import ROOT
from tests.helpers.desk import Desk
from tests.hosts.ports import own_port
from trading.brokers.bridge.simulated import simulated_market
from trading.brokers.mt5.entry import TerminalReach
from trading.brokers.mt5.module import TerminalModule
from trading.brokers.mt5.terms import Access
from trading.cycle.news import FixedNews
from trading.live.parts import LiveParts
from trading.live.session import live_session
from trading.paper.rehearsal import (
    Pace,
    Placement,
    RehearsalClock,
    RehearsedServer,
    client_lines,
    keep_placement,
    kept_placement,
    placement_file,
    placement_of,
    rehearsal_clock,
    shifted,
)

NOW = 1_767_225_123.0
"""2025-12-31 23:52:03 UTC, a Wednesday."""
HISTORY = 20


def bars_of(count: int, start: str = "2024-03-01") -> pd.DataFrame:
    return synthetic_bars("planted", count, seed=3, start=start)


@pytest.mark.parametrize(("more", "step"), [(700, WEEK_SECONDS), (120, DAY_SECONDS), (5, 900)])
def test_bars_move_by_whole_weeks_where_there_are_enough_else_by_days_else_by_bars(more: int, step: int) -> None:
    bars = bars_of(HISTORY + more)
    placement = placement_of(bars, USUAL, HISTORY, NOW)
    assert placement.shift % step == 0
    assert placement.first >= HISTORY
    opens = epoch_seconds(shifted(bars, placement.shift))
    assert opens[placement.first] == int(NOW) // 900 * 900, "the market opens with the quarter that holds now"


def test_a_file_with_a_closed_market_now_opens_with_its_next_bar() -> None:
    bars = bars_of(HISTORY + 1400)
    opens = epoch_seconds(bars)
    placement = placement_of(bars, USUAL, HISTORY, NOW)
    # Without the bars of the hour in which now falls.
    hour = (opens + placement.shift) // 3600 != int(NOW) // 3600
    holed = bars[hour].reset_index(drop=True)
    found = placement_of(holed, USUAL, HISTORY, NOW)
    assert found.shift == placement.shift
    assert epoch_seconds(shifted(holed, found.shift))[found.first] == int(NOW) // 3600 * 3600 + 3600


def test_too_few_bars_are_refused() -> None:
    with pytest.raises(DataError, match="two must follow"):
        placement_of(bars_of(HISTORY + 1), USUAL, HISTORY, NOW)


def test_the_placement_of_a_kept_account_is_found_again_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    account = tmp_path / "account.sqlite"
    assert kept_placement(account, USUAL) is None
    keep_placement(account, Placement(WEEK_SECONDS, 30))
    assert kept_placement(account, USUAL) is None, "without the account it places nothing"
    account.touch()
    assert kept_placement(account, USUAL) == Placement(WEEK_SECONDS, 30)
    for text in ("{}", "[", '{"shift": 7, "first": 30}', '{"shift": 900, "first": 0}'):
        placement_file(account).write_text(text)
        with pytest.raises(StorageError, match=r"rehearsal\.json is damaged"):
            kept_placement(account, USUAL)


def account(login: int, server: str, *, real: bool) -> TerminalReach:
    def connect() -> TerminalModule:
        raise AssertionError("nothing is asked")

    return TerminalReach(Access(login, server, real), connect, renewable=True)


def test_a_rehearsals_clock_travels_in_the_line_the_bridge_prints() -> None:
    pace = Pace(1000.0, 2000.0, 30.0)
    lines = dict(line.split("=", 1) for line in client_lines("http://127.0.0.1:1", pace, "..."))
    clock = rehearsal_clock(lines, account(int(lines["MT5_LOGIN"]), lines["MT5_SERVER"], real=False))
    assert clock is not None
    assert clock.pace == pace
    assert RehearsalClock(pace, lambda: 2010.0).now() == 1300.0
    own = client_lines("http://127.0.0.1:1", Pace(5.0, 5.0, 1.0), "...")
    assert not any(line.startswith("NOVOSKY_REHEARSAL") for line in own), "time's own pace needs no other clock"
    assert rehearsal_clock({}, account(1, "Simulated-Demo", real=False)) is None


@pytest.mark.parametrize(
    ("text", "login", "server", "real"),
    [
        ("1000,1000,30", 12345, "Broker-Live", False),
        ("1000,1000,30", 1, "Broker-Live", False),
        ("1000,1000,30", 1, "Simulated-Demo", True),
        ("1000,1000", 1, "Simulated-Demo", False),
        ("1000,1000,0", 1, "Simulated-Demo", False),
        ("1000,nan,30", 1, "Simulated-Demo", False),
        ("a,b,c", 1, "Simulated-Demo", False),
    ],
)
def test_another_clock_never_meets_another_account(text: str, login: int, server: str, real: bool) -> None:
    with pytest.raises(UsageError, match="NOVOSKY_REHEARSAL"):
        rehearsal_clock({"NOVOSKY_REHEARSAL": text}, account(login, server, real=real))


class Wall:
    """A clock on the wall that only waiting moves."""

    def __init__(self, moment: float) -> None:
        self.moment = moment

    def now(self) -> float:
        return self.moment

    def sleep(self, seconds: float) -> None:
        self.moment += max(0.0, seconds)


class Served:
    """A terminal that looks at its market's clock before each call, as a bridge does."""

    def __init__(self, terminal: Any, before: Callable[[], None]) -> None:
        self._terminal, self._before = terminal, before

    def __getattr__(self, name: str) -> Any:
        self._before()
        return getattr(self._terminal, name)


@pytest.mark.parametrize("late", [0.0, 40.0, 600.0])
def test_a_live_bot_enters_and_closes_trades_of_a_file_of_another_year(desk: Desk, tmp_path: Path, late: float) -> None:
    settings, ml_settings, models = load_deployment(
        Deployment(desk.models, desk.config, desk.ml_config), lambda stated: stated
    )
    frame, wall = load_bars(desk.bars), Wall(NOW // 900 * 900 + late)
    assert frame["time"].iloc[-1].year < 2025
    placement = placement_of(frame, USUAL, live_window_bars(USUAL), wall.now())
    moved = shifted(frame, placement.shift)
    terminal, paced = simulated_market(moved, settings, ml_settings, 1.0, wall.now, None, placement.first)
    served = Served(terminal, RehearsedServer(paced.server, wall.now).catch_up)
    parts = LiveParts(
        settings=settings,
        ml_settings=ml_settings,
        models=models,
        reach=TerminalReach(Access(1, "Simulated-Demo", real=False), lambda: served, renewable=False),
        folder=tmp_path,
        journal=tmp_path / "novosky.sqlite",
        news=FixedNews(NewsCalendar.from_times(np.empty(0, dtype=np.int64))),
        clock=wall,
        wait=lambda seconds, switches: wall.sleep(seconds),
        rng=Random(1),
        new_code=lambda: "1",
        durable=False,
    )
    until = wall.now() + 2 * 86_400
    with live_session(parts) as session:
        session.run(lambda: len(session.journal.trades()) >= 2 or wall.now() > until)
        refused = [row for row in session.journal.blocks() if row["gates"] == "market_closed"]
        trades = session.tables.trades.read_text().splitlines()[1:]
    assert len(trades) >= 2, "in two days of an eager set"
    assert trades[0][:10] >= "2025-12-31"
    assert len(refused) <= 1, "only what was decided on the bar before the start may be stale"


@pytest.fixture
def port() -> Iterator[int]:
    """Where the printed commands serve."""
    with own_port() as number:
        yield number


@pytest.mark.skipif(os.name == "nt", reason="SIGTERM is POSIX")
def test_the_commands_as_printed_trade_at_a_faster_pace(desk: Desk, port: int, tmp_path: Path) -> None:
    config = json.loads(desk.config.read_text()) | {"news": {"base_url": "http://127.0.0.1:9"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    files = ["--config", "config.json", "--ml-config", str(desk.ml_config)]
    environment = os.environ | {"NOVOSKY_BRIDGE_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}
    code = "from commands.main import main; main()"
    serve = [sys.executable, "-u", "-c", code, "bridge", "serve", *files]
    serve += ["--simulated", str(desk.bars), "--port", str(port), "--pace", "250"]
    options: dict[str, Any] = {"cwd": tmp_path, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(serve, env=environment, **options) as bridge:
        try:
            printed: dict[str, str] = {}
            assert bridge.stdout is not None
            while "NOVOSKY_REHEARSAL" not in printed:
                line = bridge.stdout.readline()
                assert line, "the bridge has ended"
                found = re.fullmatch(r"  ([A-Z0-9_]+)=(.*)\n", line)
                printed |= {} if found is None else {found[1]: found[2]}
            told = environment | printed | {"NOVOSKY_BRIDGE_TOKEN": TOKEN}
            program = [sys.executable, "-u", str(ROOT / "trading.py"), *files, "--models", str(desk.models)]
            with subprocess.Popen(program, env=told, **options) as bot:
                try:
                    assert traded(tmp_path / "logs" / "trades.csv", bot), "no trade closed within three minutes"
                    bot.send_signal(signal.SIGTERM)
                    assert bot.wait(30) == 130
                finally:
                    bot.kill()
        finally:
            bridge.kill()


def traded(table: Path, bot: subprocess.Popen[str]) -> bool:
    until = time.monotonic() + 180.0
    while time.monotonic() < until and bot.poll() is None:
        if table.exists() and len(table.read_text().splitlines()) > 1:
            return True
        time.sleep(0.5)
    return False
