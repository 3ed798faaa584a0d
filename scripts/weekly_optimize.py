"""Retrain, prove, ship or keep, every Sunday: `python scripts/weekly_optimize.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from commands.main import run
from commands.weekly_optimize import weekly_optimize

if __name__ == "__main__":
    run(weekly_optimize)
