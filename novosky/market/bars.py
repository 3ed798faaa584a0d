"""The bar frame: the one shape in which prices travel through the house.

A bar frame is a pandas DataFrame with a plain RangeIndex and the columns of
`REQUIRED_COLUMNS`, in that order, followed by any of `OPTIONAL_COLUMNS`. `time` is the
bar's open in UTC (``datetime64[ns, UTC]``), prices are bids in USD, volume is whatever the
source counts (traded units or ticks), `spread` is in points of the instrument.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from novosky.errors import DataError
from novosky.market.timeframe import USUAL, Timeframe, timeframe_name

REQUIRED_COLUMNS = ("time", "open", "high", "low", "close", "volume")
OPTIONAL_COLUMNS = ("spread", "trades", "taker_buy_volume")
BAR_COLUMNS = (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
PRICE_COLUMNS = ("open", "high", "low", "close")
FIRST_YEAR, LAST_YEAR = 1970, 2099
"""Years in which a bar can open; a stamp outside them is damage, whatever its calendar says."""
LEAST_PRICE, MOST_PRICE = 1e-12, 1e12
"""Between these lie the prices of all markets; figures beyond them overflow in what is computed from them."""
MOST_VOLUME = 1e18
MOST_SPREAD = 2**31 - 1
"""Points that MetaTrader's spread, a 32-bit integer, can count."""
_TICKS_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class Gap:
    """Missing bars between two neighbours, e.g. a weekend or an outage.

    Attributes
    ----------
    after, before : pandas.Timestamp
        Opens of the last bar before the gap and of the first one after it (UTC).
    missing : int
        Number of bars of the frame's timeframe that are absent in between.
    """

    after: pd.Timestamp
    before: pd.Timestamp
    missing: int


def epoch_seconds(bars: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the bars' opens as whole seconds since 1970-01-01 UTC, shape (n,)."""
    # One division in NumPy: casts between units and pandas arithmetic take ten times as long.
    times = pd.DatetimeIndex(bars["time"]).tz_convert("UTC")
    return np.asarray(times.asi8 // _TICKS_PER_SECOND[times.unit], dtype=np.int64)


def venue_seams(bars: pd.DataFrame) -> npt.NDArray[np.int64]:
    """Return the moments at which the bars change venue, seconds since 1970-01-01 UTC; empty where they never do.

    A step between two venues is no move that a trade could have earned.
    """
    return np.array(bars.attrs.get("seams", ()), dtype=np.int64)


def nanoseconds_within(counts: npt.NDArray[np.int64], unit: int, *, source: str) -> npt.NDArray[np.int64]:
    """Return times in nanoseconds since 1970-01-01 UTC, each within the years in which bars can open.

    Parameters
    ----------
    counts : ndarray of int64, shape (n,)
        Times since 1970-01-01 UTC in units of `unit` nanoseconds.

    Raises
    ------
    DataError
        For a time outside `FIRST_YEAR` to `LAST_YEAR`; names the row.
    """
    first, last = (
        int(np.datetime64(f"{year}-01-01", "s").astype(np.int64)) * 10**9 // unit
        for year in (FIRST_YEAR, LAST_YEAR + 1)
    )
    broken = (counts < first) | (counts >= last)
    if broken.any():
        row = int(np.argmax(broken))
        raise DataError(
            f"{source}: row {row}: time is {_calendar_text(int(counts[row]), unit)}, outside the years {FIRST_YEAR} to "
            f"{LAST_YEAR}; {int(broken.sum())} such row(s)"
        )
    return counts * unit


def _calendar_text(count: int, unit: int) -> str:
    # NumPy's calendar of seconds reaches as far as 64 bits of nanoseconds, microseconds or milliseconds do.
    seconds = count * unit // 10**9
    return str(np.datetime64(seconds, "s")).replace("T", " ") if abs(seconds) < 2**55 else f"{count} units of {unit} ns"


def epoch_text(seconds: int) -> str:
    """Return epoch seconds as ``2024-03-10 09:00:00``, for messages."""
    return str(np.datetime64(seconds, "s")).replace("T", " ")


def validate_bars(bars: pd.DataFrame, *, source: str, seconds: int = USUAL.seconds) -> pd.DataFrame:
    """Return `bars` in canonical shape, or say which row breaks which rule.

    Parameters
    ----------
    bars : pandas.DataFrame
        Candidate bars; columns beyond the known ones are left out of the result.
    source : str
        Where the bars come from, for the message.
    seconds : int
        The timeframe; every stamp must be a multiple of it.

    Returns
    -------
    pandas.DataFrame
        A new frame with the canonical columns and dtypes. No row is dropped or changed.

    Raises
    ------
    DataError
        Empty frame, missing column, NaN or infinite value, price <= 0, high below low or
        below open/close, negative volume, a spread that is negative, NaN or infinite, stamps
        outside the years of bars, duplicate, unsorted or off the grid, or a frame whose usual step is not `seconds`.
    """
    missing = [name for name in REQUIRED_COLUMNS if name not in bars.columns]
    if missing:
        raise DataError(
            f"{source}: missing column(s) {', '.join(missing)}; a bar frame needs {', '.join(REQUIRED_COLUMNS)}"
        )
    doubled = sorted({str(name) for name in bars.columns[bars.columns.duplicated()]} & {*BAR_COLUMNS})
    if doubled:
        raise DataError(f"{source}: has more than one column {', '.join(doubled)}; delete all but one")
    if len(bars) == 0:
        raise DataError(f"{source}: holds no bars; check the file or the --start/--end window")
    kept = list(REQUIRED_COLUMNS) + [name for name in OPTIONAL_COLUMNS if name in bars.columns]
    frame = bars.loc[:, kept].reset_index(drop=True)
    frame["time"] = _utc_times(frame["time"], source)
    for name in kept[1:]:
        try:
            frame[name] = frame[name].astype("float64")
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{source}: column {name} is not numeric ({str(error)[:200]})") from error
    _check_values(frame, source)
    _check_times(frame, source, seconds)
    return frame


def _utc_times(times: pd.Series[pd.Timestamp], source: str) -> pd.Series[pd.Timestamp]:
    if not pd.api.types.is_datetime64_any_dtype(times.dtype):
        raise DataError(
            f"{source}: column time holds {times.dtype}, not timestamps; convert it to UTC timestamps first"
        )
    if times.dt.tz is None:
        raise DataError(
            f"{source}: column time has no time zone; bars must be stamped in UTC (tz_localize('UTC') if they are)"
        )
    index = pd.DatetimeIndex(times)
    # Missing times are the smallest integer; they keep it, for the message that names them.
    missing = np.asarray(index.isna())
    counts = np.where(missing, 0, index.asi8)
    nanoseconds = nanoseconds_within(counts, 10**9 // _TICKS_PER_SECOND[index.unit], source=source)
    nanoseconds[missing] = np.iinfo(np.int64).min
    utc = pd.DatetimeIndex(nanoseconds.view("datetime64[ns]"), tz="UTC")
    return pd.Series(utc, index=times.index, name=times.name)


def _fail(frame: pd.DataFrame, broken: npt.NDArray[np.bool_], source: str, what: str) -> None:
    row = int(np.flatnonzero(broken)[0])
    raise DataError(f"{source}: row {row} ({frame['time'].iloc[row]}): {what}; {int(broken.sum())} such row(s)")


def _check_values(frame: pd.DataFrame, source: str) -> None:
    for broken, what in (*_broken_prices(frame), *_broken_counts(frame)):
        if broken.any():
            _fail(frame, broken, source, what)


def _broken_prices(frame: pd.DataFrame) -> Iterator[tuple[npt.NDArray[np.bool_], str]]:
    """Yield the rules of times and prices: which rows break each, and how to say it."""
    yield frame["time"].isna().to_numpy(), "time is missing"
    for name in (*PRICE_COLUMNS, "volume"):
        yield ~np.isfinite(frame[name].to_numpy()), f"{name} is NaN or infinite"
    for name in PRICE_COLUMNS:
        prices = frame[name].to_numpy()
        yield prices <= 0, f"{name} is not above zero"
        outside = (prices < LEAST_PRICE) | (prices > MOST_PRICE)
        yield outside, f"{name} is outside {LEAST_PRICE:g} to {MOST_PRICE:g}, where no price lies"
    high, low = frame["high"].to_numpy(), frame["low"].to_numpy()
    first, last = frame["open"].to_numpy(), frame["close"].to_numpy()
    yield high < low, "high is below low"
    yield high < np.maximum(first, last), "high is below open or close"
    yield low > np.minimum(first, last), "low is above open or close"


def _broken_counts(frame: pd.DataFrame) -> Iterator[tuple[npt.NDArray[np.bool_], str]]:
    """Yield the rules of everything that is counted, likewise."""
    volume = frame["volume"].to_numpy()
    yield volume < 0, "volume is negative"
    yield volume > MOST_VOLUME, f"volume is above {MOST_VOLUME:g}, which nobody trades"
    if "spread" in frame:
        # Some brokers leave single spreads out; a NaN there would silently mean "no cost".
        spread = frame["spread"].to_numpy()
        yield ~((spread >= 0) & np.isfinite(spread)), "spread is negative, NaN or infinite"
        yield spread > MOST_SPREAD, f"spread is above {MOST_SPREAD:,} points, more than MetaTrader counts"
    for name in ("trades", "taker_buy_volume"):
        # NaN stands for a figure that the venue did not publish.
        if name in frame:
            values = frame[name].to_numpy()
            yield (values < 0) | np.isinf(values), f"{name} is negative or infinite"


def _check_times(frame: pd.DataFrame, source: str, seconds: int) -> None:
    stamps = epoch_seconds(frame)
    steps = np.diff(stamps)
    for broken_steps, what in ((steps == 0, "duplicate time"), (steps < 0, "time runs backwards")):
        if broken_steps.any():
            _fail(frame, np.concatenate(([False], broken_steps)), source, what)
    usual = usual_step(stamps) or seconds
    other = ""
    if usual != seconds:
        finer = ", or make them with scripts/download_data.py --resample" if seconds % usual == 0 else ""
        other = (
            f"bars are {usual / 60:g} minutes apart, but {seconds // 60}-minute bars are needed; "
            f"give the file of the right timeframe{finer}"
        )
    # Whole seconds would round a stamp like 00:00:00.5 onto the grid.
    off_grid = frame["time"].astype("int64").to_numpy() % (seconds * 10**9) != 0
    if off_grid.any():
        _fail(frame, off_grid, source, f"time is not on the {seconds // 60}-minute grid" + (other and f" ({other})"))
    if other:
        raise DataError(f"{source}: {other}")


def usual_step(stamps: npt.NDArray[np.int64]) -> int | None:
    """Return the seconds between most neighbours of ascending epoch seconds; None where too few are known."""
    steps = np.diff(stamps)
    # The lower median: a few bars around a gap must not average to another timeframe.
    return int(np.quantile(steps, 0.5, method="lower")) if len(steps) >= 2 else None


def timeframe_of(bars: pd.DataFrame) -> Timeframe:
    """Return the length that most bars of a frame have; the usual one where there are too few to say."""
    seconds = usual_step(epoch_seconds(bars)) or USUAL.seconds
    return Timeframe(timeframe_name(seconds), seconds)


def find_gaps(bars: pd.DataFrame, *, seconds: int = USUAL.seconds) -> list[Gap]:
    """List the places where bars are absent; gaps are reported, never filled."""
    stamps = epoch_seconds(bars)
    steps = np.diff(stamps)
    times = bars["time"]
    return [
        Gap(after=times.iloc[i], before=times.iloc[i + 1], missing=int(steps[i] // seconds) - 1)
        for i in np.flatnonzero(steps > seconds)
    ]


def slice_bars(
    bars: pd.DataFrame, start: pd.Timestamp | None, end: pd.Timestamp | None, *, source: str
) -> pd.DataFrame:
    """Return the bars that open at or after `start` and before `end` (both UTC).

    Raises
    ------
    DataError
        When the window holds no bar; the message names what the data covers.
    """
    times = bars["time"]
    keep = np.ones(len(bars), dtype=bool)
    if start is not None:
        keep &= (times >= start).to_numpy()
    if end is not None:
        keep &= (times < end).to_numpy()
    if not keep.any():
        raise DataError(f"{source}: no bars between {start} and {end}; it covers {times.iloc[0]} to {times.iloc[-1]}")
    return bars.loc[keep].reset_index(drop=True)
