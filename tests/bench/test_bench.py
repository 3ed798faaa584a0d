"""The benchmark's own behaviour: its JSON, its judgement, and that speed only counts for the right trades."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.bracket_series import own_series
from bench.context import BenchError
from bench.engine_bench import check_against_reference
from bench.measure import Required, not_measured, result_of
from bench.reference_loop import reference_trades
from bench.runs.engine import SPREAD, neutral_params, prepare, realistic_params, run

RESULT_KEYS = {"unit", "median", "low", "high", "runs", "required", "ok"}


@pytest.fixture(scope="module")
def answer(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the quick benchmark of engine and imports prints."""
    copy = tmp_path_factory.mktemp("bench") / "bench.json"
    command = [sys.executable, "-m", "bench", "--quick", "--only", "engine", "--only", "imports", "--json", str(copy)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    printed: dict[str, Any] = json.loads(done.stdout)
    assert json.loads(copy.read_text(encoding="utf-8")) == printed
    assert done.returncode == (0 if printed["ok"] else 1), done.stderr
    return printed


def test_the_answer_is_one_json_object_with_machine_libraries_and_results(answer: dict[str, Any]) -> None:
    assert set(answer) == {"quick", "machine", "libraries", "results", "missed", "ok"}
    assert answer["quick"] is True
    assert {"processor", "cores", "python", "load"} <= set(answer["machine"])
    assert {"numpy", "pandas", "numba"} <= set(answer["libraries"])


def test_only_what_was_asked_for_is_measured(answer: dict[str, Any]) -> None:
    assert {name.split(".")[0] for name in answer["results"]} == {"engine", "imports"}


def test_every_result_states_figure_spread_requirement_and_judgement(answer: dict[str, Any]) -> None:
    for name, result in answer["results"].items():
        assert not RESULT_KEYS - set(result), name
        if result["median"] is not None:
            assert result["low"] <= result["median"] <= result["high"], name
            assert result["median"] > 0, name
        else:
            assert result["details"]["not_measured"], name


def test_missed_figures_are_named(answer: dict[str, Any]) -> None:
    missed = [name for name, result in answer["results"].items() if result["ok"] is False]
    assert answer["missed"] == missed
    assert answer["ok"] == (not missed)


def test_no_path_and_no_host_name_of_the_machine_is_told(answer: dict[str, Any], root: Path) -> None:
    import platform

    text = json.dumps(answer)
    assert str(root) not in text
    assert str(Path.home()) not in text
    assert platform.node() not in json.dumps(answer["machine"])


def test_without_an_environment_for_the_peers_the_ratio_says_why_it_is_missing(answer: dict[str, Any]) -> None:
    ratio = answer["results"]["engine.vs_vectorbt"]
    assert ratio["median"] is None
    assert ratio["ok"] is None
    assert "--peers-venv" in ratio["details"]["not_measured"] or "not beside" in ratio["details"]["not_measured"]


def test_the_neutral_run_makes_the_reference_loops_trades() -> None:
    series = own_series(20_000, seed=3)
    assert check_against_reference(series, neutral_params()) == len(reference_trades(series).side) > 100


def test_a_run_that_differs_from_the_reference_is_refused() -> None:
    params = neutral_params()
    params.slippage = 0.0001
    with pytest.raises(BenchError, match="entry_price"):
        check_against_reference(own_series(5_000, seed=3), params)


def test_the_benchmarks_costs_are_charged_and_its_limits_never_reached() -> None:
    series = own_series(20_000, seed=3).assign(spread=SPREAD)
    trades, seconds = run(prepare(series, realistic_params()))
    assert len(trades) > 100
    assert seconds > 0
    for column in ("commission", "spread_cost", "slippage_cost"):
        assert np.all(trades[column] != 0.0), column
    assert np.any(trades["swap"] < 0.0)


def test_the_equity_curve_changes_no_trade() -> None:
    prepared = prepare(own_series(20_000, seed=3).assign(spread=SPREAD), realistic_params())
    assert run(prepared)[0].tobytes() == run(prepared, curve=True)[0].tobytes()


def test_the_own_series_is_a_valid_market() -> None:
    series = own_series(5_000, seed=1)
    assert (series["high"] >= series[["open", "close"]].max(axis=1)).all()
    assert (series["low"] <= series[["open", "close"]].min(axis=1)).all()
    assert series["time"].is_monotonic_increasing and series["time"].dt.day_of_week.max() == 4
    assert series.equals(own_series(5_000, seed=1))
    assert 0.02 < (series["signal"] != 0).mean() < 0.04


@pytest.mark.parametrize(
    ("required", "value", "ok"),
    [
        (Required("at least", 50.0), 50.0, True),
        (Required("at least", 50.0), 49.9, False),
        (Required("at most", 2.0), 2.0, True),
        (Required("at most", 2.0), 2.1, False),
        (Required("below", 2.3), 2.3, False),
    ],
)
def test_a_requirement_is_met_or_not(required: Required, value: float, ok: bool) -> None:
    assert result_of("x", "seconds", [value], required).ok is ok


def test_the_median_decides_and_the_spread_is_told() -> None:
    result = result_of("x", "seconds", [9.0, 1.0, 2.0], Required("at most", 2.0))
    assert (result.value, result.low, result.high, result.runs, result.ok) == (2.0, 1.0, 9.0, 3, True)


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    result = not_measured("x", "seconds", "no such library", Required("at most", 1.0))
    assert result.ok is None
    assert result.as_dict()["median"] is None
