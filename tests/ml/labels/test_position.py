"""Labels of the position model: bars made by hand, outcomes worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ml.labels.position import ADD, EXIT, HOLD, Bracket, Entries, PositionLabels, label_positions, thin_rows
from novosky.errors import UsageError
from novosky.market.timeframe import USUAL

TERMS = Bracket(sl_mult=1.0, tp_mult=2.0, horizon_bars=6, spread=10.0, slippage=0.0, margin_r=0.25)
ATR = 100.0


def bars_of(rows: list[tuple[float, float, float, float]]) -> pd.DataFrame:
    time = pd.date_range("2024-01-01", periods=len(rows), freq="15min", tz="UTC")
    frame = pd.DataFrame(rows, columns=["open", "high", "low", "close"])
    frame.insert(0, "time", time)
    return frame.assign(volume=1.0)


def quiet(price: float) -> tuple[float, float, float, float]:
    return (price, price + 5.0, price - 5.0, price)


def labels_of(
    bars: pd.DataFrame, side: int = 1, bracket: Bracket = TERMS, at: tuple[int, ...] = (0,)
) -> PositionLabels:
    entries = Entries(np.array(at, dtype=np.int64), np.full(len(at), side, dtype=np.int8))
    return label_positions(bars, np.full(len(bars), ATR), entries, bracket, frame=USUAL)


def test_leaving_a_long_that_ends_at_its_stop_is_exit() -> None:
    # Decided at the ask 50,010: stop 49,910, target 50,210; filled at 50,010, so 1 R is 100 USD.
    bars = bars_of([quiet(50_000), quiet(50_000), quiet(50_030), quiet(50_000), (50_000, 50_000, 49_900, 49_900)])
    found = labels_of(bars)
    assert found.final_r.tolist() == [-1.0]
    assert (found.first.tolist(), found.last.tolist()) == ([1], [4])
    assert found.bar.tolist() == [1, 2, 3], "the close of the exit bar has no row"
    assert found.leave_r.tolist() == pytest.approx([0.2, -0.1, -0.1])
    assert found.labels.tolist() == [EXIT, EXIT, EXIT]


def test_a_winner_is_add_in_profit_and_hold_before() -> None:
    bars = bars_of([quiet(50_000), quiet(50_000), quiet(50_060), (50_060, 50_220, 50_050, 50_215)])
    found = labels_of(bars)
    assert found.final_r.tolist() == [2.0]
    assert found.labels.tolist() == [HOLD, ADD]
    assert found.inputs[1].tolist() == [2 / 6, pytest.approx(100 * 50 / 50_010), 0.5, 1.0]


def test_a_short_pays_the_spread_when_it_leaves() -> None:
    # Decided and filled at the bid 50,000; stop 50,100 and target 49,800 are met by the ask.
    bars = bars_of([quiet(50_000), quiet(50_000), quiet(49_950), (49_950, 50_091, 49_940, 50_091)])
    found = labels_of(bars, side=-1)
    assert found.final_r.tolist() == [-1.0], "the ask of 50,101 reaches the stop"
    assert found.leave_r.tolist() == pytest.approx([0.4, 0.4])
    assert found.inputs[:, 2].tolist() == pytest.approx([-0.1, 0.4])
    assert found.inputs[:, 3].tolist() == [-1.0, -1.0]


def test_a_gap_through_the_stop_costs_the_gap_and_slippage() -> None:
    bars = bars_of([quiet(50_000), quiet(50_000), quiet(49_800)])
    slipping = Bracket(1.0, 2.0, 6, 10.0, slippage=2.0, margin_r=0.25)
    found = labels_of(bars, bracket=slipping)
    # Entry 50,012, stop 49,910: 102 USD are risked; out at 49,798.
    assert found.final_r.tolist() == pytest.approx([-214 / 102])
    assert found.leave_r.tolist() == pytest.approx([-214 / 102]), "leaving at that open is no better"
    assert found.labels.tolist() == [HOLD]


def test_both_levels_in_one_bar_are_a_stop() -> None:
    bars = bars_of([quiet(50_000), quiet(50_000), (50_000, 50_300, 49_800, 50_000)])
    assert labels_of(bars).final_r.tolist() == [-1.0]


def test_an_undecided_trade_is_valued_at_the_end_of_the_horizon() -> None:
    found = labels_of(bars_of([quiet(50_000)] * 6 + [quiet(50_040)]))
    assert found.last.tolist() == [6]
    assert found.final_r.tolist() == pytest.approx([0.3])
    assert found.inputs[:, 0].tolist() == [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6]


def test_a_trade_ended_in_its_entry_bar_has_no_close() -> None:
    found = labels_of(bars_of([quiet(50_000), (50_000, 50_300, 49_990, 50_250), quiet(50_250)]))
    assert found.final_r.tolist() == [2.0]
    assert len(found.bar) == 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda bars: bars.iloc[:4].reset_index(drop=True),
        lambda bars: bars.assign(time=bars["time"] + pd.to_timedelta(np.arange(len(bars)) // 3 * 120, unit="min")),
        lambda bars: bars.assign(open=np.where(np.arange(len(bars)) == 1, 49_900.0, bars["open"])),
    ],
    ids=["future unknown", "gap", "levels passed before the fill"],
)
def test_trades_that_cannot_be_followed_are_left_out(spoil: object) -> None:
    whole = bars_of([quiet(50_000)] * 8)
    assert len(labels_of(whole).first) == 1
    assert len(labels_of(spoil(whole)).first) == 0  # type: ignore[operator]


def test_rows_carry_their_trade() -> None:
    found = labels_of(bars_of([quiet(50_000)] * 12), at=(0, 2))
    assert found.trade.tolist() == [0] * 5 + [1] * 5
    assert found.bar.tolist() == [1, 2, 3, 4, 5, 3, 4, 5, 6, 7]


def test_a_horizon_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="horizon"):
        labels_of(bars_of([quiet(50_000)] * 4), bracket=Bracket(1.0, 1.0, 0, 10.0, 0.0, 0.25))


def test_thinned_rows_keep_the_first_close_of_a_trade_and_every_so_many_after_it() -> None:
    labels = PositionLabels(
        first=np.array([10, 20]),
        last=np.array([15, 23]),
        final_r=np.array([1.0, -1.0]),
        trade=np.array([0, 0, 0, 0, 0, 1, 1, 1]),
        bar=np.array([10, 11, 12, 13, 14, 20, 21, 22]),
        inputs=np.arange(32.0).reshape(8, 4),
        leave_r=np.arange(8.0),
        labels=np.zeros(8, dtype=np.int8),
    )
    thinned = thin_rows(labels, 2)
    assert thinned.bar.tolist() == [10, 12, 14, 20, 22]
    assert thinned.trade.tolist() == [0, 0, 0, 1, 1]
    assert thinned.leave_r.tolist() == [0.0, 2.0, 4.0, 5.0, 7.0]
    assert thin_rows(labels, 1).bar.tolist() == labels.bar.tolist()
