"""What a bar costs: a spread of 0 is not free, figures of another symbol are refused, and the bars are counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from engine.inputs.bar_spreads import BarSpreads, bar_spreads
from novosky.data.store import load_bars, save_bars
from novosky.errors import DataError, SettingsError
from tests.helpers.command_line import run_script
from tests.helpers.desk import Desk
from tests.helpers.paper_runs import Scenario, backtest_outcome, planted_bars, replay_outcome, settings_with
from tests.truth.test_parity import WARM_UP
from trading.doctor.costs import check_costs


def bars(price: float, *points: float, span: float = 0.002) -> pd.DataFrame:
    """Return bars at a price; with spreads of so many points where any are given."""
    count = len(points) or 3
    frame = pd.DataFrame(
        {
            "time": pd.date_range("2024-01-01", periods=count, freq="15min", tz="UTC"),
            "open": price,
            "high": price * (1 + span / 2),
            "low": price * (1 - span / 2),
            "close": price,
            "volume": 1.0,
        }
    )
    return frame.assign(spread=list(points)) if points else frame


def spreads(frame: pd.DataFrame, *, fixed: bool = False, costs: float = 16.95, **broker: Any) -> BarSpreads:
    how = broker.pop("how", "floor")
    slippage = broker.pop("slippage", 0.0)
    settings = settings_with(costs={"spread": costs, "bar_spread": how, "slippage": slippage}, broker=broker)
    return bar_spreads(frame, settings, fixed=fixed)


def test_bars_with_their_own_spread_are_believed_and_a_spread_of_zero_pays_the_stated_one() -> None:
    found = spreads(bars(42_000.0, 1695.0, 0.0, 800.0), costs=5.0)
    assert found.usd.tolist() == [16.95, 5.0, 8.0]
    assert (found.unknown, found.floored, found.wide) == (1, 1, 0)
    assert found.remarks == (
        "Spread: 1 of 3 bars state none, or less than a tenth of costs.spread; they pay 5 USD "
        "(costs.bar_spread as_is would take them as they are)",
    )


@pytest.mark.parametrize(
    ("points", "usd"),
    [(0.0, 16.95), (1.0, 16.95), (169.0, 16.95), (169.5, 1.7), (170.0, 1.7), (1695.0, 16.95), (5_000.0, 50.0)],
)
def test_next_to_nothing_is_a_gap_in_the_record_too(points: float, usd: float) -> None:
    assert spreads(bars(42_000.0, points)).usd.tolist() == [usd]


def test_zero_can_be_meant_and_is_said_then_too() -> None:
    found = spreads(bars(42_000.0, 0.0, 1.0, 900.0), how="as_is")
    assert found.usd.tolist() == [0.0, 0.01, 9.0]
    assert (found.unknown, found.floored) == (2, 0)
    assert "2 of 3 bars" in found.remarks[0] and "pay no more, because costs.bar_spread is as_is" in found.remarks[0]
    assert spreads(bars(42_000.0, 0.0), costs=0.0).usd.tolist() == [0.0], "costs.spread of 0 is a statement as well"
    assert spreads(bars(42_000.0, 1695.0), fixed=True, costs=0.0).usd.tolist() == [0.0], "and so is --spread 0"


def test_a_fixed_spread_replaces_the_bars_own_and_floors_nothing() -> None:
    found = spreads(bars(42_000.0, 1695.0, 0.0), fixed=True, costs=5.0)
    assert (found.usd.tolist(), found.floored, found.remarks) == ([5.0, 5.0], 0, ())


def test_bars_without_a_spread_cost_the_configured_one() -> None:
    found = spreads(bars(42_000.0))
    assert (found.usd.tolist(), found.floored, found.remarks) == ([16.95] * 3, 0, ())


@pytest.mark.parametrize(("points", "usd"), [(123.4, 1.23), (123.5, 1.24), (0.4, 0.0), (0.5, 0.01)])
def test_spreads_lie_on_the_price_grid(points: float, usd: float) -> None:
    assert spreads(bars(42_000.0, points), costs=0.0, point=0.01, digits=2).usd.tolist() == [usd]


def test_a_spread_in_points_follows_the_point_of_the_symbol() -> None:
    assert spreads(bars(42_000.0, 170.0), point=0.1, digits=1).usd.tolist() == [17.0]


@pytest.mark.parametrize(
    ("price", "costs", "times"),
    [(1.09, 16.95, "16"), (10.0, 16.95, "1.7"), (100.0, 16.95, "0.17"), (20.0, 1.5, "0.075")],
)
def test_costs_of_another_symbol_are_refused_with_both_numbers(price: float, costs: float, times: str) -> None:
    with pytest.raises(SettingsError) as refused:
        spreads(bars(price), costs=costs)
    text = str(refused.value)
    assert f"costs.spread is {costs:g} USD, {times} times the bars' median price of {price:g}" in text
    assert "--spread" in text and "\n" not in text


@pytest.mark.parametrize(
    ("price", "slippage", "times"),
    [(1.09, 1.0, "0.92"), (1.09, 16.95, "16"), (10.0, 1.0, "0.1"), (42_000.0, 1e9, "2.4e+04")],
)
@pytest.mark.parametrize("points", [(), (12.0, 9.0, 10.0)])
def test_slippage_of_another_symbol_is_refused_too(
    price: float, slippage: float, times: str, points: tuple[float, ...]
) -> None:
    with pytest.raises(SettingsError) as refused:
        spreads(bars(price, *points), costs=0.00012, point=0.00001, digits=5, slippage=slippage)
    text = str(refused.value)
    assert f"costs.slippage is {slippage:g} USD, {times} times the bars' median price of {price:g}" in text
    assert "--slippage" in text and "\n" not in text


def test_bars_that_would_be_floored_to_another_symbol_s_costs_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"costs\.spread is 16\.95 USD, 16 times"):
        spreads(bars(1.09, 12.0, 9.0, 0.0), point=0.00001, digits=5)
    fitting = spreads(bars(1.09, 12.0, 9.0, 0.0), costs=0.00012, point=0.00001, digits=5)
    assert fitting.usd.tolist() == [0.00012, 0.00009, 0.00012]


def test_points_of_another_symbol_are_refused_naming_the_bar() -> None:
    with pytest.raises(DataError, match=r"row 0 \(2024-01-01 .*a spread of 0\.12 USD at a price of 1\.09.*broker"):
        spreads(bars(1.09, 12.0, 9.0, 11.0), costs=0.00012, point=0.01, digits=2)
    with pytest.raises(DataError, match=r"row 1 .*a spread of 50000 USD at a price of 42000, 1\.2 times"):
        spreads(bars(42_000.0, 1695.0, 5_000_000.0, 1695.0))


def test_a_wide_spread_is_paid_and_counted() -> None:
    found = spreads(bars(42_000.0, 1695.0, 250_000.0, 1695.0))
    assert found.usd.tolist() == [16.95, 2500.0, 16.95] and found.wide == 1
    assert found.remarks == ("Spread: 1 of 3 bars state more than a twentieth of their price, and pay it",)


def test_a_spread_wider_than_the_bars_themselves_is_said_with_the_number() -> None:
    found = spreads(bars(500.0, span=0.01))
    assert found.remarks == (
        "Spread: 16.95 USD is 3.4 times the median bar's range of 5 USD; are these the costs of this symbol?",
    )


def unpriced(count: int) -> pd.DataFrame:
    """Return a market whose bars mostly carry a spread of 0, as some brokers' do."""
    market = planted_bars(count)
    return market.assign(spread=np.where(np.arange(len(market)) % 7 == 0, 2_000.0, 0.0))


@pytest.mark.parametrize("how", ["floor", "as_is"])
def test_backtest_and_bot_floor_alike(tmp_path: Path, how: str) -> None:
    settings = settings_with(costs={"spread": 30.0, "bar_spread": how})
    scenario = Scenario(unpriced(700), first=WARM_UP, settings=settings)
    expected = backtest_outcome(scenario, tmp_path)
    assert replay_outcome(scenario, tmp_path) == expected
    assert len(expected.trade_rows) > 10


def test_the_floor_costs_what_the_same_spread_in_the_bars_would(tmp_path: Path) -> None:
    settings = settings_with(costs={"spread": 30.0})
    zero = unpriced(700)
    stated = zero.assign(spread=np.where(zero["spread"] == 0.0, 3_000.0, zero["spread"]))
    outcomes = []
    for frame in (zero, stated):
        folder = tmp_path / str(len(outcomes))
        folder.mkdir()
        outcomes.append(backtest_outcome(Scenario(frame, first=WARM_UP, settings=settings), folder))
    assert outcomes[0] == outcomes[1]


@pytest.mark.parametrize(("costs", "grade"), [({"spread": 16.95}, "ok"), ({"spread": 5_000.0}, "FAIL")])
def test_doctor_holds_the_costs_against_the_prices(
    desk: Desk, tmp_path: Path, costs: dict[str, float], grade: str
) -> None:
    content = json.loads(desk.config.read_text(encoding="utf-8"))
    content["costs"] = {**content["costs"], **costs}
    config = tmp_path / "config.json"
    config.write_text(json.dumps(content), encoding="utf-8")
    finding = check_costs(config, desk.bars)
    assert finding is not None and finding.grade.lower() == grade.lower()


def with_costs(desk: Desk, folder: Path, **costs: Any) -> list[object]:
    """Return the flags of a desk whose config.json states other costs."""
    content = json.loads(desk.config.read_text(encoding="utf-8"))
    content["costs"] |= costs
    config = folder / "config.json"
    config.write_text(json.dumps(content), encoding="utf-8")
    return ["--config", config, "--ml-config", desk.ml_config, "--models", desk.models]


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("backtest_config.py", ["--data", "{bars}", "--no-chart"]),
        ("scripts/sweep.py", ["--data", "{bars}", "--configs", "2", "--out", "sweep"]),
        ("trading.py", ["--paper", "--replay", "{bars}", "--days", "5", "--journal", "paper.sqlite"]),
    ],
)
def test_every_command_over_bars_refuses_costs_of_another_symbol(
    desk: Desk, tmp_path: Path, script: str, arguments: list[str]
) -> None:
    flags = with_costs(desk, tmp_path, spread=30_000.0)
    answer = run_script(script, *(part.format(bars=desk.bars) for part in arguments), *flags, cwd=tmp_path)
    assert answer.code == 3, answer.err
    assert "costs.spread is 30000 USD" in answer.err and "median price" in answer.err


def test_the_backtest_says_and_counts_the_bars_that_paid_the_floor(desk: Desk, tmp_path: Path) -> None:
    market = load_bars(desk.bars)
    labels = dict(market.attrs)
    market = market.assign(spread=0.0)
    market.attrs.update(labels)
    bars = tmp_path / "BTCUSD_M15.parquet"
    save_bars(bars, market)
    flags = [*with_costs(desk, tmp_path), "--data", bars, "--days", "10", "--no-chart", "--json", "figures.json"]
    answer = run_script("backtest_config.py", *flags, cwd=tmp_path)
    assert answer.code == 0, answer.err
    figures = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert figures["spread_floored"] == figures["bars"] > 0
    assert figures["spread"] == figures["spread_min"] == 16.95
    text = " ".join(answer.out.split())
    assert f"{figures['bars']:,} of {figures['bars']:,} bars floored" in text and "bars state none" in text
