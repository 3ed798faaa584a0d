"""A live day against its replay: nothing differs when nothing was changed, and what was changed is named."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from paper_runs import WARM_UP, Scenario, finish, go_on, open_scenario, planted_bars, settings_with

from backtest.live_day import guard_at, read_journal_day
from backtest.replay_day import DayReport, ReplaySetup, replay_day
from trading.engine.records import to_bytes
from trading.journal import Journal, sqlite_url
from trading.parameters import build_params

COSTS = {"spread": 12.5, "commission_per_lot": 3.5, "slippage": 1.25, "swap_long": -21.7, "swap_short": 4.3}
DAY = 86_400


def first_midnight(bars: pd.DataFrame) -> int:
    opened = int(bars["time"].iloc[WARM_UP].timestamp())
    return (opened // DAY + 1) * DAY


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return Scenario(planted_bars(500), settings=settings_with(costs=COSTS))


def setup_of(scenario: Scenario) -> ReplaySetup:
    return ReplaySetup(scenario.bars, scenario.settings, scenario.ml_settings, scenario.models, scenario.news)


def report_of(journal: Path, day: int, scenario: Scenario) -> DayReport:
    opened = Journal(sqlite_url(journal), durable=False, read_only=True)
    try:
        report = replay_day(opened, day, setup_of(scenario))
    finally:
        opened.close()
    assert sum((each.usd for each in report.differences), Decimal(0)) == report.live_usd - report.replay_usd
    assert sum(each.r for each in report.differences) == report.live_r - report.replay_r
    return report


@pytest.fixture(scope="module")
def finished(scenario: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Path:
    journal = tmp_path_factory.mktemp("live") / "journal.sqlite"
    session = open_scenario(scenario, journal)
    finish(session)
    session.close()
    return journal


def test_every_day_of_a_paper_account_is_its_replay(finished: Path, scenario: Scenario) -> None:
    first = first_midnight(scenario.bars)
    for day in range(first - DAY, first + 5 * DAY, DAY):
        report = report_of(finished, day, scenario)
        assert report.differences == (), report.day
        assert report.live == report.replay
        assert report.bars_missed == 0
        assert report.live
