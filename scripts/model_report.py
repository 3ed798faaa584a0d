"""Measure the models: calibration in and out of sample, and drift: `python scripts/model_report.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from commands.main import run
from commands.model_report import model_report

if __name__ == "__main__":
    run(model_report)
