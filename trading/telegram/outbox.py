"""Delivery: from the outbox to every chat, at least once, in order, and no faster than Telegram allows.

A message leaves the outbox only after Telegram has taken it. When the process dies between
the two, or an answer is lost, it is sent again; the number at its end is the same, so that a
person sees it is the same message.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

from trading.journal import Message, QueuedMessage
from trading.telegram.api import (
    BotApi,
    ChatClosedError,
    InterruptedCallError,
    RefusedError,
    SlowDownError,
    TokenRefusedError,
    UnreachableError,
)
from trading.telegram.texts import CAPTION_LENGTH, TEXT_LENGTH, fitted, message_html, plain, plain_text

RECIPIENT = "|to:"
"""Divides the key of a message from the label of the one chat it goes to."""
LOOK_AHEAD = 500
"""Messages looked at in one step, so that those for a chat that is held do not hide the others."""
FIRST_WAIT, LONGEST_WAIT = 2.0, 900.0
"""Seconds before a failed message is sent again; doubled by every failure."""
CLOSED_WAIT = 3600.0
"""Seconds before a chat that refused the bot is tried again."""
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
        self._held_until = -math.inf

    def ready_at(self) -> float:
        """Return the earliest moment for the next message, UTC epoch seconds."""
        moments = [self._held_until]
        if self._sent:
            moments.append(self._sent[-1] + self._pace.gap)
        if len(self._sent) == self._pace.most:
            moments.append(self._sent[0] + self._pace.window)
        return max(moments)

    def sent(self, now: float) -> None:
        """Count an attempt, whether or not it arrived."""
        self._sent.append(now)

    def hold(self, until: float) -> None:
        """Write nothing before `until`."""
        self._held_until = max(self._held_until, until)


def addressed(message: Message, label: str) -> Message:
    """Return the message for one chat alone."""
    return Message(f"{message.key}{RECIPIENT}{label}", message.kind, message.text, message.created, message.attachment)


class Delivery:
    """Sends what is due. No clock of its own, no sleeping.

    Parameters
    ----------
    outbox : Outbox
    api : BotApi
    chats : mapping of str to int
        The chats by label, see `TelegramAccess.labels`.
    rng : random.Random
        Spreads repeated attempts.
    pace : Pace
    """

    def __init__(
        self, outbox: Outbox, api: BotApi, chats: Mapping[str, int], rng: Random, pace: Pace | None = None
    ) -> None:
        self._outbox, self._api, self._rng = outbox, api, rng
        self._chats = dict(chats)
        self._paces = {label: ChatPace(pace or Pace()) for label in self._chats}
        self.last_sent = 0.0
        self.problem = ""
        """Why the newest attempt failed; empty after a success."""

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
        waiting: set[str] = set()
        for message in self._messages(moment):
            label = message.key.rpartition(RECIPIENT)[2]
            if label not in self._chats:
                self._outbox.mark_failed(message.id, moment, None, "its chat is no longer configured")
                _log.warning("message %d was given up: its chat is no longer configured", message.id)
                continue
            waiting.add(label)
            if label not in served and self._paces[label].ready_at() <= now:
                served.add(label)
                self._deliver(message, label, now)
        return min((max(0.0, self._paces[label].ready_at() - now) for label in waiting), default=math.inf)

    def _messages(self, moment: int) -> Sequence[QueuedMessage]:
        """Return what is due, each for one chat; those for everybody are first copied for each."""
        found = self._outbox.due(moment, LOOK_AHEAD)
        common = [message for message in found if RECIPIENT not in message.key]
        for message in common:
            plain_message = Message(message.key, message.kind, message.text, message.created, message.attachment)
            # Keys make this safe to repeat after dying between the two calls.
            self._outbox.enqueue(*(addressed(plain_message, label) for label in self._chats))
            self._outbox.mark_sent(message.id, moment)
        return self._outbox.due(moment, LOOK_AHEAD) if common else found

    def _deliver(self, message: QueuedMessage, label: str, now: float) -> None:
        pace = self._paces[label]
        pace.sent(now)
        try:
            self._send(message, self._chats[label])
        except SlowDownError as error:
            self._failed(message, now, error.seconds, str(error), [pace])
        except UnreachableError as error:
            # Nobody can be reached then; the order of messages is kept by holding all chats.
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(message.attempts, 16))
            self._failed(message, now, wait * self._stretch(), str(error), self._paces.values())
        except TokenRefusedError as error:
            self._failed(message, now, CLOSED_WAIT * self._stretch(), str(error), self._paces.values())
        except ChatClosedError as error:
            self._failed(message, now, CLOSED_WAIT * self._stretch(), str(error), [pace])
        except RefusedError as error:
            self.problem = str(error)
            self._outbox.mark_failed(message.id, math.floor(now), None, str(error))
            _log.error("message %d was given up, Telegram refuses it: %s", message.id, error)
        else:
            self._outbox.mark_sent(message.id, math.floor(now))
            self.last_sent, self.problem = now, ""

    def _send(self, message: QueuedMessage, chat: int) -> None:
        attachment = None if message.attachment is None else Path(message.attachment)
        text = message_html(message)
        if attachment is not None and not attachment.is_file():
            text = f"{text}\n<i>(its attachment {plain(attachment.name)} is gone)</i>"
            attachment = None
        text = fitted(text, TEXT_LENGTH if attachment is None else CAPTION_LENGTH)
        try:
            self._api.send(chat, text, html=True, attachment=attachment)
        except RefusedError:
            # The marks may be at fault; the words must arrive.
            self._api.send(chat, fitted(plain_text(text), TEXT_LENGTH), html=False)

    def _failed(self, message: QueuedMessage, now: float, wait: float, error: str, paces: Iterable[ChatPace]) -> None:
        next_try = math.floor(now) + max(1, math.ceil(wait))
        # Held until the very moment the message is due again, or a later one would overtake it.
        for pace in paces:
            pace.hold(next_try)
        self.problem = error
        self._outbox.mark_failed(message.id, math.floor(now), next_try, error)
        _log.warning("message %d was not delivered, next try in %.0f s: %s", message.id, wait, error)

    def _stretch(self) -> float:
        return 1.0 + JITTER * self._rng.random()


__all__ = ["ChatPace", "Delivery", "InterruptedCallError", "Outbox", "Pace", "addressed"]
