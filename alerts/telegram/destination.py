"""Where a message goes: a chat, and in a forum the topic."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_WRITTEN = re.compile(r"(-?\d{1,15})(?:/(\d{1,10}))?", re.ASCII)


@dataclass(frozen=True)
class Destination:
    """A chat, or one topic of it.

    Attributes
    ----------
    chat : int
    topic : int or None
        Number of the topic (`message_thread_id`) in a group with topics; None for its general one.
    """

    chat: int
    topic: int | None = None

    @property
    def label(self) -> str:
        """A name that may be stored and logged: it does not tell the chat's id."""
        return label_of(self.chat) if self.topic is None else f"{label_of(self.chat)}/{self.topic}"


def label_of(chat: int) -> str:
    """Return a name for a chat that does not tell its id."""
    return hashlib.sha256(f"chat {chat}".encode()).hexdigest()[:10]


def read_destinations(text: str) -> tuple[Destination, ...]:
    """Read chats as they are configured, e.g. "1111, -100123/45": an id, or an id and a topic.

    Raises
    ------
    ValueError
        One is none of these; the message shows no value.
    """
    found = []
    for part in re.split(r"[\s,;]+", text.strip(" \t\r\n,;")):
        written = _WRITTEN.fullmatch(part)
        if written is None or int(written[1]) == 0 or written[2] in ("0",):
            raise ValueError("must be chat ids (whole numbers, with /TOPIC for a topic) separated by commas")
        found.append(Destination(int(written[1]), int(written[2]) if written[2] else None))
    return tuple(dict.fromkeys(found))
