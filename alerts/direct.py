"""Messages sent at once, for commands without a queue: to every place of every configured channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import tenacity

from alerts.failures import FAILURES, SlowDownError, UnreachableError
from alerts.message import Message, QueuedMessage
from alerts.port import Access, Channel

LONGEST_WAIT = 30.0
"""Seconds between two attempts at most: a command waits in its caller's thread."""


@dataclass(frozen=True)
class Told:
    """How a message went on one channel.

    Attributes
    ----------
    title : str
        The channel's.
    places : int
        To how many places it was to go.
    problems : tuple of str
        Why places were not reached, without secrets; empty when all have it.
    """

    title: str
    places: int
    problems: tuple[str, ...]

    @property
    def reached(self) -> int:
        """How many places have the message."""
        return self.places - len(self.problems)


def tell_now(
    channels: Sequence[Access], message: Message, now: float, *, attempts: int = 1, sleep: Callable[[float], None]
) -> list[Told]:
    """Send a message to every place of every channel.

    Parameters
    ----------
    channels : sequence of Access
    message : Message
    now : float
        UTC epoch seconds.
    attempts : int
        For each place, where the host does not answer or asks to wait.
    sleep : callable
        Waits so many seconds.
    """
    told = []
    for access in channels:
        channel = access.connect()
        single = _single(message, access.name)
        try:
            labels = channel.labels()
            problems = [_deliver(channel, single, label, now, attempts, sleep) for label in labels]
        finally:
            channel.close()
        told.append(Told(access.title, len(labels), tuple(each for each in problems if each is not None)))
    return told


def _single(message: Message, channel: str) -> QueuedMessage:
    return QueuedMessage(
        0, message.key, channel, message.kind, message.text, message.attachment, message.created, 0, None, None, None
    )


def _deliver(
    channel: Channel, message: QueuedMessage, label: str, now: float, attempts: int, sleep: Callable[[float], None]
) -> str | None:
    """Send to one place; returns why it was not reached."""
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((UnreachableError, SlowDownError)),
        stop=tenacity.stop_after_attempt(attempts),
        wait=_wait,
        sleep=sleep,
        reraise=True,
    )
    try:
        retrying(channel.deliver, message, label, now)
    except FAILURES as error:
        return f"{channel.title} {_REASONS[type(error)]}: {error}"
    return None


_REASONS: dict[type[Exception], str] = dict(
    zip(
        FAILURES,
        ("does not answer", "does not answer", "does not take it", "refused it", "refused the access"),
        strict=True,
    )
)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome is not None else None
    if isinstance(error, SlowDownError):
        return min(error.seconds, LONGEST_WAIT)
    return min(2.0**state.attempt_number, LONGEST_WAIT)
