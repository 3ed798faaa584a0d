"""The trades of the plain reference loop, which knows nothing of accounts, on 200,000 bars."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from engine.records import Bars
from tests.engine.market import Market, Play, candidate_rows, neutral_params, play

BARS = 200_000
SEED = 7
TRADES = 5_582

# The script that makes the bars is given, and was written for an older pandas.
pytestmark = pytest.mark.filterwarnings("ignore:DatetimeIndex.dayofweek")


def load_module(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"reference_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bench(root: Path) -> Path:
    folder = root.parent / "shared" / "bench"
    if not (folder / "bench_reference.py").exists():
        pytest.skip(f"the reference loop is not present at {folder}")
    return folder


@pytest.fixture(scope="module")
def frame(bench: Path) -> pd.DataFrame:
    made = load_module(bench / "make_data.py").make(BARS, SEED)
    assert isinstance(made, pd.DataFrame)
    return made


@pytest.fixture(scope="module")
def reference(
    bench: Path, frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[pd.DataFrame, float]]:
    """The reference loop's trades, and the spread it charges at the entry, in USD."""
    file = tmp_path_factory.mktemp("reference") / "data.parquet"
    frame.to_parquet(file, index=False)
    with pytest.MonkeyPatch.context() as patch:
        # The script reads its data file from the command line and a module beside it while it loads.
        patch.setattr(sys, "argv", ["bench_reference.py", str(file)])
        patch.syspath_prepend(str(bench))
        module = load_module(bench / "bench_reference.py")
        sys.modules.pop("_common")
    columns = [frame[name].to_numpy() for name in ("open", "high", "low", "close", "signal", "atr")]
    entry, left, side, entry_bar, exit_bar, _ = module.run(*columns, module.SPREAD, module.UNITS)
    yield (
        pd.DataFrame({"entry": entry, "exit": left, "side": side, "entry_bar": entry_bar, "exit_bar": exit_bar}),
        float(module.SPREAD),
    )


@pytest.fixture(scope="module")
def ours(frame: pd.DataFrame) -> tuple[Play, Bars]:
    time = frame["time"].dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)
    first, high, low, close = (frame[name].to_numpy(copy=True) for name in ("open", "high", "low", "close"))
    bars = Bars(time, first, high, low, close, np.zeros(len(time)))
    at = np.flatnonzero(frame["signal"].to_numpy())
    rows = candidate_rows(len(at))
    rows["bar"], rows["side"], rows["atr"] = at, frame["signal"].to_numpy()[at], frame["atr"].to_numpy()[at]
    return play(neutral_params(), Market(bars, rows), balance=1e6), bars


def test_default_seed_gives_the_known_number_of_trades(reference: tuple[pd.DataFrame, float]) -> None:
    assert len(reference[0]) == TRADES


def test_same_bars_and_sides(ours: tuple[Play, Bars], reference: tuple[pd.DataFrame, float]) -> None:
    done, bars = ours
    expected, _ = reference
    assert len(done.trades) == len(expected)
    np.testing.assert_array_equal(np.searchsorted(bars.time, done.trades["entry_time"]), expected["entry_bar"])
    np.testing.assert_array_equal(np.searchsorted(bars.time, done.trades["exit_time"]), expected["exit_bar"])
    np.testing.assert_array_equal(done.trades["side"], expected["side"])


def test_same_exit_prices_to_the_last_bit(ours: tuple[Play, Bars], reference: tuple[pd.DataFrame, float]) -> None:
    np.testing.assert_array_equal(ours[0].trades["exit_price"], reference[0]["exit"])


def test_same_entry_prices_without_its_spread(ours: tuple[Play, Bars], reference: tuple[pd.DataFrame, float]) -> None:
    expected, spread = reference
    np.testing.assert_allclose(
        ours[0].trades["entry_price"], expected["entry"] - expected["side"] * spread, rtol=0, atol=1e-12
    )
