"""Search, retrain and judge, as often as asked: `python scripts/optimize_loop.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from commands.main import run
from commands.optimize_loop import optimize_loop

if __name__ == "__main__":
    run(optimize_loop)
