"""What a trader may live through with the models in place, in sentences: before the start, not after the first loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ml.sets.expectation import read_expectation
from novosky.errors import ModelError
from novosky.measures.expectation import Expectation, expect
from novosky.settings import Settings

SEED = 7
UNKNOWN = "nobody has recorded what these models earned out of sample, so nothing can be said of what to expect"


def expectation_of(models: Path, settings: Settings) -> Expectation | None:
    """Simulate a year with the set in place at the configured risk and limits.

    Parameters
    ----------
    models : Path
    settings : Settings
        For `risk_percent`, the weekly pause and the hard halt.

    Returns
    -------
    Expectation or None
        None where no record is with the models, or one with too few trades.

    Raises
    ------
    ModelError
        The record is damaged.
    """
    record = read_expectation(models)
    if record is None:
        return None
    return expect(
        record,
        settings.dynamic_position_sizing.risk_percent / 100.0,
        settings.max_weekly_drawdown_pct / 100.0,
        settings.max_total_drawdown_pct / 100.0,
        np.random.default_rng(SEED),
    )


def expectation_lines(found: Expectation | None) -> tuple[str, ...]:
    """Return the expectation as sentences of at most a line each."""
    if found is None:
        return (UNKNOWN,)
    worth = (
        f"that may be worth nothing: the profit factor lies between {found.pf_low:.2f} and {found.pf_high:.2f}"
        if found.may_be_worthless
        else f"the profit factor lies between {found.pf_low:.2f} and {found.pf_high:.2f}, above 1"
    )
    return (
        f"{found.trades} trades in {found.days} days out of sample; {worth}",
        f"a month at {found.risk:.1%} risk a trade: {found.month_low:+.1%} to {found.month_high:+.1%}, half of them "
        f"above {found.month_median:+.1%}; {found.losing_months:.0%} of months lose",
        f"a year's deepest fall: {found.drawdown_median:.0%}, in one year of twenty {found.drawdown_high:.0%} or more; "
        f"weekly pause in {found.pauses:.0%} of years, hard halt in {found.halts:.0%}",
    )


def expectation_facts(models: Path, settings: Settings) -> tuple[str, ...]:
    """Return what a bot says at its start of what to expect; a damaged record is said, and stops nothing."""
    try:
        lines = expectation_lines(expectation_of(models, settings))
    except ModelError as error:
        lines = (str(error),)
    return tuple(f"expect: {line}" for line in lines)
