"""What a decision rests on, beyond the score."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from novosky.settings.base import Section

Decision = Literal["COMMIT", "REVERT", "ANALYZE", "FAILED"]
"""COMMIT: the new set stays; REVERT: the old one was put back; ANALYZE: nothing was to be changed."""


class Evidence(Section):
    """The figures of one decision; None where one was not computed, never 0."""

    oos_start: AwareDatetime | None = None
    """First bar traded out of sample, UTC."""
    oos_end: AwareDatetime | None = None
    """Last bar traded out of sample, UTC."""
    trades: int | None = Field(None, ge=0)
    """Trades of the run that was judged."""
    expectancy_r: float | None = None
    """Mean result of those trades in multiples of what each risked."""
    expectancy_r_low: float | None = None
    """Its one-sided 95 % lower bound; live trades are held against it."""
    configurations_tried: int | None = Field(None, ge=0)
    """Every trial and every combination of the sweep that was actually run."""
    deflated_sharpe: float | None = Field(None, ge=0.0, le=1.0)
    """Probability that the Sharpe ratio exceeds what so many tries would find by luck."""
    overfitting_probability: float | None = Field(None, ge=0.0, le=1.0)
    """Probability of backtest overfitting of the sweep (CSCV)."""
    daily_difference: float | None = None
    """Mean daily return, new minus old, as a fraction."""
    daily_difference_low: float | None = None
    """Lower end of its paired block bootstrap interval."""
    daily_difference_high: float | None = None
    """Upper end of that interval."""
