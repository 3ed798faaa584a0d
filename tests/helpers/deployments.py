"""A replay under way: the bot as a process of its own, watched through what it stores."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from novosky.data.store import load_bars
from novosky.market.bars import epoch_seconds
from tests.helpers.command_line import Answer, run_script
from tests.helpers.desk import Desk
from trading.paper.session import broker_file

ROOT = Path(__file__).resolve().parents[2]
POLL = 0.005
PATIENCE = 60.0
"""Seconds without a new bar after which a process counts as stuck; it starts in three."""
WILLING = {"confidence_threshold": 0.42, "min_probability_diff": 0.02}
"""Thresholds that small models reach now and then."""


@dataclass(frozen=True)
class Deployment:
    """Files the commands need, the window they run over, and a folder for what they write.

    Attributes
    ----------
    folder, bars, config, ml_config, models : Path
    start, end : str
        UTC moments.
    """

    folder: Path
    bars: Path
    config: Path
    ml_config: Path
    models: Path
    start: str
    end: str

    @property
    def journal(self) -> Path:
        """Journal of the replay."""
        return self.folder / "journal.sqlite"

    @property
    def _settings_flags(self) -> list[str]:
        flags = {"--config": self.config, "--ml-config": self.ml_config, "--models": self.models}
        window = {"--start": self.start, "--end": self.end}
        return [str(part) for pair in (flags | window).items() for part in pair]

    @property
    def replay_flags(self) -> list[str]:
        """Flags of the replay."""
        return ["--paper", "--replay", str(self.bars), "--journal", str(self.journal), *self._settings_flags]

    def replay(self, *flags: str) -> Answer:
        """Run the replay, or what is left of it, in this process."""
        return run_script("trading.py", *self.replay_flags, *flags, cwd=self.folder)

    def replay_trades(self) -> bytes:
        """Bring the replay to its end and return its trades file."""
        file = self.folder / "replay.csv"
        answer = self.replay("--trades", str(file))
        assert answer.code == 0, answer.err
        return file.read_bytes()

    def backtest_trades(self) -> bytes:
        """Return the trades file of a backtest over the same window."""
        file = self.folder / "backtest.csv"
        flags = ("--data", self.bars, *self._settings_flags, "--no-chart", "--trades", file)
        answer = run_script("backtest_config.py", *flags, cwd=self.folder)
        assert answer.code == 0, answer.err
        return file.read_bytes()

    @contextmanager
    def running(self, *flags: str) -> Iterator[subprocess.Popen[str]]:
        """Run the replay as a program of its own, ended at the latest on leaving."""
        command = [sys.executable, str(ROOT / "trading.py"), *self.replay_flags, *flags]
        with subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def bar_reached(self) -> int:
        """Return the row of the newest bar the simulated broker has stored, -1 before there is any."""
        file = broker_file(self.journal)
        if not file.exists():
            return -1
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            try:
                row = connection.execute("SELECT content FROM state").fetchone()
            except sqlite3.OperationalError:
                # The process has created the file and not yet its tables.
                return -1
        if row is None:
            return -1
        ((opened_at, _),) = json.loads(row[0])["feeds"].values()
        return -1 if opened_at is None else int(self._opens.searchsorted(opened_at))

    @cached_property
    def _opens(self) -> npt.NDArray[np.int64]:
        return epoch_seconds(load_bars(self.bars))

    def wait_for_bar(self, bar: int, is_alive: Callable[[], bool]) -> None:
        """Return once the process has reached a bar; fail when it ends before."""
        reached, since = self.bar_reached(), time.monotonic()
        while reached < bar:
            assert is_alive(), f"ended before bar {bar}"
            assert time.monotonic() - since < PATIENCE, f"no progress beyond bar {reached} in {PATIENCE:.0f} s"
            time.sleep(POLL)
            if (now := self.bar_reached()) > reached:
                reached, since = now, time.monotonic()


class Nursery:
    """Forks bots from a process that has everything loaded; see `warm_bot`."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "helpers" / "warm_bot.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.kill()
        self._server.communicate()

    def start(self, deployment: Deployment) -> int:
        """Start a deployment's replay and return its process id."""
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps([str(deployment.folder), deployment.replay_flags]) + "\n")
        self._server.stdin.flush()
        return self._answer()

    def signal_that_ended_it(self) -> int:
        """Wait for the newest bot and return the signal it died of, 0 when it ended by itself."""
        return os.WTERMSIG(self._answer())

    def _answer(self) -> int:
        assert self._server.stdout is not None
        return int(self._server.stdout.readline())


def deploy(desk: Desk, folder: Path, first: int, count: int) -> Deployment:
    """Return a deployment of a desk over `count` bars from row `first` on."""
    content = json.loads(desk.ml_config.read_text(encoding="utf-8"))
    ml_config = folder / "ml_config.json"
    ml_config.write_text(json.dumps({**content, "prediction": WILLING}), encoding="utf-8")
    times = pd.read_parquet(desk.bars, columns=["time"])["time"]
    last = times.iloc[first + count - 1] + pd.Timedelta(minutes=15)
    start, end = times.iloc[first].isoformat(), last.isoformat()
    return Deployment(folder, desk.bars, desk.config, ml_config, desk.models, start, end)
