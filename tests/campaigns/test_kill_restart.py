"""The bot is killed and started again, at random bars: its trades are those of the undisturbed backtest."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ml.feature_engineering import get_feature_names
from ml.train import train
from novosky.data.store import load_bars
from novosky.market.bars import slice_bars
from novosky.settings import load_ml_settings, load_settings
from tests.helpers.deployments import WILLING, Deployment, Nursery, deploy
from tests.helpers.desk import Desk
from tests.helpers.sets.signal_sets import SMALL_MODELS, TRAIN_BARS
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.simulated.store import SqliteStore
from trading.paper.session import broker_file

BARS = 1_500
KILLS = 20
PROGRAMS = 3
"""So many kills hit a program started from nothing; the others a fork of a warm process, to save its start-up."""

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL and fork are POSIX")


def kill_program_at(deployment: Deployment, bar: int) -> int:
    """Start the program, kill it at a bar, and return the signal it died of."""
    with deployment.running() as process:
        deployment.wait_for_bar(bar, lambda: process.poll() is None)
        process.kill()
        return -process.wait()


def kill_fork_at(deployment: Deployment, nursery: Nursery, bar: int) -> int:
    """Do the same with a process forked from a warm one."""
    process = nursery.start(deployment)
    deployment.wait_for_bar(bar, lambda: True)
    os.kill(process, signal.SIGKILL)
    return nursery.signal_that_ended_it()


def random_bars(first: int, last: int, count: int, seed: int) -> list[int]:
    """Return `count` different rows of the window, ascending."""
    chosen = np.random.default_rng(seed).choice(np.arange(first, last), count, replace=False)
    return sorted(int(bar) for bar in chosen)


def check_books(journal: Path) -> None:
    """Demand that every filled order made one entry, and every trade one exit."""
    store = SqliteStore(broker_file(journal), durable=False)
    deals = [deal for deal in store.deals() if deal.type in (C.DEAL_TYPE_BUY, C.DEAL_TYPE_SELL)]
    store.close()
    entries = [deal.comment for deal in deals if deal.entry == C.DEAL_ENTRY_IN]
    exits = [deal.position_id for deal in deals if deal.entry == C.DEAL_ENTRY_OUT]
    with closing(sqlite3.connect(journal)) as connection:
        filled = connection.execute("SELECT id FROM intents WHERE kind = 'entry' AND state = 'filled'").fetchall()
        (trades,) = connection.execute("SELECT count(*) FROM trades").fetchone()
        (missed,) = connection.execute("SELECT bars_missed FROM bot_status").fetchone()
    assert sorted(entries) == sorted(intent for (intent,) in filled)
    assert len(set(exits)) == len(exits) == trades
    assert missed == 0


def test_twenty_kills(desk: Desk, tmp_path: Path) -> None:
    first = TRAIN_BARS + 500
    deployment = deploy(desk, tmp_path, first, BARS)
    expected = deployment.backtest_trades()
    assert len(expected.splitlines()) > 30, "enough trades to lose some"
    # The last bars are left out: a process must still be running when it is killed.
    bars = random_bars(first, first + BARS - 100, KILLS, seed=20)
    signals = [kill_program_at(deployment, bar) for bar in bars[:PROGRAMS]]
    with Nursery() as nursery:
        signals += [kill_fork_at(deployment, nursery, bar) for bar in bars[PROGRAMS:]]
    assert signals == [signal.SIGKILL] * KILLS
    assert deployment.replay_trades() == expected
    check_books(deployment.journal)


@pytest.mark.full
def test_twenty_kills_in_half_a_year_of_real_bars(
    request: pytest.FixtureRequest, shared_data: Path, root: Path, tmp_path: Path
) -> None:
    if not request.config.getoption("--full"):
        pytest.skip("takes minutes; run with --full")
    deployment = real_deployment(root, shared_data / "BTCUSD_M15.parquet", tmp_path)
    expected = deployment.backtest_trades()
    assert len(expected.splitlines()) > 100
    opens = load_bars(deployment.bars)["time"]
    first, last = (int(opens.searchsorted(pd.Timestamp(day))) for day in (deployment.start, deployment.end))
    bars = random_bars(first, last - 200, KILLS, seed=21)
    assert [kill_program_at(deployment, bar) for bar in bars] == [signal.SIGKILL] * KILLS
    assert deployment.replay_trades() == expected
    check_books(deployment.journal)


def real_deployment(root: Path, bars: Path, folder: Path) -> Deployment:
    """Train small models on the year 2023 and return a deployment over the first half of 2024."""
    ml_config, models = folder / "ml_config.json", folder / "models"
    content = {"features": get_feature_names(), "signal_model": SMALL_MODELS, "prediction": WILLING}
    ml_config.write_text(json.dumps(content), encoding="utf-8")
    year = [pd.Timestamp(day, tz="UTC") for day in ("2023-01-01", "2024-01-01")]
    history = slice_bars(load_bars(bars), year[0], year[1], source=bars.name)
    train(history, load_ml_settings(ml_config), load_settings(root / "config.json"), models)
    return Deployment(
        folder, bars, root / "config.json", ml_config, models, "2024-01-01T00:00:00+00:00", "2024-07-01T00:00:00+00:00"
    )
