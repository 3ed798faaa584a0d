"""The bridge's client keeps the contract of the MetaTrader 5 module, with a simulated terminal at the far end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.contracts.mt5_faults import FaultContract
from tests.contracts.mt5_market import MarketDataContract
from tests.contracts.mt5_module import ConnectionContract, ContractBase, ShapesContract
from tests.contracts.mt5_netting import NettingContract, PendingContract
from tests.contracts.mt5_rejections import RejectionContract
from tests.contracts.mt5_trading import CalculationContract, HedgingContract
from tests.helpers.bridge_module import bridged
from trading.brokers.simulated.functions.terminal import SimulatedTerminal


class ThroughTheBridge(ContractBase):
    """Puts a server and a client of it in front of each terminal."""

    @pytest.fixture(autouse=True)
    def lines(self) -> Iterator[None]:
        """Close what a test has opened."""
        with ExitStack() as self.opened:
            yield

    def module(self, terminal: SimulatedTerminal) -> Any:
        """Return a client of a bridge to the terminal."""
        return self.opened.enter_context(bridged(terminal, any_terminal=True))


class TestConnection(ThroughTheBridge, ConnectionContract): ...


class TestShapes(ThroughTheBridge, ShapesContract): ...


class TestMarketData(ThroughTheBridge, MarketDataContract): ...


class TestCalculation(ThroughTheBridge, CalculationContract): ...


class TestHedging(ThroughTheBridge, HedgingContract): ...


class TestNetting(ThroughTheBridge, NettingContract): ...


class TestPending(ThroughTheBridge, PendingContract): ...


class TestRejections(ThroughTheBridge, RejectionContract): ...


class TestFaults(ThroughTheBridge, FaultContract): ...
