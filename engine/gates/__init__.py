"""The gates between a candidate and an order: one definition each, everything else derived from it."""

from engine.gates.definition import Gate, Limit
from engine.gates.table import (
    GATE_NAMES,
    GATE_OF,
    GATES,
    MARGIN,
    MARKET_CLOSED,
    ORDER_SHIFT,
    STOPS_LEVEL,
    VOLUME,
    failing_gates,
    gate_names,
    mask_of,
)

__all__ = [
    "GATES",
    "GATE_NAMES",
    "GATE_OF",
    "MARGIN",
    "MARKET_CLOSED",
    "ORDER_SHIFT",
    "STOPS_LEVEL",
    "VOLUME",
    "Gate",
    "Limit",
    "failing_gates",
    "gate_names",
    "mask_of",
]
