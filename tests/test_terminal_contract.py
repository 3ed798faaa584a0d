"""The simulated terminal keeps the module's contract itself."""

from __future__ import annotations

from contracts.mt5_module import ConnectionContract, MarketDataContract, ShapesContract

from trading.terminal.terminal import SimulatedTerminal


class Direct:
    """The terminal stands in for the module without anything between."""

    def module(self, terminal: SimulatedTerminal) -> SimulatedTerminal:
        return terminal


class TestConnection(Direct, ConnectionContract):
    pass


class TestShapes(Direct, ShapesContract):
    pass


class TestMarketData(Direct, MarketDataContract):
    pass
