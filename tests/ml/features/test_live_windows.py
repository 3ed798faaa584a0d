"""One bar live equals the same bar of the batch, to the last bit, whatever windows came before it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.feature_engineering import CONTEXT_COLUMNS, add_all_features, get_feature_names, latest_bar, live_window_bars
from ml.features.catalogue import FEATURES, in_contract_order
from ml.features.feature_spec import FeatureSpec
from ml.features.indicators import Indicators
from novosky.data.synthetic import synthetic_bars
from novosky.errors import DataError
from novosky.market.bar_arrays import BarArrays
from novosky.market.bars import epoch_seconds
from novosky.market.news import NewsCalendar
from novosky.market.timeframe import USUAL

WINDOW = live_window_bars(USUAL)
_WHOLE = synthetic_bars("null", WINDOW + 900, seed=29).iloc[41:].reset_index(drop=True)
_NEWS = NewsCalendar.from_times(epoch_seconds(_WHOLE)[5::137] + 600)


def rows_of(bars: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Features and context of a history, one row per bar."""
    return add_all_features(bars, _NEWS)[[*get_feature_names(), *CONTEXT_COLUMNS]].to_numpy(dtype=np.float64)


def live_row(bars: BarArrays) -> list[float]:
    """The same of the newest bar, as the bot sees it."""
    newest = latest_bar(bars, _NEWS)
    assert newest.time == bars.times[-1]
    return [*newest.features.tolist(), newest.atr, newest.adx, newest.ema200_distance]


def revised(bars: pd.DataFrame, last: int, factor: float) -> pd.DataFrame:
    """A history whose `last` newest bars a broker has corrected."""
    changed = bars.copy()
    place = changed.index[-last:]
    for name in ("open", "high", "low", "close", "volume"):
        changed.loc[place, name] *= factor
    return changed


step = st.tuples(
    st.sampled_from(["go on", "skip", "leave out", "revise", "restart"]), st.integers(1, 50), st.floats(0.98, 1.02)
)


@settings(max_examples=25, deadline=None)
@given(st.lists(step, min_size=1, max_size=12), st.integers(0, 40))
def test_any_sequence_of_windows_gives_the_rows_of_the_batch(steps: list[tuple[str, int, float]], longer: int) -> None:
    market, closed = _WHOLE, WINDOW + 60
    for what, bars, factor in steps:
        if what == "leave out":
            # A gap: these bars never came.
            market = pd.concat([market.iloc[:closed], market.iloc[closed + bars :]], ignore_index=True)
        if what == "revise":
            market = pd.concat([revised(market.iloc[:closed], bars, factor), market.iloc[closed:]], ignore_index=True)
        closed = min(closed + (1 if what in ("go on", "leave out") else bars if what == "skip" else 0), len(market))
        history = market.iloc[:closed]
        # After a restart the terminal may have more history than the bot asks for.
        window = BarArrays.from_bars(history.iloc[-WINDOW - (longer if what == "restart" else 0) :])
        assert live_row(window) == rows_of(history)[-1].tolist()


@pytest.fixture(scope="module")
def gappy() -> pd.DataFrame:
    """A history with single bars and whole days missing."""
    keep = np.random.default_rng(8).uniform(size=len(_WHOLE)) > 0.03
    keep[900:1_150] = False
    return _WHOLE.loc[keep].reset_index(drop=True)


@pytest.mark.parametrize("spec", FEATURES, ids=lambda spec: spec.name)
def test_however_many_rows_are_asked_for_they_are_the_same(spec: FeatureSpec, gappy: pd.DataFrame) -> None:
    bars = BarArrays.from_bars(gappy)
    whole = spec.measure(Indicators(bars, len(bars), _NEWS))
    assert whole.shape == (len(bars),)
    for rows in (1, 2, 7, 96, 97, 300, len(bars) - spec.rows_lost(USUAL)):
        newest = spec.measure(Indicators(bars, rows, _NEWS))
        np.testing.assert_array_equal(newest, whole[len(bars) - rows :])


@pytest.mark.parametrize("spec", FEATURES, ids=lambda spec: spec.name)
def test_one_row_reads_no_bar_before_its_declared_warm_up(spec: FeatureSpec, gappy: pd.DataFrame) -> None:
    bars = BarArrays.from_bars(gappy)
    for end in range(len(bars) - 130, len(bars) + 1, 13):
        until = BarArrays.from_bars(gappy.iloc[:end])
        least = spec.measure(Indicators(until.newest(spec.rows_lost(USUAL) + 1), 1, _NEWS))
        assert least.tolist() == spec.measure(Indicators(until, 1, _NEWS)).tolist()


def test_windows_off_the_grid_or_out_of_order_are_refused() -> None:
    bars = BarArrays.from_bars(_WHOLE)
    with pytest.raises(DataError, match="off the 15-minute grid"):
        latest_bar(replace(bars, times=bars.times + 60))
    twice = bars.times.copy()
    twice[-1] = twice[-2]
    with pytest.raises(DataError, match="not later than the one before"):
        latest_bar(replace(bars, times=twice))
    with pytest.raises(DataError, match="are too few"):
        latest_bar(bars.newest(WINDOW - 1))


def test_a_place_or_a_name_taken_twice_and_one_left_out_are_refused() -> None:
    first, second = FEATURES[:2]
    assert in_contract_order((second,), (first,)) == (first, second)
    with pytest.raises(ValueError, match="bb_lower claims place 0, but 1 is the next one"):
        in_contract_order((first, replace(second, place=0)))
    with pytest.raises(ValueError, match="bb_lower claims place 1, but 0 is the next one"):
        in_contract_order((second,))
    with pytest.raises(ValueError, match="more than one feature is called bb_upper"):
        in_contract_order((first, replace(first, place=1)))


WARMED = """
import importlib, pkgutil, sys
import numpy as np, pandas as pd
import ml.features
from ml.feature_engineering import latest_bar, warm
from novosky.market.bar_arrays import BarArrays

def loaded():
    rooms = [importlib.import_module(f"ml.features.{room.name}") for room in pkgutil.iter_modules(ml.features.__path__)]
    kernels = {id(value): value for room in rooms for value in vars(room).values() if hasattr(value, "signatures")}
    return {kernel.__name__: len(kernel.signatures) for kernel in kernels.values()}

warm()
before = loaded()
bars = pd.read_parquet(sys.argv[1])
latest_bar(BarArrays.from_bars(bars))
latest_bar(bars)
assert before == loaded(), (before, loaded())
print(len(before), *sorted(name for name, kinds in before.items() if kinds != 1))
"""


def test_after_the_warm_up_no_kernel_is_loaded_at_a_bar(tmp_path: Path, root: Path) -> None:
    _WHOLE.iloc[:WINDOW].to_parquet(tmp_path / "bars.parquet")
    done = subprocess.run(
        [sys.executable, "-c", WARMED, str(tmp_path / "bars.parquet")], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    kernels, *unloaded = done.stdout.split()
    assert set(unloaded) <= {"_run_in", "window_totals"}, "other kernels hold the code of these two"
    assert int(kernels) > 20
