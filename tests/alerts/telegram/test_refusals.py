"""What Telegram refuses: the chat's refusals are waited out and lose nothing, only a malformed message is given up."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from alerts.delivery import CLOSED_WAIT
from alerts.message import Message
from alerts.telegram.access import TelegramAccess
from alerts.telegram.chats import ChatBook
from alerts.telegram.destination import Destination
from alerts.telegram.texts import TEXT_LENGTH, pieces
from alerts.words import plain_text
from novosky.database.place import sqlite_url
from novosky.errors import SettingsError
from tests.alerts.telegram.test_delivery import Post
from tests.alerts.telegram.test_service import Machine
from tests.hosts.telegram_host import (
    OWNER,
    PARTNER,
    TOKEN,
    TelegramHost,
    Trouble,
    answer,
    failure,
    hang_up,
    telegram_host,
    write,
)
from trading.journal import Journal

NEW = -1001234567890
NEWER = -1009999999999


@pytest.fixture
def host() -> Iterator[TelegramHost]:
    with telegram_host() as host:
        yield host


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(sqlite_url(tmp_path / "bot.db"), symbol="BTCUSD", durable=False, channels=("telegram",))
    yield journal
    journal.close()


@pytest.fixture
def post(host: TelegramHost, journal: Journal) -> Iterator[Post]:
    post = Post(host, journal, OWNER)
    yield post
    post.api.close()


def refusing(host: TelegramHost, trouble: Trouble, chat: int, word: str = "") -> None:
    """Make a host refuse every message to a chat, or those with a word in them, until `host.offline` is unset."""

    def refuse(handler: object, call: dict[str, object]) -> bool:
        words = str(call.get("text", call.get("caption", "")))
        if "chat_id" in call and int(str(call["chat_id"])) == chat and word in words:
            return trouble(handler, call)  # type: ignore[arg-type]
        result = json.dumps({"ok": True, "result": host.take("sendMessage", call)}).encode()
        write(handler, 200, result, {})  # type: ignore[arg-type]
        return False

    host.offline = refuse  # type: ignore[assignment]


def days_pass(post: Post, seconds: float) -> None:
    """As `Post.run`, in steps of five minutes where nothing is due: a day in no time."""
    until = post.clock.now() + seconds
    while post.clock.now() < until:
        wait = post.delivery.step(post.clock.now())
        post.clock.time = min(until, post.clock.now() + min(max(wait, 0.001), 300.0))


OF_THE_CHAT = {
    "closed topic": failure(400, "Bad Request: TOPIC_CLOSED"),
    "deleted topic": failure(400, "Bad Request: TOPIC_DELETED"),
    "thread gone": failure(400, "Bad Request: message thread not found"),
    "restricted": failure(400, "Bad Request: CHAT_RESTRICTED"),
    "write forbidden": failure(400, "Bad Request: CHAT_WRITE_FORBIDDEN"),
    "plain text forbidden": failure(400, "Bad Request: CHAT_SEND_PLAIN_FORBIDDEN"),
    "no rights": failure(400, "Bad Request: not enough rights to send text messages to the chat"),
    "no rights, otherwise": failure(400, "Bad Request: have no rights to send a message"),
    "channel": failure(400, "Bad Request: need administrator rights in the channel chat"),
    "not found": failure(400, "Bad Request: chat not found"),
    "supergroup without its id": failure(400, "Bad Request: group chat was upgraded to a supergroup chat"),
    "deactivated": failure(400, "Bad Request: group chat was deactivated"),
    "peer": failure(400, "Bad Request: PEER_ID_INVALID"),
    "slow mode": failure(400, "Bad Request: SLOWMODE_WAIT_30"),
    "in words nobody knows": failure(400, "Bad Request: something new of next year"),
    "kicked": failure(403, "Forbidden: bot was kicked from the supergroup chat"),
    "blocked": failure(403, "Forbidden: bot was blocked by the user"),
    "left": failure(403, "Forbidden: bot is not a member of the channel chat"),
    "never spoken": failure(403, "Forbidden: bot can't initiate conversation with a user"),
}


@pytest.mark.parametrize("refusal", OF_THE_CHAT)
def test_what_the_chat_refuses_is_kept_and_arrives_in_order_once_it_may(
    host: TelegramHost, journal: Journal, refusal: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    post = Post(host, journal, OWNER, PARTNER)
    refusing(host, OF_THE_CHAT[refusal], PARTNER)
    for text in ("opened", "closed"):
        post.tell(text)
    days_pass(post, 10 * 3600)
    assert post.words(OWNER) == ["opened", "closed"], "the others are told meanwhile"
    assert post.words(PARTNER) == []
    assert "chat 2 of TELEGRAM_CHAT_IDS" in post.delivery.problem, "also while others are told"
    tries = [call for method, call in host.calls if int(call["chat_id"]) == PARTNER]
    assert 8 <= len(tries) < 80, "slowly"
    said = [record for record in caplog.records if "not delivered" in record.getMessage()]
    assert len(said) == 1, "said once, not at every try"
    host.offline = None
    days_pass(post, 2 * CLOSED_WAIT)
    assert post.words(PARTNER) == ["opened", "closed"]
    assert post.words(OWNER) == ["opened", "closed"]
    assert post.delivery.problem == ""
    post.api.close()


def test_a_message_refused_in_unknown_words_does_not_keep_the_later_ones(post: Post, host: TelegramHost) -> None:
    refusing(host, failure(400, "Bad Request: unknown trouble"), OWNER, "poison")
    for text in ("poison", "opened", "closed"):
        post.tell(text)
    post.run(300)
    assert post.words() == ["opened", "closed"]
    days_pass(post, 24 * 3600)
    host.offline = None
    days_pass(post, 2 * CLOSED_WAIT)
    assert post.words() == ["opened", "closed", "poison"], "and is not lost either"


@pytest.mark.parametrize(
    "reason",
    [
        "Bad Request: can't parse entities: Can't find end of the entity starting at byte offset 7",
        "Bad Request: message text is empty",
        "Bad Request: text must be non-empty",
        "Bad Request: message is too long",
        "Bad Request: MESSAGE_TOO_LONG",
        "Bad Request: ENTITIES_TOO_LONG",
        "Bad Request: ENTITY_BOUNDS_INVALID",
        "Bad Request: MESSAGE_EMPTY",
        "Bad Request: strings must be encoded in UTF-8",
    ],
)
def test_a_malformed_message_is_given_up_after_its_plain_words(
    post: Post, host: TelegramHost, caplog: pytest.LogCaptureFixture, reason: str
) -> None:
    refusing(host, failure(400, reason), OWNER, "poison")
    post.tell("poison")
    post.tell("opened")
    post.run(60)
    assert post.words() == ["opened"]
    assert "given up" in caplog.text
    assert any("parse_mode" not in call for _, call in host.calls if "poison" in call.get("text", ""))
    assert list(post.journal.outbox.due(2**40, 10)) == []


def test_what_telegram_counts_as_too_long_is_divided(post: Post, host: TelegramHost) -> None:
    words = " ".join(str(number) for number in range(700))

    def limited(handler: object, call: dict[str, object]) -> bool:
        if len(str(call.get("text", ""))) > 1000:
            return failure(400, "Bad Request: message is too long")(handler, call)  # type: ignore[arg-type]
        answer(200, b'{"ok": true, "result": {}}')(handler, call)  # type: ignore[arg-type]
        return True

    host.offline = limited  # type: ignore[assignment]
    post.tell(words)
    post.run(60)
    assert "".join(post.words()).partition("\n№")[0].replace(" ", "") == words.replace(" ", "")
    assert len(host.sent) > 2


def test_a_long_message_arrives_whole_in_several(post: Post, host: TelegramHost) -> None:
    lines = [f"line {number} & more <of it>" for number in range(600)]
    post.tell("\n".join(lines))
    post.run(60)
    together = "".join(plain_text(text) for text in host.texts()).removeprefix("Trade\n")
    assert together.partition("\n№")[0].split("\n") == lines
    assert all(len(plain_text(text)) <= TEXT_LENGTH for text in host.texts())


def test_a_long_message_that_is_broken_off_goes_on_where_it_was(post: Post, host: TelegramHost) -> None:
    post.tell("x" * 3 * TEXT_LENGTH)
    go_on = answer(200, b'{"ok": true, "result": {}}')

    def taken(handler: object, call: dict[str, object]) -> bool:
        go_on(handler, call)  # type: ignore[arg-type]
        return True

    host.plan("sendMessage", taken, hang_up)  # type: ignore[arg-type]
    post.run(60)
    assert sum(text.count("x") for text in host.texts()) == 3 * TEXT_LENGTH


def test_pieces_lose_no_word_and_keep_to_the_length() -> None:
    faces = "\U0001f600" * 5000
    parts = pieces(f"<b>title</b> &amp; {faces}", TEXT_LENGTH)
    assert "".join(plain_text(part) for part in parts) == f"title & {faces}"
    assert all(len(plain_text(part).encode("utf-16-le")) // 2 <= TEXT_LENGTH for part in parts)
    assert pieces("<b>short</b>", TEXT_LENGTH) == ["<b>short</b>"]
    assert plain_text(pieces("y" * 10**6, TEXT_LENGTH)[-1]).endswith("(cut)")


@pytest.mark.parametrize(
    "refusal",
    [
        failure(400, "Bad Request: not enough rights to send photos to the chat"),
        failure(400, "Bad Request: CHAT_SEND_PHOTOS_FORBIDDEN"),
        failure(400, "Bad Request: PHOTO_INVALID_DIMENSIONS"),
        failure(413, "Request Entity Too Large"),
        answer(413, b"<html>413 Request Entity Too Large</html>"),
    ],
)
def test_words_arrive_where_their_picture_may_not(
    post: Post, host: TelegramHost, tmp_path: Path, refusal: Trouble
) -> None:
    picture = tmp_path / "equity.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n and so on")
    host.plan("sendPhoto", refusal)
    post.tell("Daily report", kind="report", attachment=str(picture))
    post.run(5)
    (sent,) = host.sent
    assert sent.file is None
    assert sent.text.startswith("Daily report")
    assert "equity.png is not shown" in sent.text


# A group that becomes a supergroup.


def moved(chat: int) -> Trouble:
    return failure(400, "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=chat)


def test_messages_follow_a_group_to_its_new_id(host: TelegramHost, journal: Journal) -> None:
    post = Post(host, journal, PARTNER)
    refusing(host, moved(NEW), PARTNER)
    for text in ("hard halt", "closed"):
        post.tell(text)
    post.run(5)
    assert post.words(NEW) == ["hard halt", "closed"]
    assert len([call for _, call in host.calls if int(call["chat_id"]) == PARTNER]) == 1, "asked once"


def test_a_group_may_move_twice(host: TelegramHost, journal: Journal) -> None:
    post = Post(host, journal, PARTNER)
    host.plan("sendMessage", moved(NEW), moved(NEWER))
    post.tell("hard halt")
    post.run(5)
    assert post.words(NEWER) == ["hard halt"]


@pytest.mark.parametrize("to", [PARTNER, 0, -1])
def test_a_move_that_leads_nowhere_loses_nothing(host: TelegramHost, journal: Journal, to: int) -> None:
    post = Post(host, journal, PARTNER)
    host.plan("sendMessage", *[moved(to)] * 4)
    post.tell("hard halt")
    days_pass(post, 7200)
    assert [text for sent in host.sent for text in [sent.text] if "hard halt" in text]


def test_a_host_that_moves_a_chat_for_ever_is_asked_slowly(host: TelegramHost, journal: Journal) -> None:
    post = Post(host, journal, PARTNER)
    ids = iter(range(-1, -10_000, -1))

    def always(handler: object, call: dict[str, object]) -> bool:
        return moved(next(ids))(handler, call)  # type: ignore[arg-type]

    host.offline = always  # type: ignore[assignment]
    post.tell("hard halt")
    days_pass(post, 24 * 3600)
    assert len(host.calls) < 300
    assert len(journal.outbox.due(2**40, 10)) == 1


@pytest.mark.parametrize("told", ["by a refusal", "by the old group", "by the new group"])
def test_the_new_id_commands_and_is_told_also_after_a_restart(host: TelegramHost, tmp_path: Path, told: str) -> None:
    machine = Machine(host, tmp_path)
    service = machine.start(PARTNER)
    chat = {"type": "group", "title": "g"}
    message: dict[str, object] = {"message_id": 5, "date": 1_700_000_000}
    if told == "by a refusal":
        host.plan("sendMessage", moved(NEW))
        machine.journal.outbox.enqueue(Message("k", "risk", "hard halt", int(machine.clock.now())))
        service.delivery.step(machine.clock.now())
    elif told == "by the old group":
        host.says("", PARTNER, message=message | {"chat": chat | {"id": PARTNER}, "migrate_to_chat_id": NEW})
    else:
        host.says("", NEW, message=message | {"chat": chat | {"id": NEW}, "migrate_from_chat_id": PARTNER})
    service.poller._poll(0.0)
    service.stop()
    service = machine.start(PARTNER)
    host.says("/freeze", NEW)
    service.poller._poll(0.0)
    assert machine.bot.orders == ["freeze"]
    for second in range(9):
        service.delivery.step(machine.clock.now() + second)
    assert any("freeze done" in text for text in host.texts(NEW))
    assert host.texts(PARTNER) == []
    assert all(item.good for item in service.health())
    service.stop()
    machine.journal.close()


def test_no_stranger_becomes_a_commander_by_a_move(host: TelegramHost, tmp_path: Path) -> None:
    machine = Machine(host, tmp_path)
    service = machine.start(PARTNER)
    chat = {"type": "supergroup", "title": "g"}
    for name, there, here in (("migrate_to_chat_id", 77, NEW), ("migrate_from_chat_id", 77, NEW)):
        message = {"message_id": 5, "date": 1, "chat": chat | {"id": here}, name: there}
        host.says("", here, message=message)
    host.says("/freeze", NEW)
    host.says("/freeze", 77)
    service.poller._poll(0.0)
    assert machine.bot.orders == []
    service.stop()
    machine.journal.close()


def test_queued_messages_reach_a_moved_chat_that_is_configured_anew(journal: Journal, tmp_path: Path) -> None:
    path = tmp_path / "chats.json"
    before = ChatBook([Destination(PARTNER)], path)
    (label,) = before.labels()
    assert before.moved(PARTNER, NEW)
    assert not before.moved(PARTNER, NEW), "no news"
    after = ChatBook([Destination(NEW)], path)
    assert after.find(label) == Destination(NEW)
    assert PARTNER in after and NEW in after and OWNER not in after
    path.write_text("{half")
    assert ChatBook([Destination(NEW)], path).find(label) is None


# Topics of a forum.


def test_topics_are_named_with_their_chat() -> None:
    environment = {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_CHAT_IDS": f"{OWNER}, {NEW}/45; {NEW}/7"}
    access = TelegramAccess.from_environment(environment)
    assert access is not None
    assert access.chats == (OWNER, NEW)
    assert access.destinations == (Destination(OWNER), Destination(NEW, 45), Destination(NEW, 7))


@pytest.mark.parametrize("text", ["1/", "/45", "1/x", "1/0", "1//2", "0", "1/-2", "1.5", "-", "١٢", "9" * 16])
def test_a_slip_in_a_topic_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="chat ids"):
        TelegramAccess.from_environment({"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_CHAT_IDS": text})


def test_messages_go_to_the_topic_that_is_named(host: TelegramHost, journal: Journal) -> None:
    access = TelegramAccess(host.access().token, (NEW, OWNER), host.access().base_url, (Destination(NEW, 45),))
    post = Post(host, journal, NEW)
    post.deliver_to(access)
    post.tell("opened")
    post.run(10)
    assert [(int(call["chat_id"]), call.get("message_thread_id")) for _, call in host.calls] == [
        (NEW, "45"),
        (OWNER, None),
    ]


def test_a_reply_goes_to_the_topic_it_came_from(host: TelegramHost, tmp_path: Path) -> None:
    machine = Machine(host, tmp_path)
    service = machine.start(NEW)
    about: dict[str, object] = {"date": 1, "chat": {"id": NEW, "type": "supergroup"}, "text": "/status"}
    topic = {"message_id": 1, "message_thread_id": 45, "is_topic_message": True} | about
    thread = {"message_id": 2, "message_thread_id": 99} | about
    for message in (topic, thread):
        host.says("", NEW, message=message)
    service.poller._poll(0.0)
    for second in range(9):
        service.delivery.step(machine.clock.now() + second)
    sent = [call.get("message_thread_id") for method, call in host.calls if method == "sendMessage"]
    assert sent == ["45", None], "a thread of replies is no topic"
    service.stop()
    machine.journal.close()


def test_more_waiting_for_a_closed_chat_than_is_looked_at_hides_nobody_elses(
    host: TelegramHost, journal: Journal
) -> None:
    post = Post(host, journal, OWNER, PARTNER)
    host.blocked = {PARTNER}
    label = post.delivery._channel.labels()[1]
    for number in range(700):
        post.tell(f"m{number}", key=f"k{number}|to:{label}")
    post.run(5)
    post.tell("opened")
    post.run(5)
    assert post.words(OWNER) == ["opened"]
    post.api.close()
