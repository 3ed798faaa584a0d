"""The simulated terminal keeps the module's contract itself."""

from __future__ import annotations

from tests.contracts.mt5_faults import FaultContract
from tests.contracts.mt5_market import MarketDataContract
from tests.contracts.mt5_module import ConnectionContract, ShapesContract
from tests.contracts.mt5_netting import NettingContract, PendingContract
from tests.contracts.mt5_rejections import RejectionContract
from tests.contracts.mt5_trading import CalculationContract, HedgingContract
from trading.brokers.simulated.functions.terminal import SimulatedTerminal


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
