"""The Bot API as blocking calls, whose failures are six exceptions.

python-telegram-bot speaks the protocol. It is asynchronous, so an instance belongs to one thread
at a time (see `alerts.calls`); only `interrupt` may be called from another.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Protocol, TypeVar

import telegram.error as failures
from telegram import Bot, Update
from telegram.constants import ParseMode

from alerts.calls import BoundedCalls
from alerts.failures import (
    AccessRefusedError,
    PlaceClosedError,
    RefusedError,
    SlowDownError,
    UnreachableError,
    asked_wait,
)
from alerts.telegram.access import TelegramAccess
from alerts.telegram.destination import Destination
from alerts.telegram.updates import Batch
from alerts.telegram.wire import ListeningRequest, SpeakingRequest
from novosky.log import SecretFilter
from novosky.redaction import Redactor
from novosky.remote_text import clean_text

R = TypeVar("R")
BATCH = 100
"""Updates asked for at once, the most the API gives."""
ADDRESS_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy", "telegram.Bot")
"""Loggers that write the addresses of requests, which hold the token. Their records are cleaned
here already: not every handler they may reach was set up by this program."""
PHOTO_SUFFIXES = (".png", ".jpg", ".jpeg")

_CALL_SECONDS = 4
"""Times of `timeout` that a whole call may take, whose every step may take one."""
_MALFORMED = re.compile(
    r"\bparse|\bentit(?:y|ies)|entit(?:y|ies)_|too[ _]long|utf-?8|"
    r"(?:text|message|caption|media|file|photo|document)(?: is| must be |_)(?: ?non-)? ?empty",
    re.IGNORECASE,
)
"""What a refusal says when it is the message. All others are taken for the chat's: it may take the message later."""
_TOO_LARGE = re.compile(r"(?:entity|content) too large", re.IGNORECASE)
"""Status 413 in words: Telegram's own, or a proxy's that takes no request of this size."""
_NOT_TELEGRAMS_OWN = "Parsing the server response"
"""In the library's words: the answer was not in the Bot API's form."""

_log = logging.getLogger(__name__)


class ChatMovedError(Exception):
    """The group has become a supergroup: it has another id, `chat`."""

    def __init__(self, chat: int) -> None:
        super().__init__("the group has become a supergroup with another id")
        self.chat = chat


class BotApi(Protocol):
    """What deliveries and commands need of Telegram."""

    def username(self) -> str:
        """Return the bot's name, without the @."""

    def updates(self, offset: int | None, wait: float) -> Batch:
        """Return what is new, waiting up to `wait` seconds for it; an offset confirms all ids below it."""

    def send(self, to: Destination, text: str, *, html: bool, attachment: Path | None = None) -> None:
        """Send a message, with a picture or file if one is given."""

    def interrupt(self) -> None:
        """End the call under way in another thread, and every later one, with `InterruptedCallError`."""

    def close(self) -> None:
        """Release connections; called when no call is under way."""


class TelegramApi:
    """The Bot API over HTTP.

    Parameters
    ----------
    access : TelegramAccess
    timeout : float
        Seconds for connecting, and for an answer beyond the time of a long poll.
    """

    def __init__(self, access: TelegramAccess, *, timeout: float = 15.0) -> None:
        token = access.token.get_secret_value()
        self._redactor = Redactor([token])
        for name in ADDRESS_LOGGERS:
            logging.getLogger(name).addFilter(SecretFilter([token]))
        self._timeout = timeout
        self._listening = ListeningRequest(timeout)
        self._requests = (SpeakingRequest(timeout), self._listening)
        self._bot = Bot(
            token,
            base_url=f"{access.base_url}/bot",
            request=self._requests[0],
            get_updates_request=self._listening,
        )
        self._calls = BoundedCalls()

    def username(self) -> str:
        """Return the bot's name, without the @."""
        return self._call(self._bot.get_me()).username or ""

    def updates(self, offset: int | None, wait: float) -> Batch:
        """Return what is new; see `BotApi`."""
        asked = self._bot.get_updates(offset=offset, limit=BATCH, timeout=int(wait), allowed_updates=[Update.MESSAGE])
        self._call(asked, wait)
        return self._listening.batch

    def send(self, to: Destination, text: str, *, html: bool, attachment: Path | None = None) -> None:
        """Send a message; see `BotApi`."""
        how: dict[str, Any] = {"parse_mode": ParseMode.HTML if html else None, "message_thread_id": to.topic}
        if attachment is None:
            self._call(self._bot.send_message(to.chat, text, **how))
            return
        content = attachment.read_bytes()
        if attachment.suffix.lower() in PHOTO_SUFFIXES:
            self._call(self._bot.send_photo(to.chat, content, caption=text, **how))
        else:
            self._call(self._bot.send_document(to.chat, content, filename=attachment.name, caption=text, **how))

    def interrupt(self) -> None:
        """End the call under way, and every later one."""
        self._calls.interrupt()

    def close(self) -> None:
        """Release connections and event loop; see `BotApi`."""
        self._calls.close(self._shut())

    async def _shut(self) -> None:
        for request in self._requests:
            await request.shutdown()

    def _call(self, work: Coroutine[Any, Any, R], hold: float = 0.0) -> R:
        """Run one request to its end and name its failure; `hold` is what the host may keep it open."""
        try:
            return self._calls.run(work, hold + _CALL_SECONDS * self._timeout)
        except failures.RetryAfter as error:
            raise SlowDownError(_seconds(error), "Telegram") from None
        except failures.ChatMigrated as error:
            raise ChatMovedError(error.new_chat_id) from None
        except failures.TelegramError as error:
            raise self._named(error) from None
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            # The library met an answer in a form it does not know.
            raise UnreachableError(f"the answer cannot be read ({type(error).__name__})") from None

    def _named(self, error: failures.TelegramError) -> Exception:
        reason = clean_text(self._redactor.text(str(error)[:3000]), 300)
        if _NOT_TELEGRAMS_OWN in reason and not _TOO_LARGE.search(reason):
            # A proxy on the way has its own 400, 401 and 403; no message is given up for those.
            return UnreachableError(reason)
        if isinstance(error, failures.InvalidToken):
            # The library's own message shows the token.
            return AccessRefusedError("Telegram does not know this bot token; ask @BotFather for the valid one")
        if isinstance(error, failures.Forbidden):
            return PlaceClosedError(reason)
        if _TOO_LARGE.search(reason):
            return RefusedError(reason)
        if isinstance(error, failures.BadRequest):
            # A subclass of NetworkError in the library, though repeating it at once does not help.
            return RefusedError(reason) if _MALFORMED.search(reason) else PlaceClosedError(reason, certain=False)
        return UnreachableError(f"{type(error).__name__}: {reason}")


def _seconds(error: failures.RetryAfter) -> float:
    # The library announces another type for a later version; both are read here.
    wait = error.retry_after
    seconds = float(wait) if isinstance(wait, int | float) else wait.total_seconds()
    return asked_wait(seconds)
