"""Gates on the account: losses, falls of the equity, and a person's freeze.

The breakers (`engine.breakers`) judge every close and latch what they find in the
guard; these gates only read it.
"""

from __future__ import annotations

from engine.gates.definition import Gate, Limit, Side, same, share
from engine.layouts import F8, I1, I8
from engine.state import Guard
from novosky.compiled import compiled


class Limits:
    """What the breakers and their gates read of the settings."""

    max_consecutive_losses: I8
    max_daily_loss: F8
    """Share of the day's opening equity."""
    max_weekly_drawdown: F8
    """Share of the week's highest equity."""
    max_total_drawdown: F8
    """Share of the starting balance."""
    starting_balance: F8
    equity_curve: I1
    equity_curve_trades: I8
    equity_curve_drawdown: F8
    """Share below the mean of the last balances."""
    equity_curve_pause: I8
    """Seconds."""


@compiled
def _few_losses(candidate: Side, guard: Guard, params: Limits, spread: float, frozen: int) -> bool:
    return guard.day_losses < params.max_consecutive_losses


@compiled
def _day_open(candidate: Side, guard: Guard, params: Limits, spread: float, frozen: int) -> bool:
    return guard.day_blocked == 0


@compiled
def _pause_over(candidate: Side, guard: Guard, params: Limits, spread: float, frozen: int) -> bool:
    return guard.time >= guard.paused_until


@compiled
def _week_open(candidate: Side, guard: Guard, params: Limits, spread: float, frozen: int) -> bool:
    return guard.week_blocked == 0


@compiled
def _not_halted(candidate: Side, guard: Guard, params: Limits, spread: float, frozen: int) -> bool:
    return guard.halted == 0


@compiled
def _not_frozen(candidate: Side, guard: Guard, params: Limits, spread: float, frozen: int) -> bool:
    return frozen == 0


def _losses_told(candidate: Side, guard: Guard, params: Limits, spread: float) -> str:
    return f"losses {int(guard.day_losses)}, limit {int(params.max_consecutive_losses)}"


def _day_told(candidate: Side, guard: Guard, params: Limits, spread: float) -> str:
    most = params.max_daily_loss * guard.day_equity
    return f"day {guard.equity - guard.day_equity:+.2f} < -{most:.2f}"


def _week_told(candidate: Side, guard: Guard, params: Limits, spread: float) -> str:
    most = params.max_weekly_drawdown * guard.week_peak
    return f"week {guard.equity - guard.week_peak:+.2f} < -{most:.2f}"


def _halt_told(candidate: Side, guard: Guard, params: Limits, spread: float) -> str:
    return f"hard halt, limit {params.starting_balance * (1.0 - params.max_total_drawdown):.2f}"


GATES = (
    Gate(
        name="circuit_breaker",
        words="too many losses in a row",
        told=_losses_told,
        rule=_few_losses,
        limits=(Limit("max_consecutive_losses", ("config.max_consecutive_losses",), same),),
    ),
    Gate(
        name="daily_loss",
        words="daily loss limit",
        told=_day_told,
        rule=_day_open,
        limits=(Limit("max_daily_loss", ("config.max_daily_loss",), share),),
    ),
    Gate(
        name="equity_curve",
        words="equity curve pause",
        told=lambda candidate, guard, params, spread: "equity curve pause",
        rule=_pause_over,
        limits=(
            Limit("equity_curve", ("config.equity_curve_filter.enabled",), same),
            Limit("equity_curve_trades", ("config.equity_curve_filter.lookback_trades",), same),
            Limit("equity_curve_drawdown", ("config.equity_curve_filter.max_drawdown_pct",), share),
            Limit("equity_curve_pause", ("config.equity_curve_filter.pause_hours",), lambda hours: round(hours * 3600)),
        ),
    ),
    Gate(
        name="weekly_drawdown",
        words="weekly drawdown pause",
        told=_week_told,
        rule=_week_open,
        limits=(Limit("max_weekly_drawdown", ("config.max_weekly_drawdown_pct",), share),),
    ),
    Gate(
        name="hard_halt",
        words="hard halt",
        told=_halt_told,
        rule=_not_halted,
        limits=(
            Limit("max_total_drawdown", ("config.max_total_drawdown_pct",), share),
            Limit("starting_balance", ("config.risk_profile.starting_balance_usd",), same),
        ),
    ),
    Gate(
        name="frozen",
        words="frozen by a person",
        told=lambda candidate, guard, params, spread: "frozen or paused",
        rule=_not_frozen,
    ),
)
