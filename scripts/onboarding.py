"""Choose a profile and set this machine up: `python scripts/onboarding.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from commands.main import run
from commands.onboarding import onboarding

if __name__ == "__main__":
    run(onboarding)
