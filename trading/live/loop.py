"""The live bot's loop: acts on every closed bar, and obeys a person between them.

It holds no rule and no thread of its own. Only this loop talks to the broker; what other
threads want of it they write into the journal (`trading.cycle.switches`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from novosky.clock import Clock
from trading.bot import Bot
from trading.cycle.news import NewsSource
from trading.cycle.switches import Switches


@dataclass(frozen=True)
class Rhythm:
    """Seconds between the loop's doings.

    Attributes
    ----------
    poll : float
        From one look at clock and switches to the next, and never past a bar's close.
    eager : float
        From one look to the next while a bar is due that the broker does not show yet, for the
        first `poll` seconds: it appears with the first tick after the close, within a second or so.
    reconcile : float
        At most so long without asking the broker, though no bar is due.
    retry : float
        From an order to close that did not succeed to the next: markets can be closed for days.
    """

    poll: float = 5.0
    eager: float = 0.25
    reconcile: float = 60.0
    retry: float = 60.0


class LiveLoop:
    """Drives a bot until it is told to stop.

    Parameters
    ----------
    bot : Bot
    switches : Switches
    news : NewsSource
    clock : Clock
        Tells the time.
    wait : callable
        Waits for so many seconds, less when something is to be done at once.
    check : callable
        Raises what has ended another thread.
    seen : callable
        Called with True after each processed bar and with False after other dealings with the broker.
    clocks : callable
        Compares the clocks, after everything that is urgent.
    rhythm : Rhythm
    """

    def __init__(
        self,
        bot: Bot,
        switches: Switches,
        news: NewsSource,
        clock: Clock,
        *,
        wait: Callable[[float], None],
        check: Callable[[], None],
        seen: Callable[[bool], None],
        clocks: Callable[[], None] = lambda: None,
        rhythm: Rhythm | None = None,
    ) -> None:
        self._bot, self._switches, self._news, self._clock = bot, switches, news, clock
        self._wait, self._check, self._seen, self._clocks = wait, check, seen, clocks
        self._rhythm = Rhythm() if rhythm is None else rhythm
        self._asked = self._tried = float("-inf")

    def run(self, stopping: Callable[[], bool]) -> None:
        """Loop until `stopping`; a step that has begun is finished.

        Raises
        ------
        NovoskyError
            What no waiting mends.
        """
        while not stopping():
            self.step()
            if not stopping():
                self._wait(self._until_next_look())

    def _until_next_look(self) -> float:
        """Return the seconds to wait: less than `poll` before a close, and just after one."""
        late = self._clock.now() - (self._bot.next_close)
        if late < 0.0:
            return min(self._rhythm.poll, -late)
        return self._rhythm.eager if late < self._rhythm.poll and not self._bot.away else self._rhythm.poll

    def step(self) -> bool:
        """Do what is due and return whether a bar was processed."""
        self._check()
        self._obey()
        acted = self._cycle_when_due()
        if not self._bot.away:
            self._clocks()
        # Never between a bar and its order: the host may take its time.
        self._news.refresh(self._clock.now())
        return acted

    def _cycle_when_due(self) -> bool:
        now = self._clock.now()
        bar_due = now >= self._bot.next_close
        if not bar_due and now - self._asked < self._rhythm.reconcile:
            # A stop that a person takes away is not missed for a whole bar.
            self._bot.guard_stops()
            return False
        self._asked = now
        acted = self._bot.cycle()
        if not (acted or self._bot.away):
            self._bot.guard_stops()
        if acted or not (bar_due or self._bot.away):
            self._seen(acted)
        return acted

    def _obey(self) -> None:
        """Carry out a person's order; it stands until no position is open."""
        halting, closing = self._switches.halt_ordered(), self._switches.close_ordered()
        if not (halting or closing):
            self._tried = float("-inf")
            return
        if halting:
            self._bot.halt()
        now = self._clock.now()
        if now - self._tried < self._rhythm.retry:
            return
        self._tried = now
        if not self._bot.close_position():
            return
        self._switches.closed()
        self._switches.halted()
        self._seen(False)
