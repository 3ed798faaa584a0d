"""Train on the past, trade what follows, fold after fold: `python scripts/walk_forward.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from commands.main import run
from commands.walk_forward import walk_forward

if __name__ == "__main__":
    run(walk_forward)
