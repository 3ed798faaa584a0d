"""Delivery: from the queue of one channel to each of its places, at least once, in order, no faster than allowed.

A message leaves the queue only after the host has taken it. When the process dies between the
two, or an answer is lost, it is sent again under the same number and key, so that whoever reads
it sees that it is the same message. Each channel has a delivery and rows of its own: what one
channel cannot send never holds back another.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from random import Random

from alerts.failures import (
    AccessRefusedError,
    PlaceClosedError,
    RefusedError,
    SlowDownError,
    UnreachableError,
)
from alerts.message import Message, QueuedMessage
from alerts.port import Channel, Queue

RECIPIENT = "|to:"
"""Divides the key of a message from the label of the one place it goes to."""
LOOK_AHEAD = 500
"""Messages looked at in one step, so that those for a place that is held do not hide the others."""
FIRST_WAIT, LONGEST_WAIT = 2.0, 900.0
"""Seconds before a failed message is sent again; doubled by every failure."""
CLOSED_WAIT = 3600.0
"""Seconds before a place that takes nothing is tried again."""
UNCLEAR_WAIT = 60.0
"""Seconds before a message is tried again that was refused for a reason which may be its own or the
place's; doubled by every refusal up to `CLOSED_WAIT`."""
MOST_UNCLEAR = 10
"""Messages that a place refuses in a row before it is certainly the place."""
JITTER = 0.25
"""Waits are lengthened by up to this share."""

_log = logging.getLogger(__name__)


def addressed(message: Message, label: str) -> Message:
    """Return the message for one place alone."""
    return Message(f"{message.key}{RECIPIENT}{label}", message.kind, message.text, message.created, message.attachment)


class Delivery:
    """Sends what is due on one channel. No clock of its own, no sleeping.

    A message is given up only when it is malformed itself (`RefusedError`), or its place is no
    longer configured. What a place refuses is kept and tried again, slowly, until it is taken.

    Parameters
    ----------
    queue : Queue
        Of this channel alone.
    channel : Channel
    rng : random.Random
        Spreads repeated attempts.
    """

    def __init__(self, queue: Queue, channel: Channel, rng: Random) -> None:
        self._queue, self._channel, self._rng = queue, channel, rng
        self._held: dict[str, float] = {}
        """Labels that are written to no sooner, "" for all."""
        self._refused: dict[str, int] = {}
        """Refusals in a row by label."""
        self._problems: dict[str, str] = {}
        self.last_sent = 0.0

    @property
    def problem(self) -> str:
        """What keeps messages from arriving, place by place; empty while they arrive."""
        return "; ".join(self._problems.values())

    def step(self, now: float) -> float:
        """Send at most one message to each place.

        Parameters
        ----------
        now : float
            UTC epoch seconds.

        Returns
        -------
        float
            Seconds after which a message known now may go; infinite when none waits.

        Raises
        ------
        InterruptedCallError
            The service is being stopped; the message stays in the queue.
        StorageError
            The queue cannot be read or written.
        """
        moment = math.floor(now)
        served: set[str] = set()
        waiting: set[str] = set()
        for message in self._messages(moment, now):
            label = message.key.rpartition(RECIPIENT)[2]
            if not self._channel.knows(label):
                self._queue.mark_failed(message.id, moment, None, "its place is no longer configured")
                _log.warning("message %d was given up: its place is no longer configured", message.id)
                continue
            waiting.add(label)
            # One message a place and step: a later one must not overtake an earlier one that fails now.
            if label not in served and self._ready_at(label) <= now:
                served.add(label)
                self._deliver(message, label, now)
        return min((max(0.0, self._ready_at(label) - now) for label in waiting), default=math.inf)

    def _ready_at(self, label: str) -> float:
        held = max(self._held.get(name, -math.inf) for name in ("", label))
        return max(held, self._channel.ready_at(label))

    def _messages(self, moment: int, now: float) -> Sequence[QueuedMessage]:
        """Return what is due, each for one place; those for everybody are first copied for each."""
        limit = LOOK_AHEAD
        while True:
            found = self._queue.due(moment, limit)
            common = [message for message in found if RECIPIENT not in message.key]
            for message in common:
                plain_message = Message(message.key, message.kind, message.text, message.created, message.attachment)
                # Keys make this safe to repeat after dying between the two calls.
                self._queue.enqueue(*(addressed(plain_message, label) for label in self._channel.labels()))
                self._queue.mark_sent(message.id, moment)
            if common:
                found = self._queue.due(moment, limit)
            if len(found) < limit or any(self._may_go(message, now) for message in found):
                return found
            # A place that was closed for weeks has more waiting than is looked at.
            limit *= 4

    def _may_go(self, message: QueuedMessage, now: float) -> bool:
        label = message.key.rpartition(RECIPIENT)[2]
        known = RECIPIENT in message.key and self._channel.knows(label)
        return not known or self._ready_at(label) <= now

    def _deliver(self, message: QueuedMessage, label: str, now: float) -> None:
        try:
            self._channel.deliver(message, label, now)
        except SlowDownError as error:
            self._failed(message, now, error.seconds, str(error), label, label)
        except UnreachableError as error:
            # Nobody can be reached then; the order of messages is kept by holding all places.
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(message.attempts, 16))
            self._failed(message, now, wait * self._stretch(), str(error), label, "")
        except AccessRefusedError as error:
            self._failed(message, now, CLOSED_WAIT * self._stretch(), str(error), label, "")
        except PlaceClosedError as error:
            self._refuse(message, label, error, now)
        except RefusedError as error:
            self._say(label, str(error))
            self._queue.mark_failed(message.id, math.floor(now), None, str(error))
            _log.error("message %d was given up, %s refuses it: %s", message.id, self._channel.title, error)
        else:
            self._queue.mark_sent(message.id, math.floor(now))
            self.last_sent = now
            for name in ("", label):
                self._problems.pop(name, None)
            self._refused.pop(label, None)

    def _refuse(self, message: QueuedMessage, label: str, error: PlaceClosedError, now: float) -> None:
        """Keep a message that its place refuses."""
        self._refused[label] = self._refused.get(label, 0) + 1
        wait = CLOSED_WAIT if error.certain else min(CLOSED_WAIT, UNCLEAR_WAIT * 2.0 ** min(message.attempts, 16))
        # Refused a second time it may be the message after all: the next one is tried, and shows it.
        passes = not error.certain and message.attempts > 0 and self._refused[label] < MOST_UNCLEAR
        self._failed(message, now, wait * self._stretch(), str(error), label, None if passes else label)

    def _failed(
        self, message: QueuedMessage, now: float, wait: float, error: str, label: str, hold: str | None
    ) -> None:
        next_try = math.floor(now) + max(1, math.ceil(wait))
        if hold is not None:
            # Held until the very moment the message is due again, or a later one would overtake it.
            self._held[hold] = max(self._held.get(hold, -math.inf), next_try)
        self._queue.mark_failed(message.id, math.floor(now), next_try, error)
        if self._say("" if hold == "" else label, error):
            _log.warning("message %d was not delivered, next try in %.0f s: %s", message.id, wait, self.problem)
        else:
            _log.debug("message %d was not delivered again, next try in %.0f s", message.id, wait)

    def _say(self, label: str, reason: str) -> bool:
        """Keep what is wrong for whoever asks; True when it is news."""
        said = f"{self._channel.place(label)}: {reason}" if label else reason
        if self._problems.get(label) == said:
            return False
        self._problems[label] = said
        return True

    def _stretch(self) -> float:
        return 1.0 + JITTER * self._rng.random()
