"""The bar store: Parquet files (zstd) of validated bars, replaced atomically.

What a file is stays with it: the labels of `LABELS` travel from the frame's ``attrs`` into
the file's metadata and back, so synthetic bars can never pass for real ones and two venues
are never stitched together unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

import filelock
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from novosky.data.identity import METADATA_PREFIX, require_file_of_bars
from novosky.data.joining import LABELS, Join, check_levels, joined_labels, joined_seams
from novosky.data.parquet_bars import read_parquet
from novosky.data.text.importers import read_text_bars
from novosky.errors import DataError, LockedError
from novosky.files import replace_atomically
from novosky.market.bars import (
    OPTIONAL_COLUMNS,
    REQUIRED_COLUMNS,
    epoch_seconds,
    usual_step,
    validate_bars,
)
from novosky.market.timeframe import TIMEFRAMES, USUAL, timeframe_name


def load_bars(path: Path, *, seconds: int | None = USUAL.seconds) -> pd.DataFrame:
    """Read and validate the bars of a file.

    Parameters
    ----------
    path : Path
        ``.parquet``, or ``.csv``/``.txt`` with a header and times in UTC.
    seconds : int or None
        The timeframe the bars must have; None takes the one that they have.

    Returns
    -------
    pandas.DataFrame
        A valid bar frame; ``attrs`` holds the labels of the file, and ``attrs["seams"]`` the
        changes of venue where a `source` column names one per row. Columns beyond the known
        ones are left out, `trades` of -1 ("not published") become NaN.

    Raises
    ------
    DataError
        When the file is missing, unreadable or truncated, or its bars break a rule.
    """
    require_file_of_bars(path)
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _load_parquet(path, seconds)
    if suffix in (".csv", ".txt"):
        return read_text_bars(path, seconds=seconds)
    raise DataError(
        f"{path}: unknown kind of file {suffix or '(no suffix)'}; bars are read from .parquet, .csv or .txt"
    )


def _load_parquet(path: Path, seconds: int | None) -> pd.DataFrame:
    found = read_parquet(path)
    told = TIMEFRAMES.get(found.labels.get("timeframe", ""))
    # The file's word before its bars', and the usual length where two bars or fewer say nothing.
    seconds = seconds or (told.seconds if told else usual_step(epoch_seconds(found.columns)) or USUAL.seconds)
    frame = validate_bars(found.columns, source=str(path), seconds=seconds)
    _check_timeframe(path, found.labels, seconds)
    seams = _told_seams(found.labels)
    if found.venues is not None:
        seams |= _seams(frame, found.venues)
    if seams or found.venues is not None:
        frame.attrs["seams"] = tuple(sorted(seams))
    frame.attrs.update({label: found.labels[label] for label in LABELS if label in found.labels})
    return frame


def _check_timeframe(path: Path, labels: dict[str, str], seconds: int) -> None:
    told = labels.get("timeframe")
    if told is not None and told != timeframe_name(seconds):
        raise DataError(
            f"{path}: holds {told} bars, but {timeframe_name(seconds)} bars are needed; "
            "give the file of the right timeframe"
        )


def _seams(frame: pd.DataFrame, venues: npt.NDArray[np.int64]) -> set[int]:
    """Return the first open (UTC epoch seconds) after each change of venue: prices step there."""
    opens = epoch_seconds(frame)
    return {int(opens[i]) for i in np.flatnonzero(venues[1:] != venues[:-1]) + 1}


def _told_seams(labels: dict[str, str]) -> set[int]:
    """Return the seams that joining stores has left in a file's labels."""
    return {int(text) for text in labels.get("seams", "").split() if text.isascii() and text.isdigit()}


def save_bars(path: Path, bars: pd.DataFrame, *, seconds: int = USUAL.seconds) -> None:
    """Replace `path` by a Parquet file (zstd) of `bars`; the old file survives any failure.

    Raises
    ------
    DataError
        When the bars break a rule; invalid bars are never stored.
    StorageError
        When the file cannot be written whole.
    """
    frame = validate_bars(bars, source=f"bars for {path}", seconds=seconds)
    labels = {label: str(bars.attrs[label]) for label in LABELS if label in bars.attrs}
    labels["timeframe"] = timeframe_name(seconds)
    if bars.attrs.get("seams"):
        labels["seams"] = " ".join(str(moment) for moment in bars.attrs["seams"])
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(
        {f"{METADATA_PREFIX}{label}": value for label, value in labels.items()}
    )
    with replace_atomically(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", write_page_checksum=True)


@contextmanager
def store_lock(path: Path) -> Iterator[None]:
    """Hold the store of `path` alone, so that two downloads cannot undo each other's work.

    Raises
    ------
    LockedError
        When another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise LockedError(f"{path}: another process is writing these bars; wait for it or stop it first") from error
    try:
        yield
    finally:
        lock.release()


def merge_bars(old: pd.DataFrame, new: pd.DataFrame, *, join: Set[Join] = frozenset()) -> pd.DataFrame:
    """Join two frames of the same timeframe; overlapping bars must agree.

    Parameters
    ----------
    old, new : pandas.DataFrame
        Valid bar frames. An optional figure that only one of them has is taken from it.
    join : set of {"symbols", "sources"}
        What may be joined although it differs; the places where sources meet become seams.

    Returns
    -------
    pandas.DataFrame
        All bars of both, ascending in time, with the labels of both.

    Raises
    ------
    DataError
        When a bar is in both with different values (the message names the row of `new`), when
        the labels differ, when unlabelled prices cannot be one market's, or when only one of
        the frames holds a spread.
    """
    labels = joined_labels(old, new, join)
    if ("spread" in old) != ("spread" in new):
        raise DataError("merging bars: only one of the two sets has a spread column, and a missing spread is not zero")
    columns = [*REQUIRED_COLUMNS, *(name for name in OPTIONAL_COLUMNS if name in old or name in new)]
    first, second = old.reindex(columns=columns), new.reindex(columns=columns)
    _, at_first, at_second = np.intersect1d(
        epoch_seconds(old), epoch_seconds(new), assume_unique=True, return_indices=True
    )
    for name in columns[1:]:
        kept, given = first[name].to_numpy(dtype=float, copy=True), second[name].to_numpy(dtype=float)
        _check_agreement(kept[at_first], given[at_second], new, at_second, name)
        kept[at_first] = np.where(np.isnan(kept[at_first]), given[at_second], kept[at_first])
        first[name] = kept
    added = np.ones(len(second), dtype=bool)
    added[at_second] = False
    parts = [part for part in (first, second.loc[added]) if len(part)]
    merged = pd.concat(parts).sort_values("time", kind="stable").reset_index(drop=True)
    merged.attrs.clear()
    merged.attrs.update(labels)
    check_levels(old, new, merged, join)
    seams = joined_seams(old, new, merged)
    if seams:
        merged.attrs["seams"] = seams
    return merged


def _check_agreement(
    kept: npt.NDArray[np.float64],
    given: npt.NDArray[np.float64],
    new: pd.DataFrame,
    rows: npt.NDArray[np.intp],
    name: str,
) -> None:
    broken = (kept != given) & ~np.isnan(kept) & ~np.isnan(given)
    if broken.any():
        at = int(np.flatnonzero(broken)[0])
        row = int(rows[at])
        raise DataError(
            f"merging bars: row {row} ({new['time'].iloc[row]}): {name} is {given[at]:.10g} but {kept[at]:.10g} is "
            f"stored; {int(broken.sum())} such row(s); choose another --output, or --replace the stored bars"
        )
