"""Bars from text files: terminal exports, venues' downloads and plain CSV, told apart by their `layouts`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from novosky.data.text.layouts import EPOCH_NAMES, PRICES, Columns, Layout, columns_of, layout_of, plain_name
from novosky.data.text.numbers import read_numbers
from novosky.data.text.stamps import Stamps, offset_of, read_stamps
from novosky.data.text.table import TextTable, read_table
from novosky.errors import DataError
from novosky.market.bars import usual_step, validate_bars
from novosky.market.clock_changes import Pass, bars_on_clock
from novosky.market.server_time import ServerClock
from novosky.market.timeframe import USUAL

_log = logging.getLogger(__name__)

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TextImport:
    """What a text file held.

    Attributes
    ----------
    bars : pandas.DataFrame
        A valid bar frame.
    seconds : int
        Length of a bar.
    layout : str
        Name of the file's layout, see `novosky.data.text.layouts`.
    symbol : str or None
        The instrument that the file itself names.
    notes : tuple of str
        What a person has to know of how it was read.
    """

    bars: pd.DataFrame
    seconds: int
    layout: str
    symbol: str | None
    notes: tuple[str, ...]


def read_text_bars(
    path: Path,
    clock: ServerClock | None = None,
    *,
    seconds: int | None = USUAL.seconds,
    repeated: Pass = "later",
) -> pd.DataFrame:
    """Read a text file of any known layout; see `import_text`. What it has to say goes to the log."""
    found = import_text(path, clock, seconds=seconds, repeated=repeated)
    for note in found.notes:
        _log.warning("%s: %s", path, note)
    return found.bars


def import_text(
    path: Path,
    clock: ServerClock | None = None,
    *,
    seconds: int | None = USUAL.seconds,
    repeated: Pass = "later",
    only: str | None = None,
) -> TextImport:
    """Read bars from a text file whose layout is told by its header or the shape of its lines.

    Parameters
    ----------
    path : Path
    clock : ServerClock, optional
        The clock of stamps that do not say their zone. Stamps with a zone, columns named UTC or
        GMT, epochs, and venues whose files are documented to be in UTC need none. Terminal
        files need one always: MetaTrader dresses its wall clock as epochs.
    seconds : int or None
        The timeframe; None takes the one that the bars have.
    repeated : {"earlier", "later"}
        Which pass a wall-clock stamp that stands once in the repeated autumn hour belongs to.
    only : str, optional
        Refuse every other layout than the one of this name.

    Returns
    -------
    TextImport
        `volume` of its bars is the traded volume where the file has any at all, otherwise the
        tick volume: the two units are never mixed in one file. It is 0 throughout where the
        file has no volume, and a note says so.

    Raises
    ------
    DataError
        When the file is missing or malformed, its clock is not known, or its bars break a rule;
        names the line.
    """
    table = read_table(path)
    layout = layout_of(table)
    if only is not None and layout.name != only:
        raise DataError(f"{path}: is not of the kind {only} but {layout.says}; use --source csv")
    columns = columns_of(table, layout)
    stamps = read_stamps(table, _stamp_texts(table, columns))
    figures = read_numbers(table, {role: at for role, at in columns.roles.items() if role != "symbol"})
    bars, notes = _frame(figures)
    on, clock_note = _clock_of(table, layout, columns, stamps, clock)
    wall, backwards = _ascending(layout, _wall(stamps, on))
    if backwards:
        bars = bars.iloc[::-1].reset_index(drop=True)
        notes.append("its bars stand newest first and were turned round")
    seconds = seconds or usual_step(wall // 10**9) or USUAL.seconds
    labels = dict(bars.attrs)
    bars.insert(0, "time", wall.view("datetime64[ns]"))
    bars, remarks = _to_utc(path, bars, on, seconds, repeated)
    bars = _valid(path, layout, bars, seconds)
    bars.attrs.update(labels)
    return TextImport(
        bars,
        seconds,
        layout.name,
        _symbol(table, columns),
        (*notes, *([clock_note] if clock_note else []), *remarks),
    )


def _stamp_texts(table: TextTable, columns: Columns) -> list[str]:
    parts = [table.column(at) for at in columns.stamp]
    return (
        parts[0] if len(parts) == 1 else [f"{date.strip()} {clock.strip()}" for date, clock in zip(*parts, strict=True)]
    )


def _frame(figures: Mapping[str, _Floats]) -> tuple[pd.DataFrame, list[str]]:
    """Put the figures of a file into the columns of a bar frame, without its times."""
    bars = pd.DataFrame({name: figures[name] for name in PRICES})
    notes: list[str] = []
    traded, ticks = figures.get("real_volume"), figures.get("tick_volume")
    # Brokers without an exchange behind them export 0 traded volume in every row.
    if traded is not None and ticks is not None and not (traded > 0).any():
        traded = None
    volume = next((each for each in (figures.get("volume"), traded, ticks) if each is not None), None)
    if volume is None:
        volume = np.zeros(len(bars))
        notes.append("it has no volume: volume is 0 in every bar, and features of volume say nothing")
        bars.attrs["volume"] = "none"
    bars["volume"] = volume
    for name in ("spread", "trades", "taker_buy_volume"):
        if name in figures:
            bars[name] = figures[name]
    return bars, notes


def _clock_of(
    table: TextTable, layout: Layout, columns: Columns, stamps: Stamps, clock: ServerClock | None
) -> tuple[ServerClock | int, str | None]:
    """Return the clock that the stamps are on: a server's, or a fixed offset from UTC in nanoseconds; and a note."""
    stated = _stated_offset(table, layout, columns, stamps)
    # Scripts give the package's wall clock the zone UTC, which it is not: there the owner's word counts.
    dressed = layout.clock == "server" and (stamps.offset is None or not stamps.offset.any())
    if stated is not None and clock is not None and dressed:
        return clock, "its stamps say UTC, but --server-clock was used: a terminal's clock is often dressed so"
    if stated is not None and clock is None and dressed:
        return stated, (
            "its stamps say UTC and were taken so, but scripts often dress a terminal's clock as UTC; "
            f"if the broker's clock wrote them, give it, e.g. --server-clock {layout.hint}"
        )
    if stated is not None:
        used = clock is None or clock.rule == "UTC"
        return stated, None if used else "its stamps are in UTC or say their zone, so --server-clock was not used"
    if clock is not None:
        return clock, None
    if stamps.epoch and layout.clock != "server":
        return 0, None
    first = _stamp_texts(table, columns)[0].strip()
    raise DataError(
        f"{table.place(0)}: {first!r} does not say its time zone: {layout.says}; say which clock wrote it, "
        f"e.g. scripts/download_data.py --source csv --input {table.path.name} --server-clock {layout.hint}"
    )


def _stated_offset(table: TextTable, layout: Layout, columns: Columns, stamps: Stamps) -> int | None:
    """Return how far the stamps are ahead of UTC where the file itself says so; 0 where each stamp does."""
    if stamps.offset is not None:
        return 0
    titles = [table.header[at] for at in columns.stamp] if table.header else []
    for title in titles:
        zone = _zone_in(title)
        if zone is not None:
            return zone * 10**9
    by_name = {plain_name(title) for title in titles} & {*EPOCH_NAMES}
    if stamps.epoch and (layout.clock == "utc" or by_name):
        return 0
    return None


def _zone_in(title: str) -> int | None:
    """Return the offset in seconds that a column's title names: ``Gmt time``, ``time (UTC+2)``."""
    words = title.replace("(", " ").replace(")", " ").replace("_", " ").upper().split()
    return next(
        (offset_of(word) for word in words if word.startswith(("UTC", "GMT")) and offset_of(word) is not None), None
    )


def _wall(stamps: Stamps, on: ServerClock | int) -> npt.NDArray[np.int64]:
    """Return the stamps in nanoseconds: on the server's clock where there is one, else in UTC."""
    if isinstance(on, ServerClock):
        return stamps.clock
    return stamps.clock - (stamps.offset if stamps.offset is not None else on)


def _ascending(layout: Layout, wall: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], bool]:
    """Turn stamps round that stand newest first throughout; any other disorder is left to be refused."""
    backwards = layout.newest_first and len(wall) > 1 and bool((np.diff(wall) < 0).all())
    return (wall[::-1].copy(), True) if backwards else (wall, False)


def _to_utc(
    path: Path, bars: pd.DataFrame, on: ServerClock | int, seconds: int, repeated: Pass
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Give bars, whose times have no zone yet, their UTC times; and say what had to be done for it."""
    if not isinstance(on, ServerClock):
        return bars.assign(time=bars["time"].dt.tz_localize("UTC")), ()
    try:
        return bars_on_clock(bars, on, seconds, repeated)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _valid(path: Path, layout: Layout, bars: pd.DataFrame, seconds: int) -> pd.DataFrame:
    try:
        return validate_bars(bars, source=str(path), seconds=seconds)
    except DataError as error:
        if not layout.positions:
            raise
        order = ", ".join(role or "-" for role in layout.positions)
        raise DataError(
            f"{error} (without a header line its columns were read as {order}; put a line with their names before them "
            "if they are others)"
        ) from error


def _symbol(table: TextTable, columns: Columns) -> str | None:
    if "symbol" not in columns.roles:
        return None
    texts = [text.strip() for text in table.column(columns.roles["symbol"])]
    for row, text in enumerate(texts):
        if text != texts[0]:
            raise DataError(
                f"{table.place(row)}: holds bars of {text!r} beside bars of {texts[0]!r}; give one instrument a file"
            )
    return texts[0] or None
