"""`scripts/download_data.py` on files: read, name, resample, join, store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from commands.data_sources.naming import name_bars, output_for
from commands.data_sources.request import Request, Stored, utc
from novosky.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class _Read:
    """Bars of a file, their length in seconds, the symbol the file names, and notes."""

    bars: pd.DataFrame
    seconds: int
    symbol: str | None
    notes: tuple[str, ...] = ()


def collect_file(request: Request) -> Stored:
    """Import a file into its store.

    Raises
    ------
    DataError
        As the readers and `merge_bars` do.
    UsageError
        When the options contradict the file, or nobody says where to store it.
    """
    from novosky.data.resample import resample_bars
    from novosky.market.bars import slice_bars

    found = _read(request)
    bars, notes = found.bars, [*found.notes]
    if request.resample:
        bars, made = resample_bars(bars, found.seconds, request.seconds, source=str(request.input))
        notes += made
    bars = slice_bars(bars, utc(request.start), utc(request.end), source=str(request.input))
    if "synthetic" not in bars.attrs:
        naming = name_bars(request, found.symbol)
        notes += naming.notes
        if naming.symbol is not None:
            bars.attrs["symbol"] = naming.symbol
    output = output_for(request, bars.attrs.get("symbol"), synthetic="synthetic" in bars.attrs)
    return store_joined(request, output, bars, notes)


def store_joined(request: Request, output: Path, bars: pd.DataFrame, notes: list[str]) -> Stored:
    """Join bars to those of a store, if it exists and is to be kept, and replace it by the whole."""
    from novosky.data.store import load_bars, merge_bars, save_bars, store_lock

    with store_lock(output):
        if output.exists() and not request.replace:
            old = load_bars(output, seconds=request.seconds)
            if "symbol" in bars.attrs and "symbol" not in old.attrs and "synthetic" not in old.attrs:
                notes.append(f"the stored bars did not say their symbol; they are {bars.attrs['symbol']} from now on")
            bars = merge_bars(old, bars, join=frozenset(request.join))
        save_bars(output, bars, seconds=request.seconds)
    return Stored(output, bars, tuple(notes))


def _read(request: Request) -> _Read:
    if request.input is None:
        raise UsageError(f"--source {request.source} needs --input FILE")
    seconds = None if request.resample else request.seconds
    if request.source == "parquet":
        return _read_parquet(request, request.input, seconds)
    from novosky.data.text.importers import import_text
    from novosky.market.server_time import ServerClock

    clock = None if request.server_clock is None else ServerClock(request.server_clock)
    only = "mt5-export" if request.source == "mt5-export" else None
    found = import_text(request.input, clock, seconds=seconds, repeated=request.repeated_hour or "later", only=only)
    found.bars.attrs["source"] = found.layout
    return _Read(found.bars, found.seconds, found.symbol, found.notes)


def _read_parquet(request: Request, path: Path, seconds: int | None) -> _Read:
    from novosky.data.store import load_bars
    from novosky.market.bars import epoch_seconds, usual_step

    if path.suffix.lower() != ".parquet":
        raise UsageError(f"--input {path} is not named .parquet; use --source csv for text files")
    bars = load_bars(path, seconds=seconds)
    return _Read(bars, seconds or usual_step(epoch_seconds(bars)) or request.seconds, bars.attrs.get("symbol"))
