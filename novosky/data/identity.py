"""What a bars file says of itself: symbol, source, time frame, and the steps its prices are in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from novosky.errors import DataError

_MEND = "run scripts/download_data.py, or name another file with --data"

METADATA_PREFIX = "novosky."
"""Keys of the Parquet metadata that are ours begin so."""


@dataclass(frozen=True)
class BarsIdentity:
    """What bars are of; None wherever nobody said.

    Attributes
    ----------
    symbol : str or None
        The instrument, as the broker or the user named it; compare with
        `novosky.market.instrument.same_instrument`.
    source : str or None
        Where the bars came from, e.g. ``"binance BTCUSDT"`` or ``"mt5-export"``.
    timeframe : str or None
        ``"M15"``, ``"M1"``, …
    point : float or None
        Smallest price step, in price units, which a `spread` column counts.
    digits : int or None
        Decimals of the prices.
    synthetic : str or None
        Kind of the embedded market, for bars that are invented. Such bars have no symbol.
    """

    symbol: str | None = None
    source: str | None = None
    timeframe: str | None = None
    point: float | None = None
    digits: int | None = None
    synthetic: str | None = None


def bars_identity(path: Path) -> BarsIdentity:
    """Read what the bars file at `path` says of itself, without reading its bars.

    Text files and Parquet files written by others say nothing: every field is None. The name
    of a file is not evidence.

    Raises
    ------
    DataError
        When the file is missing or cannot be read as Parquet.
    """
    require_file_of_bars(path)
    if path.suffix.lower() != ".parquet":
        return BarsIdentity()
    try:
        metadata = pq.read_metadata(path).metadata
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]}); download it again"
        ) from error
    return identity_of(labels_in(metadata))


def require_file_of_bars(path: Path) -> None:
    """Refuse a path that holds no file of bars, before anything slow is done for it; raises `DataError`."""
    if not path.exists():
        raise DataError(f"{path}: no such file; {_MEND}")
    if not path.is_file():
        raise DataError(f"{path}: is not a file; {_MEND}")


def labels_in(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
    """Return our labels of a Parquet file's metadata; what is not readable text is left out."""
    found = {}
    for key, value in (metadata or {}).items():
        name = key.decode("utf-8", "replace")
        if name.startswith(METADATA_PREFIX):
            found[name.removeprefix(METADATA_PREFIX)] = value.decode("utf-8", "replace")
    return found


def identity_of(labels: Mapping[str, object]) -> BarsIdentity:
    """Read an identity from labels, e.g. a bar frame's ``attrs``; other keys are passed over."""
    texts = {name: str(labels[name]) for name in BarsIdentity.__dataclass_fields__ if labels.get(name) is not None}
    point, digits = _number(texts.get("point")), _number(texts.get("digits"))
    return BarsIdentity(
        symbol=texts.get("symbol"),
        source=texts.get("source"),
        timeframe=texts.get("timeframe"),
        point=point,
        digits=None if digits is None else int(digits),
        synthetic=texts.get("synthetic"),
    )


def _number(text: str | None) -> float | None:
    """Return a positive finite number, zero included; anything else says nothing."""
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value < float("inf") else None
