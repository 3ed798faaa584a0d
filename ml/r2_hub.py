"""Publish and pull model revisions: `python ml/r2_hub.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from commands.hub import hub
from commands.main import run

if __name__ == "__main__":
    run(hub)
