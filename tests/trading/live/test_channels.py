"""A live bot tells every channel, and one that fails holds back neither another nor the bot."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from alerts.channels.telegram import ChatsAccess
from tests.helpers.live_runs import LiveDesk
from tests.helpers.paper_runs import Scenario, planted_bars
from tests.hosts.telegram_host import TelegramHost, hang, hang_up, telegram_host
from tests.hosts.webhook_host import WebhookHost, webhook_host
from trading.live.session import LiveSession


@pytest.fixture
def telegram() -> Iterator[TelegramHost]:
    with telegram_host() as host:
        yield host


@pytest.fixture
def webhook() -> Iterator[WebhookHost]:
    with webhook_host() as host:
        yield host


@pytest.fixture
def desk(tmp_path: Path) -> LiveDesk:
    return LiveDesk(Scenario(planted_bars(200)), tmp_path)


def told(desk: LiveDesk, channel: str) -> list[tuple[str, bool]]:
    """Return the occasions that were queued for everybody on a channel, in order, and whether each arrived."""
    query = "SELECT key, sent_at IS NOT NULL FROM outbox WHERE channel = ? AND key NOT LIKE '%|to:%' ORDER BY id"
    with closing(sqlite3.connect(desk.logs / "novosky.sqlite")) as connection:
        return [(key, bool(sent)) for key, sent in connection.execute(query, (channel,))]


def test_every_channel_is_told_the_same(desk: LiveDesk, telegram: TelegramHost, webhook: WebhookHost) -> None:
    desk.run(channels=(ChatsAccess(telegram.access()), webhook.access()))
    keys = [key for key, _ in told(desk, "telegram")]
    assert keys == [key for key, _ in told(desk, "webhook")]
    assert any(key.startswith("filled:") for key in keys), "something happened"


@pytest.mark.parametrize("trouble", [hang(30.0), hang_up])
def test_a_channel_that_fails_holds_back_neither_the_other_nor_the_bot(
    desk: LiveDesk, telegram: TelegramHost, webhook: WebhookHost, trouble: object
) -> None:
    webhook.offline = trouble  # type: ignore[assignment]

    def wait_for_telegram(session: LiveSession) -> tuple[int, list[bool]]:
        session.parts.clock.sleep(0.0)
        telegram.wait_for(lambda: bool(telegram.sent), 10.0)
        return session.bot.status.bars_processed if session.bot else 0, [item.good for item in session.view.health()]

    bars, _ = desk.run(channels=(ChatsAccess(telegram.access()), webhook.access()), look=wait_for_telegram)
    assert bars > 100
    assert telegram.sent and webhook.posted == []
    assert told(desk, "webhook"), "what could not be told waits"


def test_without_a_channel_nothing_is_queued(desk: LiveDesk) -> None:
    desk.run(60)
    assert told(desk, "telegram") == told(desk, "webhook") == []
