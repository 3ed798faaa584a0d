"""Is this still the bot that was approved: told in health and daily report, and once as an alarm."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from engine.outputs.tables import trade_row, write_trades
from engine.records import to_text
from ml.sets.companions import EXPECTATION_NAME
from ml.sets.expectation import record_content
from novosky.errors import ModelError
from novosky.files import write_json
from novosky.market.timeframe import DAY_SECONDS
from novosky.measures.expectation import TradeRecord
from novosky.measures.sequential import Reference
from tests.engine.outputs.test_tables import trade_with
from tests.helpers.command_line import run_script
from tests.helpers.live_runs import LiveDesk
from tests.helpers.paper_runs import Scenario, planted_bars, settings_with
from tests.hosts.telegram_host import TelegramHost, telegram_host
from trading.reports.claim import TITLE, ClaimWatch, claim_words, reference_of_set, reference_or_none

LAST_DAY = 19_299
CLAIM = Reference(0.2, 0.3, 100, (LAST_DAY + 1.0) * DAY_SECONDS, "its expectation.json")


def record(mean: float, count: int = 300) -> TradeRecord:
    rng = np.random.default_rng(1)
    r = rng.choice([-1.0, 1.0], count, p=[0.5 - mean / 2, 0.5 + mean / 2])
    return TradeRecord(19_000, LAST_DAY, np.sort(rng.integers(19_000, LAST_DAY, count)), r)


def journal_of(*results: float, since: float = CLAIM.since) -> list[str]:
    """Return closed trades with these R, as a journal keeps them."""
    opens = [int(since) + 60 * k for k in range(len(results))]
    return [
        to_text(trade_with(profit=10.0 * r, commission=0.0, swap=0.0, risk=10.0, entry_time=time, exit_time=time + 30))
        for time, r in zip(opens, results, strict=True)
    ]


def test_the_record_of_the_set_is_what_it_is_held_against(tmp_path: Path) -> None:
    assert reference_of_set(tmp_path) is None
    write_json(tmp_path / EXPECTATION_NAME, record_content(record(0.4)))
    found = reference_of_set(tmp_path)
    assert found is not None
    assert 0.1 < found.least_r < (found.mean_r or 0.0)
    assert found.since == CLAIM.since
    write_json(tmp_path / EXPECTATION_NAME, record_content(record(0.4, count=5)))
    assert reference_of_set(tmp_path) is None, "a handful of trades claims nothing"
    (tmp_path / EXPECTATION_NAME).write_text("{")
    with pytest.raises(ModelError):
        reference_of_set(tmp_path)
    assert reference_or_none(tmp_path) is None


def test_trades_before_the_claim_are_not_its_own() -> None:
    old, new = journal_of(*[-1.0] * 80, since=CLAIM.since - 2 * DAY_SECONDS), journal_of(0.5, 0.5)
    trial = ClaimWatch(lambda: [*old, *new], CLAIM).trial()
    assert trial is not None
    assert (trial.trades, trial.failed) == (2, False)


def test_a_bot_that_keeps_its_word_is_well_and_one_that_does_not_is_told_once() -> None:
    trades: list[str] = []
    watch = ClaimWatch(lambda: trades, CLAIM)
    (item,) = watch.health()
    assert (item.name, item.good) == (TITLE, True)
    assert "no trade yet; approved with at least +0.20 R" in item.detail
    trades += journal_of(*[1.0, 1.0, -1.0] * 20)
    assert watch.alarm(1) is None
    assert watch.health()[0].good
    trades[:] = journal_of(*[-1.0] * 61)
    (item,) = watch.health()
    assert not item.good
    assert "61 trades with -1.00 R in the mean" in item.detail
    assert "a chance below 5%" in item.detail
    alarm, later = watch.alarm(7), watch.alarm(900)
    assert alarm is not None and later is not None
    assert alarm.key == later.key
    assert alarm.kind == "risk"
    assert alarm.text.startswith("this is not the bot that was approved any more: 61 trades")
    assert watch.notes()[0].startswith("still the bot that was approved? NO: 61 trades")


def test_without_a_record_nothing_is_claimed() -> None:
    watch = ClaimWatch(lambda: journal_of(*[-1.0] * 200), None)
    assert (watch.trial(), watch.health(), watch.notes(), watch.alarm(1)) == (None, [], [], None)


def test_trades_are_judged_anew_only_when_there_are_more() -> None:
    trades = journal_of(*[-1.0] * 30)
    watch = ClaimWatch(lambda: trades, CLAIM)
    assert watch.trial() is watch.trial()
    first = watch.trial()
    trades.append(journal_of(*[1.0] * 31)[-1])
    assert watch.trial() is not first
    assert "31 trades" in claim_words(watch.trial() or first)  # type: ignore[arg-type]


@pytest.fixture
def host() -> Iterator[TelegramHost]:
    with telegram_host() as host:
        yield host


def test_the_live_bot_says_it_in_its_daily_report_and_alarms_once(tmp_path: Path, host: TelegramHost) -> None:
    costs = {"spread": 5.0, "commission_per_lot": 0.0, "slippage": 0.0, "swap_long": 0.0, "swap_short": 0.0}
    scenario = Scenario(planted_bars(230), settings=settings_with(costs=costs))
    desk = LiveDesk(scenario, tmp_path, telegram=host.access())
    # Nobody earns 3 R a trade: a claim that fails within a few.
    desk.run(reference=Reference(3.0, 3.5, 100, 0.0, "its expectation.json"))
    with closing(sqlite3.connect(desk.logs / "novosky.sqlite")) as connection:
        told = [text for (text,) in connection.execute("SELECT text FROM outbox WHERE key LIKE 'daily:%'")]
        alarms = connection.execute(
            "SELECT text FROM outbox WHERE key LIKE 'another-bot:%' AND key NOT LIKE '%|to:%'"
        ).fetchall()
    assert any("still the bot that was approved?" in text for text in told)
    assert len(alarms) == 1
    assert "not the bot that was approved any more" in alarms[0][0]


def test_the_monitor_holds_a_pulled_set_against_its_own_record(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    write_json(tmp_path / "models" / EXPECTATION_NAME, record_content(record(0.4)))
    losing = [
        trade_with(exit_time=int(CLAIM.since) + 60 * k, entry_time=int(CLAIM.since) + 60 * k - 30) for k in range(5)
    ]
    write_trades(tmp_path / "t.csv", (trade_row(each, 2) for each in losing))
    answer = run_script("scripts/performance_monitor.py", "--trades", "t.csv", cwd=tmp_path)
    assert "its expectation.json, approved with" in answer.out, answer.out + answer.err
