"""Why a signal was not traded and why a position was left, in words for people.

The short names stay in journals, tables and JSON; whoever shows them to a person takes the
words from here, so that console, page and messages say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from engine.gates import GATES

GATE_WORDS: Mapping[str, str] = MappingProxyType({gate.name: gate.words for gate in GATES})
"""By the gates' names, in the order in which they give the block reason."""

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
