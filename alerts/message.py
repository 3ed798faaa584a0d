"""What a person is told, and what a queue knows of its delivery."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """Something a person is to be told.

    Attributes
    ----------
    key : str
        Names the occasion, e.g. "closed:17": of messages with one key only the first is kept.
    kind : str
        "trade", "risk", "report" ..., for whoever sorts messages, see `alerts.words.TITLES`.
    text : str
        Plain words; HTML where the kind is one of `alerts.words.MARKED_KINDS`.
    created : int
        UTC epoch seconds.
    attachment : str or None
        Path of a file to send along.
    """

    key: str
    kind: str
    text: str
    created: int
    attachment: str | None = None


@dataclass(frozen=True)
class QueuedMessage:
    """A message on one channel, with the story of its delivery there.

    Attributes
    ----------
    id : int
        Rises in the order of queueing; 0 for a message that is sent without a queue.
    channel : str
        Name of the channel that carries it, see `alerts.family`.
    attempts : int
        Deliveries that failed.
    next_try : int or None
        Not before this moment, UTC epoch seconds; None when it was sent or given up.
    sent_at : int or None
        UTC epoch seconds.
    error : str or None
        Why the newest attempt failed.
    """

    id: int
    key: str
    channel: str
    kind: str
    text: str
    attachment: str | None
    created: int
    attempts: int
    next_try: int | None
    sent_at: int | None
    error: str | None
