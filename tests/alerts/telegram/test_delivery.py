"""What the bot tells arrives: once where that can be known, at least once everywhere, in order, not too fast."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from alerts.delivery import Delivery
from alerts.message import Message
from alerts.telegram.access import TelegramAccess
from alerts.telegram.api import TelegramApi
from alerts.telegram.channel import TelegramChannel
from alerts.telegram.chats import ChatBook
from alerts.telegram.texts import TEXT_LENGTH, fitted
from alerts.words import plain_text
from novosky.database.place import sqlite_url
from novosky.errors import SettingsError
from tests.hosts.telegram_host import (
    OWNER,
    PARTNER,
    TOKEN,
    FakeClock,
    TelegramHost,
    Trouble,
    answer,
    failure,
    hang,
    hang_up,
    take_and_hang_up,
    telegram_host,
)
from trading.journal import Journal


@pytest.fixture
def host() -> Iterator[TelegramHost]:
    with telegram_host() as host:
        yield host


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(sqlite_url(tmp_path / "bot.db"), symbol="BTCUSD", durable=False, channels=("telegram",))
    yield journal
    journal.close()


class Post:
    """A delivery with its clock; `reopen` is a process that starts again."""

    def __init__(self, host: TelegramHost, journal: Journal, *chats: int) -> None:
        self.host, self.journal, self.chats, self.clock = host, journal, chats, FakeClock()
        self.reopen()

    def reopen(self) -> None:
        access = self.host.access(*self.chats)
        self.api = TelegramApi(access, timeout=2.0)
        self.deliver_to(access)

    def deliver_to(self, access: TelegramAccess) -> None:
        channel = TelegramChannel(self.api, ChatBook(access.destinations))
        self.delivery = Delivery(self.journal.outbox, channel, Random(1))

    def tell(self, text: str, key: str | None = None, kind: str = "trade", attachment: str | None = None) -> None:
        self.journal.outbox.enqueue(Message(key or text, kind, text, math.floor(self.clock.now()), attachment))

    def run(self, seconds: float) -> None:
        """Step as the service does, with the clock jumping from one step to the next."""
        until = self.clock.now() + seconds
        while self.clock.now() < until:
            wait = self.delivery.step(self.clock.now())
            self.clock.time = min(until, self.clock.now() + min(max(wait, 0.001), 2.0))

    def words(self, chat: int = OWNER) -> list[str]:
        """What a chat was told, without title and number."""
        return [plain_text(text).removeprefix("Trade\n").partition("\n№")[0] for text in self.host.texts(chat)]


@pytest.fixture
def post(host: TelegramHost, journal: Journal) -> Iterator[Post]:
    post = Post(host, journal, OWNER)
    yield post
    post.api.close()


def test_a_message_arrives_once_with_its_number(post: Post, host: TelegramHost) -> None:
    post.tell("closed buy 0.01 at 50,000.00 (tp), result +3.00 USD & more <b>")
    post.run(60)
    (sent,) = host.sent
    assert sent.html
    assert sent.text.startswith("<b>Trade</b>\nclosed buy 0.01")
    assert "&amp; more &lt;b&gt;" in sent.text
    assert "<i>№ 2</i>" in sent.text


def test_every_chat_is_told(host: TelegramHost, journal: Journal) -> None:
    post = Post(host, journal, OWNER, PARTNER)
    post.tell("one")
    post.tell("two")
    post.run(10)
    assert post.words(OWNER) == post.words(PARTNER) == ["one", "two"]


def test_a_key_is_told_once_also_after_it_was_sent(post: Post) -> None:
    for _ in range(3):
        post.tell("limit reached", key="day:19675")
        post.run(5)
    assert post.words() == ["limit reached"]


def test_one_message_a_second_and_twenty_a_minute(post: Post, host: TelegramHost) -> None:
    moments: list[float] = []
    take = host.take

    def note(method: str, call: dict[str, object]) -> object:
        moments.append(post.clock.now())
        return take(method, call)

    host.take = note  # type: ignore[method-assign]
    for number in range(50):
        post.tell(f"message {number}")
    post.run(300)
    assert post.words() == [f"message {number}" for number in range(50)]
    gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert min(gaps) >= 0.999
    assert all(later - earlier >= 59.999 for earlier, later in zip(moments, moments[20:], strict=False))
    assert moments[-1] - moments[0] < 130, "no slower than need be"


def test_two_chats_do_not_slow_each_other(host: TelegramHost, journal: Journal) -> None:
    post = Post(host, journal, OWNER, PARTNER)
    for number in range(10):
        post.tell(f"message {number}")
    post.run(10.5)
    assert len(post.words(OWNER)) == len(post.words(PARTNER)) == 10


TROUBLES: dict[str, Trouble] = {
    "500": failure(500, "Internal Server Error"),
    "400 of a proxy": answer(400, b"<html>Bad Request</html>"),
    "403 of a proxy": answer(403, b"<html>Forbidden</html>"),
    "502 of a proxy": answer(502, b"<html>Bad Gateway</html>"),
    "no json": answer(200, b"<html>login to the hotel network</html>"),
    "429 without words": answer(429, b"slow down"),
    "silence": hang(0.8),
    "hang up": hang_up,
    "not ok": failure(409, "Conflict"),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_fails_is_sent_again_in_the_old_order(post: Post, host: TelegramHost, trouble: str) -> None:
    host.plan("sendMessage", TROUBLES[trouble], TROUBLES[trouble])
    for text in ("opened", "closed"):
        post.tell(text)
    post.run(60)
    assert post.words() == ["opened", "closed"]
    assert "sent again" in host.sent[0].text
    assert "sent again" not in host.sent[1].text
    assert post.delivery.problem == ""


def test_an_outage_costs_few_requests_and_loses_nothing(post: Post, host: TelegramHost) -> None:
    host.offline = hang_up
    for number in range(5):
        post.tell(f"message {number}")
    post.run(6 * 3600)
    assert len(host.calls) < 40
    assert post.delivery.problem
    host.offline = None
    post.run(1200)
    assert post.words() == [f"message {number}" for number in range(5)]


def test_the_wait_that_telegram_asks_for_is_kept(post: Post, host: TelegramHost) -> None:
    host.plan("sendMessage", failure(429, "Too Many Requests: retry after 35", retry_after=35))
    post.tell("opened")
    post.tell("closed")
    post.run(34)
    assert len(host.calls) == 1
    post.run(5)
    assert post.words() == ["opened", "closed"]


def test_a_lost_answer_leads_to_a_second_copy_that_says_so(post: Post, host: TelegramHost) -> None:
    host.plan("sendMessage", take_and_hang_up)
    post.tell("opened")
    post.run(30)
    assert post.words() == ["opened", "opened"]
    first, second = (text.partition("№ ")[2].partition("<")[0] for text in host.texts())
    assert second == f"{first}, sent again", "the number is the same"


def test_a_process_that_dies_before_marking_sends_the_same_number_again(
    post: Post, host: TelegramHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    class DeadError(BaseException):
        pass

    def die(*_: object) -> None:
        raise DeadError

    host.plan("sendMessage", hang_up)
    post.tell("opened")
    post.run(1)
    post.clock.time += 10
    with monkeypatch.context() as dying, pytest.raises(DeadError):
        dying.setattr(type(post.journal.outbox), "mark_sent", die)
        post.delivery.step(post.clock.now())
    assert len(host.sent) == 1
    post.api.close()
    post.reopen()
    post.run(60)
    assert len(host.sent) == 2, "never lost"
    assert host.sent[0].text == host.sent[1].text, "a person sees that it is the same"


def test_a_chat_that_blocks_the_bot_does_not_hold_up_the_others_and_gets_all_later(
    host: TelegramHost, journal: Journal
) -> None:
    post = Post(host, journal, OWNER, PARTNER)
    host.blocked = {PARTNER}
    for text in ("opened", "closed"):
        post.tell(text)
    post.run(60)
    assert post.words(OWNER) == ["opened", "closed"]
    assert post.words(PARTNER) == []
    host.blocked = set()
    post.run(2 * 3600)
    assert post.words(PARTNER) == ["opened", "closed"]
    assert post.words(OWNER) == ["opened", "closed"]


def test_marks_that_telegram_refuses_are_left_out_and_the_words_arrive(post: Post, host: TelegramHost) -> None:
    host.plan("sendMessage", failure(400, "Bad Request: can't parse entities"))
    post.tell("<b>half a mark", kind="report")
    post.run(5)
    (sent,) = host.sent
    assert not sent.html
    assert sent.text.startswith("half a mark")


def test_a_message_telegram_never_takes_is_given_up_with_its_reason(
    post: Post, host: TelegramHost, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = failure(400, "Bad Request: message text is empty")
    host.plan("sendMessage", refusal, refusal)
    post.tell("poison")
    post.tell("opened")
    post.run(10)
    assert post.words() == ["opened"]
    assert "message text is empty" in caplog.text.lower()


def test_a_message_for_a_chat_that_was_removed_is_given_up(host: TelegramHost, journal: Journal) -> None:
    both = Post(host, journal, OWNER, PARTNER)
    host.offline = hang_up
    both.tell("opened")
    both.run(1)
    host.offline = None
    left = Post(host, journal, OWNER)
    left.clock.time = both.clock.now() + 3600
    left.run(30)
    assert left.words(OWNER) == ["opened"]
    assert left.words(PARTNER) == []
    assert list(journal.outbox.due(2**40, 10)) == []


def test_a_picture_is_sent_with_its_words(post: Post, host: TelegramHost, tmp_path: Path) -> None:
    picture = tmp_path / "equity.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n and so on")
    post.tell("Daily report", kind="report", attachment=str(picture))
    post.run(5)
    (sent,) = host.sent
    assert sent.file == picture.read_bytes()
    assert sent.text.startswith("Daily report")


def test_a_picture_that_is_gone_does_not_take_its_words_along(post: Post, host: TelegramHost, tmp_path: Path) -> None:
    post.tell("Daily report", kind="report", attachment=str(tmp_path / "none.png"))
    post.run(5)
    assert "Daily report" in host.sent[0].text
    assert "none.png is gone" in host.sent[0].text


def test_a_long_message_is_cut_to_what_telegram_takes() -> None:
    text = "<b>title</b> &amp; " + "x" * 5000
    cut = fitted(text, TEXT_LENGTH)
    assert len(plain_text(cut)) == TEXT_LENGTH
    assert plain_text(cut).endswith("(cut)")
    assert plain_text(cut).startswith("title & x")
    assert fitted("<b>short</b>", TEXT_LENGTH) == "<b>short</b>"
    faces = fitted("\U0001f600" * 4000, TEXT_LENGTH)
    assert len(faces.encode("utf-16-le")) // 2 <= TEXT_LENGTH, "counted as Telegram counts"


def test_the_token_and_the_chats_are_in_no_log(
    host: TelegramHost, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    post = Post(host, journal, OWNER, PARTNER)
    host.plan("sendMessage", *TROUBLES.values(), failure(401, "Unauthorized"), failure(403, "Forbidden"))
    post.tell("opened")
    post.run(7200)
    post.api.close()
    access = host.access(token="987654321:BBF-another_secret")
    channel = TelegramChannel(TelegramApi(access, timeout=0.5), ChatBook(access.destinations))
    broken = Delivery(journal.outbox, channel, Random(1))
    post.tell("closed")
    broken.step(post.clock.now() + 10_000)
    assert "valid one" in broken.problem
    assert len(caplog.records) > 10
    secret = TOKEN.partition(":")[2]
    assert secret not in caplog.text
    assert "BBF-another_secret" not in caplog.text
    ours = "".join(record.getMessage() for record in caplog.records if record.name.startswith(("alerts", "trading")))
    assert str(OWNER) not in ours
    assert str(PARTNER) not in ours


# Who may talk to the bot.


def test_the_environment_names_bot_and_chats() -> None:
    access = TelegramAccess.from_environment({"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_CHAT_IDS": " 1111, -2222 1111"})
    assert access is not None
    assert access.chats == (OWNER, PARTNER)
    assert access.base_url == "https://api.telegram.org"
    assert access.bot_id == "123456789"
    assert TOKEN not in repr(access)
    assert TelegramAccess.from_environment({}) is None


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"TELEGRAM_BOT_TOKEN": TOKEN}, "TELEGRAM_CHAT_IDS is not set"),
        ({"TELEGRAM_CHAT_IDS": "1"}, "TELEGRAM_BOT_TOKEN is not set"),
        ({"TELEGRAM_BOT_TOKEN": "hunter2", "TELEGRAM_CHAT_IDS": "1"}, "no bot token"),
        ({"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_CHAT_IDS": "@me"}, "chat ids"),
        ({"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_CHAT_IDS": "1", "TELEGRAM_API_URL": "ftp://x"}, "https://"),
    ],
)
def test_a_slip_in_the_environment_is_named_without_its_value(environment: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named) as caught:
        TelegramAccess.from_environment(environment)
    assert "hunter2" not in str(caught.value)
    assert TOKEN not in str(caught.value)
