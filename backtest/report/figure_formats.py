"""How figures of a result are written, the same in console, page and sweep: unknown is said, never shown as zero."""

from __future__ import annotations

from novosky.measures.statistics import PROFIT_FACTOR_CAP

UNKNOWN = "n/a"


def number(value: float | None, digits: int = 2) -> str:
    """Format a plain number; unknown is said, never shown as zero."""
    return UNKNOWN if value is None else f"{positive_zero(value, digits):,.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """Format a fraction as percent."""
    return UNKNOWN if value is None else f"{positive_zero(100.0 * value, digits):,.{digits}f} %"


def signed_percent(value: float | None, digits: int = 1) -> str:
    """Format a fraction as percent with its sign."""
    return UNKNOWN if value is None else f"{positive_zero(100.0 * value, digits):+,.{digits}f} %"


def dollars(value: float | None) -> str:
    """Format USD with its sign in front of the currency."""
    if value is None:
        return UNKNOWN
    value = positive_zero(value, 2)
    return f"{'-' if value < 0 else ''}${abs(value):,.2f}"


def factor_words(value: float | None) -> str:
    """Format a profit factor; the cap is said, it stands for a run with hardly a loser."""
    return f"{PROFIT_FACTOR_CAP:g} or more" if value == PROFIT_FACTOR_CAP else number(value)


def positive_zero(value: float, digits: int) -> float:
    """Round, without the sign that rounding can leave on a zero."""
    # Adding 0.0 turns the -0.0 that rounding leaves into 0.0.
    return round(value, digits) + 0.0


def interval(low: float | None, high: float | None, *, share: bool) -> str:
    """Format a 95 % interval, empty when there is none."""
    if low is None or high is None:
        return ""
    if share:
        return f" ({100 * low:.1f}-{100 * high:.1f})"
    return f" ({low:.2f}-{high:.2f})"
