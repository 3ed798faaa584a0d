"""The daily report of a live bot says how far the day was its replay, or why that is not known."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from backtest.day.note import drift_note
from tests.helpers.live_runs import LiveDesk
from tests.helpers.paper_runs import Scenario, planted_bars, settings_with
from tests.hosts.telegram_host import TelegramHost, telegram_host
from trading.brokers.port import BrokerUnavailable
from trading.journal import Journal

BARS = 110
"""A midnight is among them."""
WHOLE_DAY = 230
"""And a whole day between two of them."""


@pytest.fixture
def host() -> Iterator[TelegramHost]:
    with telegram_host() as host:
        yield host


def desk_over(bars: int, folder: Path, host: TelegramHost) -> LiveDesk:
    costs = {"spread": 5.0, "commission_per_lot": 0.0, "slippage": 0.0, "swap_long": 0.0, "swap_short": 0.0}
    return LiveDesk(Scenario(planted_bars(bars), settings=settings_with(costs=costs)), folder, telegram=host.access())


@pytest.fixture
def desk(tmp_path: Path, host: TelegramHost) -> LiveDesk:
    return desk_over(BARS, tmp_path, host)


def reports(desk: LiveDesk) -> list[str]:
    with closing(sqlite3.connect(desk.logs / "novosky.sqlite")) as connection:
        query = "SELECT text FROM outbox WHERE key LIKE 'daily:%' AND key NOT LIKE '%|to:%' ORDER BY key"
        return [text for (text,) in connection.execute(query)]


def notes_of(desk: LiveDesk) -> Callable[[Journal, Callable[[int], pd.DataFrame], int], Sequence[str]]:
    scenario = desk.scenario

    def notes(journal: Journal, closed_bars: Callable[[int], pd.DataFrame], day: int) -> Sequence[str]:
        return [
            drift_note(
                journal,
                closed_bars,
                day,
                settings=scenario.settings,
                ml_settings=scenario.ml_settings,
                models=scenario.models,
                news=None,
            )
        ]

    return notes


def test_a_day_traded_as_the_backtest_would_have_is_reported_without_drift(tmp_path: Path, host: TelegramHost) -> None:
    desk = desk_over(WHOLE_DAY, tmp_path, host)
    desk.run(day_notes=notes_of(desk))
    texts = reports(desk)
    assert len(texts) >= 2
    assert "Note: Replay of 20" in texts[-1]
    assert "no drift" in texts[-1]


def test_bars_the_broker_no_longer_has_are_the_reason_why_there_is_none(desk: LiveDesk) -> None:
    def without_bars(journal: Journal, closed_bars: Callable[[int], pd.DataFrame], day: int) -> Sequence[str]:
        return notes_of(desk)(journal, lambda count: closed_bars(3), day)

    desk.run(day_notes=without_bars)
    assert "Note: No replay of 20" in reports(desk)[-1]
    assert "bar(s) of the day that the bars do not have" in reports(desk)[-1]


def test_bars_that_cannot_be_had_are_the_reason_and_the_bot_goes_on(desk: LiveDesk) -> None:
    def gone(journal: Journal, closed_bars: Callable[[int], pd.DataFrame], day: int) -> Sequence[str]:
        def fail(count: int) -> pd.DataFrame:
            raise BrokerUnavailable("no bars at the moment")

        return notes_of(desk)(journal, fail, day)

    processed = desk.run(day_notes=gone, look=lambda session: session.journal.status().bars_processed)
    assert processed >= BARS - 2
    assert "no bars at the moment" in reports(desk)[-1]


def test_the_day_is_replayed_once_however_many_bars_follow(desk: LiveDesk) -> None:
    asked: list[int] = []

    def count(journal: Journal, closed_bars: Callable[[int], pd.DataFrame], day: int) -> Sequence[str]:
        asked.append(day)
        return []

    desk.run(day_notes=count)
    assert len(asked) == len(set(asked)) == len(reports(desk))
