"""The simulated terminal keeps the module's contract itself."""

from __future__ import annotations

from contracts.mt5_faults import FaultContract
from contracts.mt5_market import MarketDataContract
from contracts.mt5_module import ConnectionContract, ShapesContract
from contracts.mt5_netting import NettingContract, PendingContract
from contracts.mt5_rejections import RejectionContract
from contracts.mt5_trading import CalculationContract, HedgingContract

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


class TestCalculation(Direct, CalculationContract):
    pass


class TestHedging(Direct, HedgingContract):
    pass


class TestNetting(Direct, NettingContract):
    pass


class TestPending(Direct, PendingContract):
    pass


class TestRejections(Direct, RejectionContract):
    pass


class TestFaults(Direct, FaultContract):
    pass
