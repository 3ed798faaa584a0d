"""The simulated broker's time as a clock: whoever waits by it lets the market go on."""

from __future__ import annotations

from trading.brokers.simulated.server import TradeServer

_MILLISECONDS = 1000.0


class TerminalClock:
    """Tells a trade server's time; see `novosky.clock.Clock`.

    Parameters
    ----------
    server : TradeServer
    """

    def __init__(self, server: TradeServer) -> None:
        self._server = server

    def now(self) -> float:
        """Return UTC epoch seconds."""
        return self._server.now_msc / _MILLISECONDS

    def sleep(self, seconds: float) -> None:
        """Let the server's time pass; nobody waits for it."""
        if seconds > 0.0:
            self._server.wait(seconds)
