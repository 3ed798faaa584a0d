"""Time for a simulated market: a clock whose waiting moves the market instead of the person."""

from __future__ import annotations

from collections.abc import Callable

from trading.paper import PaperBroker


class ReplayClock:
    """Waiting means: go on to the close of the next bar, at once.

    Parameters
    ----------
    broker : PaperBroker
    """

    def __init__(self, broker: PaperBroker) -> None:
        self._broker = broker

    def now(self) -> float:
        """Return the market's time, UTC epoch seconds."""
        return float(self._broker.quote().time)

    def sleep(self, seconds: float) -> None:
        """Move to the next close; nothing happens after the last one."""
        if not self._broker.at_end:
            self._broker.advance()


def run_replay(cycle: Callable[[], bool], broker: PaperBroker, progress: Callable[[int], None]) -> None:
    """Run the bot's cycle over every remaining bar.

    Parameters
    ----------
    cycle : callable
        `Bot.cycle`.
    broker : PaperBroker
    progress : callable
        Called with the index of each bar that was processed.
    """
    clock = ReplayClock(broker)
    if broker.begun:
        # A killed bot may have left a bar that closed but was never judged.
        cycle()
    while not broker.at_end:
        clock.sleep(0.0)
        cycle()
        progress(broker.bar)


class PacedMarket:
    """Lets a simulated market keep pace with the real clock: bars close when their time has come.

    Parameters
    ----------
    broker : PaperBroker
    now : callable
        Real time, UTC epoch seconds.
    """

    def __init__(self, broker: PaperBroker, now: Callable[[], float]) -> None:
        self._broker, self._now = broker, now

    def catch_up(self) -> int:
        """Close every bar whose time has come and return how many there were."""
        closed = 0
        while not self._broker.at_end and self._broker.next_close <= self._now():
            self._broker.advance()
            closed += 1
        return closed
