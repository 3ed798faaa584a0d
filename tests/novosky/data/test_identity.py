"""What a bars file says of itself, and which names mean the same market."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from novosky.data.identity import BarsIdentity, bars_identity
from novosky.data.store import load_bars, save_bars
from novosky.data.synthetic import synthetic_bars
from novosky.errors import DataError
from novosky.market.instrument import instrument, same_instrument


@pytest.fixture
def bars() -> pd.DataFrame:
    frame = synthetic_bars("null", 40, seed=1)
    frame.attrs.clear()
    return frame


def test_a_stored_file_says_what_it_is_of(bars: pd.DataFrame, tmp_path: Path) -> None:
    bars.attrs.update(symbol="GER40", source="mt5-export", point="0.01", digits="2")
    save_bars(tmp_path / "b.parquet", bars)
    assert bars_identity(tmp_path / "b.parquet") == BarsIdentity("GER40", "mt5-export", "M15", 0.01, 2)
    assert load_bars(tmp_path / "b.parquet").attrs == bars.attrs


def test_invented_bars_say_so_and_have_no_symbol(tmp_path: Path) -> None:
    save_bars(tmp_path / "b.parquet", synthetic_bars("planted", 40, seed=1))
    assert bars_identity(tmp_path / "b.parquet") == BarsIdentity(timeframe="M15", synthetic="planted")


def test_files_of_others_say_nothing_whatever_their_name(bars: pd.DataFrame, tmp_path: Path) -> None:
    bars.to_parquet(tmp_path / "BTCUSD_M15.parquet")
    bars.to_csv(tmp_path / "BTCUSD_M15.csv")
    assert bars_identity(tmp_path / "BTCUSD_M15.parquet") == BarsIdentity()
    assert bars_identity(tmp_path / "BTCUSD_M15.csv") == BarsIdentity()


def test_damaged_labels_say_nothing(bars: pd.DataFrame, tmp_path: Path) -> None:
    table = pa.Table.from_pandas(bars).replace_schema_metadata(
        {b"novosky.point": b"nan", b"novosky.digits": b"\xff", b"novosky.symbol": b"X", b"\xfe": b"\x00"}
    )
    pq.write_table(table, tmp_path / "b.parquet")
    assert bars_identity(tmp_path / "b.parquet") == BarsIdentity(symbol="X")
    assert load_bars(tmp_path / "b.parquet").attrs["symbol"] == "X"


def test_a_missing_or_damaged_file_is_an_error_naming_it(tmp_path: Path) -> None:
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 and no more")
    for name, message in (("absent.parquet", "no such file"), ("cut.parquet", "cannot be read as Parquet")):
        with pytest.raises(DataError, match=rf"{name}: {message}"):
            bars_identity(tmp_path / name)


def test_a_file_of_another_time_frame_is_refused_by_its_name(bars: pd.DataFrame, tmp_path: Path) -> None:
    save_bars(tmp_path / "one.parquet", bars.iloc[:1])
    with pytest.raises(DataError, match="holds M15 bars, but M1 bars are needed"):
        load_bars(tmp_path / "one.parquet", seconds=60)


@pytest.mark.parametrize(
    ("symbol", "plain"),
    [
        *(("BTCUSD", "BTCUSD"), ("BTC/USD", "BTCUSD"), ("btc-usd", "BTCUSD"), ("BTCUSDT", "BTCUSD")),
        *(("EURUSD.r", "EURUSD"), ("EURUSDm", "EURUSD"), ("GER40.cash", "GER40"), ("XAUUSD#", "XAUUSD")),
        *(("BRK.B", "BRK.B"), ("AAPL.US", "AAPL.US"), ("USDT", "USDT"), ("US500.", "US500"), ("eth_usdt", "ETHUSD")),
        # Bases that end in the first letter of a coin held to the dollar.
        *(("XBTUSD", "XBTUSD"), ("BNBUSD", "BNBUSD"), ("dotusd", "DOTUSD"), ("SHIBUSD.r", "SHIBUSD")),
        *(("BNB/USDT", "BNBUSD"), ("BTC/BUSD", "BTCUSD"), ("btc_tusd", "BTCUSD"), ("BNB-TUSD.r", "BNBUSD")),
        *(("BTCFDUSD", "BTCUSD"), ("ETHUSDC", "ETHUSD"), ("BUSD/USD", "BUSDUSD"), ("XBT/USD", "XBTUSD")),
    ],
)
def test_a_symbol_stands_for_its_market(symbol: str, plain: str) -> None:
    assert instrument(symbol) == plain
    assert same_instrument(symbol, plain)
    assert instrument(plain) == plain


@pytest.mark.parametrize(
    "pair", [("BTCUSD", "EURUSD"), ("AAPL.US", "AAPL.DE"), ("GER40", "GER30"), ("BTCUSD", "BTCEUR")]
)
def test_other_markets_are_told_apart(pair: tuple[str, str]) -> None:
    assert not same_instrument(*pair)
