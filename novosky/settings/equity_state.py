"""What the risk model is told of the account, and the bounds of what it may answer."""

from __future__ import annotations

EQUITY_STATE = (
    "drawdown_pct",
    "equity_ratio",
    "win_rate_recent",
    "consecutive_losses",
    "consecutive_wins",
    "weekly_drawdown_pct",
    "equity_slope",
)
"""The inputs, in order; `engine.equity.equity_state` computes them."""

LEAST_MULTIPLIER = 0.10
MOST_MULTIPLIER = 1.25
"""A trade's size is never scaled beyond these."""
