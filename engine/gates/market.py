"""Gates on the market at a bar's close: open, lively, cheap to deal in, and no news near."""

from __future__ import annotations

from engine.gates.definition import Gate, Limit, Side, below, same
from engine.layouts import F8, I1
from engine.state import Guard
from novosky.compiled import compiled


class Inputs(Side):
    """What these gates read of a candidate."""

    market_open: I1
    """Whether the broker deals at the bar's close."""
    atr: F8
    """ATR(14) in USD."""
    news_minutes: F8
    """Minutes to the nearest high-impact event, infinity when none is near."""


class Limits:
    """What these gates read of the settings."""

    min_atr: F8
    """USD."""
    max_spread_atr: F8
    """Largest spread as a share of ATR."""
    news_minutes: F8
    """Entries are blocked while a high-impact event is nearer than this; negative never."""


@compiled
def _open(candidate: Inputs, guard: Guard, params: Limits, spread: float, frozen: int) -> bool:
    return candidate.market_open != 0


@compiled
def _lively(candidate: Inputs, guard: Guard, params: Limits, spread: float, frozen: int) -> bool:
    return candidate.atr >= params.min_atr


@compiled
def _cheap(candidate: Inputs, guard: Guard, params: Limits, spread: float, frozen: int) -> bool:
    return spread <= params.max_spread_atr * candidate.atr


@compiled
def _quiet(candidate: Inputs, guard: Guard, params: Limits, spread: float, frozen: int) -> bool:
    return candidate.news_minutes > params.news_minutes


def _news_told(candidate: Inputs, guard: Guard, params: Limits, spread: float) -> str:
    if candidate.news_minutes < 0.0:
        return "no news calendar is known (news.missing: block)"
    return f"news in {candidate.news_minutes:.0f} min < {params.news_minutes:.0f}"


def _minutes_or_never(minutes: float) -> float:
    # An event may be 0 minutes away: switched off must lie below every distance.
    return minutes if minutes > 0 else -1.0


MARKET_CLOSED = Gate(
    name="market_closed",
    words="market closed or price too old",
    told=lambda candidate, guard, params, spread: "market closed",
    rule=_open,
)
"""Apart from its group: a closed market is the reason before every other."""

GATES = (
    Gate(
        name="atr_floor",
        words="volatility (ATR) below its floor",
        told=lambda candidate, guard, params, spread: below("ATR", candidate.atr, params.min_atr, 2),
        rule=_lively,
        limits=(Limit("min_atr", ("config.risk_management.min_atr_threshold",), same),),
    ),
    Gate(
        name="spread",
        words="spread too wide for the ATR",
        told=lambda candidate, guard, params, spread: below("spread", spread, params.max_spread_atr * candidate.atr, 2),
        rule=_cheap,
        limits=(Limit("max_spread_atr", ("config.risk_management.max_spread_atr",), same),),
    ),
    Gate(
        name="news_block",
        words="high-impact news near",
        told=_news_told,
        rule=_quiet,
        limits=(Limit("news_minutes", ("config.news_block_minutes",), _minutes_or_never),),
    ),
)
