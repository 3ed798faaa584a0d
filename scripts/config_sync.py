"""Check that settings, code and models agree: `python scripts/config_sync.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from commands.config_sync import config_sync
from commands.main import run

if __name__ == "__main__":
    run(config_sync)
