"""Whether prices have more decimals than the instrument is said to have."""

from __future__ import annotations

import numpy as np
import pandas as pd

from novosky.market.bars import PRICE_COLUMNS

_ROUNDING = 1e-4
"""Part of a price step that figures in double precision may be off by; a real decimal more is a tenth at least."""

_PRECISION = 1e-15
"""The same for very large figures: a few units of their last binary place."""


def finer_than_digits(bars: pd.DataFrame, digits: int) -> str | None:
    """Return a sentence with count and example where prices have more than `digits` decimals, else None.

    A symbol of other digits counts its spread in other points: prices with three decimals
    beside ``broker.digits`` 2 make a spread column ten times too large.
    """
    steps = bars[list(PRICE_COLUMNS)].to_numpy(dtype=np.float64) * 10.0**digits
    finer = np.abs(steps - np.round(steps)) > _ROUNDING + np.abs(steps) * _PRECISION
    rows = np.flatnonzero(finer.any(axis=1))
    if not len(rows):
        return None
    row = int(rows[0])
    name = PRICE_COLUMNS[int(np.argmax(finer[row]))]
    spread = ", and the spread column counts its points" if "spread" in bars else ""
    return (
        f"{len(rows):,} of {len(bars):,} bars have prices finer than {digits} digits, e.g. {name} "
        f"{bars[name].iloc[row]:.10g} at {bars['time'].iloc[row]:%Y-%m-%d %H:%M} UTC; broker.digits and "
        f"broker.point may be another symbol's{spread}"
    )


def price_step_warnings(bars: pd.DataFrame, digits: int) -> list[str]:
    """List what speaks against `digits` decimals: finer prices, or other digits that the bars' source stated.

    Parameters
    ----------
    bars : pandas.DataFrame
        Their ``attrs["digits"]`` is what the broker said, where the bars came from one.
    digits : int
        `broker.digits` of the settings.
    """
    found = []
    told = str(bars.attrs.get("digits", ""))
    if told.isdigit() and int(told) != digits:
        factor = 10.0 ** abs(int(told) - digits)
        direction = "small" if int(told) < digits else "large"
        spread = f", and their spread column is read {factor:g} times too {direction}" if "spread" in bars else ""
        found.append(f"the bars are of a symbol with {told} digits, but broker.digits is {digits}{spread}")
    finer = finer_than_digits(bars, digits)
    return [*found, finer] if finer is not None else found
