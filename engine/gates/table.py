"""The gates between a candidate and an order, in the order in which they give the block reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numba.extending import overload, register_jitable

from engine.gates import account, market, order, signal, trend
from engine.gates.definition import Gate, Rule
from engine.gates.reading import GateInputs, GateLimits
from engine.state import Guard
from novosky.compiled import compiled

GATES: tuple[Gate, ...] = (
    market.MARKET_CLOSED,
    *signal.GATES,
    *market.GATES,
    *trend.GATES,
    *account.GATES,
    *order.GATES,
)
"""Bit k of a gate mask is GATES[k]; the lowest failing bit is the block reason."""
GATE_NAMES = tuple(gate.name for gate in GATES)
GATE_OF = {gate.name: gate for gate in GATES}
_RULES = tuple(gate.rule for gate in GATES if gate.rule is not None)
ORDER_SHIFT = len(_RULES)
"""Where the bits of the sizing's verdict begin in a mask."""


def mask_of(*names: str) -> int:
    """Return the mask in which these gates fail.

    Raises
    ------
    ValueError
        There is no gate of that name.
    """
    return sum(1 << GATE_NAMES.index(name) for name in set(names))


def gate_names(mask: int) -> list[str]:
    """Return the names of the failing gates in a mask, the block reason first."""
    return [name for bit, name in enumerate(GATE_NAMES) if mask >> bit & 1]


MARKET_CLOSED = mask_of("market_closed")
STOPS_LEVEL = mask_of("stops_level")
VOLUME = mask_of("volume")
MARGIN = mask_of("margin")


def _failing(candidate: GateInputs, guard: Guard, params: GateLimits, spread: float, frozen: int) -> int:
    """Ask every rule in turn; compiled code takes `_joined` in its place."""
    mask = 0
    for bit, rule in enumerate(_RULES):
        if not rule(candidate, guard, params, spread, frozen):
            mask |= 1 << bit
    return mask


def _joined(rules: Sequence[Rule], bit: int) -> Callable[..., int]:
    """Return one function of all rules, each called by name: Numba cannot loop over functions and inline them."""
    if not rules:

        def no_more(candidate: Any, guard: Any, params: Any, spread: Any, frozen: Any) -> int:
            return 0

        return register_jitable(no_more)

    # Numba compares these parameters with those of `_failing_compiled`, annotations included.
    first, others, fails = rules[0], _joined(rules[1:], bit + 1), 1 << bit

    def both(candidate: Any, guard: Any, params: Any, spread: Any, frozen: Any) -> int:
        failed = 0 if first(candidate, guard, params, spread, frozen) else fails
        return failed | others(candidate, guard, params, spread, frozen)

    return register_jitable(both)


@overload(_failing)
def _failing_compiled(candidate: Any, guard: Any, params: Any, spread: Any, frozen: Any) -> Callable[..., int]:
    return _joined(_RULES, 0)


@compiled
def failing_gates(candidate: GateInputs, guard: Guard, params: GateLimits, spread: float, frozen: int) -> int:
    """Evaluate every gate that needs no order size; NaN inputs fail their gate.

    Parameters
    ----------
    candidate, guard, params
        Records.
    spread : float
        USD at the close.
    frozen : int
        1 when a person has frozen the bot.

    Returns
    -------
    int
        Bit mask over `GATE_NAMES`, 0 when all pass.
    """
    return _failing(candidate, guard, params, spread, frozen)
