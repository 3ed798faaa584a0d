"""Bars around a change of the server's clock: one rule for imported files and for the live window.

Servers that quote round the clock set their clocks by hand or by a job, often a minute or some
minutes after (or before) the moment that their rule names. What they stamp meanwhile lies in
the hour that spring skips, or an hour from where it belongs in autumn. The rule here:

* A stamp in the first half of the skipped time was written by a clock set late: it is converted
  with the offset before the change. One in its second half was written by a clock set early:
  it is converted with the offset after it. Both in one spring, or two bars and more that share
  their moments with others, are no late clock but a wrong rule, and refused.
* Where the stamps run backwards in autumn, the clock was set at that place: what stands before
  it has the offset before the change, what follows has the one after. Stamps that stand twice
  without running backwards are the two passes in their order.
* A stamp of the repeated hour that stands only once is the later pass, unless the owner of the
  data says otherwise or that moment has not come yet: databases that are keyed by the time
  gather both passes in one bar, which ends with the later one.
* Bars that thereby share a moment are folded into one: first open, highest high, lowest low,
  last close, least spread, volumes added.

Whatever the rule had to do is returned as remarks, with first stamp and count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from novosky.errors import DataError
from novosky.market.bars import PRICE_COLUMNS, epoch_text
from novosky.market.server_time import ClockChange, Seconds, ServerClock
from novosky.market.timeframe import DAY_SECONDS

Pass = Literal["earlier", "later"]
Flags = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Placed:
    """Stamps of a server and the moments they stand for.

    Attributes
    ----------
    utc : ndarray of int64, shape (n,)
        UTC epoch seconds, in the order of the stamps: not ascending where passes were told apart.
    odd : ndarray of bool, shape (n,)
        Stamps that a clock set on time would not have written; bars of the same moment are folded.
    order : ndarray of int, shape (n,)
        The rows by time wherever passes were told apart; elsewhere as they were, sorted or not.
    remarks : tuple of str
        What a person is told, one line each; empty for most data.
    """

    utc: Seconds
    odd: Flags
    order: Rows
    remarks: tuple[str, ...] = ()

    def begins(self) -> Rows:
        """Return where in `order` each bar begins; rows in between are folded into it."""
        utc, odd = self.utc[self.order], self.odd[self.order]
        same = np.append(False, np.diff(utc) == 0)
        # Rows of one moment belong together where one of them is odd; others are plain duplicates.
        folded = same & (odd | np.append(False, odd[:-1]))
        return np.flatnonzero(~folded)


@dataclass
class _Notes:
    """Counts what had to be done, over all changes of a file."""

    late: list[int] = field(default_factory=list)
    early: list[int] = field(default_factory=list)
    once: list[int] = field(default_factory=list)
    twice: list[int] = field(default_factory=list)


def place_stamps(
    clock: ServerClock,
    stamps: Seconds,
    *,
    seconds: int = 0,
    repeated: Pass = "later",
    newest: float = np.inf,
    volume: npt.NDArray[np.float64] | None = None,
) -> Placed:
    """Convert a server's stamps to UTC by the rule of this module.

    Parameters
    ----------
    clock : ServerClock
    stamps : ndarray of int64, shape (n,)
        Wall-clock epoch seconds in the order in which the server wrote them.
    seconds : int
        Length of a bar, 0 for moments.
    repeated : {"earlier", "later"}
        The pass of stamps that stand only once in the repeated hour.
    newest : float
        No stamp stands for a moment after this one, UTC epoch seconds.
    volume : ndarray of float, shape (n,), optional
        Tells a short bar from a whole one where a bar is longer than half the skipped time.

    Raises
    ------
    DataError
        Stamps that no clock of this rule writes, however late it is set; names the first row.
    """
    if len(stamps) == 0:
        return Placed(stamps.copy(), np.zeros(0, dtype=np.bool_), np.zeros(0, dtype=np.intp))
    first, last = int(stamps.min()) // DAY_SECONDS - 2, int(stamps.max()) // DAY_SECONDS + 3
    changes = clock.changes(first * DAY_SECONDS, last * DAY_SECONDS)
    offsets = np.full(len(stamps), clock.offset(first * DAY_SECONDS), dtype=np.int64)
    odd = np.zeros(len(stamps), dtype=np.bool_)
    order = np.arange(len(stamps))
    notes = _Notes()
    for change in changes:
        offsets[stamps >= change.last_face] = change.after
    broken = np.zeros(len(stamps), dtype=np.bool_)
    for change in changes:
        if change.after > change.before:
            broken |= _spring(change, stamps, offsets, odd, notes, seconds, volume)
        else:
            _autumn(change, stamps, offsets, odd, order, notes, max(change.slack, seconds), repeated, newest)
    if broken.any():
        row = int(np.argmax(broken))
        raise DataError(
            f"server clock {clock.rule}: row {row} ({epoch_text(int(stamps[row]))}): this time was skipped by the "
            f"spring clock change, so the rule does not fit this data; {int(broken.sum())} such row(s)"
        )
    utc = stamps - offsets
    folded = len(utc) - len(Placed(utc, odd, order).begins())
    return Placed(utc, odd, order, _remarks(clock, notes, folded, repeated))


def _spring(
    change: ClockChange,
    stamps: Seconds,
    offsets: Seconds,
    odd: Flags,
    notes: _Notes,
    seconds: int,
    volume: npt.NDArray[np.float64] | None,
) -> Flags:
    """Place what is stamped in the skipped time; return the rows that prove the rule wrong."""
    inside = (stamps >= change.first_face) & (stamps < change.last_face)
    if not inside.any():
        return inside
    middle = change.first_face + change.slack
    late, early = inside & (stamps < middle), inside & (stamps >= middle)
    offsets[early] = change.after
    odd |= inside
    utc = stamps - offsets
    shared = int(np.isin(utc[inside], utc[~inside]).sum())
    whole = seconds > change.slack and _as_long_as_its_neighbour(np.flatnonzero(late), volume)
    if (late.any() and early.any()) or (seconds and shared > 1) or whole:
        return inside
    notes.late += stamps[late].tolist()
    notes.early += stamps[early].tolist()
    return np.zeros(len(stamps), dtype=np.bool_)


def _as_long_as_its_neighbour(rows: npt.NDArray[np.intp], volume: npt.NDArray[np.float64] | None) -> bool:
    """Tell whether a bar holds more than half of what follows: minutes of lateness hold less."""
    if volume is None:
        return False
    return any(row + 1 < len(volume) and 2.0 * volume[row] > volume[row + 1] for row in rows.tolist())


def _autumn(
    change: ClockChange,
    stamps: Seconds,
    offsets: Seconds,
    odd: Flags,
    order: Rows,
    notes: _Notes,
    reach: int,
    repeated: Pass,
    newest: float,
) -> None:
    """Tell the passes of the repeated time apart; bars within `reach` of it may be of a clock set late or early."""
    near = np.flatnonzero((stamps >= change.first_face - reach) & (stamps < change.last_face + reach))
    if len(near) == 0:
        return
    faces = stamps[near]
    twofold = (faces >= change.first_face) & (faces < change.last_face)
    steps = np.diff(faces)
    back = np.flatnonzero(steps < 0)
    again = np.append(False, steps == 0)
    if len(back) == 1:
        after = np.arange(len(near)) > back[0]
    elif len(back) == 0 and (again & twofold).any():
        single = ~(again | np.append(again[1:], False))
        after = again | (single & (twofold & (repeated == "later") | (faces >= change.last_face)))
    else:
        come = faces - change.after <= newest
        after = come & np.where(twofold, repeated == "later", faces >= change.last_face)
        notes.once += faces[twofold & come].tolist()
        twofold = np.zeros(len(near), dtype=np.bool_)
    notes.twice += faces[twofold].tolist()
    offsets[near] = np.where(after, change.after, change.before)
    late, early = ~after & (faces >= change.last_face), after & (faces < change.first_face)
    odd[near[late | early]] = True
    if len(back) == 0:
        order[near] = near[np.argsort((stamps - offsets)[near], kind="stable")]
    notes.late += faces[late].tolist()
    notes.early += faces[early].tolist()


def _remarks(clock: ServerClock, notes: _Notes, folded: int, repeated: Pass) -> tuple[str, ...]:
    texts = []
    for kind, faces, offset in (("late", notes.late, "before"), ("early", notes.early, "after")):
        if faces:
            texts.append(
                f"{_counted(faces)} by a clock set {kind}: converted with the offset {offset} the change, "
                f"{folded} folded into the bar of the same time"
            )
    if notes.once:
        texts.append(f"{_counted(notes.once)} in an hour that autumn repeats, once: taken for the {repeated} pass")
    if notes.twice:
        texts.append(f"{_counted(notes.twice)} in an hour that autumn repeats, both passes: told apart by their order")
    return tuple(f"server clock {clock.rule}: {text}" for text in texts)


def _counted(faces: list[int]) -> str:
    return f"{len(faces)} bar(s) stamped (first {epoch_text(min(faces))})"


def bars_on_clock(
    bars: pd.DataFrame, clock: ServerClock, seconds: int, repeated: Pass = "later"
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return bars stamped by a server's clock with UTC times, and the remarks.

    Parameters
    ----------
    bars : pandas.DataFrame
        `time` holds naive wall-clock timestamps in the order of the file; the other columns are
        prices, `spread`, and volumes, which are added where bars are folded.
    clock : ServerClock
    seconds : int
        Length of a bar.
    repeated : {"earlier", "later"}
        See `place_stamps`.

    Raises
    ------
    DataError
        As `place_stamps`, and for a missing time.
    """
    whole, rest = _whole_seconds(bars["time"], clock)
    volume = bars["volume"].to_numpy(dtype=np.float64)
    placed = place_stamps(clock, whole, seconds=seconds, repeated=repeated, volume=volume)
    times = pd.DatetimeIndex((placed.utc * 10**9 + rest).view("datetime64[ns]"), tz="UTC")
    if not placed.remarks:
        return bars.assign(time=times), ()
    order, begins = placed.order, placed.begins()
    columns: dict[str, object] = {"time": times[order[begins]]}
    for name in bars.columns.drop("time"):
        columns[str(name)] = folded_column(str(name), bars[name].to_numpy(dtype=np.float64)[order], begins)
    return pd.DataFrame(columns), placed.remarks


def _whole_seconds(wall: pd.Series[pd.Timestamp], clock: ServerClock) -> tuple[Seconds, Seconds]:
    """Return naive timestamps as whole epoch seconds and the nanoseconds beyond them."""
    if not pd.api.types.is_datetime64_any_dtype(wall.dtype) or wall.dt.tz is not None:
        raise DataError(f"server clock {clock.rule}: expected naive timestamps, not {wall.dtype}")
    missing = wall.isna().to_numpy()
    if missing.any():
        raise DataError(f"server clock {clock.rule}: row {int(np.argmax(missing))}: the time is missing")
    try:
        nanoseconds = np.asarray(pd.DatetimeIndex(wall).as_unit("ns").asi8, dtype=np.int64)
    except pd.errors.OutOfBoundsDatetime as error:
        raise DataError(
            f"server clock {clock.rule}: a time is outside the calendar ({error}); mend the file"
        ) from error
    whole, rest = np.divmod(nanoseconds, 10**9)
    return whole, rest


def folded_column(name: str, values: npt.NDArray[Any], begins: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Return one value for each bar of rows that are ordered by time; see the rule above."""
    if name == "open":
        return np.asarray(values[begins])
    if name == "close":
        return np.asarray(values[np.append(begins[1:], len(values)) - 1])
    if name in PRICE_COLUMNS:
        extreme = np.maximum if name == "high" else np.minimum
        return np.asarray(extreme.reduceat(values, begins))
    return np.asarray((np.minimum if name == "spread" else np.add).reduceat(values, begins))
