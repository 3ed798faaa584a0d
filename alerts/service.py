"""A channel at work beside a bot: one thread that empties its queue."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from alerts.delivery import Delivery
from alerts.failures import InterruptedCallError
from alerts.port import Channel, Queue
from alerts.views import HealthItem
from novosky.clock import Clock

LOOK_AGAIN = 2.0
"""Seconds after which the queue is looked at again, whether or not someone woke the delivery."""
STOP_SECONDS = 5.0
"""For a thread to end; a call under way is interrupted, so it needs no more than a moment."""

_log = logging.getLogger(__name__)


class Line(Protocol):
    """A connection that another thread may end."""

    def interrupt(self) -> None:
        """End the call under way, and every later one."""

    def close(self) -> None:
        """Release connections; called when no call is under way."""


class ChannelService:
    """Runs the delivery of one channel; a channel that takes commands adds a thread to it.

    Parameters
    ----------
    channel : Channel
    queue : Queue
        Of this channel alone.
    clock : Clock
    rng : random.Random
        Spreads repeated attempts.
    """

    def __init__(self, channel: Channel, queue: Queue, clock: Clock, rng: Random) -> None:
        self.title = channel.title
        self.delivery = Delivery(queue, channel, rng)
        self._channel, self._clock = channel, clock
        self._stopping, self._news = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None

    def catch_up(self, patience: float) -> bool:
        """Do nothing: a channel that only tells has no orders waiting."""
        return True

    def start(self) -> None:
        """Start the threads."""
        for name, work in self._work():
            thread = threading.Thread(
                target=self._guarded, args=(work,), name=f"{self.title.lower()}-{name}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def wake(self) -> None:
        """Say that something was put into the queue."""
        self._news.set()

    def check(self) -> None:
        """Raise what ended one of the threads, if anything did: a defect, or the queue's storage."""
        if self._failure is not None:
            raise self._failure

    def stop(self, timeout: float = STOP_SECONDS) -> bool:
        """End the threads, calls under way included; False when one did not end in time.

        What is not sent stays in the queue for the next start.
        """
        self._stopping.set()
        self._news.set()
        for line in self._lines():
            line.interrupt()
        for thread in self._threads:
            thread.join(timeout)
        if any(thread.is_alive() for thread in self._threads):
            return False
        for line in self._lines():
            line.close()
        return True

    def health(self) -> list[HealthItem]:
        """Return what a health report says of the channel's messages."""
        told = self.delivery.problem or "nothing is stuck"
        return [HealthItem(f"{self.title} messages", not self.delivery.problem, told)]

    def _work(self) -> Sequence[tuple[str, Callable[[], None]]]:
        """Return what runs in a thread of its own, by name."""
        return [("delivery", self._deliver)]

    def _lines(self) -> Sequence[Line]:
        """Return the connections to interrupt and close at the end."""
        return [self._channel]

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except InterruptedCallError:
            return
        except BaseException as error:
            # Handed to the bot's own thread, which fails with it: a thread that died unseen tells nobody
            # of a halt and obeys no /freeze.
            _log.critical("%s has stopped: %s", self.title, type(error).__name__)
            self._failure = error

    def _deliver(self) -> None:
        while not self._stopping.is_set():
            wait = self.delivery.step(self._clock.now())
            self._news.wait(LOOK_AGAIN if math.isinf(wait) else min(wait, LOOK_AGAIN))
            self._news.clear()
