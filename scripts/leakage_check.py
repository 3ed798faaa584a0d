"""Prove that no feature looks ahead: `python scripts/leakage_check.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from commands.leakage import leakage_check
from commands.main import run

if __name__ == "__main__":
    run(leakage_check)
