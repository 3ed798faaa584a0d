"""The daily report: what it says, its picture, and that a day is reported once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from alerts.daily_report import DailyReport, daily_message, day_of, equity_chart, report_key, report_text
from alerts.delivery import Delivery
from alerts.telegram.api import TelegramApi
from alerts.telegram.channel import TelegramChannel
from alerts.telegram.chats import ChatBook
from alerts.telegram.texts import CAPTION_LENGTH
from alerts.views import AccountSnapshot, TradeView
from alerts.words import plain_text
from novosky.database.place import sqlite_url
from tests.hosts.telegram_host import OWNER, TelegramHost, telegram_host
from trading.journal import Journal

DAY = 1_715_040_000
"""2024-05-07 00:00 UTC."""
NEXT_MORNING = DAY + 86_400 + 5


def snapshots(*equities: float, first: int = DAY) -> list[AccountSnapshot]:
    return [AccountSnapshot(first + 900 * at, 500.0, equity, 0.0, 0) for at, equity in enumerate(equities)]


def trade(net: float, minute: int = 0) -> TradeView:
    return TradeView("BTCUSD", 1, 0.01, DAY, 63_000.0, DAY + 60 * minute, 63_100.0, "tp", net)


@pytest.fixture
def host() -> Iterator[TelegramHost]:
    with telegram_host() as host:
        yield host


def test_it_tells_the_day_in_plain_words() -> None:
    report = DailyReport(DAY, [trade(3.0, 5), trade(-1.5, 70)], snapshots(500, 510, 459, 505), ["1 bar <missed>"])
    assert plain_text(report_text(report)).splitlines() == [
        "Daily report 2024-05-07",
        "Equity: 505.00 USD, +5.00 USD (+1.00%)",
        "Balance: 500.00 USD",
        "Deepest fall within the day: 10.00%",
        "Trades: 2, 1 won, net +1.50 USD",
        "  00:05 long 63,000.00 to 63,100.00 (tp), +3.00 USD",
        "  01:10 long 63,000.00 to 63,100.00 (tp), -1.50 USD",
        "Note: 1 bar <missed>",
    ]
    assert "&lt;missed&gt;" in report_text(report)


def test_a_day_without_bot_or_trades_is_said_not_shown_as_zero() -> None:
    assert report_text(DailyReport(DAY, [], [])).splitlines()[1:] == [
        "Equity: unknown, the bot was not running",
        "Trades: none",
    ]


def test_only_the_days_own_equity_counts() -> None:
    before = snapshots(900, 100, first=DAY - 86_400)
    assert "+1.00%" in report_text(DailyReport(DAY, [], [*before, *snapshots(500, 505)]))


def test_a_busy_day_fits_under_the_picture() -> None:
    text = report_text(DailyReport(DAY, [trade(1.0, at) for at in range(90)], snapshots(500, 501)))
    assert "and 85 earlier ones" in text
    assert len(plain_text(text)) < CAPTION_LENGTH


def test_the_day_is_the_last_full_one() -> None:
    assert day_of(DAY + 86_400) == DAY
    assert day_of(DAY + 86_400 - 1) == DAY - 86_400
    assert report_key(DAY) == "daily:2024-05-07"


def test_the_chart_is_a_picture_of_the_line() -> None:
    import matplotlib.image

    flat, rising = (equity_chart(snapshots(*np.linspace(500, end, 50)), "Account") for end in (500, 900))
    assert flat.startswith(b"\x89PNG")
    assert flat != rising
    assert equity_chart(snapshots(*np.linspace(500, 500, 50)), "Account") == flat, "the same every time"
    import io

    assert matplotlib.image.imread(io.BytesIO(flat)).shape == (440, 880, 4)


def test_one_snapshot_is_no_line() -> None:
    with pytest.raises(ValueError, match="two snapshots"):
        equity_chart(snapshots(500), "Account")


def test_a_day_is_reported_once_with_its_picture(host: TelegramHost, tmp_path: Path) -> None:
    journal = Journal(sqlite_url(tmp_path / "bot.db"), symbol="BTCUSD", durable=False, channels=("telegram",))
    report = DailyReport(DAY, [], snapshots(500, 505))
    for second in range(3):
        journal.outbox.enqueue(daily_message(report, tmp_path / "reports", NEXT_MORNING + second))
    access = host.access()
    api = TelegramApi(access, timeout=2.0)
    delivery = Delivery(journal.outbox, TelegramChannel(api, ChatBook(access.destinations)), Random(1))
    for second in range(10):
        delivery.step(NEXT_MORNING + 10 + second)
    api.close()
    (sent,) = host.sent
    assert sent.chat == OWNER
    assert "Equity: 505.00 USD" in sent.text
    assert sent.file == (tmp_path / "reports" / "equity-2024-05-07.png").read_bytes()
    journal.close()


def test_drawing_is_loaded_only_when_a_report_is_drawn() -> None:
    code = "import sys, alerts.telegram.service, alerts.daily_report; print('matplotlib' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
