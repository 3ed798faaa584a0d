"""Prove that no feature looks ahead: see `python scripts/leakage_check.py --help`."""

from novosky.cli.leakage import leakage_check
from novosky.cli.main import run

run(leakage_check)
