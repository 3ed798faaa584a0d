"""Telegram keeps the contract of every channel; what is its own stands in `tests.alerts.telegram`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from alerts.channels.telegram import ChatsAccess
from alerts.port import Access, Channel
from alerts.telegram.api import TelegramApi
from alerts.telegram.channel import TelegramChannel
from alerts.telegram.chats import ChatBook
from alerts.words import plain_text
from tests.contracts.channel import ChannelContract, Receiver
from tests.hosts.telegram_host import OWNER, TOKEN, TelegramHost, Trouble, failure, telegram_host


class TelegramReceiver(Receiver):
    name = "telegram"
    secrets = (TOKEN, TOKEN.partition(":")[2])

    def __init__(self, host: TelegramHost) -> None:
        self.host = host
        url = host.access().base_url
        self.environment = {"TELEGRAM_BOT_TOKEN": TOKEN, "TELEGRAM_CHAT_IDS": str(OWNER), "TELEGRAM_API_URL": url}

    def access(self) -> Access:
        return ChatsAccess(self.host.access())

    def channel(self) -> Channel:
        access = self.host.access()
        return TelegramChannel(TelegramApi(access, timeout=0.6), ChatBook(access.destinations))

    def plan(self, *troubles: Trouble) -> None:
        self.host.plan("sendMessage", *troubles)

    def always(self, trouble: Trouble | None) -> None:
        self.host.offline = trouble

    def taken(self) -> list[str]:
        words = [plain_text(sent.text).partition("\n№")[0] for sent in self.host.sent]
        return [text.removeprefix("Trade\n").removeprefix("Risk\n") for text in words]

    def marks(self) -> list[str]:
        return [sent.text.partition("№ ")[2].partition("<")[0].partition(",")[0] for sent in self.host.sent]

    def slow_down(self, seconds: int) -> Trouble:
        return failure(429, f"Too Many Requests: retry after {seconds}", retry_after=seconds)

    def refuse_access(self) -> Trouble:
        return failure(401, "Unauthorized")


@pytest.fixture
def receiver() -> Iterator[TelegramReceiver]:
    with telegram_host() as host:
        yield TelegramReceiver(host)


class TestTelegram(ChannelContract):
    pass
