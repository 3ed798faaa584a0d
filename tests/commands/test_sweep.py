"""`scripts/sweep.py`: from files to a table, also after it was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from novosky.data.store import load_bars, save_bars
from novosky.data.synthetic import synthetic_bars
from tests.helpers.command_line import ROOT, run_script
from tests.helpers.desk import Desk
from tests.helpers.sets.signal_sets import TRAIN_BARS

SCRIPT = "scripts/sweep.py"


def flags(desk: Desk) -> list[str]:
    return [*desk.flags, "--data", str(desk.bars), "--jobs", "1"]


def test_a_sweep_writes_table_json_and_page_and_prints_the_choice(desk: Desk, tmp_path: Path) -> None:
    answer = run_script(
        SCRIPT,
        *flags(desk),
        "--target",
        "both",
        "--configs",
        "40",
        "--json",
        "s.json",
        "--html",
        "s.html",
        cwd=tmp_path,
    )
    assert answer.code == 0, answer.err
    assert "SYNTHETIC DATA" in answer.out
    assert "present" in answer.out
    assert "overfitting" in answer.out
    table = pd.read_csv(tmp_path / "reports" / "sweep" / "table.csv")
    assert table["row"].tolist() == list(range(40))
    content = json.loads((tmp_path / "s.json").read_text())
    assert content["configurations"] == 40
    assert content["labels"].startswith("SYNTHETIC DATA")
    assert "<html" in (tmp_path / "s.html").read_text()
    # Bars up to the training cutoff are never seen.
    assert pd.Timestamp(content["start"]) > load_bars(desk.bars)["time"].iloc[TRAIN_BARS - 2]


def test_a_profile_brings_its_own_ranges_and_limits(desk: Desk, tmp_path: Path) -> None:
    run = (*flags(desk), "--target", "signal", "--configs", "30", "--profile", "growth", "--json", "s.json")
    answer = run_script(SCRIPT, *run, cwd=tmp_path)
    assert answer.code == 0, answer.err
    assert json.loads((tmp_path / "s.json").read_text())["profile"] == "growth"
    table = pd.read_csv(tmp_path / "reports" / "sweep" / "table.csv").iloc[1:]
    assert (table["risk_percent"].min(), table["risk_percent"].max()) == (2.0, 3.0)
    assert table["confidence_threshold"].between(0.58, 0.64).all()


def test_only_the_first_seventy_percent_of_a_long_window_are_seen(desk: Desk, tmp_path: Path) -> None:
    bars = synthetic_bars("planted", TRAIN_BARS + 100 * 96, seed=3)
    save_bars(tmp_path / "long.parquet", bars)
    run = (*desk.flags, "--data", "long.parquet", "--jobs", "1", "--configs", "5", "--json", "s.json")
    answer = run_script(SCRIPT, *run, cwd=tmp_path)
    assert answer.code == 0, answer.err
    content = json.loads((tmp_path / "s.json").read_text())
    start, end = pd.Timestamp(content["start"]), pd.Timestamp(content["end"])
    whole = bars["time"].iloc[-1] + pd.Timedelta(minutes=15) - start
    assert (end - start) / whole == pytest.approx(0.7, abs=1e-4)
    # A window that ends earlier is cut by its own length; one that is shorter than 90 days is not cut.
    early = bars["time"].iloc[-1] - pd.Timedelta(days=20)
    answer = run_script(SCRIPT, *run, "--oos-end", f"{early:%Y-%m-%d}", cwd=tmp_path)
    assert answer.code == 0, answer.err
    assert pd.Timestamp(json.loads((tmp_path / "s.json").read_text())["end"]) == early.normalize()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--full", "--configs", "10"), "--full"),
        (("--end", "2022-04-01", "--oos-end", "2022-04-01"), "--oos-end"),
        (("--scheduler", "tcp://127.0.0.1:1"), "--scheduler"),
        (("--json", "s.html", "--html", "s.html"), "same place"),
        (("--target", "everything"), "everything"),
        (("--configs", "0"), "configs"),
    ],
)
def test_contradictions_are_refused_before_anything_is_read(
    desk: Desk, tmp_path: Path, given: tuple[str, ...], said: str
) -> None:
    answer = run_script(SCRIPT, *flags(desk), *given, cwd=tmp_path)
    assert answer.code == 2
    assert said in answer.err
    assert not list(tmp_path.iterdir())


def test_the_exit_rule_of_a_model_that_is_off_cannot_be_swept(desk: Desk, tmp_path: Path) -> None:
    content = json.loads(desk.ml_config.read_text())
    content["position_model"]["enabled"] = False
    (tmp_path / "ml.json").write_text(json.dumps(content))
    answer = run_script(SCRIPT, *flags(desk), "--ml-config", "ml.json", "--target", "pos", cwd=tmp_path)
    assert answer.code == 2
    assert "position_model.enabled is false" in answer.err


def test_a_window_inside_the_training_data_is_refused(desk: Desk, tmp_path: Path) -> None:
    answer = run_script(SCRIPT, *flags(desk), "--end", "2022-01-20", cwd=tmp_path)
    assert answer.code == 4
    assert "no bar is out of sample" in answer.err


def test_killed_at_any_time_it_goes_on_and_gives_the_identical_table(desk: Desk, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / SCRIPT), *flags(desk), "--configs", "1500", "--out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    broken = subprocess.Popen(
        [*command, "broken"], cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(1200):
            if list((tmp_path / "broken").rglob("rows-*.npy")) or broken.poll() is not None:
                break
            time.sleep(0.05)
        broken.send_signal(signal.SIGKILL)
    finally:
        broken.wait(timeout=30)
    finished = {file: file.stat().st_mtime_ns for file in (tmp_path / "broken").rglob("rows-*.npy")}
    assert broken.returncode == -signal.SIGKILL, "it ended before it could be killed"
    assert 0 < len(finished) < 6
    assert not (tmp_path / "broken" / "table.csv").exists()
    for folder in ("broken", "whole"):
        answer = run_script(SCRIPT, *flags(desk), "--configs", "1500", "--out", folder, cwd=tmp_path)
        assert answer.code == 0, answer.err
    assert (tmp_path / "broken" / "table.csv").read_bytes() == (tmp_path / "whole" / "table.csv").read_bytes()
    assert {file: file.stat().st_mtime_ns for file in finished} == finished
