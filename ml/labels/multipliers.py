"""Labels of the risk model: the size that would have grown the account most over the trades that followed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ml.labels.barrier import FloatArray
from novosky.settings.equity_state import LEAST_MULTIPLIER, MOST_MULTIPLIER

# Halvings of the range of multipliers: 1.15 / 2**60 is below the spacing of its numbers.
_HALVINGS = 60
# Windows solved at once; bounds the memory at any number of trades.
_CHUNK = 65_536


def label_multipliers(returns: FloatArray, horizon_trades: int) -> FloatArray:
    """Return the best multiplier for every trade that has a whole horizon from it on.

    The label of trade k maximises the log growth of the account over the trades k to
    k + horizon_trades - 1 (the growth-optimal fraction of J. L. Kelly, A New Interpretation
    of Information Rate, 1956, kept within the bounds of the multiplier).

    Parameters
    ----------
    returns : ndarray, shape (n,)
        Net result of each trade at a multiplier of 1, as a share of the equity before it.
    horizon_trades : int
        At least 1.

    Returns
    -------
    ndarray, shape (max(n - horizon_trades + 1, 0),)
        Within [LEAST_MULTIPLIER, MOST_MULTIPLIER].

    Examples
    --------
    >>> import numpy as np
    >>> label_multipliers(np.array([0.02, 0.01, -0.03, -0.03]), 2).tolist()
    [1.25, 0.1, 0.1]
    """
    if len(returns) < horizon_trades:
        return np.empty(0)
    return best_multipliers(np.lib.stride_tricks.sliding_window_view(returns, horizon_trades))


def best_multipliers(windows: FloatArray) -> FloatArray:
    """Return the multiplier m within the bounds that maximises sum(log(1 + m * r)) of each row.

    The sum is concave in m, so its slope sum(r / (1 + m * r)) changes sign once and halving
    the range finds where. A multiplier at which a single trade takes the whole account
    (1 + m * r <= 0) is worth minus infinity and lies above every other. Where every
    multiplier ruins, or none grows the account more than the least, the least is answered.

    Parameters
    ----------
    windows : ndarray, shape (n, k)
        Returns of k trades in a row.

    Returns
    -------
    ndarray, shape (n,)
    """
    answer = np.empty(len(windows))
    for begin in range(0, len(windows), _CHUNK):
        chunk = windows[begin : begin + _CHUNK]
        answer[begin : begin + len(chunk)] = _solve(chunk)
    return answer


def _solve(windows: FloatArray) -> FloatArray:
    low = np.full(len(windows), LEAST_MULTIPLIER)
    high = np.full(len(windows), MOST_MULTIPLIER)
    falls_at_once = ~_still_growing(windows, low)
    grows_throughout = _still_growing(windows, high)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        growing = _still_growing(windows, middle)
        low, high = np.where(growing, middle, low), np.where(growing, high, middle)
    # Halving only comes near a bound; where the best lies on one, that bound is the answer.
    best = np.where(grows_throughout, MOST_MULTIPLIER, low)
    return np.asarray(np.where(falls_at_once, LEAST_MULTIPLIER, best))


def _still_growing(windows: FloatArray, multipliers: FloatArray) -> npt.NDArray[np.bool_]:
    """Tell whether a larger multiplier grows each row more; not beyond ruin."""
    left = 1.0 + multipliers[:, None] * windows
    alive: npt.NDArray[np.bool_] = np.all(left > 0.0, axis=1)
    slope = np.divide(windows, left, out=np.zeros_like(left), where=alive[:, None]).sum(axis=1)
    return np.asarray(alive & (slope > 0.0))
