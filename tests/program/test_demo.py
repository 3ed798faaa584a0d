"""`novosky demo` from end to end: what it leaves, what it says, and that it fails when the trades differ."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from commands.demo import DemoFiles, compare_trades, reduced_ml_config
from novosky.settings import load_ml_settings

ENTRY = "from commands.main import main; main()"


@dataclass(frozen=True)
class Demo:
    """A finished demo."""

    files: DemoFiles
    done: subprocess.CompletedProcess[str]


def run_demo(root: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ENTRY, "demo", *map(str, arguments)],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def small(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The smallest demo."""
    folder = tmp_path_factory.mktemp("demo")
    return Demo(DemoFiles(folder), run_demo(root, "--folder", folder, "--bars", 8_000, "--seed", 11))


def test_it_succeeds_and_leaves_the_report_and_both_trade_files(small: Demo) -> None:
    assert small.done.returncode == 0, small.done.stderr
    assert small.files.report.stat().st_size > 10_000
    assert len(small.files.backtest_trades.read_text(encoding="utf-8").splitlines()) > 5


def test_the_paper_bots_trades_are_the_backtests_byte_for_byte(small: Demo) -> None:
    assert small.files.paper_trades.read_bytes() == small.files.backtest_trades.read_bytes()


def test_the_backtest_saw_only_bars_after_training(small: Demo) -> None:
    metrics = json.loads(small.files.metrics.read_text(encoding="utf-8"))
    assert metrics["oos"] is True
    assert metrics["bars"] == 2_000


def test_it_says_that_the_data_is_synthetic_and_where_the_report_lies(small: Demo) -> None:
    assert "SYNTHETIC" in small.done.stdout
    assert str(small.files.report) in small.done.stdout


def test_it_shows_the_commands_a_user_would_run(small: Demo) -> None:
    shown = [line for line in small.done.stdout.splitlines() if line.startswith("$ novosky ")]
    assert [line.split()[2] for line in shown] == ["data", "train", "backtest", "trade"]


def test_trades_that_differ_are_an_error_that_names_the_line(tmp_path: Path) -> None:
    files = DemoFiles(tmp_path)
    files.backtest_trades.write_text("header\n1\n2\n", encoding="utf-8")
    files.paper_trades.write_text("header\n1\n3\n", encoding="utf-8")
    with pytest.raises(click.ClickException, match="from line 3 on"):
        compare_trades(files)


def test_trades_missing_at_the_end_are_an_error_too(tmp_path: Path) -> None:
    files = DemoFiles(tmp_path)
    files.backtest_trades.write_text("header\n1\n2\n", encoding="utf-8")
    files.paper_trades.write_text("header\n1\n", encoding="utf-8")
    with pytest.raises(click.ClickException, match="from line 3 on"):
        compare_trades(files)


def test_the_reduced_settings_change_models_and_what_the_market_needs_only(root: Path, tmp_path: Path) -> None:
    full = json.loads((root / "ml_config.json").read_text(encoding="utf-8"))
    reduced = reduced_ml_config(full)
    changed = {key for key in full if full[key] != reduced.get(key)}
    assert changed <= {"signal_model", "position_model", "risk_model", "labeling", "prediction", "$schema"}
    assert reduced["features"] == full["features"]
    written = tmp_path / "ml_config.json"
    written.write_text(json.dumps(reduced), encoding="utf-8")
    before, after = load_ml_settings(root / "ml_config.json").signal_model, load_ml_settings(written).signal_model
    assert after.rf.n_estimators < before.rf.n_estimators
    assert after.embargo_bars == before.embargo_bars


def test_a_missing_settings_file_is_its_own_error(root: Path, tmp_path: Path) -> None:
    done = run_demo(root, "--folder", tmp_path, "--config", tmp_path / "none.json")
    assert done.returncode == 3
    assert "none.json" in done.stderr
