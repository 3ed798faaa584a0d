"""Results on bars that the models learned from carry the IN-SAMPLE notice on every surface."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from novosky.data.store import load_bars
from novosky.in_sample import MARK, banner, in_sample_notice, is_in_sample
from tests.helpers.command_line import run_script
from tests.helpers.desk import Desk
from tests.helpers.sets.signal_sets import TRAIN_BARS


def opens(count: int) -> pd.Series[pd.Timestamp]:
    return pd.Series(pd.date_range("2024-01-01", periods=count, freq="15min", tz="UTC"))


@pytest.mark.parametrize(
    ("cutoff", "seen"),
    [("2023-12-31T23:45Z", 0), ("2024-01-01T00:00Z", 1), ("2024-01-01T01:07Z", 5), ("2024-01-02T00:00Z", 10)],
)
def test_one_known_bar_is_enough(cutoff: str, seen: int) -> None:
    notice = in_sample_notice(opens(10), pd.Timestamp(cutoff), "Do this.")
    if seen == 0:
        assert notice is None
    else:
        assert notice is not None
        assert notice.startswith(f"{MARK}: {seen} of 10 bars")
        assert notice.endswith("say nothing about the future. Do this.")
        assert is_in_sample(notice)
        assert banner(notice).count("!" * 78) == 2
    assert in_sample_notice(opens(10), None, "") is None


@pytest.fixture(scope="module")
def windows(desk: Desk) -> dict[str, list[str]]:
    """Dates of a window that the models know, of one they know the beginning of, and of one they do not know."""
    times = load_bars(desk.bars)["time"].iloc

    def at(row: int) -> str:
        return f"{times[row]:%Y-%m-%dT%H:%M}"

    return {
        "known": ["--start", at(TRAIN_BARS - 1_000), "--end", at(TRAIN_BARS - 800)],
        "begun": ["--start", at(TRAIN_BARS - 300), "--end", at(TRAIN_BARS + 100)],
        "new": ["--start", at(TRAIN_BARS + 200), "--end", at(TRAIN_BARS + 400)],
    }


@pytest.mark.parametrize("window", ["known", "begun", "new"])
def test_a_replay_on_paper_says_it_before_and_beside_the_result(
    desk: Desk, windows: dict[str, list[str]], tmp_path: Path, window: str
) -> None:
    answer = run_script(
        "trading.py", "--paper", "--replay", desk.bars, "--trades", "t.csv", *windows[window], *desk.flags, cwd=tmp_path
    )
    assert answer.code == 0, answer.err
    assert (answer.out.count(MARK), answer.err.count(MARK)) == ((0, 0) if window == "new" else (1, 1))
    plain = run_script(
        "backtest_config.py", "--data", desk.bars, "--no-chart", "--json", "j.json", "--trades", "b.csv",
        *windows[window], *desk.flags, cwd=tmp_path,
    )  # fmt: skip
    assert (MARK in plain.out) is (window != "new")
    assert (MARK in json.loads((tmp_path / "j.json").read_text())["labels"]) is (window != "new")
    assert (tmp_path / "t.csv").read_bytes() == (tmp_path / "b.csv").read_bytes(), "the tables stay the same bytes"


@pytest.mark.parametrize("window", ["known", "new"])
def test_a_comparison_says_it_so_that_it_cannot_be_missed(
    desk: Desk, windows: dict[str, list[str]], tmp_path: Path, window: str
) -> None:
    answer = run_script(
        "scripts/compare_configs.py", "--old-config", desk.config, "--old-ml", desk.ml_config, "--new-config",
        desk.config, "--new-ml", desk.ml_config, "--models", desk.models, "--data", desk.bars, "--json", "j.json",
        *windows[window], cwd=tmp_path,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    stored = json.loads((tmp_path / "j.json").read_text())
    for side in ("old", "new"):
        assert (MARK in stored[f"{side}_labels"]) is (window == "known")
        assert stored[f"{side}_oos"] is (window == "new")
    assert (("!" * 78 + f"\n{MARK}") in answer.out) is (window == "known")


def test_a_sweep_never_sees_a_bar_the_models_know(desk: Desk, windows: dict[str, list[str]], tmp_path: Path) -> None:
    answer = run_script(
        "scripts/sweep.py", "--target", "signal", "--data", desk.bars, "--configs", 2, "--jobs", 1, "--json", "j.json",
        *windows["begun"][:2], *desk.flags, cwd=tmp_path,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert MARK not in answer.out
    answer = run_script(
        "scripts/sweep.py", "--target", "signal", "--data", desk.bars, "--configs", 2, "--jobs", 1,
        *windows["known"], *desk.flags, cwd=tmp_path,
    )  # fmt: skip
    assert answer.code == 4
    assert "no bar is out of sample" in answer.err
