"""Whether the stored prices and the settings agree about the instrument's decimals."""

from __future__ import annotations

from pathlib import Path

from novosky.errors import NovoskyError
from trading.doctor.finding import Finding, ok, warn


def check_price_steps(file: Path, config: Path) -> Finding:
    """Compare the decimals of stored bars with `broker.digits`; what cannot be read is other checks' to report."""
    from novosky.data.store import load_bars
    from novosky.market.price_steps import price_step_warnings
    from novosky.settings import load_settings

    try:
        settings = load_settings(config)
        bars, digits = load_bars(file, seconds=settings.frame.seconds), settings.broker.digits
    except NovoskyError:
        return ok("price steps", "not compared: needs stored bars and settings")
    found = price_step_warnings(bars, digits)
    if found:
        mend = "set broker.digits and broker.point as the symbol's specification shows them"
        return warn("price steps", f"{file}: {'; '.join(found)}", mend)
    return ok("price steps", f"no price in {file} is finer than broker.digits = {digits}")
