"""Replay a live day through the backtest: `python scripts/replay_day.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from commands.main import run
from commands.replay_day import replay_day

if __name__ == "__main__":
    run(replay_day)
