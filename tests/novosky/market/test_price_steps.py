"""Prices with more decimals than the settings give them are said, wherever bars meet settings."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from novosky.data.store import save_bars
from novosky.data.synthetic import synthetic_bars
from novosky.market.price_steps import finer_than_digits, price_step_warnings
from trading.doctor.finding import Grade
from trading.doctor.prices import check_price_steps


def priced(scale: float, digits: int) -> pd.DataFrame:
    """Return bars around `scale` with so many decimals."""
    bars = synthetic_bars("null", 50, seed=1)
    prices = ["open", "high", "low", "close"]
    bars[prices] = np.round(bars[prices] * (scale / bars["open"].iloc[0]), digits)
    bars["high"] = bars[prices].max(axis=1)
    bars["low"] = bars[prices].min(axis=1)
    return bars


@pytest.mark.parametrize(
    ("scale", "digits"), [(43_000.0, 2), (1.09, 5), (145.0, 3), (2_000.0, 2), (17_000.0, 1), (1e6, 0)]
)
def test_prices_of_their_digits_raise_no_word(scale: float, digits: int) -> None:
    for allowed in range(digits, 9):
        assert finer_than_digits(priced(scale, digits), allowed) is None


@pytest.mark.parametrize(("scale", "digits"), [(43_000.0, 3), (1.09, 5), (145.0, 3), (2_000.0, 4)])
def test_finer_prices_are_counted_with_an_example(scale: float, digits: int) -> None:
    bars = priced(scale, digits)
    said = finer_than_digits(bars, digits - 1)
    assert said is not None
    finer = [
        any(round(price, digits - 1) != price for price in row)
        for row in bars[["open", "high", "low", "close"]].to_numpy()
    ]
    assert said.startswith(f"{sum(finer)} of 50 bars have prices finer than {digits - 1} digits, e.g. ")
    assert f"{bars['time'].iloc[finer.index(True)]:%Y-%m-%d %H:%M} UTC" in said


def test_one_finer_price_among_many_is_found() -> None:
    bars = priced(43_000.0, 2)
    bars.loc[31, "low"] -= 0.001
    said = finer_than_digits(bars, 2)
    assert said is not None and said.startswith("1 of 50 bars") and f"low {bars['low'][31]:.10g}" in said


def test_the_spread_column_is_named_where_there_is_one() -> None:
    assert "spread column" not in (finer_than_digits(priced(145.0, 3), 2) or "")
    assert "spread column counts its points" in (finer_than_digits(priced(145.0, 3).assign(spread=7.0), 2) or "")


@pytest.mark.parametrize(
    ("told", "digits", "said"),
    [
        ("2", 3, "the bars are of a symbol with 2 digits, but broker.digits is 3, and .* 10 times too small"),
        ("2", 5, "read 1000 times too small"),
        ("3", 2, "the bars are of a symbol with 3 digits, but broker.digits is 2, and .* 10 times too large"),
    ],
)
def test_what_the_broker_said_of_its_digits_is_held_against_the_settings(told: str, digits: int, said: str) -> None:
    bars = priced(145.0, 2).assign(spread=7.0)
    bars.attrs["digits"] = told
    (warning,) = price_step_warnings(bars, digits)
    assert re.search(said, warning)
    assert price_step_warnings(bars, int(told)) == []


def test_the_doctor_compares_stored_prices_with_the_settings(tmp_path: Path, root: Path) -> None:
    content = json.loads((root / "config.json").read_text(encoding="utf-8"))
    config, bars = tmp_path / "config.json", tmp_path / "bars.parquet"
    config.write_text(json.dumps(content), encoding="utf-8")
    assert check_price_steps(bars, config).grade is Grade.OK
    for digits, grade in ((2, Grade.OK), (3, Grade.WARN)):
        save_bars(bars, priced(145.0, digits))
        assert check_price_steps(bars, config).grade is grade
    assert "finer than 2 digits" in check_price_steps(bars, config).text
