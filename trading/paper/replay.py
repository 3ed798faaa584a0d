"""Time for a simulated market: a clock whose waiting moves the market instead of the person."""

from __future__ import annotations

from collections.abc import Callable

from trading.brokers.simulated.server import TradeServer


class ReplayClock:
    """Waiting means: go on to the close of the next bar, at once.

    Parameters
    ----------
    server : TradeServer
    """

    def __init__(self, server: TradeServer) -> None:
        self._server = server

    def now(self) -> float:
        """Return the market's time, UTC epoch seconds."""
        return float(self._server.quote().time)

    def sleep(self, seconds: float) -> None:
        """Move to the next close; nothing happens after the last one."""
        if not self._server.at_end:
            self._server.advance()


def run_replay(cycle: Callable[[], bool], server: TradeServer, progress: Callable[[int], None]) -> None:
    """Run the bot's cycle over every remaining bar.

    Parameters
    ----------
    cycle : callable
        `Bot.cycle`.
    server : TradeServer
    progress : callable
        Called with the index of each bar that was processed.
    """
    clock = ReplayClock(server)
    if server.begun:
        # A killed bot may have left a bar that closed but was never judged.
        cycle()
    while not server.at_end:
        clock.sleep(0.0)
        cycle()
        progress(server.bar)


class PacedMarket:
    """Lets a simulated market keep pace with the real clock: bars close when their time has come.

    Parameters
    ----------
    server : TradeServer
    now : callable
        Real time, UTC epoch seconds.
    """

    def __init__(self, server: TradeServer, now: Callable[[], float]) -> None:
        self._server, self._now = server, now

    def catch_up(self) -> int:
        """Close every bar whose time has come and return how many there were."""
        closed = 0
        while not self._server.at_end and self._server.next_close <= self._now():
            self._server.advance()
            closed += 1
        return closed
