"""Judge the newest live trades: `python scripts/performance_monitor.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from commands.main import run
from commands.monitor import performance_monitor

if __name__ == "__main__":
    run(performance_monitor)
