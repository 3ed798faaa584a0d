"""Whether two sets of bars may become one: same market, source and price step, unless somebody says otherwise."""

from __future__ import annotations

from collections.abc import Set
from typing import Literal

import numpy as np
import pandas as pd

from novosky.errors import DataError
from novosky.market.bars import epoch_seconds
from novosky.market.instrument import same_instrument
from novosky.market.timeframe import WEEK_SECONDS

Join = Literal["symbols", "sources"]
"""What may be joined although it differs: two names of one market, two sources of its bars."""

LABELS = ("synthetic", "symbol", "source", "point", "digits", "volume")
"""Keys of ``bars.attrs`` that a file keeps; `novosky.data.identity.BarsIdentity` says what each means.

`volume` is ``"none"`` where the source publishes no volume and the column is 0 throughout.
"""

BETWEEN_SOURCES = " + "
"""Stands between the sources of bars that were joined by request."""

_MEND = "choose another --output, or --replace the stored ones"
_NEAR_SECONDS, _NEAR_RATIO, _FAR_RATIO = WEEK_SECONDS, 1.5, 20.0


def joined_labels(old: pd.DataFrame, new: pd.DataFrame, join: Set[Join]) -> dict[str, str]:
    """Return the labels of two sets of bars put together.

    Raises
    ------
    DataError
        When a label that both have differs and `join` does not allow it; names both.
    """
    labels = {name: str(frame.attrs[name]) for frame in (new, old) for name in LABELS if name in frame.attrs}
    for name in LABELS:
        had, has = old.attrs.get(name), new.attrs.get(name)
        if had == has:
            continue
        # Bars without a label may be joined to any; but bars without "synthetic" are real, and
        # those without "volume" have one.
        if name not in ("synthetic", "volume") and None in (had, has):
            continue
        if name == "symbol":
            labels[name] = _symbol(str(had), str(has), join)
        elif name == "source":
            labels[name] = _source(str(had), str(has), join)
        else:
            raise DataError(
                f"merging bars: the stored bars have {name}={had or 'none'} but the new ones {name}={has or 'none'}; "
                f"{_MEND}"
            )
    return labels


def _symbol(had: str, has: str, join: Set[Join]) -> str:
    if same_instrument(had, has):
        return had
    if "symbols" in join:
        return has
    raise DataError(
        f"merging bars: the stored bars have symbol={had} but the new ones symbol={has}; {_MEND}; where these are two "
        "names of one market, --join symbols"
    )


def _source(had: str, has: str, join: Set[Join]) -> str:
    known = had.split(BETWEEN_SOURCES)
    added = [source for source in has.split(BETWEEN_SOURCES) if source not in known]
    if added and "sources" not in join:
        raise DataError(
            f"merging bars: the stored bars have source={had} but the new ones source={has}; {_MEND}; to join two "
            "sources of one market, whose prices step where they meet, --join sources"
        )
    return BETWEEN_SOURCES.join([*known, *added])


def check_levels(old: pd.DataFrame, new: pd.DataFrame, merged: pd.DataFrame, join: Set[Join]) -> None:
    """Refuse to join bars whose prices cannot be one market's, where no label says that they are.

    Prices that change by half within a week, or twentyfold over any time, where bars of one set
    meet bars of the other are another market's.

    Raises
    ------
    DataError
        Names the moment and the prices.
    """
    labelled = None not in (old.attrs.get("symbol"), new.attrs.get("symbol"))
    if labelled or "symbols" in join:
        return
    stamps = epoch_seconds(merged)
    is_new = ~np.isin(stamps, epoch_seconds(old))
    for at in np.flatnonzero(is_new[1:] != is_new[:-1]) + 1:
        before, after = float(merged["close"].iloc[at - 1]), float(merged["open"].iloc[at])
        most = _NEAR_RATIO if stamps[at] - stamps[at - 1] <= _NEAR_SECONDS else _FAR_RATIO
        if max(before / after, after / before) > most:
            raise DataError(
                f"merging bars: the price goes from {before:g} to {after:g} at {merged['time'].iloc[at]}, where the "
                f"stored bars and the new ones meet, and not both say their symbol; {_MEND}, or --join symbols if "
                "they are one market all the same"
            )


def joined_seams(old: pd.DataFrame, new: pd.DataFrame, merged: pd.DataFrame) -> tuple[int, ...]:
    """Return the opens (UTC epoch seconds) before which the source changes, those known already included."""
    seams = {*old.attrs.get("seams", ()), *new.attrs.get("seams", ())}
    had, has = old.attrs.get("source"), new.attrs.get("source")
    if None not in (had, has) and str(has) not in str(had).split(BETWEEN_SOURCES):
        stamps = epoch_seconds(merged)
        is_new = ~np.isin(stamps, epoch_seconds(old))
        seams |= {int(stamps[at]) for at in np.flatnonzero(is_new[1:] != is_new[:-1]) + 1}
    return tuple(sorted(int(moment) for moment in seams))
