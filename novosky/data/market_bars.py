"""Bars of the market that the settings speak of."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from novosky.data.identity import identity_of
from novosky.data.store import load_bars
from novosky.market.same_market import Market, require_same_market
from novosky.settings import Settings

_log = logging.getLogger(__name__)


def load_market_bars(path: Path, settings: Settings, *, seconds: int | None = None) -> pd.DataFrame:
    """Read bars as `load_bars` does, and refuse those of another symbol than the configured one.

    A file that does not say of which symbol it is, is taken for the configured one, and that is
    logged. The embedded market has no symbol and stands in for any.

    Parameters
    ----------
    path : Path
    settings : Settings
    seconds : int or None
        Length of a bar; None takes the settings' time frame.

    Raises
    ------
    DataError
        As for `load_bars`.
    ModelCompatibilityError
        The bars are of another symbol.
    """
    bars = load_bars(path, seconds=seconds or settings.frame.seconds)
    require_bars_of(bars, path, settings)
    return bars


def require_bars_of(bars: pd.DataFrame, path: Path, settings: Settings) -> None:
    """Refuse bars of another symbol than the configured one; raises `ModelCompatibilityError`."""
    found = identity_of({str(name): value for name, value in bars.attrs.items()})
    if found.symbol is None and found.synthetic is None:
        _log.warning("%s does not say of which symbol its bars are; they are taken for %s", path, settings.symbol)
    require_same_market(
        Market(f"the bars in {path}", found.symbol),
        Market("config.json", settings.symbol),
        f"give the bars of {settings.symbol} with --data, or name a configuration of {found.symbol} and the models "
        "trained for it with --config, --ml-config and --models",
    )
