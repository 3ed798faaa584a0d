"""The guarded reader of Parquet bars: whatever a file holds, out come plain columns, or a `DataError`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from novosky.data.identity import labels_in
from novosky.errors import DataError
from novosky.market.bars import BAR_COLUMNS, REQUIRED_COLUMNS, nanoseconds_within

MOST_ROWS = 50_000_000
"""About a century of minutes; a file that claims more is damaged, and would fill the memory before it is noticed."""

_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
# Broker exports call the spread column by its unit.
_ALIASES = {"spread_points": "spread"}
_MEND = "delete it and run scripts/download_data.py, or name another file with --data"
_FOREIGN = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, IndexError, OverflowError, MemoryError)


@dataclass(frozen=True)
class ParquetBars:
    """Columns of a Parquet file, not yet checked against the rules of bars.

    Attributes
    ----------
    columns : pandas.DataFrame
        The known columns: `time` in UTC, figures as float64.
    labels : dict
        Our labels of the file, see `novosky.data.identity`.
    venues : ndarray of int, shape (n,), or None
        A number for each row's venue, where a `source` column names it.
    """

    columns: pd.DataFrame
    labels: dict[str, str]
    venues: npt.NDArray[np.int64] | None


def read_parquet(path: Path) -> ParquetBars:
    """Read the columns of bars from a Parquet file.

    Times may be in any unit and zone: Parquet stores moments. Figures may be integers,
    floating point of any width, or decimals.

    Raises
    ------
    DataError
        When the file is damaged or no Parquet, a column is doubled or holds something else than
        bars do; names the column.
    """
    with _reading(path):
        file = pq.ParquetFile(path, page_checksum_verification=True)
    with file:
        with _reading(path):
            schema, rows = file.schema_arrow, file.metadata.num_rows
        if rows > MOST_ROWS:
            raise DataError(f"{path}: claims {rows:,} rows, more than bars can be; {_MEND}")
        wanted = _wanted(path, schema)
        with _reading(path):
            table = file.read(columns=[*wanted])
    frame = {name: _column(path, name, table.column(title)) for title, name in wanted.items() if name != "source"}
    venues = next((_venues(path, table.column(title)) for title, name in wanted.items() if name == "source"), None)
    return ParquetBars(pd.DataFrame(frame), labels_in(schema.metadata), venues)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever the Parquet library makes of a damaged file into the one error that names it."""
    try:
        yield
    except _FOREIGN as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{path}: cannot be read as Parquet, it is damaged or not Parquet ({reason[:200]}); {_MEND}"
        ) from error


def _wanted(path: Path, schema: pa.Schema) -> dict[str, str]:
    """Return the columns to read and what they are called in a bar frame."""
    wanted: dict[str, str] = {}
    for title in schema.names:
        plain = title.lower()
        name = _ALIASES.get(plain, plain)
        if name not in BAR_COLUMNS and name != "source":
            continue
        if name in wanted.values():
            raise DataError(f"{path}: two columns mean the same, {name}; delete one of them")
        wanted[title] = name
    times = schema.types[schema.names.index("time")] if "time" in schema.names else None
    zoned = times is not None and pa.types.is_timestamp(times) and times.tz is not None
    if not zoned and {"tick_volume", "real_volume"} & {*schema.names}:
        raise DataError(
            f"{path}: holds bars of the MetaTrader package (columns tick_volume, real_volume), whose times are the "
            "broker's wall clock; write them as CSV and run scripts/download_data.py --source csv --input FILE "
            "--server-clock NewYork+7"
        )
    missing = [name for name in REQUIRED_COLUMNS if name not in wanted.values()]
    if missing:
        raise DataError(f"{path}: missing column(s) {', '.join(missing)}; found {', '.join(schema.names)[:300]}")
    return wanted


def _column(path: Path, name: str, values: pa.ChunkedArray) -> pd.Index | npt.NDArray[np.float64]:
    kind = values.type
    if pa.types.is_dictionary(kind):
        with _reading(path):
            values = pa.chunked_array([chunk.dictionary_decode() for chunk in values.chunks], kind.value_type)
        kind = values.type
    if name == "time":
        return _times(path, values)
    figures = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if not figures:
        raise DataError(f"{path}: column {name} is not numeric, it holds {str(kind)[:60]}; store figures")
    with _reading(path):
        if pa.types.is_float32(kind):
            # A price stored in single precision means the decimal it prints as: 46216.93, not the
            # binary neighbour 46216.9296875 that a plain widening would produce.
            values = pc.cast(values, pa.string())
        doubles = pc.cast(values, pa.float64(), safe=False)
        column = np.array(pc.fill_null(doubles, float("nan")), dtype=np.float64)
    return np.where(column == -1, np.nan, column) if name == "trades" else column


def _times(path: Path, values: pa.ChunkedArray) -> pd.DatetimeIndex:
    kind = values.type
    if not pa.types.is_timestamp(kind):
        raise DataError(
            f"{path}: column time holds {str(kind)[:60]}, not timestamps; convert it to UTC timestamps first"
        )
    if kind.tz is None:
        raise DataError(
            f"{path}: column time has no time zone; bars must be stamped in UTC (tz_localize('UTC') if they are)"
        )
    with _reading(path):
        counts = pc.cast(values, pa.int64())
        missing = np.asarray(counts.is_null())
        figures = np.array(pc.fill_null(counts, 0), dtype=np.int64)
    if missing.any():
        raise DataError(f"{path}: row {int(np.argmax(missing))}: time is missing; {int(missing.sum())} such row(s)")
    nanoseconds = nanoseconds_within(figures, _NANOSECONDS[kind.unit], source=str(path))
    return pd.DatetimeIndex(nanoseconds.view("datetime64[ns]"), tz="UTC")


def _venues(path: Path, values: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise DataError(f"{path}: column source holds {str(kind)[:60]}, not the names of venues; delete it")
    with _reading(path):
        texts = pc.fill_null(pc.cast(values, pa.string()), "")
        codes = texts.combine_chunks().dictionary_encode().indices
        return np.asarray(codes.to_numpy(zero_copy_only=False), dtype=np.int64)
