"""The chats the bot knows, and where those have gone that Telegram has given another id.

A group becomes a supergroup by itself: when its history is made visible, an administrator is set, or
it grows. Its id changes then. Telegram says so in the refusal of the next message and in a message of
the group's own; either way the bot follows, and remembers it across restarts.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from alerts.telegram.destination import Destination, label_of
from novosky.errors import StorageError
from novosky.files import write_text

_MOST_MOVES = 100
"""A group moves once in its life; more is no honest host."""
_log = logging.getLogger(__name__)


class _Moves(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    moves: list[tuple[int, int]] = []
    """Old and new id, in the order they became known."""


class ChatBook:
    """Which chats are known, by their present ids; used by both threads.

    Parameters
    ----------
    destinations : iterable of Destination
        As configured.
    path : Path or None
        Where moves are remembered; None remembers them as long as the process lives.
    """

    def __init__(self, destinations: Iterable[Destination], path: Path | None = None) -> None:
        self._destinations = tuple(destinations)
        self._path = path
        self._lock = threading.Lock()
        self._moves: dict[int, int] = dict(self._read())

    def _read(self) -> list[tuple[int, int]]:
        if self._path is None:
            return []
        try:
            return _Moves.model_validate_json(self._path.read_bytes()).moves
        except FileNotFoundError:
            return []
        except ValidationError:
            # Telegram names the new id again with the next message it refuses.
            _log.error("%s is damaged and begun anew", self._path)
            return []
        except OSError as error:
            raise StorageError(f"{self._path} cannot be read ({error.strerror}); mend its permissions") from error

    def __contains__(self, chat: object) -> bool:
        """Tell whether a chat is a configured one, under its old id or its present one."""
        return chat in self._known()

    def _known(self) -> dict[int, int]:
        """Map every id of a configured chat to its present one."""
        with self._lock:
            moves = dict(self._moves)
        known: dict[int, int] = {}
        for chat in {destination.chat for destination in self._destinations}:
            # Configured under its new id, its old one still stands in queued messages.
            ids = [chat, *(old for old in moves if _end(old, moves) == chat)]
            known |= {old: _end(chat, moves) for old in ids}
            known[_end(chat, moves)] = _end(chat, moves)
        return known

    def labels(self) -> list[str]:
        """Return the names of the configured destinations, in their order."""
        return [destination.label for destination in self._destinations]

    def find(self, label: str) -> Destination | None:
        """Return where a message with this name goes now; None when no chat is configured for it."""
        name, _, topic = label.partition("/")
        for old, present in self._known().items():
            if label_of(old) == name:
                return Destination(present, int(topic) if topic.isdecimal() else None)
        return None

    def place(self, label: str) -> str:
        """Return which destination this is in words that tell no id, e.g. "chat 2 of TELEGRAM_CHAT_IDS"."""
        name, _, topic = label.partition("/")
        where = self.find(label)
        for number, destination in enumerate(self._destinations, start=1):
            present = self.find(destination.label)
            if name == label_of(destination.chat) or (where and present and where.chat == present.chat):
                return f"chat {number} of TELEGRAM_CHAT_IDS" + (f", topic {topic}" if topic else "")
        return "a chat that is not in TELEGRAM_CHAT_IDS"

    def moved(self, old: int, new: int) -> bool:
        """Remember that a chat has another id now; False when it is none of ours or no news.

        Raises
        ------
        StorageError
            It cannot be written down.
        """
        if old not in self or old == new or _end(old, self._moves) == new or _end(new, self._moves) == old:
            return False
        with self._lock:
            moves = {**self._moves, _end(old, self._moves): new}
            if len(moves) > _MOST_MOVES:
                return False
            if self._path is not None:
                write_text(self._path, _Moves(moves=list(moves.items())).model_dump_json() + "\n")
            self._moves = moves
        _log.warning(
            "%s has become a supergroup with another id, which is followed; write the new id there (the link of one "
            "of its messages tells it: t.me/c/123/4 is chat -100123)",
            self.place(label_of(old)),
        )
        return True

    @property
    def followed(self) -> int:
        """How many configured chats have another id now."""
        known = self._known()
        return sum(known[chat] != chat for chat in {destination.chat for destination in self._destinations})


def _end(chat: int, moves: dict[int, int]) -> int:
    """Return where a chain of moves ends; a circle ends where it began to repeat."""
    seen = {chat}
    while chat in moves and moves[chat] not in seen:
        chat = moves[chat]
        seen.add(chat)
    return chat
