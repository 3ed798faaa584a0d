"""What is traded, as plain values that the settings state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from novosky.errors import SettingsError
from novosky.market.instrument import BOT_MAGIC, USUAL_SYMBOL, currencies_of
from novosky.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[3]


def settings_of(tmp_path: Path, **changes: Any) -> Settings:
    content = json.loads((ROOT / "config.json").read_text(encoding="utf-8"))
    broker = {**content["broker"], **changes.pop("broker", {})}
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**content, **changes, "broker": broker}), encoding="utf-8")
    return load_settings(file)


def test_the_shipped_settings_trade_bitcoin_at_every_quarter_of_an_hour(tmp_path: Path) -> None:
    traded = settings_of(tmp_path).instrument
    assert (traded.symbol, traded.timeframe.name, traded.timeframe.bars_per_day) == (USUAL_SYMBOL, "M15", 96)
    assert (traded.base_currency, traded.quote_currency) == ("BTC", "USD")
    assert traded.magic == BOT_MAGIC == 770_001, "positions of a running bot carry it"


def test_an_instrument_says_what_its_settings_say(tmp_path: Path) -> None:
    hours = {"saturday": "closed"}
    terms = {"digits": 5, "point": 0.00001, "contract_size": 100_000.0, "server_clock": "UTC", "trading_hours": hours}
    traded = settings_of(tmp_path, symbol="EURUSD.r", broker=terms).instrument
    assert (traded.symbol, traded.plain_name) == ("EURUSD.r", "EURUSD")
    assert (traded.digits, traded.point, traded.contract_size) == (5, 0.00001, 100_000.0)
    assert (traded.calendar.server_clock, traded.calendar.hours) == ("UTC", hours)


@pytest.mark.parametrize(
    ("symbol", "pair"),
    [
        ("BTC/USDT", ("BTC", "USD")),
        ("XAUUSDm", ("XAU", "USD")),
        ("USDJPY", ("USD", "JPY")),
        ("GER40.cash", (None, None)),
        ("AAPL.US", (None, None)),
    ],
)
def test_the_currencies_of_a_pair_stand_in_its_name_and_nothing_else_is_guessed(
    symbol: str, pair: tuple[str | None, str | None]
) -> None:
    assert currencies_of(symbol) == pair


@pytest.mark.parametrize(("name", "words"), [("D1", "D1 bars are not traded"), ("M7", "'M7' is no time frame")])
def test_a_time_frame_that_is_not_traded_is_refused_in_other_words_than_one_there_is_none_of(
    tmp_path: Path, name: str, words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        settings_of(tmp_path, timeframe=name)
