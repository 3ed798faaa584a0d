"""Seeded random markets with everything that hurts: gaps, jumps, weekends, wide spreads."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.bar import ASK_POSITION
from engine.records import Bars, Minutes, Rollovers
from tests.engine.market import BAR, DAY, MONDAY, Answer, Market, candidate_rows

MINUTES = 5
"""Sub-steps of a bar: the path its high, its low and its minutes are read from."""


def random_times(rng: np.random.Generator, count: int, start: int) -> npt.NDArray[np.int64]:
    """Return bar opens on the M15 grid without Saturdays, and with some single bars and nights missing."""
    slots = np.arange(start, start + 3 * count * BAR, BAR)
    open_days = (slots - MONDAY) // DAY % 7 != 5
    kept = open_days & (rng.random(len(slots)) > 0.02)
    holes = rng.choice(len(slots), size=max(1, count // 200))
    for hole in holes:
        kept[hole : hole + 40] = False
    return np.ascontiguousarray(slots[kept][:count])


def random_bars(rng: np.random.Generator, times: npt.NDArray[np.int64]) -> tuple[Bars, Minutes]:
    """Return bars at the cent, with jumps inside and between them, and their minutes."""
    count = len(times)
    volatility = 60.0 * np.exp(0.5 * np.sin(np.arange(count) / 30.0))
    steps = rng.standard_normal((count, MINUTES)) * volatility[:, None] / np.sqrt(MINUTES)
    steps[rng.random((count, MINUTES)) < 0.003] *= 15.0
    jumps = np.where(rng.random(count) < 0.05, rng.standard_normal(count) * 250.0, 0.0)
    moves = np.concatenate((jumps[:, None], steps), axis=1)
    path = np.round(50_000.0 + np.cumsum(moves).reshape(count, MINUTES + 1), 2)
    spread = np.round(rng.uniform(5.0, 25.0, count), 2)
    first, close = path[:, 0].copy(), path[:, -1].copy()
    bars = Bars(times, first, path.max(axis=1), path.min(axis=1), close, spread)
    high = np.maximum(path[:, :-1], path[:, 1:]).ravel()
    low = np.minimum(path[:, :-1], path[:, 1:]).ravel()
    return bars, Minutes(np.arange(count + 1, dtype=np.int64) * MINUTES, high, low)


def random_candidates(rng: np.random.Generator, count: int, share: float) -> npt.NDArray[Any]:
    """Return candidates on a random `share` of the bars; most pass the gates, each gate stops some."""
    bars = np.flatnonzero(rng.random(count) < share)
    rows = candidate_rows(len(bars))
    rows["bar"] = bars
    rows["side"] = rng.choice([-1, 1], len(bars))
    rows["votes"] = rng.choice([1, 2, 3], len(bars), p=[0.05, 0.35, 0.6])
    rows["session"] = rng.integers(0, 8, len(bars))
    rows["market_open"] = rng.random(len(bars)) > 0.02
    rows["confidence"] = rng.uniform(0.55, 0.95, len(bars))
    rows["gap"] = rng.uniform(0.05, 0.6, len(bars))
    rows["atr"] = rng.uniform(10.0, 200.0, len(bars))
    rows["atr"][rng.random(len(bars)) < 0.02] = np.nan
    rows["sl_mult"] = rng.uniform(0.7, 3.0, len(bars))
    rows["tp_mult"] = rng.uniform(0.7, 3.0, len(bars))
    rows["ema_distance"] = rows["side"] * rng.uniform(-0.2, 2.0, len(bars))
    rows["adx"] = rng.uniform(8.0, 50.0, len(bars))
    rows["news_minutes"] = np.where(rng.random(len(bars)) < 0.1, rng.uniform(0.0, 40.0, len(bars)), np.inf)
    return rows


def midnights(times: npt.NDArray[np.int64]) -> Rollovers:
    """Return one server midnight per day at 22:00 UTC: Wednesday counts three nights, weekends none."""
    first = (int(times[0]) // DAY) * DAY + 22 * 3600
    moments = np.arange(first, int(times[-1]) + DAY, DAY, dtype=np.int64)
    weekday = (moments - MONDAY) // DAY % 7
    return Rollovers(moments, np.where(weekday == 2, 3.0, np.where(weekday >= 5, 0.0, 1.0)))


def random_market(seed: int, count: int = 400, share: float = 0.3) -> Market:
    """Return the market of a seed; candidates know nothing of the bars, so they are causal."""
    rng = np.random.default_rng(seed)
    start = MONDAY + int(rng.integers(0, 7 * DAY // BAR)) * BAR
    times = random_times(rng, count, start)
    bars, minutes = random_bars(rng, times)
    return Market(bars, random_candidates(rng, count, share), minutes, midnights(times))


def fixed_answers(seed: int) -> Answer:
    """Return an answerer that depends on question and bar alone: exits one bar in eight, multipliers 0.1 to 1.25."""

    def answer(question: int, bar: int) -> float:
        draw = float(np.random.default_rng((seed, question, bar)).random())
        if question == ASK_POSITION:
            return float(draw < 0.125)
        return 0.1 + 1.15 * draw

    return answer
