"""The end of a bot is told once per cause and day, however often a service manager starts it again."""

from __future__ import annotations

from pathlib import Path

import pytest

from novosky.database.place import sqlite_url
from novosky.errors import BrokerError, NovoskyError, StorageError
from trading.journal import Journal
from trading.live.fatal import fatal_message

NOON = 1_717_416_000
DAY = 86_400


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (BrokerError("a reason"), BrokerError("a reason"), 1),
        (BrokerError("the quote is 61 s old"), BrokerError("the quote is 75 s old"), 1),
        (BrokerError("position 17 of 2"), BrokerError("position 1800 of 3"), 1),
        (BrokerError("a reason"), BrokerError("another reason"), 2),
        (BrokerError("a reason"), StorageError("a reason"), 2),
    ],
)
@pytest.mark.parametrize("restarts", [1, 200])
def test_a_cause_is_told_once_a_day(
    tmp_path: Path, first: NovoskyError, second: NovoskyError, told: int, restarts: int
) -> None:
    journal = Journal(sqlite_url(tmp_path / "j.sqlite"), symbol="BTCUSD", durable=False, channels=("telegram",))
    for number in range(restarts):
        for error in (first, second):
            journal.outbox.enqueue(fatal_message(error, NOON + 15 * number))
    assert len(journal.outbox.due(NOON + DAY, 999)) == told
    journal.outbox.enqueue(fatal_message(first, NOON + DAY))
    assert len(journal.outbox.due(NOON + 2 * DAY, 999)) == told + 1, "the next day it is news again"
    journal.close()


def test_the_message_keeps_the_reason_and_its_figures() -> None:
    message = fatal_message(BrokerError("the quote is 61 s old"), NOON)
    assert (message.text, message.kind) == ("the bot has stopped: the quote is 61 s old", "error")
