"""MetaTrader's codes of the time frames."""

from __future__ import annotations

from novosky.market.timeframe import Timeframe
from trading.brokers.mt5_package.constants import ModuleConstants as C


def terminal_code(frame: Timeframe) -> int:
    """Return the terminal's code of a time frame: a number of its own, not the minutes of a bar.

    Examples
    --------
    >>> from novosky.market.timeframe import TIMEFRAMES
    >>> terminal_code(TIMEFRAMES["M15"]), terminal_code(TIMEFRAMES["H1"])
    (15, 16385)
    """
    return int(getattr(C, f"TIMEFRAME_{frame.name}"))
