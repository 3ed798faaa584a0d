"""The program itself, as a process, over the bridge: it trades, shows its health, and ends when told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from bridge_module import TOKEN, serving
from desk import Desk
from live_runs import LiveDesk
from paper_runs import WARM_UP, Scenario, planted_bars

from novosky.data.synthetic import synthetic_bars
from novosky.settings import load_settings

ROOT = Path(__file__).resolve().parents[1]
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


def test_sigterm_ends_the_running_program_cleanly(desk: Desk, tmp_path: Path) -> None:
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
    with serving(live.parts().reach.connect(), any_terminal=True) as server:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "NOVOSKY_BROKER": "bridge",
            "NOVOSKY_BRIDGE_URL": server.url,
            "NOVOSKY_BRIDGE_TOKEN": TOKEN,
            "MT5_LOGIN": str(live.server.terms.login),
            "MT5_SERVER": live.server.terms.server,
        }
        files = ["--config", "config.json", "--ml-config", str(desk.ml_config), "--models", str(desk.models)]
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "trading.py"), *files, "--trades", "trades.csv"],
            cwd=tmp_path,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
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
