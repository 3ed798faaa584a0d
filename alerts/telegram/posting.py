"""One message to one place: with its picture and marks if it can be, as plain words in parts if it must.

A message loses what keeps it from arriving, never its words: the picture where pictures are not
allowed, the marks where they are refused, its length by being divided.
"""

from __future__ import annotations

from pathlib import Path

from alerts.failures import PlaceClosedError, RefusedError
from alerts.message import QueuedMessage
from alerts.telegram.api import BotApi
from alerts.telegram.destination import Destination
from alerts.telegram.texts import CAPTION_LENGTH, TEXT_LENGTH, fitted, message_html, pieces
from alerts.words import plain, plain_text

SHORTEST_PIECE = 256
"""Characters below which a text is not divided further: it is not its length that is refused."""


class Posting:
    """Posts messages; one that had to be divided goes on where it was broken off.

    Parameters
    ----------
    api : BotApi
    """

    def __init__(self, api: BotApi) -> None:
        self._api = api
        self._begun: tuple[int, Destination, int] | None = None
        """The message and place of which so many parts have arrived."""

    def post(self, message: QueuedMessage, to: Destination) -> None:
        """Send a message whole.

        Raises
        ------
        RefusedError
            It is malformed, also as plain words.
        PlaceClosedError, ChatMovedError, UnreachableError, SlowDownError, AccessRefusedError
            See `BotApi`; it is to be sent again.
        """
        text = message_html(message)
        if message.attachment is not None:
            attachment = Path(message.attachment)
            lost = self._with_attachment(text, attachment, to)
            if lost is None:
                return
            text = f"{text}\n<i>({plain(lost)})</i>"
        self._words(message, text, to)

    def _with_attachment(self, text: str, attachment: Path, to: Destination) -> str | None:
        """Send a message with its file; what came in between is returned in words."""
        if not attachment.is_file():
            return f"its attachment {attachment.name} is gone"
        try:
            self._api.send(to, fitted(text, CAPTION_LENGTH), html=True, attachment=attachment)
        except OSError as error:
            return f"its attachment {attachment.name} cannot be read: {error.strerror}"
        except RefusedError as error:
            return f"its attachment {attachment.name} is not shown: {error}"
        except PlaceClosedError as error:
            if error.certain:
                raise
            return f"its attachment {attachment.name} is not shown: {error}"
        return None

    def _words(self, message: QueuedMessage, text: str, to: Destination) -> None:
        parts = pieces(text, TEXT_LENGTH)
        arrived = self._begun[2] if self._begun is not None and self._begun[:2] == (message.id, to) else 0
        for number, part in enumerate(parts):
            if number < arrived:
                continue
            self._part(part, to, again=message.attempts > 0)
            self._begun = (message.id, to, number + 1)
        self._begun = None

    def _part(self, part: str, to: Destination, *, again: bool) -> None:
        try:
            self._api.send(to, part, html=True)
        except RefusedError:
            # The marks may be at fault; the words must arrive.
            self._plain(plain_text(part), to, TEXT_LENGTH)
        except PlaceClosedError as error:
            if error.certain or not again:
                raise
            self._plain(plain_text(part), to, TEXT_LENGTH)

    def _plain(self, words: str, to: Destination, length: int) -> None:
        """Send words without marks, in halves where they are too long for Telegram's own count."""
        for part in pieces(plain(words), length):
            try:
                self._api.send(to, plain_text(part), html=False)
            except RefusedError as error:
                shorter = min(length, len(words)) // 2
                if "long" not in str(error).lower() or shorter < SHORTEST_PIECE:
                    raise
                self._plain(plain_text(part), to, shorter)
