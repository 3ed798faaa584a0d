"""HTTP to the Bot API with every answer bounded and its shape checked before the library reads it.

The library takes the form of an answer on trust. What stands on the way (a proxy's page, a portal's
login, an answer half arrived), or comes in another form, is turned into its one error here, which
is retried; and of an answer in order only what is used goes on.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
from telegram.error import NetworkError, TelegramError
from telegram.request import HTTPXRequest

from alerts.telegram.updates import MOST_BYTES, Batch, NoUpdatesError, read_batch
from novosky.guarded_json import JsonError, parse_json
from novosky.remote_text import clean_text

LARGEST_ANSWER: Final = 1024 * 1024
"""Bytes of an answer other than updates; a sent message comes back in some kilobytes."""
_LONGEST_REASON = 300
_OK = 200


class _GuardedRequest(HTTPXRequest):
    """Answers of at most so many bytes, and refusals of nothing but words and whole numbers."""

    def __init__(self, timeout: float, largest: int) -> None:
        async def bound(response: httpx.Response) -> None:
            if response.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
                # A small answer can unfold to gigabytes; none was asked for in this form.
                raise httpx.DecodingError("the answer is compressed, though it was asked for as it is")
            assert isinstance(response.stream, httpx.AsyncByteStream)
            response.stream = _Bounded(response.stream, largest)

        super().__init__(
            read_timeout=timeout,
            write_timeout=timeout,
            media_write_timeout=timeout,
            connect_timeout=timeout,
            httpx_kwargs={"event_hooks": {"response": [bound]}, "headers": {"Accept-Encoding": "identity"}},
        )

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        """Return an answer in the form the library expects, or raise its error."""
        answer = _object(payload)
        if answer.get("ok") is True and "result" in answer:
            return {"ok": True, "result": answer["result"]}
        reason, parameters = answer.get("description"), answer.get("parameters")
        if answer.get("ok") is not False or not isinstance(reason, str):
            raise TelegramError("the answer is not in the form of the Bot API")
        numbers = parameters if isinstance(parameters, dict) else {}
        numbers = {name: value for name, value in numbers.items() if type(value) is int}
        return {"ok": False, "description": clean_text(reason, _LONGEST_REASON), "parameters": numbers}


class SpeakingRequest(_GuardedRequest):
    """For everything but updates."""

    def __init__(self, timeout: float) -> None:
        super().__init__(timeout, LARGEST_ANSWER)

    async def do_request(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        """Hand on that a call was taken, and the bot's name; the copy of a sent message is not looked at."""
        status, payload = await super().do_request(*args, **kwargs)
        if status != _OK:
            return status, payload
        answer = _object(payload)
        if answer.get("ok") is not True:
            raise NetworkError("the answer does not say that the call was taken")
        result = answer.get("result")
        name = result.get("username") if isinstance(result, dict) else None
        user = {
            "id": 1,
            "is_bot": True,
            "first_name": "",
            "username": clean_text(name) if isinstance(name, str) else "",
        }
        message = {"message_id": 1, "date": 0, "chat": {"id": 1, "type": "private"}}
        return status, json.dumps({"ok": True, "result": user | message}).encode()


class ListeningRequest(_GuardedRequest):
    """For updates, which are read here: `batch` holds what the newest answer brought."""

    def __init__(self, timeout: float) -> None:
        super().__init__(timeout, MOST_BYTES)
        self.batch = Batch(())

    async def do_request(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        """Keep the updates of an answer, and hand on an empty one."""
        self.batch = Batch(())
        status, payload = await super().do_request(*args, **kwargs)
        if status != _OK:
            return status, payload
        try:
            self.batch = read_batch(payload)
        except NoUpdatesError as error:
            raise NetworkError(str(error)) from error
        return status, b'{"ok": true, "result": []}'


class _Bounded(httpx.AsyncByteStream):
    """A body that ends with an error where it grows too long."""

    def __init__(self, stream: httpx.AsyncByteStream, largest: int) -> None:
        self._stream, self._largest = stream, largest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._stream:
            size += len(piece)
            if size > self._largest:
                raise httpx.ReadError(f"the answer is longer than {self._largest:,} bytes")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def _object(payload: bytes) -> dict[str, Any]:
    try:
        answer = parse_json(payload, "the answer", mend_text=True)
    except JsonError as error:
        raise TelegramError(clean_text(str(error), _LONGEST_REASON)) from error
    if not isinstance(answer, dict):
        raise TelegramError("the answer is no JSON object")
    return answer
