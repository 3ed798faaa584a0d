"""Hour, weekday and open sessions of the bar, all taken at the bar's open."""

from __future__ import annotations

import math

import numpy as np

from novosky.compiled import compiled
from novosky.market.sessions import ASIAN, LONDON, NEW_YORK

from .bar_arrays import DAY_SECONDS, FloatArray, IntArray
from .feature_spec import FeatureSpec, Measure
from .indicators import Indicators


@compiled
def cycle(position: IntArray, length: int) -> tuple[FloatArray, FloatArray]:
    """Return sine and cosine of `position` on a circle of `length` steps, each of shape (n,)."""
    n = position.shape[0]
    sine = np.empty(n)
    cosine = np.empty(n)
    for row in range(n):
        angle = 2.0 * math.pi * position[row] / length
        sine[row] = math.sin(angle)
        cosine[row] = math.cos(angle)
    return sine, cosine


def _hour(shared: Indicators) -> tuple[FloatArray, FloatArray]:
    return cycle(shared.times % DAY_SECONDS, DAY_SECONDS)


def _weekday(shared: Indicators) -> tuple[FloatArray, FloatArray]:
    # 1970-01-01 was a Thursday, the fourth day of a week that begins on Monday.
    return cycle((shared.times // DAY_SECONDS + 3) % 7, 7)


def _within(session: int) -> Measure:
    return lambda shared: ((shared.sessions & session) != 0).astype(np.float64)


def _session(place: int, name: str, session: int, hours: str) -> FeatureSpec:
    definition = f"1 when the bar opens in {hours}, Monday to Friday."
    return FeatureSpec(place, name, 0, None, definition, _within(session), protected=True)


TIME_OF_WEEK: tuple[FeatureSpec, ...] = (
    _session(41, "is_london_session", LONDON, "08:00-16:30 London"),
    _session(42, "is_ny_session", NEW_YORK, "09:30-16:00 New York"),
    _session(43, "is_asian_session", ASIAN, "09:00-18:00 Tokyo"),
    FeatureSpec(44, "hour_sin", 0, None, "Sine of the UTC time of day.", lambda shared: _hour(shared)[0]),
    FeatureSpec(45, "hour_cos", 0, None, "Cosine of the UTC time of day.", lambda shared: _hour(shared)[1]),
    FeatureSpec(46, "weekday_sin", 0, None, "Sine of the UTC weekday.", lambda shared: _weekday(shared)[0]),
    FeatureSpec(47, "weekday_cos", 0, None, "Cosine of the UTC weekday.", lambda shared: _weekday(shared)[1]),
)
