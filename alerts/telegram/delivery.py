"""Delivery: from the outbox to every chat, at least once, in order, and no faster than Telegram allows.

A message leaves the outbox only after Telegram has taken it. When the process dies between
the two, or an answer is lost, it is sent again; the number at its end is the same, so that a
person sees it is the same message.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from alerts.telegram.api import (
    BotApi,
    ChatClosedError,
    ChatMovedError,
    InterruptedCallError,
    RefusedError,
    SlowDownError,
    TokenRefusedError,
    UnreachableError,
)
from alerts.telegram.chats import ChatBook
from alerts.telegram.destination import Destination
from alerts.telegram.posting import Posting
from trading.journal import Message, QueuedMessage

RECIPIENT = "|to:"
"""Divides the key of a message from the label of the one chat it goes to."""
LOOK_AHEAD = 500
"""Messages looked at in one step, so that those for a chat that is held do not hide the others."""
FIRST_WAIT, LONGEST_WAIT = 2.0, 900.0
"""Seconds before a failed message is sent again; doubled by every failure."""
CLOSED_WAIT = 3600.0
"""Seconds before a chat that refused the bot is tried again."""
UNCLEAR_WAIT = 60.0
"""Seconds before a message is tried again that was refused for a reason which may be its own or the
chat's; doubled by every refusal up to `CLOSED_WAIT`."""
MOST_UNCLEAR = 10
"""Messages that a chat refuses in a row before it is certainly the chat."""
MOST_HOPS = 3
"""New ids of a chat that are followed for one message."""
JITTER = 0.25
"""Waits are lengthened by up to this share."""

_log = logging.getLogger(__name__)


class Outbox(Protocol):
    """The queue of messages, see `trading.journal.outbox.Outbox`; times are UTC epoch seconds."""

    def enqueue(self, *messages: Message) -> None:
        """Queue messages; one whose key is known already is dropped."""

    def due(self, now: int, limit: int) -> Sequence[QueuedMessage]:
        """Return at most `limit` messages to be sent at `now`, oldest first."""

    def mark_sent(self, message_id: int, now: int) -> None:
        """Record that a message has arrived."""

    def mark_failed(self, message_id: int, now: int, next_try: int | None, error: str) -> None:
        """Record a failed attempt; None gives the message up."""


@dataclass(frozen=True)
class Pace:
    """Telegram's limits for one chat, see its FAQ "My bot is hitting limits".

    Attributes
    ----------
    gap : float
        Least seconds between two messages.
    window, most : float, int
        At most so many messages in so many seconds.
    """

    gap: float = 1.0
    window: float = 60.0
    most: int = 20


class ChatPace:
    """When one chat may be written to next."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._sent: deque[float] = deque(maxlen=pace.most)

    def ready_at(self) -> float:
        """Return the earliest moment for the next message, UTC epoch seconds."""
        moments = [-math.inf]
        if self._sent:
            moments.append(self._sent[-1] + self._pace.gap)
        if len(self._sent) == self._pace.most:
            moments.append(self._sent[0] + self._pace.window)
        return max(moments)

    def sent(self, now: float) -> None:
        """Count an attempt, whether or not it arrived."""
        self._sent.append(now)


def addressed(message: Message, label: str) -> Message:
    """Return the message for one chat alone."""
    return Message(f"{message.key}{RECIPIENT}{label}", message.kind, message.text, message.created, message.attachment)


class Delivery:
    """Sends what is due. No clock of its own, no sleeping.

    A message is given up only when it is malformed itself (`RefusedError`), or its chat is no
    longer configured. What a chat refuses is kept and tried again, slowly, until the chat takes it.

    Parameters
    ----------
    outbox : Outbox
    api : BotApi
    chats : mapping of str to Destination
        Where everything is told, by label, see `TelegramAccess.labels`.
    rng : random.Random
        Spreads repeated attempts.
    pace : Pace
    book : ChatBook or None
        Follows chats to their new ids; one without a memory unless given.
    """

    def __init__(
        self,
        outbox: Outbox,
        api: BotApi,
        chats: Mapping[str, Destination],
        rng: Random,
        pace: Pace | None = None,
        book: ChatBook | None = None,
    ) -> None:
        self._outbox, self._rng = outbox, rng
        self._posting = Posting(api)
        self._book = book or ChatBook(chats.values())
        self._pace = pace or Pace()
        self._paces: dict[int, ChatPace] = {}
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
        """Send at most one message to each chat.

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
            The service is being stopped; the message stays in the outbox.
        StorageError
            The outbox cannot be read or written.
        """
        moment = math.floor(now)
        served: set[str] = set()
        waiting: dict[str, Destination] = {}
        for message in self._messages(moment, now):
            label = message.key.rpartition(RECIPIENT)[2]
            to = self._book.find(label)
            if to is None:
                self._outbox.mark_failed(message.id, moment, None, "its chat is no longer configured")
                _log.warning("message %d was given up: its chat is no longer configured", message.id)
                continue
            waiting[label] = to
            if label not in served and self._ready_at(label, to) <= now:
                served.add(label)
                self._deliver(message, label, to, now)
        return min((max(0.0, self._ready_at(label, to) - now) for label, to in waiting.items()), default=math.inf)

    def _ready_at(self, label: str, to: Destination) -> float:
        held = max(self._held.get(name, -math.inf) for name in ("", label))
        return max(held, self._pace_of(to).ready_at())

    def _pace_of(self, to: Destination) -> ChatPace:
        # Telegram counts by chat, whatever the topic.
        return self._paces.setdefault(to.chat, ChatPace(self._pace))

    def _messages(self, moment: int, now: float) -> Sequence[QueuedMessage]:
        """Return what is due, each for one chat; those for everybody are first copied for each."""
        limit = LOOK_AHEAD
        while True:
            found = self._outbox.due(moment, limit)
            common = [message for message in found if RECIPIENT not in message.key]
            for message in common:
                plain_message = Message(message.key, message.kind, message.text, message.created, message.attachment)
                # Keys make this safe to repeat after dying between the two calls.
                self._outbox.enqueue(*(addressed(plain_message, label) for label in self._book.labels()))
                self._outbox.mark_sent(message.id, moment)
            if common:
                found = self._outbox.due(moment, limit)
            if len(found) < limit or any(self._may_go(message, now) for message in found):
                return found
            # A chat that was closed for weeks has more waiting than is looked at.
            limit *= 4

    def _may_go(self, message: QueuedMessage, now: float) -> bool:
        label = message.key.rpartition(RECIPIENT)[2]
        to = self._book.find(label) if RECIPIENT in message.key else None
        return to is None or self._ready_at(label, to) <= now

    def _deliver(self, message: QueuedMessage, label: str, to: Destination, now: float) -> None:
        try:
            for _ in range(MOST_HOPS):
                self._pace_of(to).sent(now)
                try:
                    self._posting.post(message, to)
                except ChatMovedError as error:
                    if not self._book.moved(to.chat, error.chat):
                        raise
                    to = self._book.find(label) or to
                else:
                    break
            else:
                raise ChatClosedError("the chat is moved from id to id", certain=False)
        except SlowDownError as error:
            self._failed(message, now, error.seconds, str(error), label, label)
        except (UnreachableError, ChatMovedError) as error:
            # Nobody can be reached then; the order of messages is kept by holding all chats.
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(message.attempts, 16))
            hold = label if isinstance(error, ChatMovedError) else ""
            self._failed(message, now, wait * self._stretch(), str(error), label, hold)
        except TokenRefusedError as error:
            self._failed(message, now, CLOSED_WAIT * self._stretch(), str(error), label, "")
        except ChatClosedError as error:
            self._refuse(message, label, error, now)
        except RefusedError as error:
            self._say(label, str(error))
            self._outbox.mark_failed(message.id, math.floor(now), None, str(error))
            _log.error("message %d was given up, Telegram refuses it: %s", message.id, error)
        else:
            self._outbox.mark_sent(message.id, math.floor(now))
            self.last_sent = now
            for name in ("", label):
                self._problems.pop(name, None)
            self._refused.pop(label, None)

    def _refuse(self, message: QueuedMessage, label: str, error: ChatClosedError, now: float) -> None:
        """Keep a message that its chat refuses."""
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
        self._outbox.mark_failed(message.id, math.floor(now), next_try, error)
        if self._say("" if hold == "" else label, error):
            _log.warning("message %d was not delivered, next try in %.0f s: %s", message.id, wait, self.problem)
        else:
            _log.debug("message %d was not delivered again, next try in %.0f s", message.id, wait)

    def _say(self, label: str, reason: str) -> bool:
        """Keep what is wrong for whoever asks; True when it is news."""
        said = f"{self._book.place(label)}: {reason}" if label else reason
        if self._problems.get(label) == said:
            return False
        self._problems[label] = said
        return True

    def _stretch(self) -> float:
        return 1.0 + JITTER * self._rng.random()


__all__ = ["ChatPace", "Delivery", "InterruptedCallError", "Outbox", "Pace", "addressed"]
