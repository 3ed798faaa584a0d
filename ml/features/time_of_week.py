"""Hour, weekday and open sessions of the bar, all taken at the bar's open."""

from __future__ import annotations

import math

import numpy as np

from novosky.compiled import compiled
from novosky.market.bar_arrays import FloatArray, IntArray
from novosky.market.sessions import ASIAN, LONDON, NEW_YORK

from .feature_spec import FeatureSpec, Measure
from .indicators import Indicators
from .memory import DAY_SECONDS


@compiled
def cycle_sine(position: IntArray, length: int) -> FloatArray:
    """Return the sine of `position` on a circle of `length` steps, shape (n,)."""
    n = position.shape[0]
    out = np.empty(n)
    for row in range(n):
        out[row] = math.sin(2.0 * math.pi * position[row] / length)
    return out


@compiled
def cycle_cosine(position: IntArray, length: int) -> FloatArray:
    """Return the cosine of `position` on a circle of `length` steps, shape (n,)."""
    n = position.shape[0]
    out = np.empty(n)
    for row in range(n):
        out[row] = math.cos(2.0 * math.pi * position[row] / length)
    return out


def _hour(shared: Indicators) -> IntArray:
    return shared.times % DAY_SECONDS


def _weekday(shared: Indicators) -> IntArray:
    # 1970-01-01 was a Thursday, the fourth day of a week that begins on Monday.
    return (shared.times // DAY_SECONDS + 3) % 7


def _within(session: int) -> Measure:
    return lambda shared: ((shared.sessions & session) != 0).astype(np.float64)


def _session(place: int, name: str, session: int, hours: str) -> FeatureSpec:
    definition = f"1 when the bar opens in {hours}, Monday to Friday."
    return FeatureSpec(place, name, 0, None, definition, _within(session), protected=True)


TIME_OF_WEEK: tuple[FeatureSpec, ...] = (
    _session(41, "is_london_session", LONDON, "08:00-16:30 London"),
    _session(42, "is_ny_session", NEW_YORK, "09:30-16:00 New York"),
    _session(43, "is_asian_session", ASIAN, "09:00-18:00 Tokyo"),
    FeatureSpec(
        44, "hour_sin", 0, None, "Sine of the UTC time of day.", lambda shared: cycle_sine(_hour(shared), DAY_SECONDS)
    ),
    FeatureSpec(
        45,
        "hour_cos",
        0,
        None,
        "Cosine of the UTC time of day.",
        lambda shared: cycle_cosine(_hour(shared), DAY_SECONDS),
    ),
    FeatureSpec(46, "weekday_sin", 0, None, "Sine of the UTC weekday.", lambda shared: cycle_sine(_weekday(shared), 7)),
    FeatureSpec(
        47, "weekday_cos", 0, None, "Cosine of the UTC weekday.", lambda shared: cycle_cosine(_weekday(shared), 7)
    ),
)
