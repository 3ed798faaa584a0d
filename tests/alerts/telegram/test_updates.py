"""Any answer at all to getUpdates: it ends nothing, it is acknowledged, counted and said once, and commands go on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.telegram.updates import HIGHEST_ID, NoUpdatesError, read_batch
from tests.alerts.telegram.test_service import Machine
from tests.hosts.telegram_host import OWNER, TelegramHost, Trouble, answer, telegram_host

CHAT = {"id": OWNER, "type": "private"}


@pytest.fixture
def host() -> Iterator[TelegramHost]:
    with telegram_host() as host:
        yield host


@pytest.fixture
def machine(host: TelegramHost, tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(host, tmp_path)
    yield machine
    for service in machine.services:
        service.stop()
    machine.journal.close()


def message(**changes: Any) -> dict[str, Any]:
    return {"message_id": 1, "date": 1, "chat": CHAT, "text": "/halt"} | changes


ODD: dict[str, Any] = {
    "chat id is a list": {"message": message(chat={"id": [1], "type": "private"})},
    "chat id is text": {"message": message(chat={"id": str(OWNER), "type": "private"})},
    "chat id is true": {"message": message(chat={"id": True, "type": "private"})},
    "chat id is a fraction": {"message": message(chat={"id": OWNER + 0.0, "type": "private"})},
    "chat id is huge": {"message": message(chat={"id": 10**30, "type": "private"})},
    "chat id is missing": {"message": message(chat={})},
    "chat is a list": {"message": message(chat=[OWNER])},
    "chat is null": {"message": message(chat=None)},
    "message is text": {"message": "text"},
    "message is a list": {"message": [message()]},
    "message is a number": {"message": 5},
    "text is a list": {"message": message(text=["/halt"])},
    "text is null": {"message": message(text=None)},
    "a number that is none": {"message": message(date=float("nan"))},
    "deep": {"message": message(reply_to_message=json.loads('{"a":' * 300 + "1" + "}" * 300))},
}


@pytest.mark.parametrize("odd", ODD)
def test_an_update_that_cannot_be_read_is_acknowledged_counted_and_said_once(
    machine: Machine, host: TelegramHost, odd: str, caplog: pytest.LogCaptureFixture
) -> None:
    host.says("/pause")
    host.says("", **({"message": None} | ODD[odd]))
    host.says("/freeze")
    service = machine.start()
    service.poller._poll(0.0)
    service.poller._poll(0.0)
    assert machine.bot.orders == ["pause", "freeze"]
    assert host.updates == [], "acknowledged"
    assert service.poller.unreadable == 1
    assert caplog.text.count("left out") == 1
    assert service.health()[0].good
    assert "1 update(s) could not be read" in service.health()[0].detail


def test_a_negative_number_is_none() -> None:
    """Telegram would take it as an order to forget what waits."""
    batch = read_batch(json.dumps({"result": [{"update_id": -5, "message": message()}]}).encode())
    assert batch.updates == () and len(batch.unreadable) == 1


@pytest.mark.parametrize("number", [None, "x", 1.5, True, [1], {"a": 1}, HIGHEST_ID + 1, 2**62, 10**40, "7" * 40])
def test_a_number_no_update_has_is_never_acknowledged_and_hides_nothing(
    machine: Machine, host: TelegramHost, number: Any
) -> None:
    host.updates.append({"update_id": number, "message": message()})
    host.says("/freeze")
    service = machine.start()
    for _ in range(3):
        service.poller._poll(0.0)
    host.says("/pause")
    waits = [service.poller._poll(0.0)[0] for _ in range(8)]
    assert machine.bot.orders == ["freeze", "pause"]
    stays = host.updates != []
    assert (1.0 if stays else 0.0) <= max(waits) <= 40.0, "no tight loop, and commands stay prompt"
    offsets = [int(call["offset"]) for method, call in host.calls if method == "getUpdates" and "offset" in call]
    assert all(0 < offset < 2000 for offset in offsets)
    assert service.poller.unreadable == 1


def test_a_number_written_as_text_is_acknowledged(machine: Machine, host: TelegramHost) -> None:
    host.updates.append({"update_id": "6", "message": 5})
    service = machine.start()
    service.poller._poll(0.0)
    service.poller._poll(0.0)
    assert [call.get("offset") for method, call in host.calls if method == "getUpdates"] == [None, "7"]


BODIES: dict[str, Trouble] = {
    "without result": answer(200, b'{"ok": true}'),
    "null": answer(200, b"null"),
    "result null": answer(200, b'{"ok": true, "result": null}'),
    "result text": answer(200, b'{"ok": true, "result": "x"}'),
    "result number": answer(200, b'{"ok": true, "result": 7}'),
    "result of an order": answer(200, b'{"ok": true, "result": true}'),
    "not ok": answer(200, b'{"ok": false}'),
    "not ok, oddly": answer(200, b'{"ok": "no", "description": [1]}'),
    "error with odd parameters": answer(400, b'{"ok": false, "description": "Bad Request", "parameters": [1]}'),
    "error that moves oddly": answer(
        400, b'{"ok": false, "description": "x", "parameters": {"migrate_to_chat_id": "y"}}'
    ),
    "wait in text": answer(429, b'{"ok": false, "description": "x", "parameters": {"retry_after": "y"}}'),
    "wait below zero": answer(429, b'{"ok": false, "description": "x", "parameters": {"retry_after": -5}}'),
    "wait for years": answer(429, b'{"ok": false, "description": "x", "parameters": {"retry_after": 1000000000}}'),
    "description of numbers": answer(400, b'{"ok": false, "description": 5}'),
    "half a character": answer(400, b'{"ok": false, "description": "\\ud800"}'),
    "empty": answer(200, b""),
    "half": answer(200, b'{"ok": true, "result": ['),
    "not utf-8": answer(200, b"\xff\xfe\x00"),
    "html": answer(200, b"<html>sign in</html>"),
    "moved on": answer(302, b"", {"Location": "http://127.0.0.1:1/login"}),
    "moved on for good": answer(308, b"gone", {"Location": "file:///etc/passwd"}),
    "html 404": answer(404, b"<html>not found</html>"),
    "html 401": answer(401, b"<html>sign in</html>"),
    "html 407": answer(407, b"<html>proxy wants a password</html>"),
    "no content": answer(204, b""),
    "teapot": answer(418, b"[]"),
    "of no known status": answer(799, b"{}"),
    "deep": answer(200, b"[" * 100_000),
    "large": answer(200, b'{"ok": true, "result": {"a": "' + b"x" * 17_000_000 + b'"}}'),
    "compressed": answer(200, b"\x1f\x8b", {"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("method", ["getUpdates", "getMe", "sendMessage"])
def test_any_answer_is_waited_out_without_a_traceback(
    machine: Machine, host: TelegramHost, body: str, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    host.plan(method, BODIES[body])
    host.says("/status")
    service = machine.start()
    waits = [service.poller._poll(0.0)[0] for _ in range(4)]
    assert max(waits) <= 3600
    if method == "getUpdates":
        assert waits[0] >= 1.0, "not at once again"
    for _ in range(200):
        service.delivery.step(machine.clock.now())
        machine.clock.time += 60
        if host.sent:
            break
    # What says {"ok": true} to a message has taken it, whatever else it says.
    taken = method == "sendMessage" and body in (
        "without result",
        "result null",
        "result text",
        "result number",
        "result of an order",
    )
    assert taken or "BTCUSD: running" in host.texts()[0]
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.exc_info]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[]))
    | st.sampled_from([OWNER, 1001, "/halt", "/freeze"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["update_id", "message", "chat", "id", "text", "type", "date", "message_id", "entities", "x"]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(JSON, max_size=4) | JSON)
def test_every_shape_is_read_or_refused_and_hides_no_neighbour(result: Any) -> None:
    good = {"update_id": 5, "message": message(text="/freeze")}
    items = [*result, good] if isinstance(result, list) else result
    body = json.dumps({"ok": True, "result": items}).encode()
    try:
        batch = read_batch(body)
    except NoUpdatesError:
        assert not isinstance(items, list)
        return
    assert batch.updates[-1].text == "/freeze"
    for update in batch.updates:
        assert 0 <= update.update_id <= HIGHEST_ID
        assert update.chat is None or type(update.chat) is int
        update.text.encode()
    assert len(batch.updates) + len(batch.unreadable) >= sum(isinstance(item, dict) for item in items)


def test_any_mixture_leaves_the_poller_alive_and_empty_handed(machine: Machine, host: TelegramHost) -> None:
    """The same through the wire: what has a number is acknowledged whatever stands in it."""
    service = machine.start()
    numbers = iter(range(1, 10_000))

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(JSON, min_size=1, max_size=5))
    def fuzz(contents: list[Any]) -> None:
        host.updates[:] = [{"update_id": next(numbers), "message": each} for each in contents]
        for _ in range(3):
            service.poller._poll(0.0)
        assert host.updates == []

    fuzz()
    host.next_id = 20_000
    host.says("/freeze")
    service.poller._poll(0.0)
    assert machine.bot.orders[-1] == "freeze"


def test_a_command_of_half_characters_is_answered(machine: Machine, host: TelegramHost) -> None:
    host.says("/\ud800\x00 stop")
    machine.start().poller._poll(0.0)
    assert "There is no command" in machine.replies()[0]


def test_numbers_that_begin_lower_while_the_bot_runs_are_read(machine: Machine, host: TelegramHost) -> None:
    service = machine.start()
    host.says("/pause")
    service.poller._poll(0.0)
    service.poller._poll(0.0)
    for _ in range(30):
        machine.clock.time += 300
        service.poller._poll(0.0)
    host.next_id = 10
    host.says("/freeze")
    service.poller._poll(0.0)
    assert machine.bot.orders == ["pause", "freeze"]
