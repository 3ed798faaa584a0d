"""Fetched calendar weeks, kept as history for backtests."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from novosky.data.calendar.forex_factory import COLUMNS, Week
from novosky.errors import DataError
from novosky.files import replace_atomically
from novosky.market.news import read_table


def append_week(path: Path, week: Week) -> pd.DataFrame:
    """Put a week into the stored calendar at `path`, in place of what was known of that week.

    A release that was moved or cancelled since disappears; other weeks stay as they are. The
    file is one that `novosky.market.news.load_calendar` and every `--calendar` reads. Columns
    an older file has beyond `COLUMNS` are empty in the new rows.

    Parameters
    ----------
    path : Path
        Parquet file; created when missing.
    week : Week

    Returns
    -------
    pandas.DataFrame
        Everything stored, in order of time.

    Raises
    ------
    DataError
        The file is there and is no calendar with currencies.
    StorageError
        It cannot be written; what was there stays.
    """
    merged = with_week(read_weeks(path), week)
    with replace_atomically(path) as temporary:
        merged.to_parquet(temporary, compression="zstd", index=False)
    return merged


def read_weeks(path: Path) -> pd.DataFrame | None:
    """Read what `append_week` has stored, None when there is none; raises `DataError`."""
    if not path.exists():
        return None
    stored = read_table(path)
    if not set(COLUMNS) <= set(stored.columns):
        raise DataError(f"{path}: not a calendar of this kind; it needs the columns {', '.join(COLUMNS)}")
    return stored


def with_week(stored: pd.DataFrame | None, week: Week) -> pd.DataFrame:
    """Return stored weeks with one put in, in place of what was known of it, in order of time."""
    merged = week.table()
    if stored is not None:
        stamps = stored["time"].dt.tz_convert("UTC").astype("datetime64[s, UTC]").astype("int64")
        kept = stored.loc[(stamps < week.start) | (stamps >= week.end)]
        if len(kept):
            merged = pd.concat([kept, merged.reindex(columns=stored.columns)], ignore_index=True)
    merged["time"] = merged["time"].astype("datetime64[ns, UTC]")
    return merged.sort_values(["time", "currency", "event"], kind="stable").reset_index(drop=True)
