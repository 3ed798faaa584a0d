"""The leakage check finds what leaks, names it, and lets the honest features pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from commands.leakage import leakage_check
from ml.feature_engineering import add_all_features, live_window_bars
from ml.features.leakage import NOISE, REMOVED, WINDOW, Leak, find_leaks, random_rows, replace_future
from novosky.data.store import save_bars
from novosky.data.synthetic import synthetic_bars
from novosky.errors import UsageError
from novosky.market.bars import validate_bars
from novosky.market.timeframe import USUAL


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    return synthetic_bars("null", 2_400, seed=4)


def generator() -> np.random.Generator:
    return np.random.default_rng(1)


def honest(frame: pd.DataFrame) -> pd.DataFrame:
    """A mean of the last four closes."""
    return frame.assign(mean_4=frame["close"].rolling(4).mean())


def checks_of(leaks: list[Leak]) -> set[tuple[str, str]]:
    """Which column failed which check."""
    return {(leak.column, leak.check) for leak in leaks}


def test_an_honest_column_passes(bars: pd.DataFrame) -> None:
    assert find_leaks(honest, bars, [10, 500, 2_398], generator=generator(), window=4) == []


def test_a_centred_window_is_named(bars: pd.DataFrame) -> None:
    def leaking(frame: pd.DataFrame) -> pd.DataFrame:
        return honest(frame).assign(centred=frame["close"].rolling(5, center=True, min_periods=1).mean())

    assert checks_of(find_leaks(leaking, bars, [100], generator=generator())) == {
        ("centred", REMOVED),
        ("centred", NOISE),
    }


def test_a_scaling_by_the_whole_history_is_named(bars: pd.DataFrame) -> None:
    def leaking(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(scaled=(frame["close"] - frame["close"].mean()) / frame["close"].std())

    assert {leak.column for leak in find_leaks(leaking, bars, [100], generator=generator())} == {"scaled"}


def test_a_back_filled_column_is_named(bars: pd.DataFrame) -> None:
    def leaking(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(filled=frame["close"].where(frame.index % 8 == 0).bfill())

    assert {leak.column for leak in find_leaks(leaking, bars, [101], generator=generator())} == {"filled"}


def test_a_memory_longer_than_the_live_window_is_named(bars: pd.DataFrame) -> None:
    leaks = find_leaks(honest, bars, [100], generator=generator(), window=3)
    assert checks_of(leaks) == {("mean_4", WINDOW)}
    assert leaks[0].row == 100
    assert leaks[0].time == bars["time"].iloc[100]
    assert np.isnan(leaks[0].cut)


def test_a_feature_beside_the_55_that_looks_one_bar_ahead_is_the_only_one_named(bars: pd.DataFrame) -> None:
    def leaking(frame: pd.DataFrame) -> pd.DataFrame:
        return add_all_features(frame).assign(next_return=frame["close"].shift(-1) / frame["close"] - 1.0)

    rows = random_rows(len(bars), 3, live_window_bars(USUAL), generator())
    leaks = find_leaks(leaking, bars, rows, generator=generator(), window=live_window_bars(USUAL))
    assert {leak.column for leak in leaks} == {"next_return"}
    assert {leak.row for leak in leaks} == set(rows.tolist())


def test_the_55_features_do_not_leak(bars: pd.DataFrame) -> None:
    rows = random_rows(len(bars), 5, live_window_bars(USUAL), generator())
    assert find_leaks(add_all_features, bars, rows, generator=generator(), window=live_window_bars(USUAL)) == []


def test_the_noise_leaves_the_past_alone_and_is_a_valid_market(bars: pd.DataFrame) -> None:
    noisy = replace_future(bars, 1_000, generator())
    pd.testing.assert_frame_equal(noisy.iloc[:1_001], bars.iloc[:1_001])
    assert (noisy["close"].iloc[1_001:] != bars["close"].iloc[1_001:]).all()
    validate_bars(noisy, source="noise")


def test_rows_have_a_window_before_and_a_future_after() -> None:
    rows = random_rows(110, 100, 10, generator())
    assert rows.tolist() == list(range(9, 109))


def test_too_few_bars_are_refused() -> None:
    with pytest.raises(UsageError, match="give more bars"):
        random_rows(110, 101, 10, generator())


def test_the_command_passes_on_the_embedded_market() -> None:
    result = CliRunner().invoke(leakage_check, ["--rows", "2"])
    assert result.exit_code == 0, result.output
    assert "synthetic market" in result.output
    assert "no leak" in result.output


def test_the_command_reads_a_file_and_a_window_of_it(tmp_path: Path, bars: pd.DataFrame) -> None:
    save_bars(tmp_path / "bars.parquet", bars)
    first = f"{bars['time'].iloc[96]:%Y-%m-%d}"
    result = CliRunner().invoke(
        leakage_check, ["--data", str(tmp_path / "bars.parquet"), "--start", first, "--rows", "1"]
    )
    assert result.exit_code == 0, result.output
    assert "2,304 bars" in result.output


def test_the_command_exits_1_and_names_the_column(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaking(part: pd.DataFrame, news: object = None, frame: object = None) -> pd.DataFrame:
        return part.assign(honest=part["close"], next_close=part["close"].shift(-1))

    monkeypatch.setattr("ml.feature_engineering.add_all_features", leaking)
    result = CliRunner().invoke(leakage_check, ["--rows", "2"])
    assert result.exit_code == 1
    assert "next_close" in result.output
    assert "future removed" in result.output
    assert "honest" not in result.output


def test_the_command_refuses_bad_arguments() -> None:
    assert CliRunner().invoke(leakage_check, ["--rows", "0"]).exit_code == 2
    assert CliRunner().invoke(leakage_check, ["--start", "yesterday"]).exit_code == 2
