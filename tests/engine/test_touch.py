"""The one predicate by which a bar touches a bracket: fills ask it, and so do the labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from engine.fills import EXIT_STOP, EXIT_TARGET, touched
from engine.records import Account, new_record
from engine.touch import BOTH_TOUCHED, NOT_TOUCHED, STOP_TOUCHED, TARGET_TOUCHED, bracket_touch, touch_price
from ml.labels.barrier import triple_barrier
from ml.labels.position import Bracket, Entries, label_positions
from tests.engine.market import neutral_params

# open, worst and best of the bar as the distance from the entry in the trade's favour; stop at -10, target at +10
TOUCHES = [
    ("quiet bar", 0.0, -9.9, 9.9, NOT_TOUCHED),
    ("stop met exactly", 0.0, -10.0, 5.0, STOP_TOUCHED),
    ("target met exactly", 0.0, -5.0, 10.0, TARGET_TOUCHED),
    ("both inside the bar", 0.0, -10.0, 10.0, BOTH_TOUCHED),
    ("opened beyond the target, fell to the stop", 12.0, -15.0, 13.0, TARGET_TOUCHED),
    ("opened at the target, fell to the stop", 10.0, -15.0, 13.0, TARGET_TOUCHED),
    ("opened through the stop, rose to the target", -12.0, -15.0, 13.0, STOP_TOUCHED),
    ("opened at the stop, rose to the target", -10.0, -15.0, 13.0, STOP_TOUCHED),
    ("opened through the stop and stayed there", -12.0, -15.0, -11.0, STOP_TOUCHED),
    ("opened beyond the target and stayed there", 12.0, 11.0, 15.0, TARGET_TOUCHED),
]


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("first", "worst", "best", "touch"), [row[1:] for row in TOUCHES], ids=[r[0] for r in TOUCHES])
def test_touch(side: int, first: float, worst: float, best: float, touch: int) -> None:
    prices = (100.0 + side * distance for distance in (-10.0, 10.0, first, worst, best))
    assert bracket_touch(side, *prices) == touch


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("first", "worst", "best", "touch"), [row[1:] for row in TOUCHES], ids=[r[0] for r in TOUCHES])
def test_the_worst_price_as_the_open_makes_both_a_stop(
    side: int, first: float, worst: float, best: float, touch: int
) -> None:
    prices = (100.0 + side * distance for distance in (-10.0, 10.0, worst, worst, best))
    reached_both = worst <= -10.0 and best >= 10.0
    assert bracket_touch(side, *prices) == (STOP_TOUCHED if reached_both else touch)


@pytest.mark.parametrize(
    ("side", "touch", "level", "first", "price"),
    [
        (1, TARGET_TOUCHED, 110.0, 105.0, 110.0),
        (1, TARGET_TOUCHED, 110.0, 112.0, 112.0),
        (1, STOP_TOUCHED, 90.0, 95.0, 90.0),
        (1, STOP_TOUCHED, 90.0, 80.0, 80.0),
        (-1, TARGET_TOUCHED, 90.0, 95.0, 90.0),
        (-1, TARGET_TOUCHED, 90.0, 88.0, 88.0),
        (-1, STOP_TOUCHED, 110.0, 105.0, 110.0),
        (-1, STOP_TOUCHED, 110.0, 120.0, 120.0),
    ],
)
def test_a_limit_takes_the_better_open_and_a_stop_the_worse(
    side: int, touch: int, level: float, first: float, price: float
) -> None:
    assert touch_price(side, touch, level, first) == price


def random_bars(count: int, seed: int, step: int) -> pd.DataFrame:
    """Bars in whole dollars around 1,000, with gaps between them, so that levels are often met exactly."""
    generator = np.random.default_rng(seed)
    first = 1_000 + np.cumsum(generator.integers(-step, step + 1, count))
    close = first + generator.integers(-step, step + 1, count)
    high = np.maximum(first, close) + generator.integers(0, step, count)
    low = np.minimum(first, close) - generator.integers(0, step, count)
    time = pd.date_range("2024-01-01", periods=count, freq="15min", tz="UTC")
    return pd.DataFrame({"time": time, "open": first, "high": high, "low": low, "close": close, "volume": 1.0}).astype(
        dict.fromkeys(("open", "high", "low", "close"), np.float64)
    )


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("seed", range(4))
def test_a_labelled_trade_ends_where_the_fills_would_end_it(side: int, seed: int) -> None:
    """What the position model learns from is what the execution rules would have booked."""
    bars, spread = random_bars(300, seed, 6), 2.0
    entries = Entries(np.arange(290), np.full(290, side, dtype=np.int8))
    labels = label_positions(bars, np.full(300, 10.0), entries, Bracket(1.0, 1.5, 40, spread, 0.0, 0.1))
    params = neutral_params()
    columns = [bars[name].to_numpy() for name in ("open", "high", "low")]
    ended = 0
    for first, last in zip(labels.first.tolist(), labels.last.tolist(), strict=True):
        decided = float(bars["close"][first - 1]) + (spread if side > 0 else 0.0)
        account = new_record(Account)
        account.side, account.volume, account.sl, account.tp = side, 1.0, decided - side * 10.0, decided + side * 15.0
        touches = [int(touched(account, params, *(c[i] for c in columns), spread)) for i in range(first, last + 1)]
        assert set(touches[:-1]) <= {0}
        ended += touches[-1] in {EXIT_STOP, EXIT_TARGET, BOTH_TOUCHED}
    assert ended > 100, "most of these trades meet a level before the horizon"


# Rows 0 to 23 of the random bars above (seed 5), as they were labelled when each labeller had its own copy of the rule.
FROZEN_SIDES = [0, 0, 0, 0, 1, 0, 1, 0, 2, 2, 0, 2, 0, 2, 2, 2, 0, 0, 0, 0, 0, 2, 0, 0]
FROZEN_ENDS = [2, 3, 8, 8, 8, 9, 8, 9, 14, 15, 14, 15, 14, 16, 16, 17, 22, 23, 24, 25, 25, 26, 25, 26]
# fmt: off
FROZEN_LONG = [
    -1.0, -1.0, -1.0, -1.0, 1.5, -1.0, 1.5, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 0.875, -1.0,
    -0.75, -1.0, -1.0, -1.0, -1.0,
]
FROZEN_SHORT = [
    -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0, 1.5, 1.5, -1.0, 1.5, -1.0, 1.5, 1.5, 1.5, 0.125, -1.0, 0.0,
    -1.0, -1.0, 1.5, -1.0, -1.0,
]
FROZEN_TRADES = [
    (1, 2, -1.0588235294117647), (2, 3, 0.14285714285714285), (3, 3, -1.0588235294117647), (4, 4, -1.2),
    (5, 8, 0.3793103448275862), (6, 8, -1.0769230769230769), (7, 8, 1.6666666666666667),
    (8, 8, -1.3333333333333333), (10, 15, 1.6666666666666667), (11, 12, -1.0769230769230769),
    (12, 12, -1.0909090909090908), (13, 14, -1.0476190476190477), (14, 14, 0.14285714285714285),
    (15, 16, -1.0666666666666667), (16, 16, 0.6), (17, 17, -1.0666666666666667), (18, 19, -1.0588235294117647),
    (19, 19, 0.14285714285714285), (20, 25, 0.1935483870967742), (21, 26, -1.0526315789473684),
    (22, 23, -1.1111111111111112), (23, 26, -1.0526315789473684), (24, 26, 0.2903225806451613),
]
# fmt: on


def test_labels_are_the_ones_of_the_first_rule() -> None:
    labels = triple_barrier(
        random_bars(60, 5, 6), np.full(60, 8.0), tp_mult=1.5, sl_mult=1.0, horizon_bars=6, spread=1.0
    )
    assert labels.side[:24].tolist() == FROZEN_SIDES
    assert labels.end_index[:24].tolist() == FROZEN_ENDS
    assert labels.long_r[:24].tolist() == FROZEN_LONG
    assert labels.short_r[:24].tolist() == FROZEN_SHORT


def test_position_labels_are_the_ones_of_the_first_rule() -> None:
    entries = Entries(np.arange(24), np.where(np.arange(24) % 2 == 0, 1, -1).astype(np.int8))
    labels = label_positions(random_bars(60, 5, 6), np.full(60, 8.0), entries, Bracket(1.0, 1.5, 6, 1.0, 0.5, 0.2))
    rows = zip(labels.first.tolist(), labels.last.tolist(), labels.final_r.tolist(), strict=True)
    assert list(rows) == FROZEN_TRADES
