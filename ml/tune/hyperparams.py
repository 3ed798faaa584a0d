"""Search the signal models' hyperparameters and thresholds: `python ml/tune/hyperparams.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from commands.main import run
from commands.tune import tune_signal

if __name__ == "__main__":
    run(tune_signal)
