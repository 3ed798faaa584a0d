"""The gates between a candidate and an order, in the order in which they give the block reason."""

from __future__ import annotations

from engine.records import Candidate, Guard, Params
from novosky.compiled import compiled

GATE_NAMES = (
    "market_closed",
    "model_agreement",
    "session_conf",
    "probability_gap",
    "atr_floor",
    "spread",
    "news_block",
    "ema_trend",
    "adx_regime",
    "circuit_breaker",
    "daily_loss",
    "equity_curve",
    "weekly_drawdown",
    "hard_halt",
    "frozen",
    "stops_level",
    "volume",
    "margin",
)
"""Bit k of a gate mask is GATE_NAMES[k]; the lowest failing bit is the block reason."""

MARKET_CLOSED = 1 << 0
STOPS_LEVEL = 1 << 15
VOLUME = 1 << 16
MARGIN = 1 << 17


def gate_names(mask: int) -> list[str]:
    """Return the names of the failing gates in a mask, the block reason first."""
    return [name for bit, name in enumerate(GATE_NAMES) if mask >> bit & 1]


@compiled
def failing_gates(candidate: Candidate, guard: Guard, params: Params, spread: float, frozen: int) -> int:
    """Evaluate every gate that needs no order size; NaN inputs fail their gate.

    Returns
    -------
    int
        Bit mask over `GATE_NAMES`, 0 when all pass.
    """
    side = candidate.side
    passed = (
        candidate.market_open != 0,
        candidate.votes >= params.min_votes,
        candidate.confidence >= params.confidence[candidate.session],
        candidate.gap >= params.min_gap,
        candidate.atr >= params.min_atr,
        spread <= params.max_spread_atr * candidate.atr,
        candidate.news_minutes > params.news_minutes,
        params.ema_trend == 0 or side * candidate.ema_distance > 0.0,
        params.min_adx == 0.0 or candidate.adx >= params.min_adx,
        guard.day_losses < params.max_consecutive_losses,
        guard.day_blocked == 0,
        guard.time >= guard.paused_until,
        guard.week_blocked == 0,
        guard.halted == 0,
        frozen == 0,
    )
    mask = 0
    for bit in range(len(passed)):
        if not passed[bit]:
            mask |= 1 << bit
    return mask
