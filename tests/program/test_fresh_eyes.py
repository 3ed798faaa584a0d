"""Mistakes a new user makes: files named twice, minutes of another market, a journal that is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from commands.shared.options import refuse_collisions
from engine.breakers import start_guard
from engine.inputs.columns import minutes_coverage, minutes_of
from engine.inputs.parameters import build_params
from engine.records import Guard, from_bytes, new_record, to_bytes
from novosky.data.synthetic import synthetic_bars
from novosky.errors import DataError, UsageError
from novosky.market.timeframe import USUAL
from novosky.settings import load_ml_settings, load_settings
from novosky.settings.overrides import AccountFlags, apply_flags
from trading.cycle.messages import alarms_between
from trading.paper.session import discard_account


@pytest.fixture
def bars() -> pd.DataFrame:
    return synthetic_bars("null", 40, seed=1)


def minutes_inside(bars: pd.DataFrame, rows: slice) -> pd.DataFrame:
    """The first minute of each bar, with the bar's own prices."""
    return bars.iloc[rows].reset_index(drop=True)


def test_a_result_never_replaces_an_input(tmp_path: Path) -> None:
    data = tmp_path / "bars.parquet"
    with pytest.raises(UsageError, match="--json and --data"):
        refuse_collisions({"--json": data}, {"--data": tmp_path / "." / "bars.parquet"})


def test_two_results_need_two_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--trades and --json"):
        refuse_collisions({"--json": tmp_path / "a", "--trades": tmp_path / "a"}, {"--data": None})


def test_nothing_is_written_among_the_models(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--models"):
        refuse_collisions({"--json": tmp_path / "models" / "x.json"}, {"--models": tmp_path / "models"})


def test_separate_files_pass(tmp_path: Path) -> None:
    refuse_collisions({"--json": tmp_path / "a", "--trades": None}, {"--data": tmp_path / "b"})


def test_fresh_leaves_a_file_alone_that_is_no_journal(tmp_path: Path) -> None:
    bars = tmp_path / "bars.parquet"
    bars.write_bytes(b"PAR1 precious")
    with pytest.raises(UsageError, match="is not a journal"):
        discard_account(bars)
    assert bars.read_bytes() == b"PAR1 precious"


def test_minutes_of_another_time_are_refused(bars: pd.DataFrame) -> None:
    later = minutes_inside(bars, slice(0, 5)).assign(time=lambda frame: frame["time"] + pd.Timedelta(days=30))
    with pytest.raises(DataError, match="no minute of"):
        minutes_of(bars, later, USUAL)


def test_minutes_of_another_market_are_refused(bars: pd.DataFrame) -> None:
    other = minutes_inside(bars, slice(0, 5))
    other["high"] *= 1.05
    with pytest.raises(DataError, match="another market"):
        minutes_of(bars, other, USUAL)


def test_coverage_is_the_share_of_bars_with_minutes(bars: pd.DataFrame) -> None:
    assert minutes_coverage(minutes_of(bars, minutes_inside(bars, slice(0, 10)), USUAL)) == pytest.approx(0.25)


def test_a_cent_lot_pays_a_hundredth_of_every_lot_cost(root: Path) -> None:
    ml_settings = load_ml_settings(root / "ml_config.json")
    settings = load_settings(root / "config.json")
    flags = AccountFlags(commission=7.0, swap_long=-50.0, swap_short=-10.0)
    standard = build_params(apply_flags(settings, flags), ml_settings)
    cent = build_params(apply_flags(settings, AccountFlags(**{**flags.__dict__, "cent_account": True})), ml_settings)
    for name in ("lot_units", "commission_per_lot", "swap_long", "swap_short"):
        assert getattr(cent, name) == pytest.approx(getattr(standard, name) / 100)
    assert cent.slippage == standard.slippage


def test_a_person_is_told_when_a_limit_is_reached(root: Path) -> None:
    params = build_params(load_settings(root / "config.json"), load_ml_settings(root / "ml_config.json"))
    before = new_record(Guard)
    start_guard(before, params, 1_700_000_000, 500.0)
    after = from_bytes(Guard, to_bytes(before))
    after.halted, after.week_blocked, after.halt_balance = 1, 1, 400.0
    told = alarms_between(before, after)
    assert len(told) == 3
    assert told["halted"].startswith("HARD HALT")
    assert alarms_between(after, after) == {}
    assert np.isfinite(after.equity)
