"""All that the gates read of a candidate and of the settings, group by group."""

from __future__ import annotations

from engine.gates import account, market, signal, trend


class GateInputs(signal.Inputs, market.Inputs, trend.Inputs):
    """What some gate reads of a candidate."""


class GateLimits(signal.Limits, trend.Limits, account.Limits, market.Limits):
    """What some gate or breaker reads of the settings."""
