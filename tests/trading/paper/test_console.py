"""What a paper bot in real time shows, writes and keeps current while it runs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest

from novosky.data.synthetic import synthetic_bars
from tests.helpers.command_line import ROOT, run_script
from tests.helpers.desk import Desk
from tests.helpers.paper_runs import WARM_UP
from tests.hosts.klines_host import KlinesHost, serving_klines

BAR_LINE = re.compile(r"(\d\d-\d\d )?\d\d:\d\d \d+\.\d\d (flat|(long|short) [\d.]+ [+-][\d.]+), equity [\d.]+, ")


def test_once_tells_start_and_bar_and_leaves_current_tables_and_a_log(desk: Desk, tmp_path: Path) -> None:
    answer = run_script("trading.py", *desk.flags, "--paper", "--once", cwd=tmp_path)
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0].startswith("SYNTHETIC DATA")
    assert lines[1].startswith("ready: BTCUSD M15, flat, equity 500.00 USD, 0 bars processed, next close")
    assert any(line.startswith("models: signal (trained ") for line in lines)
    assert "entries: allowed; the freeze flag is not set" in lines
    assert sum(BAR_LINE.match(line) is not None for line in lines) == 1
    assert all(len(line) <= 80 for line in lines), [line for line in lines if len(line) > 80]
    assert (tmp_path / "logs" / "trades.csv").read_text().startswith("entry_time,side,")
    assert (tmp_path / "logs" / "blocked_signals.csv").read_text().startswith("time,symbol,")
    logged = [json.loads(line)["message"] for line in (tmp_path / "logs" / "novosky.jsonl").read_text().splitlines()]
    assert any(BAR_LINE.match(message) for message in logged)
    again = run_script("trading.py", *desk.flags, "--paper", "--once", cwd=tmp_path)
    assert "resumed: BTCUSD M15, " in again.out
    assert ", 1 bar processed, next close" in again.out.replace("\n  ", " ")


def test_a_paper_bot_beside_a_live_ones_journal_leaves_its_tables_and_log_alone(desk: Desk, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "novosky.sqlite").write_bytes(b"the live bot's")
    (logs / "trades.csv").write_text("real money\n")
    answer = run_script("trading.py", *desk.flags, "--paper", "--once", cwd=tmp_path)
    assert answer.code == 0, answer.err
    assert (logs / "trades.csv").read_text() == "real money\n"
    assert not (logs / "novosky.jsonl").exists()
    assert {path.name for path in (logs / "paper").iterdir()} == {"trades.csv", "blocked_signals.csv", "novosky.jsonl"}


@pytest.fixture
def running(desk: Desk, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-u", str(ROOT / "trading.py"), "--paper", *desk.flags],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as bot:
        try:
            yield bot
        finally:
            bot.kill()


@pytest.mark.skipif(os.name == "nt", reason="signals cannot be sent to one process of a Windows console")
def test_a_freeze_is_said_within_a_poll_and_a_stop_tells_how_to_go_on(
    running: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert running.stdout is not None
    said = [running.stdout.readline()]
    while not BAR_LINE.match(said[-1]):
        assert running.poll() is None, "it ended before its first bar"
        said.append(running.stdout.readline())
    begun = time.monotonic()
    (tmp_path / "logs" / "trading_frozen.flag").touch()
    assert running.stdout.readline().startswith("no new entries: the freeze flag is set")
    assert time.monotonic() - begun < 15.0, "one poll and the slack of a busy machine"
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "stopped: BTCUSD M15, " in out
    assert "the next start goes on from here: python trading.py --paper\n" in out


def real_klines(hours_ahead: int = 1) -> KlinesHost:
    """A venue whose bars reach over the present."""
    now = int(time.time())
    count = WARM_UP + 200
    start = pd.Timestamp((now // 900 - count) * 900, unit="s", tz="UTC")
    return KlinesHost(synthetic_bars("planted", count + 4 * hours_ahead, seed=3, start=start.isoformat()), now)


def test_a_feed_starts_a_paper_account_on_real_prices_and_the_next_start_resumes(desk: Desk, tmp_path: Path) -> None:
    with serving_klines(real_klines()) as host:
        paper = [*desk.flags, "--paper", "--feed", "binance", "--feed-url", host.url, "--once"]
        first = run_script("trading.py", *paper, cwd=tmp_path)
        assert first.code == 0, first.err
        assert first.out.startswith("PAPER: pretend money on real prices of binance BTCUSDT")
        assert "USDT, which is not USD" in first.out
        assert "0 bars processed" in first.out
        assert all(len(line) <= 80 for line in first.out.splitlines())
        host.now += 900.0
        with patch("time.time", lambda: host.now + 6.0):
            second = run_script("trading.py", *paper, cwd=tmp_path)
            other = run_script("trading.py", *desk.flags, "--paper", "--once", cwd=tmp_path)
        assert second.code == 0, second.err
        assert "1 bars processed" in second.out
        assert (other.code, "trades the binance BTCUSDT, this start the embedded market" in other.err) == (2, True)
        host.status = 503
        away = run_script("trading.py", *paper, cwd=tmp_path)
    assert away.code == 10
    assert "HTTP 503" in away.out
    assert "gives no prices now" in away.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--feed", "binance"], "only with --paper"),
        (["--paper", "--feed", "binance", "--replay", "bars.parquet"], "--feed follows the prices of now"),
        (["--paper", "--feed", "mt5", "--feed-url", "http://127.0.0.1:1"], "--feed-url names another host"),
        (["--paper", "--feed-url", "http://127.0.0.1:1"], "--feed-url names another host"),
        (["--paper", "--feed", "bridge", "--once"], "NOVOSKY_BRIDGE_URL"),
    ],
)
def test_contradictions_about_the_feed_are_named(
    desk: Desk, tmp_path: Path, arguments: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOVOSKY_BRIDGE_URL", raising=False)
    answer = run_script("trading.py", *desk.flags, *arguments, cwd=tmp_path)
    assert answer.code == 2
    assert words in answer.err
