"""Bars from text files: MetaTrader exports and plain CSV."""

from __future__ import annotations

import csv
import io
import logging
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from novosky.errors import DataError
from novosky.market.bars import M15_SECONDS, OPTIONAL_COLUMNS, PRICE_COLUMNS, validate_bars
from novosky.market.clock_changes import Pass, bars_on_clock
from novosky.market.server_time import ServerClock

_log = logging.getLogger(__name__)
_MT5_FIRST_FIELD = "<DATE>"
_MT5_COLUMNS = {"<OPEN>": "open", "<HIGH>": "high", "<LOW>": "low", "<CLOSE>": "close", "<SPREAD>": "spread"}
_MT4_COLUMNS = ("date", "clock", *PRICE_COLUMNS, "volume")
_DELIMITERS = (",", ";", "\t")
_TIME_NAMES = ("time", "timestamp", "datetime", "date", "open_time", "unix")
_TICK_VOLUME_NAMES = ("tick_volume", "tickvol")
_REAL_VOLUME_NAMES = ("real_volume",)
_ALIASES = {"vol": "volume", "spread_points": "spread"}
# Epoch stamps: what is above the year 5138 in one unit is taken to be in the next finer one.
# Nanoseconds end where 64 bits do.
_EPOCH_UNITS = ((1e11, "s"), (1e14, "ms"), (1e17, "us"), (2.0**63, "ns"))
_CLOCK_MEND = "say which clock wrote it, e.g. scripts/download_data.py --source {source} --server-clock NewYork+7"


@dataclass(frozen=True)
class _Text:
    """A text file's content and where its first data line is, for messages."""

    path: Path
    content: str

    @property
    def first_line(self) -> str:
        return self.content.split("\n", 1)[0].strip()


def read_mt5_export(
    path: Path, clock: ServerClock, *, seconds: int = M15_SECONDS, repeated: Pass = "later"
) -> pd.DataFrame:
    """Read a MetaTrader 5 history export (tab separated ``<DATE> <TIME> <OPEN> …``).

    Parameters
    ----------
    path : Path
    clock : ServerClock
        The broker's clock; the export carries its wall time without a zone.
    seconds : int
        The timeframe.
    repeated : {"earlier", "later"}
        Which pass a stamp that stands once in the repeated autumn hour belongs to; for this and for
        clocks set late see `novosky.market.clock_changes`.

    Returns
    -------
    pandas.DataFrame
        A valid bar frame. `volume` is ``<VOL>`` where the broker publishes traded volume at
        all, otherwise the tick volume: the two units are never mixed in one file.

    Raises
    ------
    DataError
        When the file is missing or malformed, or its bars break a rule; names the line.
    """
    return _mt5_bars(_read(path), clock, seconds, repeated)


def read_mt4_csv(
    path: Path, clock: ServerClock, *, seconds: int = M15_SECONDS, repeated: Pass = "later"
) -> pd.DataFrame:
    """Read a MetaTrader 4 style CSV: ``date,time,open,high,low,close,volume``, no header.

    Parameters and errors are those of `read_mt5_export`.
    """
    return _mt4_bars(_read(path), clock, seconds, repeated)


def read_csv(
    path: Path,
    clock: ServerClock | None = None,
    *,
    seconds: int = M15_SECONDS,
    repeated: Pass = "later",
) -> pd.DataFrame:
    """Read a CSV file with a header line, separated by comma, semicolon or tab.

    Parameters
    ----------
    path : Path
        Columns are found by name, in any order and case: one of time, timestamp, datetime,
        date, open_time or unix; open, high, low, close; volume (or tick_volume and
        real_volume, as the MetaTrader package names them); optionally spread.
    clock : ServerClock, optional
        Given when the stamps are a broker's wall clock; otherwise they are UTC. Stamps are ISO
        8601 text or epoch seconds, milliseconds, microseconds or nanoseconds.
    seconds : int
        The timeframe.
    repeated : {"earlier", "later"}
        Which pass a wall-clock stamp that stands once in the repeated autumn hour belongs to.

    Returns
    -------
    pandas.DataFrame
        A valid bar frame.

    Raises
    ------
    DataError
        When the file is missing or malformed, or its bars break a rule; names the line.
    """
    return _csv_bars(_read(path), clock, seconds, repeated)


def read_text_bars(
    path: Path,
    clock: ServerClock | None = None,
    *,
    seconds: int = M15_SECONDS,
    repeated: Pass = "later",
) -> pd.DataFrame:
    """Read a text file of any of the kinds above, told apart by its first line.

    Raises
    ------
    DataError
        As the readers do, and when a MetaTrader file is given without its clock.
    """
    text = _read(path)
    if text.first_line.startswith(_MT5_FIRST_FIELD):
        if clock is None:
            raise DataError(f"{path}: a MetaTrader 5 export; {_CLOCK_MEND.format(source='mt5-export')}")
        return _mt5_bars(text, clock, seconds, repeated)
    if text.first_line[:1].isdigit():
        if clock is None:
            raise DataError(f"{path}: has no header line; {_CLOCK_MEND.format(source='csv')}")
        return _mt4_bars(text, clock, seconds, repeated)
    return _csv_bars(text, clock, seconds, repeated)


def _read(path: Path) -> _Text:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check --input") from error
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error}); check the path and its permissions"
        ) from error
    # Terminals on some systems write UTF-16 with a byte order mark.
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        content = raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: is not text ({error.reason} at byte {error.start}); give a CSV or a text export"
        ) from error
    if not content.strip():
        raise DataError(f"{path}: is empty; export or download it again")
    return _Text(path, content)


def _table(text: _Text, delimiter: str, names: tuple[str, ...] | None = None) -> pd.DataFrame:
    """Parse delimited text into columns of text; numbers are converted where a line can be named."""
    try:
        lines = list(csv.reader(io.StringIO(text.content.rstrip("\r\n")), delimiter=delimiter))
    except csv.Error as error:
        raise DataError(f"{text.path}: is not a table separated by {delimiter!r} ({error}); export it again") from error
    header = list(names) if names is not None else [name.strip() for name in lines[0]]
    if names is None and len(lines) == 1:
        raise DataError(f"{text.path}: has a header but no bars; export or download it again")
    for number, fields in enumerate(lines, start=1):
        # A decimal comma or a line cut off would otherwise move figures into the wrong column.
        if len(fields) != len(header):
            raise DataError(
                f"{text.path}: line {number} has {len(fields)} fields instead of {len(header)}; "
                "the file is cut off or damaged, export it again"
            )
    return pd.DataFrame(lines[0 if names is not None else 1 :], columns=pd.Index(header), dtype=str)


def _number(text: _Text, table: pd.DataFrame, column: str, lines_before: int) -> pd.Series[float]:
    values: pd.Series[float] = pd.to_numeric(table[column], errors="coerce").astype("float64")
    broken = values.isna().to_numpy()
    if broken.any():
        row = int(broken.argmax())
        raise DataError(
            f"{text.path}: line {row + lines_before + 1}: {column} is {table[column].iloc[row]!r}, not a number; "
            "the file is cut off or damaged, export it again"
        )
    return values


def _wall_times(text: _Text, stamps: pd.Series[str], lines_before: int) -> pd.Series[pd.Timestamp]:
    """Parse ``2024.01.02 00:15[:00]``; MetaTrader writes dots, some scripts dashes."""
    times = pd.to_datetime(stamps.str.replace(".", "-", regex=False), format="ISO8601", errors="coerce")
    _check_stamps(text, stamps, times, lines_before)
    return times


def _check_stamps(text: _Text, stamps: pd.Series[str], times: pd.Series[pd.Timestamp], lines_before: int) -> None:
    broken = times.isna().to_numpy()
    if broken.any():
        row = int(broken.argmax())
        raise DataError(f"{text.path}: line {row + lines_before + 1}: {stamps.iloc[row]!r} is not a time")


def _require(text: _Text, table: pd.DataFrame, columns: tuple[str, ...]) -> None:
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DataError(
            f"{text.path}: missing column(s) {', '.join(missing)}; found {', '.join(map(str, table.columns))}"
        )


def _volume(ticks: pd.Series[float], traded: pd.Series[float] | None) -> pd.Series[float]:
    # Brokers without an exchange behind them export 0 traded volume in every row.
    return ticks if traded is None or not (traded > 0).any() else traded


def _valid(text: _Text, bars: pd.DataFrame, clock: ServerClock | None, seconds: int, repeated: Pass) -> pd.DataFrame:
    """Return valid bars in UTC; `time` holds a server's wall clock where there is a clock."""
    if clock is not None:
        try:
            bars, remarks = bars_on_clock(bars, clock, seconds, repeated)
        except DataError as error:
            raise DataError(f"{text.path}: {error}") from error
        for remark in remarks:
            _log.warning("%s: %s", text.path, remark)
    return validate_bars(bars, source=str(text.path), seconds=seconds)


def _mt5_bars(text: _Text, clock: ServerClock, seconds: int, repeated: Pass) -> pd.DataFrame:
    table = _table(text, "\t")
    _require(text, table, ("<DATE>", "<TIME>", "<OPEN>", "<HIGH>", "<LOW>", "<CLOSE>", "<TICKVOL>"))
    wall = _wall_times(text, table["<DATE>"] + " " + table["<TIME>"], 1)
    bars = pd.DataFrame({"time": wall})
    for column, name in _MT5_COLUMNS.items():
        if column in table:
            bars[name] = _number(text, table, column, 1)
    traded = _number(text, table, "<VOL>", 1) if "<VOL>" in table else None
    bars["volume"] = _volume(_number(text, table, "<TICKVOL>", 1), traded)
    return _valid(text, bars, clock, seconds, repeated)


def _mt4_bars(text: _Text, clock: ServerClock, seconds: int, repeated: Pass) -> pd.DataFrame:
    delimiter = _delimiter(text)
    fields = text.first_line.count(delimiter) + 1
    if fields != len(_MT4_COLUMNS):
        raise DataError(
            f"{text.path}: has no header line and {fields} columns; a MetaTrader 4 export has "
            f"{len(_MT4_COLUMNS)} ({','.join(_MT4_COLUMNS)})"
        )
    table = _table(text, delimiter, _MT4_COLUMNS)
    wall = _wall_times(text, table["date"] + " " + table["clock"].fillna(""), 0)
    bars = pd.DataFrame({"time": wall})
    for name in (*PRICE_COLUMNS, "volume"):
        bars[name] = _number(text, table, name, 0)
    return _valid(text, bars, clock, seconds, repeated)


def _csv_bars(text: _Text, clock: ServerClock | None, seconds: int, repeated: Pass) -> pd.DataFrame:
    table = _table(text, _delimiter(text))
    lowered = [str(name).lower() for name in table.columns]
    table.columns = pd.Index([_ALIASES.get(name, name) for name in lowered])
    if not table.columns.is_unique:
        raise DataError(f"{text.path}: two columns mean the same ({', '.join(lowered)}); delete one of them")
    stamp_column = next((name for name in _TIME_NAMES if name in table.columns), None)
    if stamp_column is None:
        raise DataError(f"{text.path}: no time column ({', '.join(_TIME_NAMES)}); found {', '.join(table.columns)}")
    _require(text, table, PRICE_COLUMNS)
    bars = pd.DataFrame({"time": _csv_times(text, table[stamp_column], clock)})
    for name in (*PRICE_COLUMNS, *(name for name in OPTIONAL_COLUMNS if name == "spread" and name in table)):
        bars[name] = _number(text, table, name, 1)
    bars["volume"] = _csv_volume(text, table)
    return _valid(text, bars, clock, seconds, repeated)


def _csv_volume(text: _Text, table: pd.DataFrame) -> pd.Series[float]:
    if "volume" in table:
        return _number(text, table, "volume", 1)
    ticks = next((name for name in _TICK_VOLUME_NAMES if name in table), "volume")
    _require(text, table, (ticks,))
    traded = next((_number(text, table, name, 1) for name in _REAL_VOLUME_NAMES if name in table), None)
    return _volume(_number(text, table, ticks, 1), traded)


def _csv_times(text: _Text, stamps: pd.Series[str], clock: ServerClock | None) -> pd.Series[pd.Timestamp]:
    """Return UTC times, or with a clock its wall times."""
    epochs = pd.to_numeric(stamps, errors="coerce")
    times: pd.Series[pd.Timestamp]
    if epochs.notna().all():
        unit = next((unit for above, unit in _EPOCH_UNITS if epochs.abs().max() < above), None)
        if unit is None:
            row = int(epochs.abs().to_numpy().argmax())
            raise DataError(
                f"{text.path}: line {row + 2}: {stamps.iloc[row]!r} is no epoch time, too large even for nanoseconds; "
                "the file is damaged, export it again"
            )
        times = pd.Series(epochs.to_numpy(dtype="int64").astype(f"datetime64[{unit}]"), name="time")
        return times.dt.tz_localize("UTC") if clock is None else times
    if clock is not None:
        return _wall_times(text, stamps, 1)
    # `utc=True` reads explicit offsets as such and bare stamps as UTC.
    times = pd.to_datetime(stamps.str.strip(), format="ISO8601", utc=True, errors="coerce")
    _check_stamps(text, stamps, times, 1)
    return times


def _delimiter(text: _Text) -> str:
    return max(_DELIMITERS, key=text.first_line.count)
