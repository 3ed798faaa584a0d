"""The notifier port onto the outbox: what is handed over here is sent even if the process dies next."""

from __future__ import annotations

import hashlib
import math

from alerts.telegram.delivery import Outbox
from novosky.clock import Clock
from trading.journal import Message


class OutboxNotifier:
    """Queues messages that belong to no transaction of the journal, e.g. that the bot has started.

    What tells of a trade or a limit is better queued with the bar itself, under a key of its
    own, by `Journal.record_bar` and `Journal.close_intent`.

    Parameters
    ----------
    outbox : Outbox
    clock : Clock
    kind : str
        See `alerts.telegram.texts.TITLES`.
    """

    def __init__(self, outbox: Outbox, clock: Clock, kind: str = "note") -> None:
        self._outbox, self._clock, self._kind = outbox, clock, kind

    def send(self, message: str) -> None:
        """Queue a message; the same words within one second are one message."""
        now = math.floor(self._clock.now())
        digest = hashlib.sha256(message.encode()).hexdigest()[:12]
        self._outbox.enqueue(Message(f"{self._kind}:{now}:{digest}", self._kind, message, now))
