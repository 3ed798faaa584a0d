"""Whose bars go into which store: the symbol decides, and two markets or sources are never joined unasked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from novosky.data.identity import bars_identity
from novosky.data.joining import Join
from novosky.data.named_symbol import symbol_in_name
from novosky.data.store import load_bars, merge_bars, save_bars
from novosky.data.synthetic import synthetic_bars
from novosky.errors import DataError, UsageError
from tests.commands.test_data import error_of, output_of


def bars_of(level: float, start: str, count: int = 40, **labels: str) -> pd.DataFrame:
    frame = synthetic_bars("null", count, seed=1)
    prices = ["open", "high", "low", "close"]
    frame[prices] *= level / frame["open"].iloc[0]
    frame["time"] = pd.date_range(start, periods=count, freq="15min", tz="UTC")
    frame.attrs.clear()
    frame.attrs.update(labels)
    return frame


def csv_of(path: Path, level: float, start: str) -> Path:
    bars_of(level, start).to_csv(path, index=False)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copy(root / "config.json", tmp_path / "config.json")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        *(
            ("GER40_M15.csv", "GER40"),
            ("BTCUSD_M15_202401020000_202406282345.csv", "BTCUSD"),
            ("EURUSD15.csv", "EURUSD"),
        ),
        *(
            ("BTCUSDT-15m-2024-01.csv", "BTCUSDT"),
            ("DAT_ASCII_EURUSD_M1_2023.csv", "EURUSD"),
            ("XAUUSD.r_M15.csv", "XAUUSD.r"),
        ),
        *(
            ("EURUSD.csv", "EURUSD"),
            ("xauusd_m15.csv", "xauusd"),
            ("my GER40 bars.csv", "GER40"),
            ("NAS100.txt", "NAS100"),
        ),
        *(("BTCUSDT.csv", "BTCUSDT"), ("EURUSD and GBPUSD.csv", None), ("DAX.csv", "DAX"), ("report.csv", None)),
        ("EURUSD_Candlestick_15_M_BID_01.01.2024-02.01.2024.csv", "EURUSD"),
        *(("Bitstamp_BTCUSD_1h.csv", "BTCUSD"), ("Binance_BTCUSDT_minute.csv", "BTCUSDT")),
        *(("BINANCE_BTCUSDT, 15.csv", "BTCUSDT"), ("history.csv", None), ("export2024.csv", None), ("M15.csv", None)),
        *(("my bars_M15.csv", None), ("data.csv", None), ("1.csv", None)),
    ],
)
def test_a_file_name_states_its_symbol_by_a_known_pattern(name: str, symbol: str | None) -> None:
    assert symbol_in_name(Path(name)) == symbol


def test_the_default_store_follows_the_files_name(folder: Path) -> None:
    text = output_of("--source", "csv", "--input", csv_of(folder / "GER40_M15.csv", 17_000, "2024-01-02"))
    assert bars_identity(folder / "data" / "GER40_M15.parquet").symbol == "GER40"
    assert "note: symbol GER40, from the name of --input" in text
    assert not (folder / "data" / "BTCUSD_M15.parquet").exists()


def test_the_option_wins_over_name_and_settings(folder: Path) -> None:
    path = csv_of(folder / "GER30_M15.csv", 17_000, "2024-01-02")
    output_of("--source", "csv", "--input", path, "--symbol", "DE40.cash")
    assert bars_identity(folder / "data" / "DE40_M15.parquet").symbol == "DE40.cash"


def test_the_settings_name_what_nothing_else_does_and_that_is_said(folder: Path) -> None:
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**content, "symbol": "XAUUSD"}), encoding="utf-8")
    text = output_of("--source", "csv", "--input", csv_of(folder / "history.csv", 2_000, "2024-01-02"))
    assert "note: symbol XAUUSD, from config.json" in text
    assert bars_identity(folder / "data" / "XAUUSD_M15.parquet").symbol == "XAUUSD"


def test_a_symbol_that_nobody_names_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = csv_of(tmp_path / "history.csv", 2_000, "2024-01-02")
    assert isinstance(error_of("--source", "csv", "--input", path), UsageError)
    text = output_of("--source", "csv", "--input", path, "--output", tmp_path / "b.parquet")
    assert "note: nobody says which symbol the bars are of; give --symbol" in text
    assert bars_identity(tmp_path / "b.parquet").symbol is None


def test_a_symbol_that_contradicts_the_file_is_refused(folder: Path) -> None:
    (folder / "x.csv").write_text(
        "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>\nSBER,15,20240102,020000,2,4,1,3,10\n",
        encoding="utf-8",
    )
    arguments = ("--source", "csv", "--input", "x.csv", "--server-clock", "Europe/Moscow")
    error = error_of(*arguments, "--symbol", "BTCUSD")
    assert isinstance(error, UsageError) and "holds bars of SBER" in str(error)
    output_of(*arguments)
    assert bars_identity(folder / "data" / "SBER_M15.parquet").symbol == "SBER"


def test_two_instruments_are_not_merged_into_one_store(folder: Path) -> None:
    store = folder / "one.parquet"
    output_of("--source", "csv", "--input", csv_of(folder / "EURUSD_M15.csv", 1.09, "2024-01-02"), "--output", store)
    before = store.read_bytes()
    path = csv_of(folder / "BTCUSD_M15.csv", 30_000, "2024-02-01")
    error = error_of("--source", "csv", "--input", path, "--output", store)
    assert isinstance(error, DataError)
    assert "symbol=EURUSD but the new ones symbol=BTCUSD" in str(error) and "--join symbols" in str(error)
    assert store.read_bytes() == before


def test_one_market_under_two_names_is_joined_by_request(folder: Path) -> None:
    store = folder / "one.parquet"
    for name, start, more in (("GER30", "2024-01-02", ()), ("GER40", "2024-01-02 10:00", ("--join", "symbols"))):
        path = csv_of(folder / f"{name}_M15.csv", 17_000, start)
        output_of("--source", "csv", "--input", path, "--output", store, *more)
    assert bars_identity(store).symbol == "GER40" and len(load_bars(store)) == 80


def test_an_old_store_takes_the_name_of_its_continuation_and_that_is_said(folder: Path) -> None:
    bars_of(17_000, "2024-01-02").to_parquet(folder / "one.parquet")
    path = csv_of(folder / "GER40_M15.csv", 17_000, "2024-01-02 10:00")
    text = output_of("--source", "csv", "--input", path, "--output", folder / "one.parquet")
    assert "note: the stored bars did not say their symbol; they are GER40 from now on" in text


@pytest.mark.parametrize(
    ("level", "start"), [(30_000.0, "2024-01-02 10:00"), (30_000.0, "2024-03-01"), (1.8, "2024-01-02 10:00")]
)
def test_an_old_store_of_another_level_is_refused(level: float, start: str) -> None:
    old, new = bars_of(1.09, "2024-01-02"), bars_of(level, start, symbol="BTCUSD")
    with pytest.raises(DataError, match=r"the price goes from 1\.\d+ to .*not both say their symbol"):
        merge_bars(old, new)
    assert len(merge_bars(old, new, join={"symbols"})) == 80


def test_a_long_hole_may_move_a_market_far(tmp_path: Path) -> None:
    assert len(merge_bars(bars_of(1.09, "2024-01-02"), bars_of(1.9, "2024-03-01"))) == 80


SOURCES: frozenset[Join] = frozenset({"sources"})


def test_joined_sources_are_both_named_and_their_meeting_is_a_seam(tmp_path: Path) -> None:
    old = bars_of(43_000, "2024-01-02", symbol="BTCUSD", source="bitstamp btcusd")
    new = bars_of(43_100, "2024-01-02 10:00", symbol="BTCUSD", source="binance BTCUSDT")
    with pytest.raises(
        DataError, match=r"source=bitstamp btcusd but the new ones source=binance BTCUSDT.*--join sources"
    ):
        merge_bars(old, new)
    joined = merge_bars(old, new, join=SOURCES)
    assert joined.attrs["source"] == "bitstamp btcusd + binance BTCUSDT"
    assert joined.attrs["seams"] == (int(pd.Timestamp("2024-01-02 10:00", tz="UTC").timestamp()),)
    save_bars(tmp_path / "b.parquet", joined)
    assert load_bars(tmp_path / "b.parquet").attrs == joined.attrs
    # What is known to be joined goes on without being asked again.
    later = bars_of(43_000, "2024-01-02 20:00", symbol="BTCUSD", source="binance BTCUSDT")
    assert merge_bars(joined, later).attrs["seams"] == joined.attrs["seams"]


@pytest.mark.parametrize("label", [("point", "0.01", "0.001"), ("digits", "2", "3")])
def test_bars_of_two_price_steps_are_never_joined(label: tuple[str, str, str]) -> None:
    name, one, other = label
    old = bars_of(43_000, "2024-01-02", **{name: one})
    new = bars_of(43_000, "2024-01-02 10:00", **{name: other})
    with pytest.raises(DataError, match=f"{name}={one} but the new ones {name}={other}"):
        merge_bars(old, new, join={"symbols", "sources"})


def test_bars_without_volume_are_not_joined_to_bars_with_it() -> None:
    old, new = bars_of(43_000, "2024-01-02"), bars_of(43_000, "2024-01-02 10:00", volume="none")
    with pytest.raises(DataError, match="volume=none"):
        merge_bars(old, new)


def test_two_time_frames_are_never_merged(folder: Path) -> None:
    minutes = bars_of(43_000, "2024-01-02")
    minutes["time"] = pd.date_range("2024-01-02", periods=40, freq="1min", tz="UTC")
    save_bars(folder / "m.parquet", minutes, seconds=60)
    path = csv_of(folder / "BTCUSD_M15.csv", 43_000, "2024-01-02")
    error = error_of("--source", "csv", "--input", path, "--output", folder / "m.parquet")
    assert isinstance(error, DataError) and "15-minute bars are needed" in str(error)


def test_the_same_bars_under_the_names_of_two_brokers_are_one_market() -> None:
    old = bars_of(1.09, "2024-01-02", symbol="EURUSD")
    assert merge_bars(old, bars_of(1.09, "2024-01-02 10:00", symbol="EURUSD.r")).attrs["symbol"] == "EURUSD"


def test_what_is_odd_in_the_bars_is_said_at_import(folder: Path) -> None:
    bars = bars_of(43_000, "2024-01-02", count=400).round({"open": 2, "high": 2, "low": 2, "close": 2})
    usual = float(np.median((bars["high"] - bars["low"]) / bars["close"]))
    bars["spread"] = 1000.0
    bars.loc[[5, 6], "spread"] = 0.0
    bars.loc[9, "spread"], bars.loc[10, "spread"] = 2.0, 500_000.0
    bars.loc[200, "low"] = round(bars["close"][200] * (1 - 60 * usual), 2)
    bars.loc[300, "high"] += 0.0625
    bars.to_csv(folder / "BTCUSD_M15.csv", index=False)
    text = output_of("--source", "csv", "--input", "BTCUSD_M15.csv")
    assert "warning: 1 bar(s) with a range above 25 times the usual one, the largest at 2024-01-04 02:00 UTC" in text
    assert "warning: 2 of 400 bars have spread 0, the first at 2024-01-02 01:15 UTC" in text
    assert (
        "warning: 1 bar(s) have a spread below 0.1 times the median of 1000 points, e.g. 2 at 2024-01-02 02:15" in text
    )
    assert "warning: 1 bar(s) have a spread above 20 times the median of 1000 points, e.g. 500000 at" in text
    assert "warning: 1 of 400 bars have prices finer than 2 digits, e.g. high" in text


def test_another_markets_prices_are_said(folder: Path) -> None:
    bars = bars_of(1.09, "2024-01-02", count=400)
    bars.loc[200:, ["open", "high", "low", "close"]] *= 1.27 / 1.09
    bars.to_csv(folder / "EURUSD_M15.csv", index=False)
    text = output_of("--source", "csv", "--input", "EURUSD_M15.csv")
    assert "warning: 1 step(s) of the price between neighbouring bars" in text and "2024-01-04 02:00 UTC" in text


def test_sound_bars_raise_no_warning(folder: Path) -> None:
    synthetic = synthetic_bars("null", 5_000, seed=3)
    synthetic.attrs.clear()
    synthetic.to_csv(folder / "BTCUSD_M15.csv", index=False)
    assert "warning" not in output_of("--source", "csv", "--input", "BTCUSD_M15.csv")
