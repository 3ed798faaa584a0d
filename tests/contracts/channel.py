"""What every alert channel must do: deliver at least once and in order, wait, and show no secret."""

from __future__ import annotations

import logging
import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random

import pytest

from alerts.delivery import CLOSED_WAIT, RECIPIENT, Delivery
from alerts.direct import tell_now
from alerts.failures import InterruptedCallError, UnreachableError
from alerts.family import channel_kind
from alerts.message import Message, QueuedMessage
from alerts.port import Access, Channel
from novosky.database.place import sqlite_url
from novosky.errors import SettingsError
from novosky.redaction import secret_values
from tests.hosts.telegram_host import FakeClock, Trouble, answer, hang, hang_up, take_and_hang_up
from trading.journal import Journal


class Receiver(ABC):
    """A local host of the channel under test."""

    name: str
    """The channel's."""
    secrets: tuple[str, ...]
    """What no log and no message may show."""
    environment: Mapping[str, str]
    """The variables that set the channel up, for this host."""

    @abstractmethod
    def access(self) -> Access:
        """Return the access to this host."""

    @abstractmethod
    def channel(self) -> Channel:
        """Return an open channel to one place of this host, whose calls end within a second."""

    @abstractmethod
    def plan(self, *troubles: Trouble) -> None:
        """Answer the next messages so."""

    @abstractmethod
    def always(self, trouble: Trouble | None) -> None:
        """Answer every message so, until None."""

    @abstractmethod
    def taken(self) -> list[str]:
        """Return the words of the messages taken, in order."""

    @abstractmethod
    def marks(self) -> list[str]:
        """Return what identifies each message taken: equal for copies of one message."""

    @abstractmethod
    def slow_down(self, seconds: int) -> Trouble:
        """Ask to wait."""

    @abstractmethod
    def refuse_access(self) -> Trouble:
        """Refuse the token or secret."""


class Bench:
    """A queue, its channel, and the reader between; `reopen` is a process that starts again."""

    def __init__(self, receiver: Receiver, folder: Path) -> None:
        self.receiver, self.clock = receiver, FakeClock()
        self.journal = Journal(sqlite_url(folder / "bot.db"), durable=False, channels=(receiver.name,))
        self.channel = receiver.channel()
        self.delivery = Delivery(self.journal.outbox.queue(receiver.name), self.channel, Random(1))

    def reopen(self) -> None:
        self.channel.close()
        self.channel = self.receiver.channel()
        self.delivery = Delivery(self.journal.outbox.queue(self.receiver.name), self.channel, Random(1))

    def tell(self, *texts: str, key: str = "", kind: str = "trade") -> None:
        now = math.floor(self.clock.now())
        self.journal.outbox.enqueue(*(Message(key or text, kind, text, now) for text in texts))

    def run(self, seconds: float) -> None:
        """Step as the service does, with the clock jumping from one step to the next."""
        until = self.clock.now() + seconds
        while self.clock.now() < until:
            wait = self.delivery.step(self.clock.now())
            self.clock.time = min(until, self.clock.now() + min(max(wait, 0.001), 60.0))

    def close(self) -> None:
        self.channel.close()
        self.journal.close()


class DeadError(BaseException):
    """The process is killed here."""


FAILURES: dict[str, Trouble] = {
    "500": answer(500, b"Internal Server Error"),
    "502 of a proxy": answer(502, b"<html>Bad Gateway</html>"),
    "hang up": hang_up,
    "silence": hang(1.5),
}


class ChannelContract:
    """A test class inherits it and gives the fixture `receiver`."""

    @pytest.fixture
    def bench(self, receiver: Receiver, tmp_path: Path) -> Iterator[Bench]:
        bench = Bench(receiver, tmp_path)
        yield bench
        bench.close()

    def test_messages_arrive_once_and_in_order(self, bench: Bench, receiver: Receiver) -> None:
        bench.tell("opened", "closed & more <b>")
        bench.run(60)
        assert receiver.taken() == ["opened", "closed & more <b>"]
        assert bench.delivery.problem == ""

    def test_a_key_is_told_once_also_after_it_was_sent(self, bench: Bench, receiver: Receiver) -> None:
        for _ in range(3):
            bench.tell("limit reached", key="day:19675")
            bench.run(5)
        assert receiver.taken() == ["limit reached"]

    def test_marks_of_a_report_do_not_arrive_as_words(self, bench: Bench, receiver: Receiver) -> None:
        bench.tell("<b>Daily report</b> &amp; more", kind="report")
        bench.run(5)
        assert receiver.taken() == ["Daily report & more"]

    @pytest.mark.parametrize("trouble", FAILURES)
    def test_what_fails_is_sent_again_in_the_old_order(self, bench: Bench, receiver: Receiver, trouble: str) -> None:
        receiver.plan(FAILURES[trouble], FAILURES[trouble])
        bench.tell("opened", "closed")
        bench.run(120)
        assert receiver.taken() == ["opened", "closed"]
        assert bench.delivery.problem == ""

    def test_an_outage_costs_few_requests_and_loses_nothing(self, bench: Bench, receiver: Receiver) -> None:
        asked: list[int] = []

        def count(handler: object, call: object) -> bool:
            asked.append(1)
            return hang_up(handler, call)  # type: ignore[arg-type]

        receiver.always(count)
        bench.tell("one", "two", "three")
        bench.run(6 * 3600)
        assert 3 < len(asked) < 60
        assert bench.delivery.problem
        receiver.always(None)
        bench.run(1800)
        assert receiver.taken() == ["one", "two", "three"]

    def test_the_wait_that_the_host_asks_for_is_kept(self, bench: Bench, receiver: Receiver) -> None:
        receiver.plan(receiver.slow_down(35))
        bench.tell("opened", "closed")
        bench.run(34)
        assert receiver.taken() == []
        bench.run(6)
        assert receiver.taken() == ["opened", "closed"]

    def test_a_refused_access_is_tried_again_slowly_and_loses_nothing(self, bench: Bench, receiver: Receiver) -> None:
        receiver.plan(receiver.refuse_access())
        bench.tell("opened", "closed")
        bench.run(CLOSED_WAIT - 1)
        assert receiver.taken() == []
        bench.run(CLOSED_WAIT)
        assert receiver.taken() == ["opened", "closed"]

    def test_a_lost_answer_leads_to_a_second_copy_that_can_be_known(self, bench: Bench, receiver: Receiver) -> None:
        receiver.plan(take_and_hang_up)
        bench.tell("opened")
        bench.run(30)
        assert receiver.taken() == ["opened", "opened"]
        assert len(set(receiver.marks())) == 1

    def test_a_process_that_dies_before_marking_sends_it_again(
        self, bench: Bench, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def die(outbox: object, message_id: int, now: int) -> None:
            if message_id > 1:  # The first is the one for everybody, marked when it was copied.
                raise DeadError

        bench.tell("opened")
        bench.delivery._messages(math.floor(bench.clock.now()), bench.clock.now())
        with monkeypatch.context() as dying, pytest.raises(DeadError):
            dying.setattr(type(bench.journal.outbox), "mark_sent", die)
            bench.delivery.step(bench.clock.now())
        assert receiver.taken() == ["opened"]
        bench.reopen()
        bench.run(60)
        assert receiver.taken() == ["opened", "opened"], "never lost"
        assert len(set(receiver.marks())) == 1

    def test_a_message_for_a_place_that_is_gone_is_given_up(self, bench: Bench, receiver: Receiver) -> None:
        now = math.floor(bench.clock.now())
        bench.journal.outbox.enqueue(Message(f"old{RECIPIENT}nobody", "trade", "opened", now))
        bench.run(5)
        assert receiver.taken() == []
        assert list(bench.journal.outbox.due(2**40, 9)) == []

    def test_a_host_that_hangs_is_left_in_time(self, receiver: Receiver) -> None:
        receiver.always(hang(20.0))
        channel = receiver.channel()
        began = time.monotonic()
        with pytest.raises(UnreachableError):
            channel.deliver(queued("opened", receiver.name), channel.labels()[0], 0.0)
        assert time.monotonic() - began < 5.0
        channel.close()

    def test_a_host_that_answers_a_byte_at_a_time_is_left_in_time(self, receiver: Receiver) -> None:
        receiver.always(drip)
        channel = receiver.channel()
        began = time.monotonic()
        with pytest.raises(UnreachableError):
            channel.deliver(queued("opened", receiver.name), channel.labels()[0], 0.0)
        assert time.monotonic() - began < 8.0
        channel.close()

    def test_a_call_under_way_ends_at_once_when_the_bot_stops(self, receiver: Receiver) -> None:
        receiver.always(hang(20.0))
        channel = receiver.channel()
        timer = threading.Timer(0.2, channel.interrupt)
        timer.start()
        with pytest.raises(InterruptedCallError):
            channel.deliver(queued("opened", receiver.name), channel.labels()[0], 0.0)
        with pytest.raises(InterruptedCallError):
            channel.deliver(queued("opened", receiver.name), channel.labels()[0], 0.0)
        timer.join()
        channel.close()

    def test_no_log_and_no_reason_shows_a_secret(
        self, bench: Bench, receiver: Receiver, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        refusals = (answer(400, b"no"), answer(404, b"no"), answer(302, b"", {"Location": "https://x.example/"}))
        receiver.plan(*FAILURES.values(), receiver.refuse_access(), *refusals)
        bench.tell("opened")
        reasons = []
        for _ in range(40):
            bench.run(600)
            reasons.append(bench.delivery.problem)
        assert receiver.taken() == ["opened"]
        shown = caplog.text + "".join(reasons) + repr(receiver.access())
        assert len(caplog.records) > 8 and any(reasons)
        assert not [secret for secret in receiver.secrets if secret in shown]

    def test_a_message_without_a_queue_reaches_every_place(self, receiver: Receiver) -> None:
        (told,) = tell_now([receiver.access()], Message("k", "risk", "degraded", 5), 5.0, sleep=lambda _: None)
        assert (told.reached, told.problems) == (told.places, ())
        assert told.places >= 1
        assert receiver.taken() == ["degraded"] * told.places

    def test_a_message_without_a_queue_is_tried_as_often_as_asked(self, receiver: Receiver) -> None:
        slept: list[float] = []
        receiver.plan(answer(502, b""), receiver.slow_down(7))
        message = Message("k", "risk", "degraded", 5)
        (told,) = tell_now([receiver.access()], message, 5.0, attempts=3, sleep=slept.append)
        assert told.problems == ()
        assert slept == [2.0, 7.0]
        receiver.always(answer(502, b""))
        (told,) = tell_now([receiver.access()], message, 5.0, attempts=2, sleep=slept.append)
        assert told.reached == 0 and "does not answer" in told.problems[0]
        assert not [secret for secret in receiver.secrets if secret in told.problems[0]]

    # Set up by the environment.

    def test_the_environment_sets_it_up(self, receiver: Receiver) -> None:
        kind = channel_kind(receiver.name)
        assert kind.configured({}) is None
        access = kind.configured(receiver.environment)
        assert access is not None
        assert (access.name, access.title) == (receiver.name, kind.TITLE)
        assert not [secret for secret in receiver.secrets if secret in access.reach + repr(access)]

    def test_what_it_needs_and_reads_is_declared(self, receiver: Receiver) -> None:
        kind = channel_kind(receiver.name)
        declared = {variable.name for variable in kind.VARIABLES}
        assert kind.NEEDED and set(kind.NEEDED) <= declared
        assert all(variable.purpose for variable in kind.VARIABLES) and kind.PURPOSE

    def test_what_is_secret_is_taken_out_of_every_log(self, receiver: Receiver) -> None:
        for variable in channel_kind(receiver.name).VARIABLES:
            if variable.secret:
                assert secret_values({variable.name: "precious-value"}) == {"precious-value"}, variable.name

    def test_half_a_setup_is_refused_without_its_values(self, receiver: Receiver) -> None:
        kind = channel_kind(receiver.name)
        for left_out in kind.NEEDED:
            part = {name: value for name, value in receiver.environment.items() if name != left_out}
            with pytest.raises(SettingsError, match=left_out) as caught:
                kind.configured(part)
            assert not [secret for secret in receiver.secrets if secret in str(caught.value)]

    def test_the_probe_asks_the_host_and_sends_nobody_anything(self, receiver: Receiver) -> None:
        assert receiver.access().probe()
        assert receiver.taken() == []


def drip(handler: object, call: object) -> bool:
    """Answer one byte a fifth of a second: every single step is quick, the whole never ends."""
    handler.close_connection = True  # type: ignore[attr-defined]
    try:
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100:
            handler.wfile.write(bytes([byte]))  # type: ignore[attr-defined]
            handler.wfile.flush()  # type: ignore[attr-defined]
            time.sleep(0.2)
    except OSError:
        pass
    return False


def queued(text: str, channel: str) -> QueuedMessage:
    """Return a message as the queue gives it."""
    return QueuedMessage(7, text, channel, "trade", text, None, 5, 0, 5, None, None)
