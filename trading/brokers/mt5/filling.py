"""Which filling mode an order may carry: chosen from the symbol's mask, remembered, changed once when refused.

The symbol states a mask of bits, the request takes a number of an enumeration; copying one
into the other is the classic reason of return code 10030.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from trading.brokers.mt5_package.constants import SYMBOL_FILLING_FOK, SYMBOL_FILLING_IOC
from trading.brokers.mt5_package.constants import ModuleConstants as C

_ON_DEMAND = (C.SYMBOL_TRADE_EXECUTION_REQUEST, C.SYMBOL_TRADE_EXECUTION_INSTANT)


def filling_modes(mask: int, exemode: int) -> tuple[int, ...]:
    """Return the `type_filling` values a market order may carry, best first.

    Parameters
    ----------
    mask : int
        `symbol_info().filling_mode`.
    exemode : int
        `symbol_info().trade_exemode`.
    """
    modes: list[int] = []
    if mask & SYMBOL_FILLING_FOK or exemode in _ON_DEMAND:
        modes.append(C.ORDER_FILLING_FOK)
    if mask & SYMBOL_FILLING_IOC or exemode in _ON_DEMAND:
        modes.append(C.ORDER_FILLING_IOC)
    # Two official pages disagree on RETURN under Market execution; it is tried only for want of others.
    if exemode != C.SYMBOL_TRADE_EXECUTION_MARKET or not modes:
        modes.append(C.ORDER_FILLING_RETURN)
    return tuple(modes)


@dataclass
class FillingChoice:
    """Remembers what a broker took, by symbol and class of order ("open" or "close")."""

    _taken: dict[tuple[str, str], int] = field(default_factory=dict)

    def modes(self, symbol: str, order_class: str, mask: int, exemode: int) -> tuple[int, ...]:
        """Return the mode to send and, after it, the one to fall back on."""
        modes = filling_modes(mask, exemode)
        taken = self._taken.get((symbol, order_class))
        if taken is not None:
            modes = (taken, *(mode for mode in modes if mode != taken))
        # One way out and no more: a refusal that repeats has another reason than the mode.
        return modes[:2]

    def took(self, symbol: str, order_class: str, mode: int) -> None:
        """Remember a mode that was accepted."""
        self._taken[symbol, order_class] = mode

    def refused(self, symbol: str, order_class: str) -> None:
        """Forget the mode that was refused."""
        self._taken.pop((symbol, order_class), None)
