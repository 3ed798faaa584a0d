"""The Bot API as the rest of this room sees it: blocking calls and five ways to fail.

python-telegram-bot speaks the protocol. It is asynchronous, so an instance owns an event loop
and belongs to one thread at a time; only `interrupt` may be called from another.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import telegram.error as failures
from telegram import Bot, Update
from telegram.constants import ParseMode
from telegram.request import HTTPXRequest

from novosky.log import SecretFilter
from novosky.redaction import Redactor
from trading.telegram.access import TelegramAccess

R = TypeVar("R")
BATCH = 100
"""Updates asked for at once, the most the API gives."""
ADDRESS_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy", "telegram.Bot")
"""Loggers that write the addresses of requests, which hold the token. Their records are cleaned
here already: not every handler they may reach was set up by this program."""
PHOTO_SUFFIXES = (".png", ".jpg", ".jpeg")

_CHAT_WORDS = ("chat not found", "not enough rights", "have no rights", "kicked", "deactivated")
"""What a refusal says when it is the chat, not the message."""
_NOT_TELEGRAMS_OWN = "Parsing the server response"
"""In the library's words: the answer was not in the Bot API's form."""

_log = logging.getLogger(__name__)


class UnreachableError(Exception):
    """The host did not answer properly; the message may have arrived. Try again later."""


class SlowDownError(Exception):
    """The host asks to wait `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Telegram asks to wait {seconds:g} s")
        self.seconds = seconds


class ChatClosedError(Exception):
    """The chat cannot be written to now: it blocked the bot, or its id is wrong."""


class RefusedError(Exception):
    """The host will never take this message as it is."""


class TokenRefusedError(Exception):
    """The token is not, or no longer, valid."""


class InterruptedCallError(Exception):
    """The call was ended by `interrupt`."""


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
    """

    update_id: int
    chat: int | None = None
    text: str = ""


class BotApi(Protocol):
    """What deliveries and commands need of Telegram."""

    def username(self) -> str:
        """Return the bot's name, without the @."""

    def updates(self, offset: int | None, wait: float) -> list[Incoming]:
        """Return what is new, waiting up to `wait` seconds for it; an offset confirms all ids below it."""

    def send(self, chat: int, text: str, *, html: bool, attachment: Path | None = None) -> None:
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
        self._requests = (
            HTTPXRequest(
                read_timeout=timeout, write_timeout=timeout, media_write_timeout=timeout, connect_timeout=timeout
            ),
            _UpdatesRequest(read_timeout=timeout, connect_timeout=timeout),
        )
        self._bot = Bot(
            token,
            base_url=f"{access.base_url}/bot",
            request=self._requests[0],
            get_updates_request=self._requests[1],
        )
        self._runner = asyncio.Runner()
        self._lock = threading.Lock()
        self._task: asyncio.Task[Any] | None = None
        self._interrupted = False
        self._closed = False

    def username(self) -> str:
        """Return the bot's name, without the @."""
        return self._call(self._bot.get_me()).username or ""

    def updates(self, offset: int | None, wait: float) -> list[Incoming]:
        """Return what is new; see `BotApi`."""
        found = self._call(
            self._bot.get_updates(offset=offset, limit=BATCH, timeout=int(wait), allowed_updates=[Update.MESSAGE])
        )
        return [_incoming(update) for update in found]

    def send(self, chat: int, text: str, *, html: bool, attachment: Path | None = None) -> None:
        """Send a message; see `BotApi`."""
        mode = ParseMode.HTML if html else None
        if attachment is None:
            self._call(self._bot.send_message(chat, text, parse_mode=mode))
        elif attachment.suffix.lower() in PHOTO_SUFFIXES:
            self._call(self._bot.send_photo(chat, attachment.read_bytes(), caption=text, parse_mode=mode))
        else:
            document = attachment.read_bytes()
            self._call(self._bot.send_document(chat, document, filename=attachment.name, caption=text, parse_mode=mode))

    def interrupt(self) -> None:
        """End the call under way, and every later one."""
        with self._lock:
            self._interrupted = True
            if self._task is not None:
                self._runner.get_loop().call_soon_threadsafe(self._task.cancel)

    def close(self) -> None:
        """Release connections and event loop; see `BotApi`."""
        if self._closed:
            return
        self._closed = True
        self._runner.run(self._shut())
        self._runner.close()

    async def _shut(self) -> None:
        for request in self._requests:
            await request.shutdown()

    def _call(self, work: Coroutine[Any, Any, R]) -> R:
        """Run one request to its end and name its failure."""
        try:
            return self._runner.run(self._tracked(work))
        except asyncio.CancelledError:
            raise InterruptedCallError from None
        except failures.RetryAfter as error:
            raise SlowDownError(_seconds(error)) from None
        except failures.InvalidToken:
            # The library's own message shows the token.
            raise TokenRefusedError("Telegram does not know this bot token; ask @BotFather for the valid one") from None
        except failures.TelegramError as error:
            raise self._named(error) from None

    def _named(self, error: failures.TelegramError) -> Exception:
        reason = self._redactor.text(str(error))[:300]
        if _NOT_TELEGRAMS_OWN in reason:
            # A proxy on the way has its own 400 and 403; no message is given up for those.
            return UnreachableError(reason)
        if isinstance(error, failures.Forbidden | failures.ChatMigrated):
            return ChatClosedError(reason)
        if isinstance(error, failures.BadRequest):
            # A subclass of NetworkError in the library, though repeating it does not help.
            return (ChatClosedError if any(word in reason.lower() for word in _CHAT_WORDS) else RefusedError)(reason)
        return UnreachableError(f"{type(error).__name__}: {reason}")

    async def _tracked(self, work: Coroutine[Any, Any, R]) -> R:
        with self._lock:
            if self._interrupted:
                work.close()
                raise asyncio.CancelledError
            self._task = asyncio.current_task()
        try:
            return await work
        finally:
            with self._lock:
                self._task = None


class _UpdatesRequest(HTTPXRequest):
    """Replaces updates that cannot be read, which would otherwise come again for ever, by empty ones."""

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        answer: Any = json.loads(payload) if _is_json(payload) else None
        if not isinstance(answer, dict):
            raise failures.TelegramError("the answer is no JSON object")
        if "result" not in answer:
            return cast("dict[str, Any]", answer)
        if not isinstance(answer["result"], list):
            raise failures.TelegramError("the answer holds no list of updates")
        readable = [_readable(item) for item in answer["result"]]
        answer["result"] = [item for item in readable if item is not None]
        if readable and not answer["result"]:
            raise failures.TelegramError(f"{len(readable)} update(s) without an id")
        return cast("dict[str, Any]", answer)


def _is_json(payload: bytes) -> bool:
    try:
        json.loads(payload)
    except (ValueError, RecursionError):
        return False
    return True


def _readable(item: Any) -> dict[str, Any] | None:
    number = item.get("update_id") if isinstance(item, dict) else None
    if not isinstance(number, int) or isinstance(number, bool):
        _log.warning("an update without an id was left out")
        return None
    try:
        Update.de_json(item, None)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, OSError) as error:
        _log.warning("update %d cannot be read (%s) and was left out", number, type(error).__name__)
        return {"update_id": number}
    return cast("dict[str, Any]", item)


def _incoming(update: Update) -> Incoming:
    if update.message is None:
        return Incoming(update.update_id)
    text = update.message.text
    return Incoming(update.update_id, update.message.chat.id, text if isinstance(text, str) else "")


def _seconds(error: failures.RetryAfter) -> float:
    # The library announces another type for a later version; both are read here.
    wait = error.retry_after
    return float(wait) if isinstance(wait, int | float) else wait.total_seconds()
