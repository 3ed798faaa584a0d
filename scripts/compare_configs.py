"""Two configurations on the same bars, head to head: `python scripts/compare_configs.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from commands.compare import compare_configs
from commands.main import run

if __name__ == "__main__":
    run(compare_configs)
