"""Search the signal models' hyperparameters and thresholds: `python ml/tune/hyperparams.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from novosky.cli.main import run
from novosky.cli.tune import tune_signal

if __name__ == "__main__":
    run(tune_signal)
