"""Collect the weekly news calendar: `python scripts/download_calendar.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from commands.calendar import download_calendar
from commands.main import run

if __name__ == "__main__":
    run(download_calendar)
