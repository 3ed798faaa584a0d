"""Import, download or generate bars: `python scripts/download_data.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from commands.data import download_data
from commands.main import run

if __name__ == "__main__":
    run(download_data)
