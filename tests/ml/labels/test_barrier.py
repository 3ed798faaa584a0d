"""The triple barrier, case by case on hand-made bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from ml.labels.barrier import BUY, HOLD, SELL, Labels, triple_barrier, unbroken_until
from novosky.errors import DataError, UsageError
from novosky.market.bars import epoch_seconds
from novosky.market.instrument import TradingCalendar
from novosky.market.timeframe import USUAL

Bar = tuple[float, float, float, float]
SIGNAL: Bar = (100.0, 101.0, 99.0, 100.0)
QUIET: Bar = (100.0, 103.0, 97.0, 100.0)
ATR = 10.0


def frame(candles: Sequence[Bar], times: Sequence[str] | None = None) -> pd.DataFrame:
    """Bars of open, high, low, close from 2024-01-01 on."""
    stamps = pd.date_range("2024-01-01", periods=len(candles), freq="15min", tz="UTC")
    bars = pd.DataFrame(list(candles), columns=["open", "high", "low", "close"])
    bars.insert(0, "time", stamps if times is None else pd.to_datetime(list(times), utc=True))
    bars["volume"] = 1.0
    return bars


def label(
    candles: Sequence[Bar],
    *,
    spread: float | npt.NDArray[np.float64] = 0.0,
    horizon: int = 2,
    tp: float = 1.0,
    sl: float = 1.0,
    times: Sequence[str] | None = None,
    seams: npt.NDArray[np.int64] | None = None,
) -> Labels:
    """Label hand-made bars with an ATR of 10 USD."""
    atr = np.full(len(candles), ATR)
    return triple_barrier(
        frame(candles, times),
        atr,
        tp_mult=tp,
        sl_mult=sl,
        horizon_bars=horizon,
        spread=spread,
        frame=USUAL,
        seams=seams,
    )


# what happens, bars after the signal bar, spread, side, end row, R of a long, R of a short
CASES = [
    ("target of the long", [QUIET, (100, 110, 98, 105)], 0.0, BUY, 2, 1.0, -1.0),
    ("target of the short", [QUIET, (100, 102, 90, 95)], 0.0, SELL, 2, -1.0, 1.0),
    ("target in the entry bar", [(100, 110, 99, 108), QUIET], 0.0, BUY, 1, 1.0, -1.0),
    ("stop of the long in the entry bar", [(100, 101, 90, 92), QUIET], 0.0, SELL, 1, -1.0, 1.0),
    ("both barriers in one bar are a loss for both", [(100, 110, 90, 100), QUIET], 0.0, HOLD, 1, -1.0, -1.0),
    ("time-out is no win", [QUIET, (100, 104, 98, 104)], 0.0, HOLD, 2, 0.4, -0.4),
    ("hit after the horizon does not count", [QUIET, QUIET, (100, 120, 99, 119)], 0.0, HOLD, 2, 0.0, 0.0),
    ("first bar decides", [(100, 110, 99, 109), (109, 110, 80, 85)], 0.0, BUY, 1, 1.0, -1.0),
    # The long pays 102 and needs a bid of 112; 111.9 is not enough. The short's ask reached its stop at 110.
    ("spread keeps the long's target away", [(100, 111.9, 99, 104), QUIET], 2.0, HOLD, 2, -0.2, -1.0),
    ("spread paid and target reached", [(100, 112, 99, 111), QUIET], 2.0, BUY, 1, 1.0, -1.0),
    # The short needs an ask of 90, so a bid of 88; at 89 it is still open and the long (102) is stopped at 92.
    ("spread keeps the short's target away", [(100, 101, 89, 95), QUIET], 2.0, HOLD, 2, -1.0, -0.2),
    ("spread paid by the short", [(100, 101, 88, 90), QUIET], 2.0, SELL, 1, -1.0, 1.0),
    # Entered at 100, stop 90, next open 80: filled at 80.
    ("gap through the long's stop fills at the open", [QUIET, (80, 85, 79, 84)], 0.0, SELL, 2, -2.0, 1.0),
    ("gap through the short's stop fills at the open", [QUIET, (125, 126, 121, 122)], 0.0, BUY, 2, 1.0, -2.5),
    # The entry price is the next open, not the signal's close.
    ("barriers hang on the next open", [(104, 111, 103, 110), (110, 114, 109, 113)], 0.0, BUY, 2, 1.0, -1.0),
]


@pytest.mark.parametrize(
    ("bars", "spread", "side", "end", "long_r", "short_r"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_case(bars: list[Bar], spread: float, side: int, end: int, long_r: float, short_r: float) -> None:
    labels = label([SIGNAL, *bars], spread=spread)
    assert labels.valid[0]
    assert labels.side[0] == side
    assert labels.end_index[0] == end
    assert labels.long_r[0] == pytest.approx(long_r)
    assert labels.short_r[0] == pytest.approx(short_r)


def test_multiples_scale_target_and_stop() -> None:
    labels = label([SIGNAL, (100, 114, 95, 110), (110, 115, 108, 114)], tp=1.5, sl=0.6)
    assert labels.side[0] == BUY
    assert labels.end_index[0] == 2
    assert labels.long_r[0] == pytest.approx(2.5)


def test_when_both_sides_win_neither_is_chosen() -> None:
    labels = label([SIGNAL, (100, 106, 99, 105), (105, 106, 94, 95)], tp=0.5, sl=2.0)
    assert labels.side[0] == HOLD
    assert labels.long_r[0] == labels.short_r[0] == pytest.approx(0.25)


def test_a_spread_column_is_taken_from_the_bars_it_is_paid_in() -> None:
    candles = [SIGNAL, (100.0, 101.0, 99.0, 100.0), (100.0, 112.0, 99.0, 111.0)]
    assert label(candles, spread=np.array([50.0, 2.0, 0.0])).side[0] == BUY
    assert label(candles, spread=np.array([0.0, 3.0, 0.0])).side[0] == HOLD


def test_the_end_is_when_the_later_side_is_known() -> None:
    candles = [SIGNAL, (100, 101, 92, 94), (94, 95, 92, 93), (93, 94, 89, 90)]
    labels = label(candles, sl=0.5, horizon=3)
    assert labels.side[0] == SELL
    assert labels.end_index[0] == 3


def test_a_label_the_future_cannot_decide_is_not_valid() -> None:
    labels = label([SIGNAL, QUIET, QUIET], horizon=3)
    assert not labels.valid.any()
    assert (labels.side == HOLD).all()
    assert np.isnan(labels.long_r).all()


def test_a_label_decided_before_the_end_of_the_bars_is_valid() -> None:
    assert label([SIGNAL, (100, 110, 99, 108)], horizon=96).valid.tolist() == [True, False]


@pytest.mark.parametrize("atr", [np.nan, 0.0])
def test_without_a_known_atr_there_is_no_label(atr: float) -> None:
    labels = triple_barrier(frame([SIGNAL, (100, 110, 90, 100)]), np.array([atr, atr]), spread=0.0, frame=USUAL)
    assert not labels.valid.any()


def test_a_label_that_looks_across_a_gap_is_not_valid() -> None:
    times = ["2024-01-01 00:00", "2024-01-01 00:15", "2024-01-01 01:30", "2024-01-01 01:45", "2024-01-01 02:00"]
    candles = [SIGNAL, QUIET, (100, 115, 99, 110), (110, 125, 109, 120), (120, 135, 119, 130)]
    assert label(candles, times=times).valid.tolist() == [False, False, True, True, False]


def test_a_gap_of_an_hour_is_tolerated() -> None:
    times = ["2024-01-01 00:00", "2024-01-01 00:15", "2024-01-01 01:15"]
    assert label([SIGNAL, QUIET, (100, 115, 99, 110)], times=times).valid[0]


def test_a_gap_after_the_label_is_known_does_no_harm() -> None:
    times = ["2024-01-01 00:00", "2024-01-01 00:15", "2024-03-01 00:00"]
    assert label([SIGNAL, (100, 115, 99, 110), QUIET], times=times).valid[0]


def test_a_label_that_looks_across_a_seam_is_not_valid() -> None:
    seam = np.array([pd.Timestamp("2024-01-01 00:30", tz="UTC").timestamp()], dtype=np.int64)
    candles = [SIGNAL, QUIET, (100, 115, 99, 110), (110, 125, 109, 120)]
    assert label(candles).valid[:3].tolist() == [True, True, True]
    assert label(candles, seams=seam).valid[:3].tolist() == [False, False, True]


def test_a_valid_label_does_not_change_when_the_bars_after_its_end_do() -> None:
    generator = np.random.default_rng(5)
    close = 30_000 * np.exp(np.cumsum(generator.normal(0, 0.002, 600)))
    opened = np.concatenate(([30_000.0], close[:-1]))
    candles = [
        (o, max(o, c) * 1.0005, min(o, c) * 0.9995, c) for o, c in zip(opened.tolist(), close.tolist(), strict=True)
    ]
    atr = np.full(600, 90.0)
    whole = triple_barrier(frame(candles), atr, spread=17.0, frame=USUAL)
    for cut in (300, 450):
        shorter = triple_barrier(frame(candles[:cut]), atr[:cut], spread=17.0, frame=USUAL)
        known = whole.valid[:cut] & (whole.end_index[:cut] < cut)
        assert known.sum() > 200
        np.testing.assert_array_equal(shorter.side[known], whole.side[:cut][known])
        np.testing.assert_array_equal(shorter.end_index[known], whole.end_index[:cut][known])
        np.testing.assert_array_equal(shorter.long_r[known], whole.long_r[:cut][known])


def test_no_label_of_real_bars_spans_a_gap_or_the_change_of_venue(shared_data: Path) -> None:
    bars = pd.read_parquet(shared_data / "BTCUSD_M15.parquet", columns=["time", "open", "high", "low", "close"])
    bars = bars.loc[(bars["time"] >= "2017-12-20") & (bars["time"] < "2018-03-01")].reset_index(drop=True)
    seam = pd.Timestamp("2018-01-01", tz="UTC")
    atr = np.full(len(bars), 150.0)
    labels = triple_barrier(bars, atr, spread=17.0, frame=USUAL, seams=np.array([seam.timestamp()], dtype=np.int64))
    rows = np.flatnonzero(labels.valid)
    times = epoch_seconds(bars)
    begin, end = times[rows], times[labels.end_index[rows]]
    cuts = [int(seam.timestamp()), *times[1:][np.diff(times) > 3600].tolist()]
    assert len(rows) > 6_000
    assert len(cuts) >= 2
    for cut in cuts:
        assert not ((begin < cut) & (end >= cut)).any()


@pytest.mark.parametrize("wrong", [{"tp_mult": 0.0}, {"sl_mult": -1.0}, {"horizon_bars": 0}])
def test_multiples_and_horizon_must_be_positive(wrong: dict[str, float]) -> None:
    settings = {"tp_mult": 1.0, "sl_mult": 1.0, "horizon_bars": 96.0} | wrong
    with pytest.raises(UsageError, match="labeling"):
        triple_barrier(
            frame([SIGNAL, QUIET]),
            np.array([1.0, 1.0]),
            tp_mult=settings["tp_mult"],
            sl_mult=settings["sl_mult"],
            horizon_bars=int(settings["horizon_bars"]),
            spread=0.0,
            frame=USUAL,
        )


@pytest.mark.parametrize("spread", [-1.0, np.nan])
def test_an_unknown_or_negative_spread_is_refused(spread: float) -> None:
    with pytest.raises(DataError, match="spread of row 1"):
        label([SIGNAL, QUIET, QUIET], spread=np.array([1.0, spread, 1.0]))


def test_arrays_of_another_length_are_refused() -> None:
    with pytest.raises(DataError, match="2 bars"):
        triple_barrier(frame([SIGNAL, QUIET]), np.array([1.0]), spread=0.0, frame=USUAL)
    with pytest.raises(DataError, match="one per bar"):
        label([SIGNAL, QUIET], spread=np.array([1.0]))


# Markets that close


CLOSING = TradingCalendar(
    "UTC",
    {"monday": "01:00-21:00", "tuesday": "01:00-21:00", "wednesday": "01:00-21:00", "thursday": "01:00-21:00",
     "friday": "01:00-21:00", "saturday": "closed", "sunday": "closed"},
)  # fmt: skip


def week_of_bars() -> np.ndarray:
    """Opens of three weeks from a Monday on, of a market that deals from 01:00 to 21:00."""
    stamps = np.arange(21 * 96, dtype=np.int64) * 900 + 1_704_067_200
    hour, weekday = stamps // 3_600 % 24, (stamps // 86_400 + 3) % 7
    return stamps[(hour >= 1) & (hour < 21) & (weekday < 5)]


def test_a_night_and_a_weekend_are_no_gap_where_the_market_is_closed_then() -> None:
    times = week_of_bars()
    last = len(times) - 1
    assert (unbroken_until(times, 3_600, None, CLOSING, 900) == last).all()
    assert np.unique(unbroken_until(times, 3_600, None)).size == 15, "who does not know the hours sees every night"
    always = TradingCalendar("UTC", {})
    np.testing.assert_array_equal(unbroken_until(times, 3_600, None, always, 900), unbroken_until(times, 3_600, None))


@pytest.mark.parametrize(("missing", "broken"), [(1, False), (3, False), (4, True), (30, True)])
def test_bars_that_lack_while_it_deals_are_a_gap_wherever_they_lack(missing: int, broken: bool) -> None:
    times = week_of_bars()
    # From the last bar of the first Tuesday on: the night between counts for nothing.
    for begin in (100, 80 * 2 - missing // 2, 80 * 5 - 1):
        kept = np.delete(times, np.arange(begin, begin + missing))
        reached = unbroken_until(kept, 3_600, None, CLOSING, 900)
        assert bool(reached[0] == begin - 1) is broken, begin
        assert reached[-1] == len(kept) - 1


def test_the_server_clock_says_when_the_hours_are() -> None:
    """At Athens' two or three hours ahead the same hours are others in UTC, in winter and in summer."""
    hours = dict.fromkeys(("monday", "tuesday", "wednesday", "thursday", "friday"), "03:00-23:00")
    athens = TradingCalendar("Europe/Athens", {**hours, "saturday": "closed", "sunday": "closed"})
    for begin, shift in (("2024-01-15", 2), ("2024-07-15", 3)):
        stamps = pd.date_range(begin, periods=5 * 96, freq="15min", tz="UTC").as_unit("s").asi8
        server = stamps + shift * 3_600
        hour, weekday = server // 3_600 % 24, (server // 86_400 + 3) % 7
        times = stamps[(hour >= 3) & (hour < 23) & (weekday < 5)]
        assert (unbroken_until(times, 3_600, None, athens, 900) == len(times) - 1).all()


def test_a_label_spans_a_night_and_knows_what_it_did_to_the_price() -> None:
    times = week_of_bars()[:160]
    price = np.full(160, 100.0)
    # The first bar of the second day opens far above: a long decided before the night has won there.
    price[80:] = 130.0
    bars = pd.DataFrame({"time": pd.to_datetime(times, unit="s", utc=True), "volume": 1.0})
    bars = bars.assign(open=price, high=price + 0.5, low=price - 0.5, close=price)
    told = {"spread": 0.1, "frame": USUAL, "horizon_bars": 20, "tp_mult": 1.0, "sl_mult": 1.0}
    known = triple_barrier(bars, np.full(160, 10.0), calendar=CLOSING, **told)
    blind = triple_barrier(bars, np.full(160, 10.0), **told)
    assert (bool(known.valid[70]), int(known.side[70]), int(known.end_index[70])) == (True, BUY, 80)
    assert not blind.valid[70]
