"""A webhook: every message as JSON, posted to an address of yours; it takes no commands.

The receiver answers 2xx once it has the message. The same message may come twice when an answer
was lost; `key` and the header `Idempotency-Key` are the same then. Nothing is ever given up: what
the receiver refuses is kept and tried again, ever more slowly.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from novosky.environment import Variable
from novosky.errors import SettingsError
from novosky.web_address import check_guarded_address

if TYPE_CHECKING:
    import httpx
    from pydantic import SecretStr

    from alerts.message import QueuedMessage
    from alerts.port import Desk
    from alerts.service import ChannelService

TITLE = "Webhook"
PURPOSE = (
    "The bot posts trades and halts as JSON to an address of yours. You need the address and, where the receiver asks "
    "who sends, a secret that both know; it comes as the header Authorization: Bearer."
)
URL_VARIABLE, SECRET_VARIABLE = "NOVOSKY_WEBHOOK_URL", "NOVOSKY_WEBHOOK_SECRET"
VARIABLES = (
    Variable(URL_VARIABLE, "address that takes messages as JSON; https, or http on this machine", secret=True),
    Variable(SECRET_VARIABLE, "sent as Authorization: Bearer; empty where the address is the secret", secret=True),
)
NEEDED = (URL_VARIABLE,)

PLACE = "receiver"
"""The one place of this channel: a changed address gets what waited for the old one."""
STEP_SECONDS, CALL_SECONDS = 10.0, 30.0
"""Seconds for each step of a call, and for the whole of it."""
LONGEST_ASKED_WAIT = 3600.0
"""Seconds that a receiver may ask to wait and be obeyed; a number beyond is a slip of someone's."""
GAP_SECONDS = 0.2
"""Between two messages: a backlog of hours must not arrive as a flood."""
_ADDRESS_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy")
_SHORTEST_SECRET = 8


def configured(environment: Mapping[str, str]) -> WebhookAccess | None:
    """Read the address and the secret; None when neither is set.

    Raises
    ------
    SettingsError
        There is a secret and no address, or one of them cannot be used. The message shows no value.
    """
    from pydantic import SecretStr

    url, secret = environment.get(URL_VARIABLE, "").strip(), environment.get(SECRET_VARIABLE, "").strip()
    if not url and not secret:
        return None
    if not url:
        raise SettingsError(f"{URL_VARIABLE} is not set; the webhook needs it, or remove {SECRET_VARIABLE}")
    try:
        check_guarded_address(url)
    except ValueError as error:
        raise SettingsError(f"{URL_VARIABLE}: {error}") from None
    if secret and not (secret.isascii() and secret.isprintable() and len(secret) >= _SHORTEST_SECRET):
        raise SettingsError(
            f"{SECRET_VARIABLE} is no secret for a header; write at least {_SHORTEST_SECRET} plain letters and digits"
        )
    return WebhookAccess(SecretStr(url), SecretStr(secret) if secret else None)


@dataclass(frozen=True)
class WebhookAccess:
    """Where messages are posted.

    Attributes
    ----------
    url : SecretStr
        Many receivers know a sender by the address alone, so it is never shown.
    secret : SecretStr or None
    """

    name: ClassVar[str] = "webhook"
    title: ClassVar[str] = TITLE

    url: SecretStr
    secret: SecretStr | None = None

    @property
    def reach(self) -> str:
        """Which host is told."""
        from urllib.parse import urlsplit

        return urlsplit(self.url.get_secret_value()).hostname or "an address"

    def connect(self) -> WebhookChannel:
        """Open the channel; nothing is sent by it."""
        return WebhookChannel(self)

    def serve(self, desk: Desk) -> ChannelService:
        """Return the service that empties the queue."""
        from alerts.service import ChannelService

        return ChannelService(self.connect(), desk.queue, desk.clock, desk.rng)

    def probe(self) -> str:
        """Ask the receiver with a HEAD request, which posts nothing, whether it answers and accepts the secret."""
        channel = self.connect()
        try:
            return channel.probe()
        finally:
            channel.close()


class WebhookChannel:
    """One receiver, see `alerts.port.Channel`.

    Parameters
    ----------
    access : WebhookAccess
    step_seconds, call_seconds : float
        Seconds for each step of a call, and for the whole of it.
    """

    title = TITLE

    def __init__(
        self, access: WebhookAccess, *, step_seconds: float = STEP_SECONDS, call_seconds: float = CALL_SECONDS
    ) -> None:
        import httpx

        from alerts.calls import BoundedCalls
        from novosky.log import SecretFilter

        self._url, secret = access.url.get_secret_value(), access.secret
        hidden = [self._url] if secret is None else [self._url, secret.get_secret_value()]
        for name in _ADDRESS_LOGGERS:
            # They write the address of every request, and not every handler was set up by this program.
            logging.getLogger(name).addFilter(SecretFilter(hidden))
        headers = {"User-Agent": "novosky"}
        if secret is not None:
            headers["Authorization"] = f"Bearer {secret.get_secret_value()}"
        # No redirects: one would carry messages and secret to an address that nobody has written down.
        self._client = httpx.AsyncClient(timeout=step_seconds, headers=headers, follow_redirects=False)
        self._calls, self._limit = BoundedCalls(), call_seconds
        self._next = -math.inf

    def labels(self) -> Sequence[str]:
        """Return the one place."""
        return (PLACE,)

    def knows(self, label: str) -> bool:
        """Tell whether a stored name is that of the one place."""
        return label == PLACE

    def place(self, label: str) -> str:
        """Return which place this is, without its address."""
        return f"the address of {URL_VARIABLE}"

    def ready_at(self, label: str) -> float:
        """Return when the next message may go, UTC epoch seconds."""
        return self._next

    def deliver(self, message: QueuedMessage, label: str, now: float) -> None:
        """Post a message; see `alerts.port.Channel.deliver`."""
        self._next = now + GAP_SECONDS
        self._ask("POST", body_of(message))

    def probe(self) -> str:
        """Ask without posting; see `WebhookAccess.probe`."""
        from alerts.failures import PlaceClosedError

        try:
            self._ask("HEAD", None)
        except PlaceClosedError as error:
            if error.certain:
                raise
            # Receivers that take nothing but POST say so with 405; the host is there, which is all HEAD can show.
            return f"the host answers, though not to HEAD ({error})"
        return "the host answers"

    def interrupt(self) -> None:
        """End the call under way, and every later one."""
        self._calls.interrupt()

    def close(self) -> None:
        """Release connections and event loop."""
        self._calls.close(self._client.aclose())

    def _ask(self, method: str, body: Mapping[str, Any] | None) -> None:
        """Do one request and name its failure, in words that show neither address nor secret."""
        import httpx

        from alerts.failures import UnreachableError

        try:
            status, headers = self._calls.run(self._request(method, body), self._limit)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
            # The error's own text would show the address.
            raise UnreachableError(f"no proper answer ({type(error).__name__})") from None
        _judge(status, headers)

    async def _request(self, method: str, body: Mapping[str, Any] | None) -> tuple[int, httpx.Headers]:
        headers = {} if body is None else {"Idempotency-Key": str(body["key"])}
        # The status decides; a body is never read, so that none can be too long or never end.
        async with self._client.stream(method, self._url, json=body, headers=headers) as response:
            return response.status_code, response.headers


def body_of(message: QueuedMessage) -> dict[str, Any]:
    """Return what a receiver gets of a message.

    `id` is 0 for a message that was sent without a queue. `attachment` names a file that is
    shown by other channels; it is not sent, and its folder is nobody's business.
    """
    from alerts.delivery import RECIPIENT
    from alerts.words import TITLES, words_of

    return {
        "id": message.id,
        "key": message.key.rpartition(RECIPIENT)[0] or message.key,
        "kind": message.kind,
        "title": TITLES.get(message.kind, ""),
        "text": words_of(message),
        "created": message.created,
        "attempt": message.attempts + 1,
        "attachment": None if message.attachment is None else PurePath(message.attachment).name,
    }


def _judge(status: int, headers: httpx.Headers) -> None:
    """Raise what a status means for the message; RFC 9110, section 15."""
    from alerts.failures import AccessRefusedError, PlaceClosedError, SlowDownError, UnreachableError

    if 200 <= status < 300:
        return
    wait = _asked_wait(headers.get("Retry-After"))
    if wait is not None and status in (429, 503):
        raise SlowDownError(wait, "the receiver")
    if status in (401, 403, 407):
        raise AccessRefusedError(f"the receiver refuses the access (status {status}); correct {SECRET_VARIABLE}")
    if status in (404, 410):
        raise PlaceClosedError(f"there is no receiver at the address (status {status}); correct {URL_VARIABLE}")
    if 300 <= status < 400:
        raise PlaceClosedError(f"the address leads to another (status {status}); write the final one")
    if status in (408, 425, 429) or status >= 500:
        raise UnreachableError(f"the receiver answers with status {status}")
    # 400, 413, 422 ...: it may be the message, it may be the receiver; kept, and the next one shows which.
    raise PlaceClosedError(f"the receiver refuses it (status {status})", certain=False)


def _asked_wait(text: str | None) -> float | None:
    """Return the seconds a Retry-After header asks for; None for a date or nonsense, which backs off as usual."""
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return min(max(seconds, 1.0), LONGEST_ASKED_WAIT) if math.isfinite(seconds) else None
