"""Longer bars from shorter ones: what exists is put together, nothing is filled, what is not whole is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from novosky.data.resample import resample_bars
from novosky.data.store import load_bars, save_bars
from novosky.errors import DataError
from tests.commands.test_data import error_of, output_of


def minutes(start: str, count: int, step: int = 60) -> pd.DataFrame:
    generator = np.random.default_rng(3)
    closes = 100.0 + np.round(np.cumsum(generator.normal(0, 0.1, count)), 2)
    opens = np.concatenate(([100.0], closes[:-1]))
    return pd.DataFrame(
        {
            "time": pd.date_range(start, periods=count, freq=f"{step}s", tz="UTC"),
            "open": opens,
            "high": np.maximum(opens, closes) + 0.05,
            "low": np.minimum(opens, closes) - 0.03,
            "close": closes,
            "volume": generator.integers(0, 50, count).astype(float),
            "spread": generator.integers(1, 9, count).astype(float),
        }
    )


def without(bars: pd.DataFrame, *rows: int) -> pd.DataFrame:
    return bars.drop(index=list(rows)).reset_index(drop=True)


def slow(bars: pd.DataFrame, seconds: int) -> pd.DataFrame:
    """Put bars together one by one, by the words of the rule."""
    made = []
    for begin, group in bars.groupby(bars["time"].dt.floor(f"{seconds}s")):
        rows = group.sort_values("time")
        made.append(
            {
                "time": begin,
                "open": rows["open"].iloc[0],
                "high": rows["high"].max(),
                "low": rows["low"].min(),
                "close": rows["close"].iloc[-1],
                "volume": sum(rows["volume"]),
                "spread": rows["spread"].iloc[0],
            }
        )
    return pd.DataFrame(made).astype({"time": "datetime64[ns, UTC]"})


@pytest.mark.parametrize("step", [60, 300])
def test_whole_bars_are_made_of_what_exists(step: int) -> None:
    bars = minutes("2024-01-02", 3600 * 4 // step, step)
    made, notes = resample_bars(bars, step, 900, source="x")
    pd.testing.assert_frame_equal(made, slow(bars, 900))
    assert len(made) == 16 and notes == []


def test_gaps_are_never_filled_and_thin_bars_are_counted() -> None:
    bars = without(minutes("2024-01-02", 60), 3, *range(15, 30), 59 - 20)
    made, notes = resample_bars(bars, 60, 900, source="x")
    pd.testing.assert_frame_equal(made, slow(bars, 900))
    assert made["time"].dt.minute.tolist() == [0, 30, 45]
    assert notes == ["2 of 3 bars are made of fewer than 15 M1 bars, as many as exist"]


def test_bars_cut_off_at_either_end_are_left_out_and_said() -> None:
    made, notes = resample_bars(minutes("2024-01-02 00:07", 60), 60, 900, source="x")
    assert made["time"].dt.strftime("%H:%M").tolist() == ["00:15", "00:30", "00:45"]
    assert notes == [
        "the first M15 bar, 2024-01-02 00:00 UTC, is not whole: left out",
        "the last M15 bar, 2024-01-02 01:00 UTC, is not whole: left out",
    ]


def test_the_last_bar_is_whole_once_its_last_minute_is_there() -> None:
    made, notes = resample_bars(minutes("2024-01-02", 30), 60, 900, source="x")
    assert len(made) == 2 and notes == []
    made, notes = resample_bars(minutes("2024-01-02", 29), 60, 900, source="x")
    assert len(made) == 1 and len(notes) == 1


def test_a_count_with_an_unknown_part_is_unknown() -> None:
    bars = minutes("2024-01-02", 30).assign(trades=1.0)
    bars.loc[20, "trades"] = np.nan
    made = resample_bars(bars, 60, 900, source="x")[0]["trades"]
    assert made[0] == 15.0 and np.isnan(made[1])


def test_labels_stay_with_the_bars() -> None:
    bars = minutes("2024-01-02", 30)
    bars.attrs.update(symbol="GER40", source="mt5-export")
    assert resample_bars(bars, 60, 900, source="x")[0].attrs == bars.attrs


@pytest.mark.parametrize(("seconds", "to"), [(1800, 900), (400, 900), (900, 60)])
def test_lengths_that_do_not_fit_are_refused(seconds: int, to: int) -> None:
    with pytest.raises(DataError, match="cannot be made of"):
        resample_bars(minutes("2024-01-02", 30, seconds), seconds, to, source="x")


def test_too_few_bars_for_a_whole_one_are_refused() -> None:
    with pytest.raises(DataError, match="holds no whole M15 bar"):
        resample_bars(minutes("2024-01-02", 9), 60, 900, source="x")


def test_bars_of_the_asked_length_stay_as_they_are() -> None:
    bars = minutes("2024-01-02", 5, 900)
    assert resample_bars(bars, 900, 900, source="x") == (bars, [])


@pytest.mark.parametrize("step", [60, 300])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_an_import_makes_quarter_hours_when_asked_and_says_what_it_left_out(
    step: int, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bars, path = minutes("2024-01-02", 3 * 3600 // step + 1, step), tmp_path / f"GER40_M{step // 60}{suffix}"
    if suffix == ".csv":
        bars.assign(time=bars["time"].astype(str)).to_csv(path, index=False)
    else:
        bars.to_parquet(path)
    source = suffix[1:]
    error = error_of("--source", source, "--input", path)
    assert isinstance(error, DataError) and "15-minute bars are needed" in str(error) and "--resample" in str(error)
    text = output_of("--source", source, "--input", path, "--resample")
    pd.testing.assert_frame_equal(load_bars(tmp_path / "data" / "GER40_M15.parquet"), slow(bars, 900).iloc[:-1])
    assert "note: the last M15 bar, 2024-01-02 03:00 UTC, is not whole: left out" in text


def test_a_store_is_extended_by_resampled_bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    bars = minutes("2024-01-02", 600)
    for name, end in (("a", 301), ("b", 600)):
        save_bars(tmp_path / f"{name}.parquet", bars.iloc[:end].reset_index(drop=True), seconds=60)
        output_of("--source", "parquet", "--input", f"{name}.parquet", "--resample", "--symbol", "GER40")
    pd.testing.assert_frame_equal(load_bars(tmp_path / "data" / "GER40_M15.parquet"), slow(bars, 900))


def test_the_real_minutes_make_the_real_quarter_hours(shared_data: Path) -> None:
    made, _ = resample_bars(load_bars(shared_data / "BTCUSD_M1.parquet", seconds=60), 60, 900, source="x")
    quarters = load_bars(shared_data / "BTCUSD_M15.parquet").set_index("time")
    prices = ["open", "high", "low", "close"]
    known = made.set_index("time")[prices]
    pd.testing.assert_frame_equal(known, quarters.loc[known.index, prices], check_exact=True)
