"""The embedded market: realistic, repeatable, and its truth known — an edge, or none at all."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from novosky.data.store import load_bars, save_bars
from novosky.data.synthetic import DRIFT_BARS, START_PRICE, SURGE_RATIO, MarketKind, planted_direction, synthetic_bars
from novosky.errors import DataError, UsageError
from novosky.market.bars import find_gaps, slice_bars, validate_bars

BARS = 30_000
HORIZON = 96
SPREAD = 17.0
SEEDS = (1, 2, 3, 4)
Floats = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def planted() -> list[pd.DataFrame]:
    return [synthetic_bars("planted", BARS, seed=seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def null() -> list[pd.DataFrame]:
    return [synthetic_bars("null", BARS, seed=seed) for seed in SEEDS]


def average_true_range(bars: pd.DataFrame) -> Floats:
    before = bars["close"].shift().fillna(bars["open"])
    reach = np.maximum(bars["high"], before) - np.minimum(bars["low"], before)
    return reach.ewm(alpha=1 / 14, adjust=False).mean().to_numpy()


def bracket_results(bars: pd.DataFrame, side: npt.NDArray[np.int8], spread: float) -> Floats:
    """Return the result in R of entering at the next open with a stop and a target one ATR away.

    A bar that reaches both counts as a loss; trades that reach neither in time are left out.
    """
    high, low = bars["high"].to_numpy(), bars["low"].to_numpy()
    opens, close, reach = bars["open"].to_numpy(), bars["close"].to_numpy(), average_true_range(bars)
    results = []
    for row in np.flatnonzero(side[: -HORIZON - 1]):
        ahead = slice(row + 1, row + 1 + HORIZON)
        long = side[row] > 0
        # A short leaves at the ask, so its levels lie one spread lower on the bid.
        quote = close[row] + spread if long else close[row] - spread
        top, bottom = quote + reach[row], quote - reach[row]
        up, down = high[ahead] >= top, low[ahead] <= bottom
        touched = up | down
        if touched.any():
            first = int(np.argmax(touched))
            won = (up[first] and not down[first]) if long else (down[first] and not up[first])
            entry = opens[row + 1] + spread if long else opens[row + 1] - spread
            exit_price = top if won == long else bottom
            results.append((exit_price - entry) / reach[row] * (1 if long else -1))
    return np.asarray(results)


def standard_errors(results: Floats) -> float:
    return float(results.mean() / (results.std() / np.sqrt(len(results))))


@pytest.mark.parametrize("kind", ["planted", "null"])
def test_the_same_seed_gives_the_same_bars_and_another_seed_others(kind: MarketKind) -> None:
    first = synthetic_bars(kind, 500, seed=7)
    pd.testing.assert_frame_equal(first, synthetic_bars(kind, 500, seed=7), check_exact=True)
    assert not first["close"].equals(synthetic_bars(kind, 500, seed=8)["close"])


@pytest.mark.parametrize("kind", ["planted", "null"])
@pytest.mark.parametrize("count", [1, 2, 19, 21, 5_000])
def test_the_bars_are_valid_continuous_and_labelled(kind: MarketKind, count: int) -> None:
    bars = synthetic_bars(kind, count, seed=1, start="2023-06-05 08:00")
    pd.testing.assert_frame_equal(validate_bars(bars, source="x"), bars)
    assert (len(bars), bars["time"].iloc[0], find_gaps(bars)) == (count, pd.Timestamp("2023-06-05 08:00", tz="UTC"), [])
    assert bars.attrs == {"synthetic": kind}
    assert bars["open"].iloc[1:].tolist() == bars["close"].iloc[:-1].tolist()
    cents = bars[["open", "high", "low", "close"]] * 100
    np.testing.assert_allclose(cents, cents.round(), atol=1e-6)


def test_the_label_survives_the_store(tmp_path: Path) -> None:
    bars = synthetic_bars("planted", 3_000, seed=1)
    save_bars(tmp_path / "b.parquet", bars)
    loaded = load_bars(tmp_path / "b.parquet")
    assert loaded.attrs["synthetic"] == "planted"
    assert np.array_equal(planted_direction(loaded), planted_direction(bars))


def test_the_market_looks_like_bitcoin(null: list[pd.DataFrame]) -> None:
    for bars in null:
        moves = np.diff(np.log(bars["close"].to_numpy()))
        size = pd.Series(np.abs(moves))
        assert bars["close"].min() / START_PRICE > 0.2 and bars["close"].max() / START_PRICE < 4
        assert 60 < np.median(average_true_range(bars)) < 300
        assert pd.Series(moves).kurt() > 1.5  # fatter tails than a Gaussian's 0
        assert size.autocorr(1) > 0.15 and size.autocorr(96) > 0.05  # volatility clusters and lasts
        by_hour = size.groupby(bars["time"].dt.hour[1:].to_numpy()).mean()
        assert by_hour.idxmax() in (13, 14, 15, 16) and by_hour.max() > 1.4 * by_hour.min()
        weekend = bars["time"].dt.day_of_week[1:].to_numpy() >= 5
        assert size[weekend].mean() < 0.8 * size[~weekend].mean()
        reach = np.log(bars["high"] - bars["low"] + 0.01)
        assert np.corrcoef(reach, np.log(bars["volume"]))[0, 1] > 0.5


def test_wicks_of_the_null_market_are_symmetric(null: list[pd.DataFrame]) -> None:
    for bars in null:
        above = bars["high"] - bars[["open", "close"]].max(axis=1)
        below = bars[["open", "close"]].min(axis=1) - bars["low"]
        assert abs(standard_errors((above - below).to_numpy())) < 3.5


def test_moves_of_the_null_market_are_unpredictable_from_its_past(null: list[pd.DataFrame]) -> None:
    for bars in null:
        moves = bars["close"].diff().to_numpy()[1:]
        assert abs(standard_errors(moves)) < 3.5
        past = {f"the move {lag} bars ago": np.roll(moves, lag) for lag in (1, 2, 4, 8, 96)}
        past["the place of the close in the bar"] = np.roll(
            ((2 * bars["close"] - bars["high"] - bars["low"]) / (bars["high"] - bars["low"] + 0.01)).to_numpy()[1:], 1
        )
        past["a surge's side"] = np.roll(surge_side(bars)[1:].astype(float), 1)
        for name, signal in past.items():
            assert abs(standard_errors((np.sign(signal) * moves)[100:])) < 3.5, name


def surge_side(bars: pd.DataFrame) -> npt.NDArray[np.int8]:
    """Read surges off any market, as `planted_direction` does off the planted one."""
    loud = (bars["volume"] >= SURGE_RATIO * bars["volume"].rolling(20).mean()).to_numpy()
    return (loud * np.sign(bars["close"] - bars["open"]).to_numpy()).astype(np.int8)


RULES = {
    "momentum": lambda b: np.sign(b["close"].diff(5).fillna(0)),
    "mean reversion": lambda b: -np.sign(b["close"] - b["close"].ewm(span=20).mean()),
    "volume surge": surge_side,
}


@pytest.mark.parametrize("rule", RULES)
def test_simple_rules_earn_nothing_on_the_null_market(null: list[pd.DataFrame], rule: str) -> None:
    results = []
    for bars in null:
        side = np.asarray(RULES[rule](bars), dtype=np.int8)
        side[np.arange(BARS) % 5 != 0] *= rule == "volume surge"
        # Mirrored trades lose together where one bar reaches both levels, which says nothing of the side.
        results.append((bracket_results(bars, side, 0.0).mean() - bracket_results(bars, -side, 0.0).mean()) / 2)
        count = np.count_nonzero(side)
    assert abs(np.mean(results)) < 3 / np.sqrt(count * len(results))


def test_the_planted_direction_is_worth_trading_after_the_spread(planted: list[pd.DataFrame]) -> None:
    for bars in planted:
        results = bracket_results(bars, planted_direction(bars), SPREAD)
        assert len(results) > 1_500
        assert results.mean() > 0.30
        assert (results > 0).mean() > 0.62


def test_the_same_surges_are_worth_nothing_on_the_null_market(null: list[pd.DataFrame]) -> None:
    for bars in null:
        assert bracket_results(bars, surge_side(bars), SPREAD).mean() < 0.0


def test_the_drift_is_as_large_and_as_long_as_documented(planted: list[pd.DataFrame]) -> None:
    for bars in planted:
        side, close, reach = planted_direction(bars), bars["close"].to_numpy(), average_true_range(bars)
        at = np.flatnonzero(side[: -3 * DRIFT_BARS])
        gained = side[at] * (close[at + DRIFT_BARS] - close[at]) / reach[at]
        later = side[at] * (close[at + 2 * DRIFT_BARS] - close[at + DRIFT_BARS]) / reach[at]
        assert 1.0 < gained.mean() < 1.4
        assert abs(standard_errors(later)) < 3.5


def test_surges_are_unmistakable_fair_and_never_overlap(planted: list[pd.DataFrame]) -> None:
    for bars in planted:
        side = planted_direction(bars)
        ratio = (bars["volume"] / bars["volume"].rolling(20).mean()).to_numpy()
        assert np.nanmax(ratio[side == 0]) < 2.1 and ratio[side != 0].min() > 2.9
        assert np.diff(np.flatnonzero(side)).min() >= DRIFT_BARS
        assert abs(standard_errors(side[side != 0].astype(float))) < 3.5


def test_the_planted_direction_uses_closed_bars_only(planted: list[pd.DataFrame]) -> None:
    bars = planted[0]
    whole = planted_direction(bars)
    assert np.array_equal(planted_direction(slice_bars(bars, None, bars["time"][1_000], source="x")), whole[:1_000])
    later = slice_bars(bars, bars["time"][500], None, source="x")
    assert np.array_equal(planted_direction(later)[19:], whole[519:])
    assert not planted_direction(later)[:19].any()


def test_nothing_is_known_of_other_markets(null: list[pd.DataFrame]) -> None:
    with pytest.raises(DataError, match="these bars are null"):
        planted_direction(null[0])
    real = null[0].head(50).copy()
    real.attrs.clear()
    with pytest.raises(DataError, match="these bars are real"):
        planted_direction(real)


def test_an_unknown_kind_or_no_bars_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="'trend' does not exist"):
        synthetic_bars("trend", 10, seed=1)  # type: ignore[arg-type]
    for bars in (0, -1, 1_000_001, 10**12, 10**30):
        with pytest.raises(UsageError, match="give --bars 1 to 1000000"):
            synthetic_bars("null", bars, seed=1)


def work_of(make: Callable[[], object]) -> float:
    """Return the least processor time of three, seconds."""
    taken = []
    for _ in range(3):
        begun = time.process_time()
        make()
        taken.append(time.process_time() - begun)
    return min(taken)


def test_a_hundred_thousand_bars_take_little_time() -> None:
    """Seen: 14 times as long as to draw a million numbers; a loop over the bars in Python takes hundreds of times."""
    generator = np.random.default_rng(1)
    drawn = work_of(lambda: generator.standard_normal(1_000_000))
    assert work_of(lambda: synthetic_bars("planted", 100_000, seed=1)) < 60.0 * drawn
