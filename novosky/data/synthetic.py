"""The embedded market: seeded M15 BTCUSD bars whose truth is known.

Both kinds are the same market: volatility in clusters (a fast and a slow wave), an intraday
season that peaks when New York opens, calm weekends, rare jumps, volume that follows the
range, and now and then a *surge*: a bar of unusually high volume that closes clearly on one
side, each side equally likely whatever came before.

- ``null``: every move is symmetric in price around zero given the past, also inside the bar
  and after a surge. The close is a martingale: no rule earns anything before costs.
- ``planted``: after a surge the price drifts to the surge's side, `DRIFT_ATR` in total over
  `DRIFT_BARS` bars, most of it early. `planted_direction` reads the side off the bars. A pull
  towards `START_PRICE`, a hundred times and more weaker than a bar's noise, keeps long histories in
  the region where a spread has its usual weight.

Volatility is in USD and the same at any price above `_LOW_PRICE`, so that the average true range
stays near 60 to 300 USD while the price wanders; below it fades with the root of the price.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from novosky.errors import DataError, UsageError
from novosky.market.bars import validate_bars
from novosky.market.timeframe import TIMEFRAMES

Floats = npt.NDArray[np.float64]
MarketKind = Literal["planted", "null"]

MOST_BARS = 1_000_000
"""Twenty-eight years; more would not fit into the memory of a small machine, nor before the calendar ends."""
BAR = TIMEFRAMES["M15"]
"""Length of a bar: the figures of this market are stated for one."""
START_PRICE = 40_000.0
_LOW_PRICE = 20_000.0
SURGE_RATIO = 2.5
"""A bar is a surge when its volume is at least this multiple of the 20-bar mean, itself included."""

SURGE_WINDOW = 20
DRIFT_BARS = 10
DRIFT_ATR = 1.2
"""Total drift after a surge, in average true ranges of the moment."""

_STEPS = 15  # one per minute: high and low come from a path, not from a formula
_SIGMA_USD = 75.0  # standard deviation of a bar's move in ordinary hours
_RANGE_PER_SIGMA = 1.45  # mean true range of the path below, in standard deviations of its move
_DRIFT_DECAY = 0.65
_SURGE_SPACING = (10, 20)  # bars from one surge to the next, uniform; drifts never overlap
_CALM_RATIO = 2.0  # ordinary bars stay under this volume ratio, so that a surge is unmistakable
_LOUD_RATIO = (3.0, 5.0)
_JUMP_PROBABILITY = 0.0015
_PULL = 4e-5  # of the distance per bar: a stationary deviation near 9,000 USD
_VOLUME = 400.0


def synthetic_bars(kind: MarketKind, bars: int, *, seed: int, start: str = "2022-01-03") -> pd.DataFrame:
    """Generate M15 bars of the embedded market.

    Parameters
    ----------
    kind : {"planted", "null"}
        With or without the edge described at the top of this module.
    bars : int
        How many; the market never closes.
    seed : int
        Same seed, same bars. The two kinds of one seed share their random numbers.
    start : str
        Open of the first bar, UTC.

    Returns
    -------
    pandas.DataFrame
        A valid bar frame with ``attrs["synthetic"] = kind``. Prices in USD to the cent.

    Raises
    ------
    UsageError
        For an unknown kind, or a number of bars outside 1 to `MOST_BARS`.
    """
    if kind not in ("planted", "null"):
        raise UsageError(f"synthetic market {kind!r} does not exist; choose planted or null")
    if not 1 <= bars <= MOST_BARS:
        raise UsageError(f"{bars} synthetic bars were asked for; give --bars 1 to {MOST_BARS}")
    rng = np.random.default_rng(seed)
    first = pd.Timestamp(start)
    first = first.tz_localize("UTC") if first.tzinfo is None else first.tz_convert("UTC")
    time = pd.date_range(first, periods=bars, freq=f"{BAR.seconds}s", unit="ns")
    sigma = _volatility(time, rng)
    side = _surge_sides(bars, rng)
    path = _unit_paths(sigma, side, rng)
    share = np.linspace(0.0, 1.0, _STEPS + 1)[1:]
    if kind == "planted":
        path += share * _drift(sigma, side)[:, None]
    opens, scale, pull = _price_levels(path[:, -1], _PULL if kind == "planted" else 0.0)
    path += share * pull[:, None]
    low, high, close = path.min(axis=1), path.max(axis=1), path[:, -1]
    loudness = _loudness(sigma, high - low, rng)
    frame = pd.DataFrame(
        {
            "time": time,
            "open": opens,
            "high": opens + scale * np.maximum(high, 0.0),
            "low": opens + scale * np.minimum(low, 0.0),
            "close": opens + scale * close,
            "volume": _volumes(loudness, side, rng.uniform(*_LOUD_RATIO, bars)),
        }
    ).round({"open": 2, "high": 2, "low": 2, "close": 2, "volume": 3})
    frame = validate_bars(frame, source=f"synthetic market {kind}, seed {seed}", seconds=BAR.seconds)
    frame.attrs["synthetic"] = kind
    return frame


def planted_direction(bars: pd.DataFrame) -> npt.NDArray[np.int8]:
    """Return the side the planted market has announced at each bar's close, shape (n,).

    Parameters
    ----------
    bars : pandas.DataFrame
        Bars of the planted market, or a contiguous part of them.

    Returns
    -------
    numpy.ndarray of int8
        +1 or -1 at a surge, where the drift of the next `DRIFT_BARS` bars begins; 0 elsewhere
        and in the first ``SURGE_WINDOW - 1`` bars, whose volume ratio is not known.

    Raises
    ------
    DataError
        When the bars are not labelled as the planted market: nothing is known of others.
    """
    kind = bars.attrs.get("synthetic")
    if kind != "planted":
        raise DataError(f"the planted direction is known for the planted market only, these bars are {kind or 'real'}")
    volume = bars["volume"].to_numpy(dtype=np.float64)
    mean = bars["volume"].rolling(SURGE_WINDOW).mean().to_numpy()
    body = np.sign(bars["close"].to_numpy() - bars["open"].to_numpy())
    # The ratio is NaN while the window fills; comparing it is False, as it should be.
    return np.where(volume >= SURGE_RATIO * mean, body, 0.0).astype(np.int8)


def _wave(bars: int, half_life: float, deviation: float, rng: np.random.Generator) -> Floats:
    """Return a stationary AR(1) series with the given half-life in bars and standard deviation."""
    keep = 0.5 ** (1.0 / half_life)
    noise = rng.standard_normal(bars)
    noise[1:] *= np.sqrt(1.0 - keep**2)
    # y[t] = keep y[t-1] + noise[t], written as the exponential mean it is up to a factor.
    noise[1:] /= 1.0 - keep
    wave: Floats = pd.Series(noise).ewm(alpha=1.0 - keep, adjust=False).mean().to_numpy()
    return deviation * wave


def _volatility(time: pd.DatetimeIndex, rng: np.random.Generator) -> Floats:
    """Return each bar's standard deviation in USD, known before the bar opens."""
    log = _wave(len(time), 40.0, 0.28, rng) + _wave(len(time), 900.0, 0.28, rng)
    hour = np.asarray(time.hour + time.minute / 60.0, dtype=np.float64)
    season = 1.0 + 0.18 * np.cos(2.0 * np.pi * (hour - 17.0) / 24.0) + 0.22 * np.exp(-(((hour - 14.5) / 1.5) ** 2))
    weekend = np.where(np.asarray(time.day_of_week) >= 5, 0.65, 1.0)
    return np.asarray(_SIGMA_USD * np.exp(np.clip(log, -1.0, 1.0)) * season * weekend, dtype=np.float64)


def _surge_sides(bars: int, rng: np.random.Generator) -> npt.NDArray[np.int8]:
    """Return +1 or -1 at surges and 0 elsewhere; times and sides are independent of the prices."""
    spacing = rng.integers(_SURGE_SPACING[0], _SURGE_SPACING[1], bars // _SURGE_SPACING[0] + 2, endpoint=True)
    at = SURGE_WINDOW + np.cumsum(spacing)
    sides = rng.choice(np.array([-1, 1], dtype=np.int8), len(at))
    surge = np.zeros(bars, dtype=np.int8)
    surge[at[at < bars]] = sides[at < bars]
    return surge


def _unit_paths(sigma: Floats, side: npt.NDArray[np.int8], rng: np.random.Generator) -> Floats:
    """Return the moves from the open inside each bar, in USD, shape (n, 15), without drift."""
    bars = len(sigma)
    steps = rng.standard_normal((bars, _STEPS)) * (sigma / np.sqrt(_STEPS))[:, None]
    jumps = rng.random(bars) < _JUMP_PROBABILITY
    size = rng.uniform(2.0, 5.0, bars) * sigma * np.where(rng.random(bars) < 0.5, -1.0, 1.0)
    # A jump in a surge would blur the side the surge announces.
    steps[np.arange(bars), rng.integers(0, _STEPS, bars)] += np.where(jumps & (side == 0), size, 0.0)
    # A surge closes on its side by 0.6 to 1.6 deviations: tilt the path to end there.
    body = side * rng.uniform(1.8, 3.0, bars) * sigma
    steps += np.where(side != 0, (body - steps.sum(axis=1)) / _STEPS, 0.0)[:, None]
    return np.cumsum(steps, axis=1)


def _drift(sigma: Floats, side: npt.NDArray[np.int8]) -> Floats:
    """Return each bar's mean move in USD: geometrically fading after a surge."""
    weights = _DRIFT_DECAY ** np.arange(DRIFT_BARS)
    weights *= DRIFT_ATR * _RANGE_PER_SIGMA / weights.sum()
    push = np.concatenate(([0.0], np.convolve(side.astype(np.float64), weights)))[: len(side)]
    return push * sigma


def _price_levels(moves: Floats, pull: float) -> tuple[Floats, Floats, Floats]:
    """Return each bar's open, volatility scale and pull in USD; a bar opens where the last closed.

    Scale and pull depend on the open alone, so without a pull a move of mean zero stays one of
    mean zero. The scale is one down to `_LOW_PRICE`, then falls with the root of the price, and
    below a quarter of that in proportion to it, so that no fall reaches zero.
    """
    opens, scales, pulls = np.empty(len(moves)), np.empty(len(moves)), np.empty(len(moves))
    price = START_PRICE
    for i, move in enumerate(moves.tolist()):
        part = price / _LOW_PRICE
        scale = 1.0 if part >= 1.0 else part**0.5 if part > 0.25 else 2.0 * part
        back = pull * (START_PRICE - price)
        opens[i], scales[i], pulls[i] = price, scale, back
        price += scale * (move + back)
    return opens, scales, pulls


def _loudness(sigma: Floats, ranges: Floats, rng: np.random.Generator) -> Floats:
    """Return the volume an ordinary bar would have: it follows the level and the bar's own range."""
    level = sigma / _SIGMA_USD
    surprise = ranges / (_RANGE_PER_SIGMA * sigma)
    return np.asarray(
        _VOLUME * level * np.sqrt(surprise) * np.exp(0.25 * rng.standard_normal(len(sigma))), dtype=np.float64
    )


def _volumes(loudness: Floats, side: npt.NDArray[np.int8], loud: Floats) -> Floats:
    """Return volumes whose ratio to the 20-bar mean is `loud` at surges and under 2 elsewhere."""
    volumes: list[float] = []
    before = 0.0  # sum of the 19 volumes before the bar
    for i, (natural, surge, ratio) in enumerate(zip(loudness.tolist(), side.tolist(), loud.tolist(), strict=True)):
        # A volume v has the ratio 20 v / (before + v); solve for v.
        ceiling = before * _CALM_RATIO / (SURGE_WINDOW - _CALM_RATIO)
        if surge:
            natural = before * ratio / (SURGE_WINDOW - ratio)
        elif i >= SURGE_WINDOW - 1:
            natural = min(natural, ceiling)
        volumes.append(natural)
        before += natural
        if i >= SURGE_WINDOW - 1:
            before -= volumes[i - SURGE_WINDOW + 1]
    return np.asarray(volumes)
