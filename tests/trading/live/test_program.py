"""The program itself, as a process, over the bridge: it trades, shows its health, and ends when told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from novosky.data.synthetic import synthetic_bars
from novosky.log import LOG_FILE
from novosky.settings import load_settings
from tests.helpers.bridge_module import TOKEN, serving
from tests.helpers.desk import Desk
from tests.helpers.live_runs import LiveDesk
from tests.helpers.paper_runs import WARM_UP, Scenario, planted_bars
from tests.hosts.ports import own_port
from trading.brokers.bridge.server import BridgeServer

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 60.0

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGTERM is POSIX")


def health_of(folder: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for the first processed bar."""
    file, until = folder / "logs" / "health.json", time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        if file.exists() and json.loads(file.read_text())["bars_processed"]:
            break
        time.sleep(0.05)
    assert file.exists(), process.communicate(timeout=5)[1]
    return dict(json.loads(file.read_text()))


def waits_for_the_broker(folder: Path, process: subprocess.Popen[str]) -> bool:
    """Wait until the program says that the broker is away."""
    log, until = folder / "logs" / LOG_FILE, time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        if log.exists() and "the broker cannot be asked, the bot waits" in log.read_text():
            return True
        time.sleep(0.05)
    return False


@dataclass
class World:
    """Where the program runs and what it is to find there."""

    live: LiveDesk
    folder: Path
    files: list[str]
    port: int

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "NOVOSKY_BROKER": "bridge",
            "NOVOSKY_BRIDGE_URL": f"http://127.0.0.1:{self.port}",
            "NOVOSKY_BRIDGE_TOKEN": TOKEN,
            "MT5_LOGIN": str(self.live.server.terms.login),
            "MT5_SERVER": self.live.server.terms.server,
        }
        return subprocess.Popen(
            [sys.executable, str(ROOT / "trading.py"), *self.files, *arguments],
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def bridge(self) -> AbstractContextManager[BridgeServer]:
        return serving(self.live.parts().reach.connect(), any_terminal=True, port=self.port)


@pytest.fixture
def world(desk: Desk, tmp_path: Path) -> Iterator[World]:
    """A market of which the last bar has just closed, and what the program is to be started with."""
    now = int(time.time()) // 900 * 900
    start = pd.Timestamp(now - (WARM_UP + 2) * 900, unit="s", tz="UTC")
    bars = synthetic_bars("planted", WARM_UP + 10, seed=3, start=start.isoformat())
    config = json.loads(desk.config.read_text())
    config["news"] = {"base_url": "http://127.0.0.1:9"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    scenario = replace(Scenario(planted_bars(1)), bars=bars, settings=load_settings(tmp_path / "config.json"))
    live = LiveDesk(scenario, tmp_path)
    while live.server.next_close <= now:
        live.server.advance()
    files = ["--config", "config.json", "--ml-config", str(desk.ml_config), "--models", str(desk.models)]
    with own_port() as port:
        yield World(live, tmp_path, files, port)


def test_sigterm_ends_the_running_program_cleanly(world: World, tmp_path: Path) -> None:
    with world.bridge():
        process = world.start("--trades", "trades.csv")
        try:
            assert health_of(tmp_path, process)["state"] == "running"
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == 130, errors
    assert json.loads((tmp_path / "logs" / "health.json").read_text())["state"] == "stopped"
    assert (tmp_path / "trades.csv").exists()
    assert TOKEN not in errors


def test_the_very_first_start_waits_for_a_broker_that_is_away_and_trades_when_it_is_back(
    world: World, tmp_path: Path
) -> None:
    process = world.start()
    try:
        assert waits_for_the_broker(tmp_path, process), process.communicate(timeout=5)[1]
        assert process.poll() is None
        with world.bridge():
            assert health_of(tmp_path, process)["state"] == "running"
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
