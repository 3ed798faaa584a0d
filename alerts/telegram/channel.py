"""Telegram as a channel: one message to one chat, no faster than Telegram allows, followed to its new ids."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from alerts.failures import PlaceClosedError
from alerts.message import QueuedMessage
from alerts.telegram.api import BotApi, ChatMovedError
from alerts.telegram.chats import ChatBook
from alerts.telegram.destination import Destination
from alerts.telegram.posting import Posting

MOST_HOPS = 3
"""New ids of a chat that are followed for one message."""


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


class TelegramChannel:
    """The chats of one bot, see `alerts.port.Channel`.

    Parameters
    ----------
    api : BotApi
    book : ChatBook
        The chats, and where those have gone that have moved.
    pace : Pace
    """

    title = "Telegram"

    def __init__(self, api: BotApi, book: ChatBook, pace: Pace | None = None) -> None:
        self._api, self._book, self._posting = api, book, Posting(api)
        self._pace = pace or Pace()
        self._paces: dict[int, ChatPace] = {}

    def labels(self) -> Sequence[str]:
        """Return the names of the configured chats and topics."""
        return self._book.labels()

    def knows(self, label: str) -> bool:
        """Tell whether a chat is configured for this name."""
        return self._book.find(label) is not None

    def place(self, label: str) -> str:
        """Return which chat this is, without its id."""
        return self._book.place(label)

    def ready_at(self, label: str) -> float:
        """Return when Telegram's limits allow the next message to a chat."""
        to = self._book.find(label)
        return -math.inf if to is None else self._pace_of(to).ready_at()

    def deliver(self, message: QueuedMessage, label: str, now: float) -> None:
        """Post a message to a chat, also when it has just become a supergroup; see `Channel.deliver`."""
        to = self._book.find(label)
        if to is None:
            raise PlaceClosedError("its chat is no longer configured")
        for _ in range(MOST_HOPS):
            self._pace_of(to).sent(now)
            try:
                self._posting.post(message, to)
            except ChatMovedError as error:
                if not self._book.moved(to.chat, error.chat):
                    # The new id cannot be true: it leads back, or there were too many.
                    raise PlaceClosedError(str(error), certain=False) from None
                to = self._book.find(label) or to
            else:
                return
        raise PlaceClosedError("the chat is moved from id to id", certain=False)

    def interrupt(self) -> None:
        """End the call under way, and every later one."""
        self._api.interrupt()

    def close(self) -> None:
        """Release connections."""
        self._api.close()

    def _pace_of(self, to: Destination) -> ChatPace:
        # Telegram counts by chat, whatever the topic.
        return self._paces.setdefault(to.chat, ChatPace(self._pace))
