"""The bar store: what is written is read back, damage is named, nothing is stitched silently."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from novosky.data.store import load_bars, merge_bars, save_bars, store_lock
from novosky.data.synthetic import synthetic_bars
from novosky.errors import DataError, LockedError
from novosky.market.bars import find_gaps


@pytest.fixture(scope="module")
def bars() -> pd.DataFrame:
    frame = synthetic_bars("null", 400, seed=1)
    frame.attrs.clear()
    return frame


def part(bars: pd.DataFrame, first: int, last: int) -> pd.DataFrame:
    return bars.iloc[first:last].reset_index(drop=True)


def test_saved_bars_are_read_back_unchanged(bars: pd.DataFrame, tmp_path: Path) -> None:
    save_bars(tmp_path / "new" / "b.parquet", bars)
    pd.testing.assert_frame_equal(load_bars(tmp_path / "new" / "b.parquet"), bars)


def test_the_store_is_zstd_and_the_same_bars_give_the_same_bytes(bars: pd.DataFrame, tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet"):
        save_bars(tmp_path / name, bars)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0).column(1).compression == "ZSTD"


def test_optional_columns_and_their_unknown_values_survive(bars: pd.DataFrame, tmp_path: Path) -> None:
    full = bars.assign(spread=17.0, trades=np.nan, taker_buy_volume=np.nan)
    save_bars(tmp_path / "b.parquet", full)
    pd.testing.assert_frame_equal(load_bars(tmp_path / "b.parquet"), full)


def test_labels_survive_and_real_bars_have_none(bars: pd.DataFrame, tmp_path: Path) -> None:
    made = synthetic_bars("planted", 30, seed=3)
    save_bars(tmp_path / "made.parquet", made)
    assert load_bars(tmp_path / "made.parquet").attrs == {"synthetic": "planted"}
    save_bars(tmp_path / "real.parquet", bars)
    assert load_bars(tmp_path / "real.parquet").attrs == {}


def test_invalid_bars_are_never_stored(bars: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "b.parquet"
    save_bars(path, bars)
    before = path.read_bytes()
    with pytest.raises(DataError, match="close is NaN"):
        save_bars(path, bars.assign(close=np.nan))
    assert path.read_bytes() == before


def test_other_timeframes_are_told_apart(bars: pd.DataFrame, tmp_path: Path) -> None:
    save_bars(tmp_path / "b.parquet", bars)
    with pytest.raises(DataError, match="15 minutes apart, but 1-minute bars"):
        load_bars(tmp_path / "b.parquet", seconds=60)


@pytest.mark.parametrize("name", ["absent.parquet", "absent.csv"])
def test_a_missing_file_is_an_error_that_names_the_mend(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent.*no such file; run scripts/download_data\.py"):
        load_bars(tmp_path / name)


def test_a_folder_or_an_unknown_kind_of_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a file"):
        load_bars(tmp_path)
    (tmp_path / "bars.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"unknown kind of file \.xlsx"):
        load_bars(tmp_path / "bars.xlsx")


@pytest.mark.parametrize("keep", [0, 3, 100, 0.5, 0.999])
def test_a_truncated_store_is_an_error_that_names_the_file(bars: pd.DataFrame, tmp_path: Path, keep: float) -> None:
    path = tmp_path / "cut.parquet"
    save_bars(path, bars)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep if keep >= 1 else keep * len(content))])
    with pytest.raises(DataError, match=r"cut\.parquet: cannot be read as Parquet"):
        load_bars(path)


def test_a_flipped_bit_in_the_prices_is_noticed(bars: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "bit.parquet"
    save_bars(path, bars)
    column = pq.ParquetFile(path).metadata.row_group(0).column(4)
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"bit\.parquet"):
        load_bars(path)


def test_trades_of_minus_one_mean_not_published(bars: pd.DataFrame, tmp_path: Path) -> None:
    bars.assign(trades=np.r_[-1, -1, np.arange(len(bars) - 2)], venue="x").to_parquet(tmp_path / "b.parquet")
    trades = load_bars(tmp_path / "b.parquet")["trades"]
    assert np.flatnonzero(trades.isna()).tolist() == [0, 1]
    assert trades.iloc[2] == 0


def test_prices_stored_in_single_precision_are_read_as_the_decimals_they_show(
    bars: pd.DataFrame, tmp_path: Path
) -> None:
    narrow = bars.astype(dict.fromkeys(("open", "high", "low", "close"), "float32"))
    narrow.to_parquet(tmp_path / "b.parquet")
    pd.testing.assert_frame_equal(load_bars(tmp_path / "b.parquet"), bars, check_exact=True)


def test_the_spread_of_broker_exports_is_found_under_its_unit(bars: pd.DataFrame, tmp_path: Path) -> None:
    bars.assign(spread_points=1001).to_parquet(tmp_path / "b.parquet")
    assert load_bars(tmp_path / "b.parquet")["spread"].eq(1001.0).all()


def test_csv_with_a_header_is_loaded_by_its_suffix(bars: pd.DataFrame, tmp_path: Path) -> None:
    bars.to_csv(tmp_path / "b.csv", index=False)
    pd.testing.assert_frame_equal(load_bars(tmp_path / "b.csv"), bars)


def test_adjoining_and_overlapping_parts_merge_into_the_whole(bars: pd.DataFrame) -> None:
    for first, second in ((part(bars, 0, 200), part(bars, 200, 400)), (part(bars, 0, 300), part(bars, 100, 400))):
        pd.testing.assert_frame_equal(merge_bars(first, second), bars)
        pd.testing.assert_frame_equal(merge_bars(second, first), bars)


def test_merging_bars_with_themselves_changes_nothing(bars: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(merge_bars(bars, bars.copy()), bars)


def test_bars_fill_a_hole_between_stored_ones(bars: pd.DataFrame) -> None:
    holed = pd.concat([part(bars, 0, 50), part(bars, 60, 400)], ignore_index=True)
    assert [gap.missing for gap in find_gaps(holed)] == [10]
    pd.testing.assert_frame_equal(merge_bars(holed, part(bars, 45, 65)), bars)


@pytest.mark.parametrize("column", ["open", "high", "volume"])
def test_contradicting_overlaps_are_an_error_naming_row_and_values(bars: pd.DataFrame, column: str) -> None:
    new = part(bars, 100, 200)
    new.loc[7, column] += 0.25
    with pytest.raises(DataError, match=rf"row 7 \(2022-01-04 02:45.*\): {column} is .* is stored; 1 such row"):
        merge_bars(bars, new)


def test_a_figure_published_later_completes_the_stored_bar(bars: pd.DataFrame) -> None:
    old, new = bars.assign(trades=np.nan), part(bars, 0, 10).assign(trades=5.0)
    merged = merge_bars(old, new)["trades"]
    assert merged.iloc[:10].eq(5.0).all() and merged.iloc[10:].isna().all()
    assert merge_bars(bars, new)["trades"].notna().sum() == 10


def test_a_missing_spread_is_not_merged_as_zero(bars: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="only one of the two sets has a spread"):
        merge_bars(part(bars, 0, 10).assign(spread=17.0), part(bars, 10, 20))


def test_synthetic_and_real_bars_are_never_merged(bars: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="synthetic=none but the new ones synthetic=null"):
        merge_bars(bars, synthetic_bars("null", 10, seed=1))


def test_two_venues_are_never_merged_and_an_unnamed_one_takes_the_name(bars: pd.DataFrame) -> None:
    first, second = part(bars, 0, 10), part(bars, 10, 20)
    second.attrs["source"] = "binance BTCUSDT"
    assert merge_bars(first, second).attrs == {"source": "binance BTCUSDT"}
    first.attrs["source"] = "bitstamp btcusd"
    with pytest.raises(DataError, match="source=bitstamp btcusd but the new ones source=binance BTCUSDT"):
        merge_bars(first, second)


def test_a_store_is_held_by_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "data" / "b.parquet"
    with store_lock(path), pytest.raises(LockedError, match=r"b\.parquet: another process"), store_lock(path):
        pytest.fail("the lock was given twice")
    with store_lock(path):
        pass


def test_the_real_bars_load_with_their_known_holes(shared_data: Path) -> None:
    real = load_bars(shared_data / "BTCUSD_M15.parquet")
    gaps = find_gaps(real)
    assert len(real) == 322_703
    assert sum(gap.missing for gap in gaps) == 10_321
    assert max(gap.missing for gap in gaps) == 61 * 96 - 1
    assert real["trades"].isna().sum() == (real["time"] < pd.Timestamp("2018-01-01", tz="UTC")).sum()
    assert not {"minutes", "source"} & set(real.columns)


def test_real_minute_bars_add_up_to_the_real_quarter_hours(shared_data: Path) -> None:
    minutes = load_bars(shared_data / "BTCUSD_M1.parquet", seconds=60)
    quarters = load_bars(shared_data / "BTCUSD_M15.parquet").set_index("time")
    grouped = minutes.groupby(minutes["time"].dt.floor("15min"))
    made = grouped.agg({"open": "first", "high": "max", "low": "min", "close": "last"})
    pd.testing.assert_frame_equal(made, quarters.loc[made.index, list(made.columns)], check_exact=True)
