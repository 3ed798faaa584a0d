"""Check of the costs against the bars: figures of one symbol on the prices of another."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from novosky.errors import DataError, SettingsError
from trading.doctor.finding import Finding, fail, ok, warn


def check_costs(config: Path, data: Path) -> Finding | None:
    """Hold `costs.spread` and the bars' own spreads against the prices; None where either cannot be read.

    What cannot be read has a finding of its own.
    """
    from engine.inputs.bar_spreads import bar_spreads
    from novosky.data.store import load_bars
    from novosky.settings import load_settings

    if not data.exists():
        return None
    with suppress(SettingsError, DataError):
        settings = load_settings(config)
        bars = load_bars(data, seconds=settings.frame.seconds)
        try:
            spreads = bar_spreads(bars, settings, fixed=False)
        except (SettingsError, DataError) as error:
            return fail("costs", f"{data}: {error}", "correct costs and broker.point in config.json, or the bars")
        if spreads.remarks:
            return warn("costs", "; ".join(spreads.remarks), "state costs.spread and costs.bar_spread in config.json")
        return ok("costs", f"spread {settings.costs.spread:g} USD, fit for the prices in {data}")
    return None
