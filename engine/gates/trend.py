"""Gates on the trend the candidate stands in; both can be switched off."""

from __future__ import annotations

from engine.gates.definition import Gate, Limit, Side, below, same
from engine.layouts import F8, I1
from engine.state import Guard
from novosky.compiled import compiled


class Inputs(Side):
    """What these gates read of a candidate."""

    ema_distance: F8
    """Close minus EMA200, in ATR."""
    adx: F8
    """ADX(14)."""


class Limits:
    """What these gates read of the settings."""

    ema_trend: I1
    min_adx: F8
    """0 turns the gate off."""


@compiled
def _with_trend(candidate: Inputs, guard: Guard, params: Limits, spread: float, frozen: int) -> bool:
    return params.ema_trend == 0 or candidate.side * candidate.ema_distance > 0.0


@compiled
def _strong(candidate: Inputs, guard: Guard, params: Limits, spread: float, frozen: int) -> bool:
    # Switched off it lets an unknown ADX pass, which no comparison with 0 would.
    return params.min_adx == 0.0 or candidate.adx >= params.min_adx


def _trend_told(candidate: Inputs, guard: Guard, params: Limits, spread: float) -> str:
    distance = candidate.ema_distance
    return f"{abs(distance):.1f} ATR {'above' if distance > 0.0 else 'below'} EMA200"


def _least_adx(enabled: bool, least: float) -> float:
    return least if enabled else 0.0


GATES = (
    Gate(
        name="ema_trend",
        words="against the EMA200 trend",
        told=_trend_told,
        rule=_with_trend,
        limits=(Limit("ema_trend", ("config.enable_ema_trend_filter",), same),),
    ),
    Gate(
        name="adx_regime",
        words="trend strength (ADX) too low",
        told=lambda candidate, guard, params, spread: below("ADX", candidate.adx, params.min_adx, 1),
        rule=_strong,
        limits=(Limit("min_adx", ("config.adx_filter.enabled", "config.adx_filter.min_adx"), _least_adx),),
    ),
)
