"""Why a signal was not traded and why a position was left, in words for people.

The short names stay in journals, tables and JSON; whoever shows them to a person takes the
words from here, so that console, page and messages say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

GATE_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "market_closed": "market closed or price too old",
        "model_agreement": "fewer than two of three models agree",
        "session_conf": "confidence below threshold",
        "probability_gap": "too close to the next class",
        "atr_floor": "volatility (ATR) below its floor",
        "spread": "spread too wide for the ATR",
        "news_block": "high-impact news near",
        "ema_trend": "against the EMA200 trend",
        "adx_regime": "trend strength (ADX) too low",
        "circuit_breaker": "too many losses in a row",
        "daily_loss": "daily loss limit",
        "equity_curve": "equity curve pause",
        "weekly_drawdown": "weekly drawdown pause",
        "hard_halt": "hard halt",
        "frozen": "frozen by a person",
        "stops_level": "stop or target too near for the broker",
        "volume": "does not fit at the smallest volume",
        "margin": "not enough free margin",
    }
)
"""By the names in `engine.gates.GATE_NAMES`, one for each."""

EXIT_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "sl": "stop loss",
        "tp": "take profit",
        "so": "stop-out",
        "model": "position model",
        "halt": "hard halt",
        "manual": "manual",
    }
)
"""By the names in `engine.fills.EXIT_NAMES`, one for each that is not empty."""
