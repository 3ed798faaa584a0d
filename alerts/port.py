"""The alert channel port: what a channel, its access and its service must do.

A file in `alerts.channels` states `TITLE`, `PURPOSE`, `VARIABLES` and `NEEDED`, and has the
function `configured`, which reads the environment and returns an `Access`. The access opens the
`Channel`, whose `deliver` sends one message to one place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

from alerts.message import Message, QueuedMessage
from alerts.views import BotControls, BotView, HealthItem
from novosky.clock import Clock
from novosky.environment import Variable


class Queue(Protocol):
    """The messages of one channel, in order; times are UTC epoch seconds."""

    def enqueue(self, *messages: Message) -> None:
        """Queue messages; one whose key is known already is dropped."""

    def due(self, now: int, limit: int) -> Sequence[QueuedMessage]:
        """Return at most `limit` messages to be sent at `now`, oldest first."""

    def mark_sent(self, message_id: int, now: int) -> None:
        """Record that a message has arrived."""

    def mark_failed(self, message_id: int, now: int, next_try: int | None, error: str) -> None:
        """Record a failed attempt; None gives the message up."""


class Channel(Protocol):
    """An open way to one or more places. Used by one thread, except for `interrupt`."""

    title: str
    """Its name for people."""

    def labels(self) -> Sequence[str]:
        """Return where everything is told: names that may be stored and logged."""

    def knows(self, label: str) -> bool:
        """Tell whether a stored name still leads to a configured place."""

    def place(self, label: str) -> str:
        """Return which place a stored name is, in words that show no secret."""

    def ready_at(self, label: str) -> float:
        """Return the earliest moment for the next message to a place, UTC epoch seconds."""

    def deliver(self, message: QueuedMessage, label: str, now: float) -> None:
        """Send a message to a place; returns once the host has taken it.

        Raises
        ------
        UnreachableError, SlowDownError, PlaceClosedError, RefusedError, AccessRefusedError
            It did not arrive, or may have; see `alerts.failures`.
        InterruptedCallError
            `interrupt` was called.
        """

    def interrupt(self) -> None:
        """End the call under way in another thread, and every later one, with `InterruptedCallError`."""

    def close(self) -> None:
        """Release connections; called when no call is under way."""


class Service(Protocol):
    """A channel at work beside a bot, in threads of its own."""

    title: str
    """The channel's name for people."""

    def catch_up(self, patience: float) -> bool:
        """Obey what was sent while the bot was away; False when that could not be asked in `patience` seconds."""

    def start(self) -> None:
        """Start the threads."""

    def wake(self) -> None:
        """Say that something was put into the queue."""

    def check(self) -> None:
        """Raise what ended one of the threads, if anything did."""

    def stop(self) -> bool:
        """End the threads, calls under way included; False when one did not end in time."""

    def health(self) -> list[HealthItem]:
        """Return what a health report says of the channel."""


@dataclass(frozen=True)
class Desk:
    """What a service works with.

    Attributes
    ----------
    queue : Queue
        Of its channel alone; used by several threads.
    view, controls
        What commands read and order, for a channel that takes commands.
    folder : Path
        Where the channel may keep files of its own.
    clock : Clock
    rng : random.Random
        Spreads repeated attempts.
    new_code : callable
        Draws confirmation codes.
    """

    queue: Queue
    view: BotView
    controls: BotControls
    folder: Path
    clock: Clock
    rng: Random
    new_code: Callable[[], str]


class Access(Protocol):
    """A configured channel, nothing of it opened yet."""

    @property
    def name(self) -> str:
        """The channel's file name in `alerts.channels`, under which its messages are stored."""

    @property
    def title(self) -> str:
        """Its name for people."""

    @property
    def reach(self) -> str:
        """Return where messages go, in words without secrets, e.g. "2 chat(s)"."""

    def connect(self) -> Channel:
        """Open the channel for messages alone."""

    def serve(self, desk: Desk) -> Service:
        """Return the service that empties the channel's queue and takes its commands, not started yet."""

    def probe(self) -> str:
        """Ask the host whether it accepts this access; send nobody anything. Returns the answer in words.

        Raises
        ------
        UnreachableError
            It gave no proper answer.
        AccessRefusedError, PlaceClosedError
            It refuses. The words show no secret.
        """


class Kind(Protocol):
    """A module of `alerts.channels`."""

    TITLE: str
    """Its name for people."""
    PURPOSE: str
    """What it gives and what it needs, for whoever sets it up."""
    VARIABLES: tuple[Variable, ...]
    """The environment variables it reads."""
    NEEDED: tuple[str, ...]
    """Names of those without which it is not configured."""

    @staticmethod
    def configured(environment: Mapping[str, str]) -> Access | None:
        """Read the variables; None when none of the needed ones is set.

        Raises
        ------
        SettingsError
            Some are missing or cannot be read. The message shows no value.
        """
