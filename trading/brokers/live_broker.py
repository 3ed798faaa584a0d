"""What a live bot asks of its broker beyond the port."""

from __future__ import annotations

from typing import Protocol

from trading.brokers.clock_watch import Measured
from trading.brokers.port import Broker


class LiveBroker(Broker, Protocol):
    """A broker of a real account: its clock can be compared with this machine's."""

    def measure_clock(self) -> Measured | None:
        """Compare the newest quote's stamp with this machine's clock; None while the broker cannot be asked."""
