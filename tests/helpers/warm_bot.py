"""A program that has a bot's libraries and compiled rules loaded and forks a bot for every line it reads.

The kill test starts its bots through it, as a server forks its workers: twenty starts then
cost the time of two. A line on standard input is a JSON list: the folder to run in and the
flags of `trading.py`. The answer is one line with the process id; once that process has
ended, another with what `waitpid` says of it.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import tempfile
from pathlib import Path

import lightgbm  # noqa: F401
import sklearn.ensemble  # noqa: F401
import xgboost  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


def warm_up() -> None:
    """Run the bot over a few bars."""
    import tests.helpers.paper_runs as paper_runs

    importlib.import_module("ml.ensemble.predictor")
    importlib.import_module("commands.trade_modes.paper")

    with tempfile.TemporaryDirectory() as folder:
        paper_runs.replay_outcome(paper_runs.Scenario(paper_runs.planted_bars(40)), Path(folder))


def serve() -> None:
    """Fork a bot for every line."""
    from tests.helpers.command_line import run_script

    for line in sys.stdin:
        folder, flags = json.loads(line)
        child = os.fork()
        if child == 0:
            answer = run_script("trading.py", *flags, cwd=Path(folder))
            os.write(2, answer.err.encode() if answer.code else b"")
            os._exit(answer.code)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    warm_up()
    serve()
