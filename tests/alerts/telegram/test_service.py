"""Commands over the wire: each once whatever dies, the ones sent meanwhile before the first bar, and a prompt end."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from alerts.delivery import RECIPIENT
from alerts.message import Message
from alerts.telegram.access import TelegramAccess
from alerts.telegram.api import BotApi, TelegramApi
from alerts.telegram.poller import POLL_WAIT
from alerts.telegram.service import TelegramService
from novosky.clock import RealClock
from novosky.database.place import sqlite_url
from novosky.supervision.freeze import FREEZE_FLAG, is_frozen
from tests.alerts.telegram.test_commands import Bot
from tests.hosts.telegram_host import (
    OWNER,
    PARTNER,
    STRANGER,
    FakeClock,
    TelegramHost,
    Trouble,
    answer,
    failure,
    hang,
    hang_up,
    telegram_host,
)
from trading.cycle.switches import Switches
from trading.journal import Journal

ROOT = Path(__file__).resolve().parents[3]


class DeadError(BaseException):
    """The process is killed here."""


@pytest.fixture
def host() -> Iterator[TelegramHost]:
    with telegram_host() as host:
        yield host


class Machine:
    """Where the bot runs: its files outlive the process that `start` begins."""

    def __init__(self, host: TelegramHost, folder: Path) -> None:
        self.host, self.folder, self.clock = host, folder, FakeClock()
        self.bot = Bot()
        self.journal = Journal(sqlite_url(folder / "bot.db"), symbol="BTCUSD", durable=False, channels=("telegram",))
        self.services: list[TelegramService] = []

    def start(self, *chats: int, controls: object = None, clock: object = None) -> TelegramService:
        codes = itertools.count(1001)
        service = TelegramService(
            self.host.access(*chats),
            self.journal.outbox,
            self.bot,
            controls or self.bot,  # type: ignore[arg-type]
            ledger=self.folder / "telegram.json",
            clock=clock or self.clock,  # type: ignore[arg-type]
            rng=Random(1),
            new_code=lambda: str(next(codes)),
            connect=connect,
        )
        self.services.append(service)
        return service

    def replies(self) -> list[str]:
        """What is queued for people, oldest first."""
        queued = self.journal.outbox.due(2**40, 100)
        return [message.text for message in queued if RECIPIENT in message.key]


def connect(access: TelegramAccess) -> BotApi:
    return TelegramApi(access, timeout=0.5)


@pytest.fixture
def machine(host: TelegramHost, tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(host, tmp_path)
    yield machine
    for service in machine.services:
        service.stop()
    machine.journal.close()


# Sent while the bot was away.


def test_a_freeze_sent_while_the_bot_was_away_is_obeyed_before_the_first_bar(
    machine: Machine, host: TelegramHost
) -> None:
    switches = Switches(machine.journal, machine.clock, "Telegram", machine.folder / FREEZE_FLAG)
    host.says("/freeze")
    service = machine.start(controls=switches)
    assert not is_frozen(machine.folder / FREEZE_FLAG)
    assert service.catch_up()
    assert is_frozen(machine.folder / FREEZE_FLAG)
    assert switches.entries_stopped()


def test_everything_that_waited_is_done_in_order_and_confirmed(machine: Machine, host: TelegramHost) -> None:
    for text in ("/pause", "hello", "/freeze", "/status"):
        host.says(text)
    host.says("/halt", STRANGER)
    assert machine.start().catch_up()
    assert machine.bot.orders == ["pause", "freeze"]
    assert len(machine.replies()) == 3
    assert host.updates == [], "confirmed, so that Telegram does not give them again"


def test_more_than_one_batch_is_read_to_its_end(machine: Machine, host: TelegramHost) -> None:
    for _ in range(250):
        host.says("small talk")
    host.says("/freeze")
    assert machine.start().catch_up()
    assert machine.bot.orders == ["freeze"]


def test_a_start_without_telegram_goes_on_after_a_while(machine: Machine, host: TelegramHost) -> None:
    host.says("/freeze")
    host.offline = hang_up
    service = machine.start()
    began = machine.clock.now()
    assert not service.catch_up(10.0)
    assert machine.clock.now() - began <= 10
    assert not service.health()[0].good
    host.offline = None
    service.poller.poll()
    assert machine.bot.orders == ["freeze"]
    assert service.health()[0].good


# Once.


def test_a_restart_does_not_obey_again(machine: Machine, host: TelegramHost) -> None:
    host.says("/pause")
    host.confirms = False
    for _ in range(3):
        service = machine.start()
        service.poller.poll()
        service.poller.poll()
    assert machine.bot.orders == ["pause"]
    assert len(machine.replies()) == 1


@pytest.mark.parametrize("point", ["before the order", "after the order", "before settling", "before confirming"])
def test_a_command_counts_once_wherever_the_process_dies(
    machine: Machine, host: TelegramHost, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    def die(*_: object, **__: object) -> None:
        raise DeadError

    host.says("/freeze")
    first = machine.start()
    with monkeypatch.context() as dying:
        if point == "before the order":
            dying.setattr(first.poller._commander, "answer", die)
        elif point == "after the order":
            dying.setattr(type(machine.journal.outbox), "enqueue", die)
        elif point == "before settling":
            dying.setattr(type(first.poller._ledger), "settle", die)
        if point == "before confirming":
            first.poller.poll()
        else:
            with pytest.raises(DeadError):
                first.poller.poll()
    second = machine.start()
    assert second.catch_up()
    assert set(machine.bot.orders) == {"freeze"}
    assert len(machine.bot.orders) == (2 if point in ("after the order", "before settling") else 1)
    assert len(machine.replies()) == 1, "a person is told once"


def test_closing_is_never_done_twice(machine: Machine, host: TelegramHost, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object, **__: object) -> None:
        raise DeadError

    service = machine.start()
    host.says("/close")
    service.poller.poll()
    host.says("/close 1001")
    with monkeypatch.context() as dying, pytest.raises(DeadError):
        dying.setattr(type(machine.journal.outbox), "enqueue", die)
        service.poller.poll()
    assert machine.bot.orders == ["close"]
    assert machine.start().catch_up()
    assert machine.bot.orders == ["close"]
    assert "may or may not have been carried out" in machine.replies()[-1]


def test_a_code_from_before_a_restart_is_worth_nothing(machine: Machine, host: TelegramHost) -> None:
    host.says("/halt")
    machine.start().poller.poll()
    host.says("/halt 1001")
    machine.start().catch_up()
    assert machine.bot.orders == []
    assert "No such confirmation" in machine.replies()[-1]


def test_ids_that_start_lower_after_a_quiet_week_are_read(machine: Machine, host: TelegramHost) -> None:
    host.says("/pause")
    machine.start().poller.poll()
    host.updates.clear()
    host.next_id = 10
    host.says("/freeze")
    assert machine.start().catch_up()
    assert machine.bot.orders == ["pause", "freeze"]


def test_another_bots_memory_is_not_this_ones(machine: Machine, host: TelegramHost) -> None:
    ledger = machine.folder / "telegram.json"
    ledger.write_text(json.dumps({"bot": "42", "settled": [1001], "claimed": None}))
    host.says("/pause")
    assert machine.start().catch_up()
    assert machine.bot.orders == ["pause"]


def test_a_damaged_memory_is_begun_anew(machine: Machine, host: TelegramHost, caplog: pytest.LogCaptureFixture) -> None:
    (machine.folder / "telegram.json").write_bytes(b"{half")
    host.says("/pause")
    assert machine.start().catch_up()
    assert machine.bot.orders == ["pause"]
    assert "telegram.json is damaged" in caplog.text


# Strangers and nonsense.


def test_a_stranger_is_told_nothing(machine: Machine, host: TelegramHost) -> None:
    for text in ("/start", "/halt", "/status"):
        host.says(text, STRANGER)
    service = machine.start(OWNER, PARTNER)
    service.catch_up()
    service.delivery.step(machine.clock.now())
    assert host.sent == []
    assert machine.bot.orders == []


def test_malformed_updates_do_not_stop_the_others(machine: Machine, host: TelegramHost) -> None:
    host.updates += [
        {"update_id": 1, "message": {"message_id": 1}},
        {"update_id": 2, "message": "text"},
        {"update_id": 3},
        {"update_id": 4, "message": {"message_id": 4, "date": "soon", "chat": {"id": OWNER, "type": "private"}}},
        {"update_id": 5, "edited_message": {"message_id": 5}},
        {"update_id": "6"},
        None,
    ]
    host.says("/halt", edited_message={"text": "/halt"})
    host.says("/freeze")
    service = machine.start()
    service.poller.poll()
    assert machine.bot.orders == ["freeze"]


def test_a_batch_that_cannot_be_confirmed_is_no_tight_loop(machine: Machine, host: TelegramHost) -> None:
    host.updates.append({"update_id": "x"})
    service = machine.start()
    waits = [service.poller.poll() for _ in range(4)]
    assert waits == sorted(waits)
    assert waits[0] >= 1.0
    assert waits[-1] >= 8.0


TROUBLES: dict[str, Trouble] = {
    "500": failure(500, "Internal Server Error"),
    "400 of a proxy": answer(400, b"<html>Bad Request</html>"),
    "403 of a proxy": answer(403, b"<html>Forbidden</html>"),
    "400": failure(400, "Bad Request: whatever"),
    "403": failure(403, "Forbidden: whatever"),
    "another bot polls": failure(409, "Conflict: terminated by other getUpdates request"),
    "no json": answer(200, b"<html>"),
    "no list": answer(200, b'{"ok": true, "result": {"a": 1}}'),
    "no object": answer(200, b"[1]"),
    "silence": hang(0.8),
    "hang up": hang_up,
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_is_waited_out(machine: Machine, host: TelegramHost, trouble: str) -> None:
    service = machine.start()
    assert service.catch_up()
    host.plan("getUpdates", TROUBLES[trouble], TROUBLES[trouble])
    host.says("/pause")
    if trouble == "silence":
        service.poller._poll(0.0)
        service.poller._poll(0.0)
    else:
        first, second = service.poller.poll(), service.poller.poll()
        assert 1.0 <= first < second
    assert not service.health()[0].good
    service.poller.poll()
    assert machine.bot.orders == ["pause"]
    assert service.health()[0].good


def test_the_wait_that_telegram_asks_for_is_kept(machine: Machine, host: TelegramHost) -> None:
    host.plan("getUpdates", failure(429, "Too Many Requests", retry_after=17))
    assert machine.start().poller.poll() == 17.0


def test_a_refused_token_is_said_without_the_token(host: TelegramHost, machine: Machine) -> None:
    host.plan("getMe", failure(401, "Unauthorized"))
    service = machine.start()
    assert service.poller.poll() >= 60
    assert "@BotFather" in service.health()[0].detail


# Threads.


def test_a_question_is_answered_within_moments_and_messages_flow(machine: Machine, host: TelegramHost) -> None:
    service = machine.start(clock=RealClock())
    assert service.catch_up()
    service.start()
    host.says("/status")
    assert host.wait_for(lambda: any("BTCUSD: running" in text for text in host.texts()))
    machine.journal.outbox.enqueue(Message("k", "trade", "opened", int(time.time())))
    service.wake()
    assert host.wait_for(lambda: any("opened" in text for text in host.texts()))
    service.check()
    assert [item.good for item in service.health()] == [True, True]


def test_the_end_is_prompt_even_in_the_middle_of_a_long_poll(machine: Machine, host: TelegramHost) -> None:
    service = machine.start(clock=RealClock())
    service.start()
    assert host.wait_for(lambda: any(method == "getUpdates" for method, _ in host.calls) or not host.changed.wait(0.05))
    time.sleep(0.2)
    began = time.monotonic()
    assert service.stop()
    assert time.monotonic() - began < POLL_WAIT / 5, "not at the end of the poll"
    assert not any(thread.name.startswith("telegram") for thread in threading.enumerate())
    service.check()


def test_what_is_not_sent_at_the_end_waits_for_the_next_start(machine: Machine, host: TelegramHost) -> None:
    host.offline = hang(2.0)
    service = machine.start(clock=RealClock())
    machine.journal.outbox.enqueue(Message("k", "trade", "opened", int(time.time())))
    service.start()
    time.sleep(0.1)
    assert service.stop()
    host.offline = None
    later = machine.start()
    machine.clock.time = time.time() + 3600
    later.delivery.step(machine.clock.now())
    assert len(host.sent) == 1


def test_a_defect_in_a_thread_reaches_the_bot(machine: Machine, host: TelegramHost) -> None:
    machine.bot.closed = [None]  # type: ignore[list-item]
    service = machine.start(clock=RealClock())
    host.says("/trades")
    service.start()
    deadline = time.monotonic() + 5
    with pytest.raises(AttributeError):
        while time.monotonic() < deadline:
            service.check()
            time.sleep(0.01)
    assert service.stop()
    again = machine.start()
    assert again.catch_up(), "the command that ended the bot does not end it again"


@pytest.mark.skipif(os.name != "posix", reason="SIGALRM is POSIX")
def test_processes_killed_at_random_moments_answer_every_command_once(machine: Machine, host: TelegramHost) -> None:
    program = [sys.executable, str(ROOT / "tests" / "hosts" / "telegram_process.py")]
    program += [str(host.server.server_port), str(machine.folder)]
    ids, moments = [host.says("/pause") for _ in range(240)], Random(5)
    for _ in range(3):
        # At most 3 x (40 + 20) of the 240: something is always left for the last start.
        counted = [str(moments.randint(1, 40)), f"{moments.uniform(1e-6, 0.01):.6f}"]
        killed = subprocess.run([*program, *counted], timeout=120, check=False)
        assert killed.returncode == -signal.SIGALRM
    orders = machine.folder / "orders.txt"
    assert machine.start().catch_up()
    queued = [message.key for message in machine.journal.outbox.due(2**40, 500)]
    assert sorted(key.partition("|")[0] for key in queued) == sorted(f"reply:{number}" for number in ids)
    done = len(orders.read_text().split()) + len(machine.bot.orders)
    assert machine.bot.orders, "the kills came in the middle"
    assert 240 <= done <= 243, "a stop is repeated only when the process died over it"
