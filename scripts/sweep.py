"""Sweep configurations inside the profile's ranges: `python scripts/sweep.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from commands.main import run
from commands.sweep import sweep

if __name__ == "__main__":
    run(sweep)
