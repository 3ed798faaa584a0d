"""The webhook: the contract of every channel, what stands in a request, and what each status means."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from alerts.channels.webhook import LONGEST_ASKED_WAIT, WebhookChannel, body_of, configured
from alerts.failures import AccessRefusedError, PlaceClosedError, SlowDownError, UnreachableError
from alerts.message import QueuedMessage
from alerts.port import Access, Channel
from novosky.errors import SettingsError
from tests.contracts.channel import ChannelContract, Receiver, queued
from tests.hosts.telegram_host import Trouble, answer
from tests.hosts.webhook_host import PATH, SECRET, WebhookHost, webhook_host


class WebhookReceiver(Receiver):
    name = "webhook"
    secrets = (SECRET, PATH)

    def __init__(self, host: WebhookHost) -> None:
        self.host = host
        self.environment = {"NOVOSKY_WEBHOOK_URL": host.url, "NOVOSKY_WEBHOOK_SECRET": SECRET}

    def access(self) -> Access:
        return self.host.access()

    def channel(self) -> Channel:
        return WebhookChannel(self.host.access(), step_seconds=0.6, call_seconds=1.0)

    def plan(self, *troubles: Trouble) -> None:
        self.host.plan(*troubles)

    def always(self, trouble: Trouble | None) -> None:
        self.host.offline = trouble

    def taken(self) -> list[str]:
        return [each.body["text"] for each in self.host.posted]

    def marks(self) -> list[str]:
        return [each.headers["Idempotency-Key"] for each in self.host.posted]

    def slow_down(self, seconds: int) -> Trouble:
        return answer(429, b"", {"Retry-After": str(seconds)})

    def refuse_access(self) -> Trouble:
        return answer(401, b"")


@pytest.fixture
def host() -> Iterator[WebhookHost]:
    with webhook_host() as host:
        yield host


@pytest.fixture
def receiver(host: WebhookHost) -> WebhookReceiver:
    return WebhookReceiver(host)


class TestWebhook(ChannelContract):
    pass


@pytest.fixture
def channel(receiver: WebhookReceiver) -> Iterator[Channel]:
    channel = receiver.channel()
    yield channel
    channel.close()


def test_a_request_holds_what_a_receiver_needs(channel: Channel, host: WebhookHost) -> None:
    message = QueuedMessage(
        9, "daily:2024-05-07|to:receiver", "webhook", "report", "<b>Daily</b>", "logs/a.png", 5, 2, 5, None, None
    )
    channel.deliver(message, "receiver", 0.0)
    (posted,) = host.posted
    assert posted.body == {
        "id": 9,
        "key": "daily:2024-05-07",
        "kind": "report",
        "title": "",
        "text": "Daily",
        "created": 5,
        "attempt": 3,
        "attachment": "a.png",
    }
    assert posted.headers["Authorization"] == f"Bearer {SECRET}"
    assert posted.headers["Content-Type"] == "application/json"
    assert posted.headers["Idempotency-Key"] == "daily:2024-05-07"


def test_without_a_secret_no_header_is_sent(host: WebhookHost) -> None:
    channel = WebhookChannel(host.access(secret=None))
    channel.deliver(queued("opened", "webhook"), "receiver", 0.0)
    channel.close()
    assert "Authorization" not in host.posted[0].headers


STATUS = {
    200: None,
    202: None,
    301: PlaceClosedError,
    400: PlaceClosedError,
    401: AccessRefusedError,
    403: AccessRefusedError,
    404: PlaceClosedError,
    408: UnreachableError,
    410: PlaceClosedError,
    413: PlaceClosedError,
    422: PlaceClosedError,
    429: UnreachableError,
    500: UnreachableError,
    503: UnreachableError,
}


@pytest.mark.parametrize("status", STATUS)
def test_each_status_has_its_meaning(channel: Channel, host: WebhookHost, status: int) -> None:
    host.plan(answer(status, b"", {"Location": "http://127.0.0.1:1/elsewhere"}))
    expected = STATUS[status]
    if expected is None:
        channel.deliver(queued("opened", "webhook"), "receiver", 0.0)
        return
    with pytest.raises(expected):
        channel.deliver(queued("opened", "webhook"), "receiver", 0.0)
    assert host.posted == [] and len(host.calls) == 1, "a redirect is not followed"


@pytest.mark.parametrize(("text", "seconds"), [("30", 30.0), ("0", 1.0), ("1e9", LONGEST_ASKED_WAIT), ("-5", 1.0)])
@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_asked_for_is_obeyed_within_reason(
    channel: Channel, host: WebhookHost, status: int, text: str, seconds: float
) -> None:
    host.plan(answer(status, b"", {"Retry-After": text}))
    with pytest.raises(SlowDownError) as caught:
        channel.deliver(queued("opened", "webhook"), "receiver", 0.0)
    assert caught.value.seconds == seconds


@pytest.mark.parametrize("text", ["nan", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", ""])
def test_a_wait_that_is_no_number_backs_off_as_usual(channel: Channel, host: WebhookHost, text: str) -> None:
    host.plan(answer(429, b"", {"Retry-After": text}))
    with pytest.raises(UnreachableError):
        channel.deliver(queued("opened", "webhook"), "receiver", 0.0)


def test_an_answer_of_any_size_is_not_read(channel: Channel, host: WebhookHost) -> None:
    host.plan(answer(200, b"x" * 1000, {"Content-Length": str(10**12)}))
    channel.deliver(queued("opened", "webhook"), "receiver", 0.0)


@pytest.mark.parametrize("status", [405, 501, 401, 302])
def test_the_probe_tells_a_host_from_a_refusal(host: WebhookHost, status: int) -> None:
    host.plan(answer(status, b""))
    if status == 405:
        assert "answers" in host.access().probe()
        return
    with pytest.raises((AccessRefusedError, PlaceClosedError, UnreachableError)):
        host.access().probe()


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"NOVOSKY_WEBHOOK_URL": "http://hooks.example/hunter2"}, "write https://"),
        ({"NOVOSKY_WEBHOOK_URL": "ftp://hooks.example/hunter2"}, "https://"),
        ({"NOVOSKY_WEBHOOK_URL": "https://hooks .example/hunter2"}, "blank"),
        ({"NOVOSKY_WEBHOOK_URL": "https://h.example", "NOVOSKY_WEBHOOK_SECRET": "hunter2"}, "at least 8"),
        ({"NOVOSKY_WEBHOOK_URL": "https://h.example", "NOVOSKY_WEBHOOK_SECRET": "hunter2\nX: y"}, "no secret"),
    ],
)
def test_a_slip_in_the_environment_is_named_without_its_value(environment: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named) as caught:
        configured(environment)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://hooks.example/x", "http://127.0.0.1:9/x", "http://localhost/x", "http://[::1]/"]
)
def test_encrypted_addresses_and_this_machine_are_taken(url: str) -> None:
    assert configured({"NOVOSKY_WEBHOOK_URL": url}) is not None


def test_a_key_is_the_same_for_every_attempt() -> None:
    first, second = (queued("closed:9|to:receiver", "webhook"), queued("closed:9|to:receiver", "webhook"))
    assert body_of(first)["key"] == body_of(second)["key"] == "closed:9"
