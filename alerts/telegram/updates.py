"""Updates as they come over the wire: whatever stands in one, it costs that one alone.

An update that cannot be read is still acknowledged by its number, so that it comes no second
time. Numbers that no update can have are not acknowledged: Telegram would take a negative one as
an order to forget what waits, and one far too high would make it deaf to all that come after.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from novosky.guarded_json import JsonError, array_items, parse_json
from novosky.remote_text import clean_lines

MOST_BYTES: Final = 16 * 1024 * 1024
"""A hundred updates of the longest messages with all their marks are some megabytes."""
HIGHEST_ID: Final = 2**31 - 1
_LONGEST_ID = 2**52
"""Chat ids have at most 52 significant bits (Bot API)."""
_LONGEST_TEXT = 4096
_UPDATE_ID = re.compile(r'"update_id"\s*:\s*"?(\d{1,10})\b')


class NoUpdatesError(ValueError):
    """The answer holds no list of updates."""


@dataclass(frozen=True)
class Incoming:
    """One update.

    Attributes
    ----------
    update_id : int
    chat : int or None
        None for an update that is no message, or could not be read.
    text : str
        Empty for a message without text.
    topic : int or None
        The topic of a forum that the message stands in; None elsewhere.
    moved_to, moved_from : int or None
        The chat's new id, told by the group that has become a supergroup, and its old one, told there.
    """

    update_id: int
    chat: int | None = None
    text: str = ""
    topic: int | None = None
    moved_to: int | None = None
    moved_from: int | None = None


@dataclass(frozen=True)
class Batch:
    """What one answer brought.

    Attributes
    ----------
    updates : tuple of Incoming
        In the order given, those included that can only be acknowledged.
    unreadable : tuple of str
        One sentence for every update that could not be read.
    """

    updates: tuple[Incoming, ...]
    unreadable: tuple[str, ...] = ()


def read_batch(answer: bytes) -> Batch:
    """Read the answer to `getUpdates`.

    Raises
    ------
    NoUpdatesError
        It is none.
    """
    updates: list[Incoming] = []
    unreadable: list[str] = []
    for item in _items(answer):
        try:
            updates.append(_incoming(item))
        except ValueError as error:
            number = item.get("update_id") if isinstance(item, dict) else None
            known = _number(number)
            unreadable.append(f"update {'without a number' if known is None else known}: {error}")
            if known is not None:
                updates.append(Incoming(known))
    return Batch(tuple(updates), tuple(unreadable))


def _items(answer: bytes) -> list[Any]:
    try:
        content = parse_json(answer, "the answer", max_bytes=MOST_BYTES, mend_text=True)
    except JsonError as error:
        items = [_item(text) for text in array_items(answer.decode("utf-8", "replace"), "result")]
        if not items:
            raise NoUpdatesError(str(error)) from error
        return items
    found = content.get("result") if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise NoUpdatesError("the answer holds no list of updates")
    return found


def _item(text: str) -> Any:
    """Return one update of an answer that cannot be decoded as a whole, or what acknowledges it."""
    try:
        return parse_json(text, "it", mend_text=True)
    except JsonError as error:
        found = _UPDATE_ID.search(text)
        return {"update_id": int(found[1]) if found else None, "message": str(error)}


def _number(value: Any) -> int | None:
    """Return an update's number where it can be one, also where it is written as text."""
    if isinstance(value, str) and re.fullmatch(r"\d{1,10}", value, re.ASCII):
        value = int(value)
    return value if type(value) is int and 0 <= value <= HIGHEST_ID else None


def _incoming(item: Any) -> Incoming:
    if not isinstance(item, dict):
        raise ValueError("it is no object")
    number = _number(item.get("update_id"))
    if number is None:
        raise ValueError("its number is missing or none")
    message = item.get("message")
    if message is None:
        return Incoming(number)
    if not isinstance(message, dict) or not isinstance(message.get("chat"), dict):
        raise ValueError("its message has no chat")
    chat = _id(message["chat"].get("id"))
    if chat is None:
        raise ValueError("its chat's id is no number")
    text = message.get("text", "")
    if not isinstance(text, str):
        raise ValueError("its text is none")
    topic = _id(message.get("message_thread_id")) if message.get("is_topic_message") is True else None
    moved_to, moved_from = (_id(message.get(f"migrate_{way}_chat_id")) for way in ("to", "from"))
    return Incoming(number, chat, clean_lines(text, _LONGEST_TEXT), topic, moved_to, moved_from)


def _id(value: Any) -> int | None:
    return value if type(value) is int and value != 0 and abs(value) < _LONGEST_ID else None
