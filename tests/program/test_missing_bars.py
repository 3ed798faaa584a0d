"""A bars file that is not there is told before anything slow or anything else that may be missing: exit code 4."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from novosky.errors import DataError
from tests.helpers.command_line import ROOT, run_novosky

CALLS = (
    "backtest --data no.parquet",
    "compare --old-config config.json --old-ml ml_config.json --data no.parquet",
    "leakage --data no.parquet",
    "model-report --data no.parquet",
    "optimize-loop --local --data no.parquet",
    "sweep --target signal --data no.parquet",
    "trade --paper --replay no.parquet",
    "train --ensemble --data no.parquet",
    "tune signal --data no.parquet",
    "walk-forward --data no.parquet",
)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.split()[0])
def test_a_missing_bars_file_is_named_first(call: str, tmp_path: Path) -> None:
    for name in ("config.json", "ml_config.json"):
        shutil.copy(ROOT / name, tmp_path)
    answer = run_novosky(*call.split(), cwd=tmp_path)
    assert answer.code == DataError.exit_code, answer.err
    assert "no.parquet" in answer.err and "scripts/download_data.py" in answer.err
    assert "models" not in answer.err
    left = {path.name for path in tmp_path.iterdir()} - {"config.json", "ml_config.json"}
    assert left <= {"runs", "models", "logs"}, "nothing is left of a run that did not begin"
