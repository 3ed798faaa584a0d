"""Hour, weekday and open sessions of the bar, all taken at the bar's open."""

from __future__ import annotations

import math

import numpy as np

from novosky.compiled import compiled
from novosky.market.sessions import ASIAN, LONDON, NEW_YORK, session_mask

from .bar_arrays import FloatArray, IntArray

_DAY_SECONDS = 86_400


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


def time_features(times: IntArray) -> dict[str, FloatArray]:
    """Return the time and session columns, each of shape (n,)."""
    hour_sin, hour_cos = cycle(times % _DAY_SECONDS, _DAY_SECONDS)
    # 1970-01-01 was a Thursday, the fourth day of a week that begins on Monday.
    weekday_sin, weekday_cos = cycle((times // _DAY_SECONDS + 3) % 7, 7)
    sessions = session_mask(times)
    return {
        "is_london_session": ((sessions & LONDON) != 0).astype(np.float64),
        "is_ny_session": ((sessions & NEW_YORK) != 0).astype(np.float64),
        "is_asian_session": ((sessions & ASIAN) != 0).astype(np.float64),
        "hour_sin": hour_sin,
        "hour_cos": hour_cos,
        "weekday_sin": weekday_sin,
        "weekday_cos": weekday_cos,
    }
