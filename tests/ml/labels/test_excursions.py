"""Labels of the SLTP model: bars made by hand, excursions worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ml.labels.excursions import Excursions, ExcursionTerms, label_excursions
from ml.labels.position import Entries
from novosky.errors import UsageError
from novosky.market.timeframe import USUAL
from tests.helpers.sets.sltp_sets import loud_and_quiet_bars

Row = tuple[float, float, float, float]

SPREAD = 10.0
ATR = 100.0
TERMS = ExcursionTerms(stop_mult=1.0, horizon_bars=3, spread=SPREAD)


def bars_of(rows: list[Row]) -> pd.DataFrame:
    time = pd.date_range("2024-01-01", periods=len(rows), freq="15min", tz="UTC")
    frame = pd.DataFrame(rows, columns=["open", "high", "low", "close"])
    frame.insert(0, "time", time)
    return frame.assign(volume=1.0)


def quiet(price: float) -> Row:
    return (price, price + 5.0, price - 5.0, price)


def measured(
    bars: pd.DataFrame, side: int = 1, terms: ExcursionTerms = TERMS, seams: list[int] | None = None
) -> Excursions:
    entry = Entries(np.array([0]), np.array([side], dtype=np.int8))
    crossed = None if seams is None else np.array(seams, dtype=np.int64)
    return label_excursions(bars, np.full(len(bars), ATR), entry, terms, crossed, frame=USUAL)


# Bids. A long is decided at the ask 50,010 and leaves on the bid; its stop lies at 49,910.
# A short is decided at the bid 50,000 and leaves on the ask; its stop lies at an ask of 50,100.
DECISION = quiet(50_000)
CASES: dict[str, tuple[int, list[Row], float, float]] = {
    "a long pays the spread before it gains": (
        1,
        [(50_000, 50_000, 49_980, 50_000), (50_000, 50_150, 50_000, 50_150), quiet(50_100)],
        0.30,
        1.40,
    ),
    "a short pays the spread before it gains": (
        -1,
        [(50_000, 50_020, 50_000, 50_000), (50_000, 50_000, 49_850, 49_850), quiet(49_900)],
        0.30,
        1.40,
    ),
    "what goes against the trade after its best price is not room it needed": (
        1,
        [(50_000, 50_060, 49_980, 50_060), (50_060, 50_060, 49_920, 49_920), quiet(49_930)],
        0.30,
        0.50,
    ),
    "within a bar the price goes against the trade first": (
        1,
        [quiet(50_000), (50_000, 50_110, 49_950, 50_100), quiet(50_100)],
        0.60,
        1.00,
    ),
    "an open that is the best price comes before its bar's worst": (
        1,
        [(50_070, 50_070, 49_950, 49_960), quiet(49_960), quiet(49_960)],
        0.00,
        0.60,
    ),
    "the bar that reaches the stop adds nothing to the target but its open": (
        1,
        [quiet(50_000), (50_040, 50_300, 49_910, 50_200), quiet(50_200)],
        1.00,
        0.30,
    ),
    "nothing after the stop counts for the target, all of it for the stop": (
        1,
        [(50_000, 50_030, 49_990, 50_000), (50_000, 50_000, 49_880, 49_900), (49_900, 50_310, 49_900, 50_300)],
        1.30,
        0.20,
    ),
    "one cent short of the stop is not stopped": (
        1,
        [(50_000, 50_000, 49_910.01, 49_950), (49_950, 50_210, 49_950, 50_200), quiet(50_200)],
        0.9999,
        2.00,
    ),
    "a trade that never gains has no target": (
        1,
        [(49_990, 49_990, 49_960, 49_960), quiet(49_950), quiet(49_940)],
        0.20,
        0.00,
    ),
    "a market that runs away at once needs no room": (
        -1,
        [(49_900, 49_900, 49_850, 49_850), quiet(49_800), quiet(49_750)],
        0.00,
        2.45,
    ),
}


@pytest.mark.parametrize(("side", "after", "stop", "target"), CASES.values(), ids=CASES.keys())
def test_the_excursions_of_a_hand_made_market(side: int, after: list[Row], stop: float, target: float) -> None:
    found = measured(bars_of([DECISION, *after]), side)
    assert found.stop.tolist() == [pytest.approx(stop)]
    assert found.target.tolist() == [pytest.approx(target)]
    assert (found.bar.tolist(), found.last.tolist(), found.side.tolist()) == ([0], [3], [side])


def test_distances_are_in_atr_of_the_decision_bar() -> None:
    bars = bars_of([DECISION, (50_000, 50_000, 49_980, 50_000), (50_000, 50_150, 50_000, 50_150), quiet(50_100)])
    entry = Entries(np.array([0]), np.array([1], dtype=np.int8))
    found = label_excursions(bars, np.array([200.0, 1.0, 1.0, 1.0]), entry, TERMS, frame=USUAL)
    assert found.stop.tolist() == [pytest.approx(0.15)]
    assert found.target.tolist() == [pytest.approx(0.70)]


def test_a_wider_traded_stop_lets_the_target_run() -> None:
    rows = [DECISION, (50_000, 50_000, 49_880, 49_900), (49_900, 50_210, 49_900, 50_200), quiet(50_200)]
    assert measured(bars_of(rows)).target.tolist() == [0.0]
    assert measured(bars_of(rows), terms=replace(TERMS, stop_mult=1.5)).target.tolist() == [pytest.approx(2.0)]


def every_fifth(bars: pd.DataFrame, side: int) -> Entries:
    rows = np.arange(20, len(bars) - 60, 5)
    return Entries(rows, np.full(len(rows), side, dtype=np.int8))


def test_a_short_in_the_mirrored_market_is_the_long() -> None:
    bars = loud_and_quiet_bars(600, seed=5)
    # What was the ask becomes the bid and the other way round.
    mirrored = bars.assign(
        open=80_000 - bars["open"] - SPREAD,
        high=80_000 - bars["low"] - SPREAD,
        low=80_000 - bars["high"] - SPREAD,
        close=80_000 - bars["close"] - SPREAD,
    )
    atr, terms = np.full(len(bars), ATR), replace(TERMS, horizon_bars=24)
    long = label_excursions(bars, atr, every_fifth(bars, 1), terms, frame=USUAL)
    short = label_excursions(mirrored, atr, every_fifth(bars, -1), terms, frame=USUAL)
    assert len(long.bar) > 80
    assert short.bar.tolist() == long.bar.tolist()
    np.testing.assert_allclose(short.stop, long.stop, atol=1e-9)
    np.testing.assert_allclose(short.target, long.target, atol=1e-9)


@pytest.mark.parametrize("side", [1, -1])
def test_a_label_knows_no_bar_beyond_its_horizon(side: int) -> None:
    bars = loud_and_quiet_bars(400, seed=6)
    atr, terms = np.full(len(bars), ATR), replace(TERMS, horizon_bars=24)
    whole = label_excursions(bars, atr, every_fifth(bars, side), terms, frame=USUAL)
    for cut in (100, 203, 330):
        known = whole.last < cut
        short = label_excursions(
            bars.iloc[:cut], atr[:cut], every_fifth(bars.iloc[: cut + 60], side), terms, frame=USUAL
        )
        noisy = bars.copy()
        noisy.loc[cut:, ["open", "high", "low", "close"]] *= 1.5
        disturbed = label_excursions(noisy, atr, every_fifth(bars, side), terms, frame=USUAL)
        for name in ("bar", "last", "stop", "target"):
            expected = getattr(whole, name)[known].tobytes()
            assert getattr(short, name)[: known.sum()].tobytes() == expected
            assert getattr(disturbed, name)[: known.sum()].tobytes() == expected
        assert short.last.max() < cut, "an entry whose horizon is not over yet has no label"


QUIET = bars_of([quiet(50_000)] * 6)
SECOND = 1_704_067_200 + 900


def test_a_gap_of_up_to_an_hour_may_be_spanned() -> None:
    shifted = QUIET.assign(time=QUIET["time"] + pd.to_timedelta(np.arange(6) // 2 * 45, unit="min"))
    assert measured(shifted).bar.tolist() == [0]


@pytest.mark.parametrize(
    ("bars", "seams"),
    [
        (QUIET.iloc[:3], None),
        (QUIET.assign(time=QUIET["time"] + pd.to_timedelta(np.arange(6) // 3 * 120, unit="min")), None),
        (QUIET.assign(time=QUIET["time"] + pd.to_timedelta((np.arange(6) > 0) * 120, unit="min")), None),
        (QUIET, [SECOND + 900]),
        (QUIET.assign(open=np.where(np.arange(6) == 1, 49_900.0, QUIET["open"])), None),
    ],
    ids=["the horizon is not over", "gap", "gap before the fill", "seam", "the first quote is beyond the stop"],
)
def test_entries_that_cannot_be_followed_are_left_out(bars: pd.DataFrame, seams: list[int] | None) -> None:
    assert measured(QUIET).bar.tolist() == [0]
    assert measured(bars, seams=seams).bar.tolist() == []


def test_an_entry_without_a_known_atr_is_left_out() -> None:
    entries = Entries(np.array([0, 1]), np.array([1, 1], dtype=np.int8))
    found = label_excursions(QUIET, np.array([np.nan, *[ATR] * 5]), entries, TERMS, frame=USUAL)
    assert found.bar.tolist() == [1]


@pytest.mark.parametrize("broken", [{"stop_mult": 0.0}, {"horizon_bars": 0}, {"spread": -1.0}])
def test_terms_that_measure_nothing_are_refused(broken: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="excursions need"):
        measured(QUIET, terms=replace(TERMS, **broken))  # type: ignore[arg-type]
