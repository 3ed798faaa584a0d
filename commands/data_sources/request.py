"""What `scripts/download_data.py` was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from novosky.market.timeframe import Timeframe, timeframe

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line; names and units are those of the options."""

    source: str
    output: Path | None
    timeframe: str
    start: datetime | None
    end: datetime | None
    replace: bool
    join: tuple[Literal["symbols", "sources"], ...]
    config: Path
    resample: bool
    input: Path | None
    symbol: str | None
    server_clock: str | None
    repeated_hour: Literal["earlier", "later"] | None
    base_url: str | None
    kind: Literal["planted", "null"]
    bars: int
    seed: int

    @property
    def frame(self) -> Timeframe:
        """The time frame of the bars."""
        return timeframe(self.timeframe)

    @property
    def seconds(self) -> int:
        """Length of a bar."""
        return self.frame.seconds


@dataclass(frozen=True)
class Stored:
    """What a request came to.

    Attributes
    ----------
    output : Path
        The store.
    bars : pandas.DataFrame
        All it now holds.
    notes : tuple of str
        What a person has to know of how they came about.
    """

    output: Path
    bars: pd.DataFrame
    notes: tuple[str, ...]


def utc(moment: datetime | None) -> pd.Timestamp | None:
    """Return a date of the command line as a timestamp."""
    import pandas as pd

    return None if moment is None else pd.Timestamp(moment).tz_convert("UTC")
