"""Start the bot on what is in place and compare its trades with the backtest's, both run as a person would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pandas as pd

from ml.sets.deployment import Deployment
from novosky.errors import ModelError
from novosky.settings.overrides import AccountFlags
from optimize.state.run import OptimizeRun

SMOKE_DAYS = 3
_SECONDS = 600.0
_PREFIX = "smoke-"
_PROGRAM = "from commands.main import main; main()"


def smoke_test(run: OptimizeRun, files: Deployment) -> str:
    """Let the paper bot replay the newest days and compare its trades with the backtest's, byte for byte.

    Raises
    ------
    ModelError
        A program did not start, or they disagree.
    """
    end = pd.Timestamp(run.window.oos_end)
    window = ["--start", f"{end - timedelta(days=SMOKE_DAYS):%Y-%m-%dT%H:%M}", "--end", f"{end:%Y-%m-%dT%H:%M}"]
    common = [*window, "--config", str(files.config), "--ml-config", str(files.ml_config)]
    common += ["--models", str(files.models)]
    common += [] if run.plan.calendar is None else ["--calendar", run.plan.calendar]
    common += _account_flags(run.plan.account)
    # In the run's folder, where what a killed attempt left is found again.
    for left in run.workspace.folder.glob(f"{_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=run.workspace.folder) as name:
        folder = Path(name)
        bot, backtest = folder / "bot.csv", folder / "backtest.csv"
        replay = ["trade", "--paper", "--replay", run.plan.data, "--journal", str(folder / "smoke.sqlite"), "--fresh"]
        _run([*replay, *common, "--trades", str(bot)])
        _run(["backtest", "--data", run.plan.data, *common, "--no-chart", "--trades", str(backtest)])
        traded = bot.read_bytes()
        if traded != backtest.read_bytes():
            raise ModelError("smoke test: over the newest days the bot's trades differ from the backtest's")
    trades = len(traded.splitlines()) - 1
    return f"the bot starts, and its {trades} trades of {SMOKE_DAYS} days are the backtest's"


def _account_flags(account: AccountFlags) -> list[str]:
    """Return the flags a person would give: what was judged under them is tried under them."""
    flags: list[str] = []
    for name, value in asdict(account).items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            flags.append(option)
        elif value is not None and value is not False:
            flags += [option, str(value)]
    return flags


def _run(arguments: list[str]) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"smoke test: `novosky {arguments[0]}` did not end within {_SECONDS:.0f} s") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(f"smoke test: `novosky {arguments[0]}` exited with {done.returncode}: {last}")
