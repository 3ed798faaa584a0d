"""Text imports: broker exports on the broker's clock, plain CSV in UTC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from novosky.data.store import load_bars
from novosky.data.text.importers import read_text_bars
from novosky.errors import DataError
from novosky.market.server_time import ServerClock

NEW_YORK_7 = ServerClock("NewYork+7")
MT5_HEADER = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"
MT5_ROWS = (
    "2024.01.02\t00:00:00\t43614.21\t43656.09\t43366.39\t43466.10\t399\t0\t1001",
    "2024.01.02\t00:15:00\t43466.10\t43526.48\t43434.27\t43524.93\t226\t0\t1001",
    "2024.01.02\t00:30:00\t43524.93\t43994.99\t43524.93\t43984.99\t662\t0\t1002",
)


def mt5_file(folder: Path, *rows: str, encoding: str = "ascii") -> Path:
    path = folder / "BTCUSD_M15.csv"
    path.write_bytes("".join(row + "\r\n" for row in (MT5_HEADER, *rows)).encode(encoding))
    return path


def text_file(folder: Path, *lines: str) -> Path:
    path = folder / "bars.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def utc(*texts: str) -> list[pd.Timestamp]:
    return [pd.Timestamp(text, tz="UTC") for text in texts]


def test_an_mt5_export_is_read_on_the_brokers_clock(tmp_path: Path) -> None:
    bars = read_text_bars(mt5_file(tmp_path, *MT5_ROWS), NEW_YORK_7)
    assert bars["time"].tolist() == utc("2024-01-01 22:00", "2024-01-01 22:15", "2024-01-01 22:30")
    assert bars.iloc[0, 1:5].tolist() == [43614.21, 43656.09, 43366.39, 43466.10]
    assert bars["spread"].tolist() == [1001, 1001, 1002]


def test_tick_volume_counts_where_the_broker_publishes_no_traded_volume(tmp_path: Path) -> None:
    assert read_text_bars(mt5_file(tmp_path, *MT5_ROWS), NEW_YORK_7)["volume"].tolist() == [399, 226, 662]


def test_traded_volume_counts_in_the_whole_file_where_it_is_published(tmp_path: Path) -> None:
    rows = (MT5_ROWS[0].replace("399\t0", "399\t12"), *MT5_ROWS[1:])
    assert read_text_bars(mt5_file(tmp_path, *rows), NEW_YORK_7)["volume"].tolist() == [12, 0, 0]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_understood(tmp_path: Path, encoding: str) -> None:
    assert len(read_text_bars(mt5_file(tmp_path, *MT5_ROWS, encoding=encoding), NEW_YORK_7)) == 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((), "has a header but no bars"),
        ((MT5_ROWS[0], MT5_ROWS[1][:-30]), r"BTCUSD_M15\.csv: line 3 has 4 fields instead of 9; the file is cut off"),
        ((MT5_ROWS[0], MT5_ROWS[1][:10]), "line 3 has 1 fields"),
        ((MT5_ROWS[0], MT5_ROWS[1].replace("43526.48", "4x")), r"line 3: <HIGH> is '4x', not a number"),
        ((MT5_ROWS[0], MT5_ROWS[1].replace("00:15:00", "25:15:00")), r"line 3: '2024\.01\.02 25:15:00' is not a time"),
        ((MT5_ROWS[0], "", MT5_ROWS[1]), "line 3 has 0 fields"),
        ((MT5_ROWS[0], MT5_ROWS[0]), "row 1 .*duplicate time"),
        ((MT5_ROWS[1], MT5_ROWS[0]), "row 1 .*time runs backwards"),
        ((MT5_ROWS[0], MT5_ROWS[1] + "\t7\t7"), "line 3 has 11 fields instead of 9"),
    ],
)
def test_a_damaged_export_is_an_error_naming_the_place(tmp_path: Path, rows: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_text_bars(mt5_file(tmp_path, *rows), NEW_YORK_7)


def test_an_export_with_a_missing_column_is_an_error(tmp_path: Path) -> None:
    path = text_file(tmp_path, MT5_HEADER.replace("<LOW>", "<HALF>"), *MT5_ROWS)
    with pytest.raises(DataError, match=r"missing column\(s\) <LOW>"):
        read_text_bars(path, NEW_YORK_7)


def test_a_stamp_that_stands_once_in_the_repeated_hour_is_the_later_pass_unless_the_owner_says_otherwise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    row = MT5_ROWS[0].replace("2024.01.02\t00:00:00", "2024.11.03\t08:30:00")
    path = mt5_file(tmp_path, row)
    assert read_text_bars(path, NEW_YORK_7)["time"].tolist() == utc("2024-11-03 06:30")
    assert read_text_bars(path, NEW_YORK_7, repeated="earlier")["time"].tolist() == utc("2024-11-03 05:30")
    assert caplog.messages[0] == (
        f"{path}: server clock NewYork+7: 1 bar(s) stamped (first 2024-11-03 08:30:00) in an hour that autumn "
        "repeats, once: taken for the later pass"
    )


def test_a_bar_of_a_clock_set_late_is_folded_into_the_one_it_was_cut_off_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = mt5_file(
        tmp_path,
        "2024.03.10\t08:45:00\t100\t101\t99\t100\t50\t0\t9",
        "2024.03.10\t09:00:00\t100\t105\t98\t104\t3\t0\t7",
        "2024.03.10\t10:00:00\t103\t104\t97\t102\t40\t0\t8",
        "2024.03.10\t10:15:00\t102\t103\t101\t102\t30\t0\t9",
    )
    bars = read_text_bars(path, NEW_YORK_7)
    assert bars["time"].tolist() == utc("2024-03-10 06:45", "2024-03-10 07:00", "2024-03-10 07:15")
    assert bars.iloc[1][["open", "high", "low", "close", "volume", "spread"]].tolist() == [100, 105, 97, 102, 43, 7]
    assert caplog.messages == [
        f"{path}: server clock NewYork+7: 1 bar(s) stamped (first 2024-03-10 09:00:00) by a clock set late: converted "
        "with the offset before the change, 1 folded into the bar of the same time"
    ]


def test_a_whole_skipped_hour_of_bars_still_means_a_wrong_clock(tmp_path: Path) -> None:
    rows = [f"2024.03.10\t{9 + k // 4:02}:{k % 4 * 15:02}:00\t100\t101\t99\t100\t50\t0\t9" for k in range(8)]
    with pytest.raises(DataError, match=r"row 0 \(2024-03-10 09:00:00\): this time was skipped.*4 such row"):
        read_text_bars(mt5_file(tmp_path, *rows), NEW_YORK_7)


def test_an_mt4_file_without_header_is_read_on_the_brokers_clock(tmp_path: Path) -> None:
    path = text_file(tmp_path, "2020.04.07,22:15,10247.77,10255.79,10219.97,10221.97,511")
    bars = read_text_bars(path, NEW_YORK_7)
    assert bars.iloc[0].tolist() == [*utc("2020-04-07 19:15"), 10247.77, 10255.79, 10219.97, 10221.97, 511.0]


def test_a_file_without_header_and_with_other_columns_is_an_error(tmp_path: Path) -> None:
    path = text_file(tmp_path, "1704067200000,1,2,1,2,5,1704068099999,7,8,9,10")
    with pytest.raises(DataError, match="no header line and 11 columns, beginning with '1704067200000'"):
        read_text_bars(path, NEW_YORK_7)


@pytest.mark.parametrize(
    "stamps",
    [
        ("2024-01-02T00:00:00Z", "2024-01-02T00:15:00Z"),
        ("2024-01-02T02:00:00+02:00", "2024-01-02T02:15:00+02:00"),
        ("1704153600", "1704154500"),
        ("1704153600000", "1704154500000"),
        ("1704153600000000", "1704154500000000"),
        ("1704153600000000000", "1704154500000000000"),
    ],
)
def test_csv_times_are_utc_in_every_usual_notation(tmp_path: Path, stamps: tuple[str, str]) -> None:
    path = text_file(tmp_path, "time,open,high,low,close,volume", *(f"{stamp},2,4,1,3,10" for stamp in stamps))
    bars = read_text_bars(path)
    assert bars["time"].tolist() == utc("2024-01-02 00:00", "2024-01-02 00:15")
    assert bars.iloc[0, 1:].tolist() == [2, 4, 1, 3, 10]


def test_csv_columns_are_found_by_name_in_any_order_case_and_separator(tmp_path: Path) -> None:
    path = text_file(tmp_path, "Volume;Close;Low;High;Open;Timestamp;venue", "10;3;1;4;2;1704153600;x")
    assert read_text_bars(path).iloc[0].tolist() == [*utc("2024-01-02"), 2, 4, 1, 3, 10]


def test_a_dump_of_the_metatrader_package_is_read_on_the_brokers_clock(tmp_path: Path) -> None:
    path = text_file(
        tmp_path, "time,open,high,low,close,tick_volume,spread,real_volume", "1704153600,2,4,1,3,10,1001,0"
    )
    bars = read_text_bars(path, NEW_YORK_7)
    assert bars["time"].tolist() == utc("2024-01-01 22:00")
    assert (bars["volume"][0], bars["spread"][0]) == (10, 1001)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("time,open,high,low,close,volume",), r"bars\.csv: has a header but no bars"),
        (("open,high,low,close,volume", "2,4,1,3,10"), "no time column"),
        (("time,open,high,low,volume", "1704153600,2,4,1,10"), r"missing column\(s\) close"),
        (("time,open,high,low,close,volume", "1704153600,2,4,1,3,"), "line 2: volume is '', not a number"),
        (
            ("time,open,high,low,close,volume", "1704153600,2,4,1,3,10", "yesterday,2,4,1,3,10"),
            "line [23]: .*not a time",
        ),
        (("time,open,high,low,close,volume", "1704153600,2,4,5,3,10"), "row 0 .*high is below low"),
        (("time,open,high,low,close,volume,Vol", "1704153600,2,4,1,3,10,10"), "two columns mean the same"),
        (("time,open,high,low,close,volume", "1704153600,2,4,1,3,\x0010"), "line 2: volume"),
        (("time,open,high,low,close,volume", "1704153600,2,50,4,1,3,10"), "line 2 has 7 fields"),
    ],
)
def test_a_broken_csv_is_an_error_naming_the_place(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_text_bars(text_file(tmp_path, *lines))


@pytest.mark.parametrize("stamp", ["17041536000000000000", "99999999999999999999999", "1e300", "inf"])
def test_an_epoch_beyond_every_unit_is_an_error_naming_the_line(tmp_path: Path, stamp: str) -> None:
    path = text_file(tmp_path, "time,open,high,low,close,volume", "1704153600,2,4,1,3,10", f"{stamp},2,4,1,3,10")
    with pytest.raises(DataError, match=rf"line 3: '{stamp}' is no epoch time"):
        read_text_bars(path)


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is empty"), (b"\n\n", "is empty"), (b"\x80\x81PAR1", "not text")]
)
def test_a_file_that_is_no_text_is_an_error(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_text_bars(tmp_path / "x.csv")


def test_the_kind_of_a_text_file_is_told_by_its_first_line(tmp_path: Path) -> None:
    assert len(read_text_bars(mt5_file(tmp_path, *MT5_ROWS), NEW_YORK_7)) == 3
    assert len(read_text_bars(text_file(tmp_path, "2020.04.07,22:15,2,4,1,3,511"), NEW_YORK_7)) == 1
    assert len(read_text_bars(text_file(tmp_path, "time,open,high,low,close,volume", "1704153600,2,4,1,3,10"))) == 1


def test_a_broker_file_without_its_clock_is_an_error_that_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"MetaTrader 5 export; say which clock.*--server-clock"):
        load_bars(mt5_file(tmp_path, *MT5_ROWS))
    with pytest.raises(DataError, match=r"no header line; say which clock.*--server-clock"):
        load_bars(text_file(tmp_path, "2020.04.07,22:15,2,4,1,3,511"))


@pytest.mark.parametrize(
    ("raw", "stored", "seconds"),
    [("BTCUSD_M30.csv", "BTCUSD_M30_brokerCFD_C.parquet", 1800), ("GER40_M15.csv", "GER40_M15.parquet", 900)],
)
def test_a_real_export_equals_its_independent_conversion(
    shared_data: Path, raw: str, stored: str, seconds: int
) -> None:
    bars = read_text_bars(shared_data / "mt5_raw" / raw, NEW_YORK_7, seconds=seconds)
    expected = load_bars(shared_data / stored, seconds=seconds)
    # The raw text was cut at a server date, the conversion at a UTC date some hours later.
    assert 0 <= len(expected) - len(bars) <= 3 * 3600 // seconds
    pd.testing.assert_frame_equal(bars, expected.iloc[: len(bars)], check_exact=True)


def test_a_real_mt4_export_equals_its_independent_conversion(shared_data: Path) -> None:
    bars = read_text_bars(shared_data / "mt5_raw" / "DAX30_M5_MT4style_first5000.csv", NEW_YORK_7, seconds=300)
    expected = load_bars(shared_data / "DAX30_M5.parquet", seconds=300)
    pd.testing.assert_frame_equal(bars, expected.iloc[: len(bars)], check_exact=True)
    assert np.isfinite(bars["volume"]).all()
