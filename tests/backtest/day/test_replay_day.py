"""A live day against its replay: nothing differs when nothing was changed, and what was changed is named."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtest.day.live_day import guard_at, read_journal_day
from backtest.day.replay import DayReport, ReplaySetup, replay_day
from backtest.day.report import day_summary
from engine.inputs.parameters import build_params
from engine.records import to_bytes
from novosky.data.store import load_bars, save_bars
from novosky.database.place import sqlite_url
from novosky.errors import DataError
from tests.helpers.command_line import run_script
from tests.helpers.desk import Desk
from tests.helpers.paper_runs import WARM_UP, Scenario, finish, go_on, open_scenario, planted_bars, settings_with
from tests.helpers.sets.signal_models import ScatteredPositionModel, ScatteredRiskModel, ScatteredSltpModel
from trading.journal import Journal

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
    opened = Journal(sqlite_url(journal), symbol="BTCUSD", durable=False, read_only=True)
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


Edit = Callable[[sqlite3.Connection], None]


def copy_of(journal: Path, folder: Path, edit: Edit) -> Path:
    """Return a copy of a journal with something changed in it."""
    target = folder / "tampered.sqlite"
    with sqlite3.connect(journal) as source, sqlite3.connect(target) as copy:
        source.backup(copy)
        edit(copy)
    return target


@pytest.fixture(scope="module")
def day(scenario: Scenario) -> int:
    return first_midnight(scenario.bars) + DAY


@pytest.fixture(scope="module")
def true_report(finished: Path, day: int, scenario: Scenario) -> DayReport:
    return report_of(finished, day, scenario)


def closed_long(report: DayReport) -> int:
    """Return the number of a long that was opened and closed within the day."""
    return next(
        k
        for k, held in enumerate(report.live)
        if held.side > 0 and held.exit_time is not None and held.entry_time > report.start
    )


def categories(report: DayReport) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for each in report.differences:
        found[each.category] = found.get(each.category, Decimal(0)) + each.usd
    return found


def test_a_worse_fill_is_a_price(
    finished: Path, day: int, scenario: Scenario, true_report: DayReport, tmp_path: Path
) -> None:
    held = true_report.live[closed_long(true_report)]
    loss = round(held.volume * scenario.settings.lot_units * 5.0, 2)

    def worse(connection: sqlite3.Connection) -> None:
        where = "WHERE time = ? AND entry = 0", (held.entry_time,)
        connection.execute(f"UPDATE deals SET price = price + 5.0 {where[0]}", where[1])
        changed = "UPDATE deals SET profit = round(profit - ?, 2) WHERE entry = 1 AND position = ("
        connection.execute(f"{changed}SELECT position FROM deals {where[0]})", (loss, *where[1]))

    report = report_of(copy_of(finished, tmp_path, worse), day, scenario)
    assert categories(report) == {"price": Decimal(f"{-loss:.2f}")}
    assert [each.bar for each in report.differences] == [held.decided]
    risk = held.volume * scenario.settings.lot_units * abs(held.entry_price - held.sl)
    assert float(report.differences[0].r) == pytest.approx(-loss / risk, abs=1e-3)


def test_another_commission_and_swap_are_costs(
    finished: Path, day: int, scenario: Scenario, true_report: DayReport, tmp_path: Path
) -> None:
    held = true_report.live[closed_long(true_report)]

    def dearer(connection: sqlite3.Connection) -> None:
        connection.execute(
            "UPDATE deals SET commission = commission - 0.75 WHERE time = ? AND entry = 0", (held.entry_time,)
        )
        connection.execute("UPDATE deals SET swap = swap - 0.5 WHERE time = ? AND entry = 1", (held.exit_time,))

    report = report_of(copy_of(finished, tmp_path, dearer), day, scenario)
    assert categories(report) == {"cost": Decimal("-1.25")}


def test_a_profit_that_its_prices_do_not_give_is_unexplained(
    finished: Path, day: int, scenario: Scenario, true_report: DayReport, tmp_path: Path
) -> None:
    held = true_report.live[closed_long(true_report)]

    def odd(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE deals SET profit = profit + 7 WHERE time = ? AND entry = 1", (held.exit_time,))

    assert categories(report_of(copy_of(finished, tmp_path, odd), day, scenario)) == {"unexplained": Decimal("7.00")}


def test_a_refused_order_is_missed(
    finished: Path, day: int, scenario: Scenario, true_report: DayReport, tmp_path: Path
) -> None:
    # The last of the day: nothing later depends on it.
    held = [each for each in true_report.live if each.exit_time is not None][-1]

    def refused(connection: sqlite3.Connection) -> None:
        connection.execute(
            "UPDATE intents SET state = 'rejected', outcome = 'programs off here', broker_code = '10027' "
            "WHERE bar = ? AND kind = 'entry'",
            (held.decided,),
        )
        connection.execute(
            "UPDATE decisions SET action = 'blocked', gates = 'market_closed' WHERE bar = ?", (held.decided,)
        )
        position = "(SELECT position FROM deals WHERE time = ? AND entry = 0)"
        connection.execute(f"DELETE FROM trades WHERE position = {position}", (held.entry_time,))
        connection.execute(f"DELETE FROM deals WHERE position = {position}", (held.entry_time,))

    report = report_of(copy_of(finished, tmp_path, refused), day, scenario)
    assert categories(report)["missed"] == -held.net
    (lost,) = [each for each in report.differences if each.usd == -held.net]
    assert lost.bar == held.decided
    assert "10027" in lost.words


def test_a_frozen_bar_is_a_gate(scenario: Scenario, day: int, true_report: DayReport, tmp_path: Path) -> None:
    entries = [each for each in true_report.replay if each.decided > day]
    frozen = [False]
    session = open_scenario(scenario, tmp_path / "journal.sqlite", frozen=lambda: frozen[0])
    while not session.server.at_end:
        frozen[0] = session.server.next_close == entries[0].decided
        go_on(session, 1)
    session.close()
    report = report_of(tmp_path / "journal.sqlite", day, scenario)
    (held_back,) = [each for each in report.differences if each.bar == entries[0].decided]
    assert (held_back.category, held_back.usd) == ("gate", -entries[0].net)
    assert "frozen" in held_back.words


def test_hours_away_are_missed(scenario: Scenario, day: int, tmp_path: Path) -> None:
    journal = tmp_path / "journal.sqlite"
    session = open_scenario(scenario, journal)
    while session.server.next_close <= day + DAY // 3:
        go_on(session, 1)
    # The bot comes back after the sixteenth bar and acts on that one.
    for _ in range(16):
        session.server.advance()
    finish(session)
    session.close()
    report = report_of(journal, day, scenario)
    assert report.bars_missed == 15
    away = [each for each in report.differences if each.category == "missed"]
    gone = {held.decided for held in report.replay} - {held.decided for held in report.live}
    assert any(each.words.startswith("15 bar(s) not processed") for each in away)
    assert gone & {each.bar for each in away if each.usd}, "trades of these hours are missing"
    assert sum((each.usd for each in away), Decimal(0)) != 0


def test_another_model_is_a_signal(finished: Path, day: int, scenario: Scenario, true_report: DayReport) -> None:
    other = replace(scenario, model=replace(scenario.model, hold=0.6))
    report = report_of(finished, day, other)
    assert set(categories(report)) <= {"signal", "gate"}
    assert categories(report)["signal"] != 0
    assert report.live_usd == true_report.live_usd


def test_the_breakers_of_any_moment_can_be_built_again(finished: Path, scenario: Scenario, day: int) -> None:
    journal = Journal(sqlite_url(finished), symbol="BTCUSD", durable=False, read_only=True)
    status = journal.status()
    assert status is not None
    last = (status.last_bar - 1) // DAY * DAY
    params = build_params(scenario.settings, scenario.ml_settings)
    assert to_bytes(
        guard_at(read_journal_day(journal, last, int(params.bar_seconds)), params, status.last_bar)
    ) == to_bytes(status.guard)
    journal.close()


def test_positions_carried_over_midnight_with_swap_and_every_model(tmp_path: Path) -> None:
    every = Scenario(
        planted_bars(700),
        settings=settings_with(
            costs=COSTS | {"triple_swap_day": "wednesday"},
            risk_management={"sl_atr_mult": 6.0, "tp_atr_mult": 6.0},
            risk_model={"enabled": True},
            broker={"server_clock": "Europe/Athens"},
        ),
        position_model=ScatteredPositionModel(),
        sltp_model=ScatteredSltpModel(),
        risk_model=ScatteredRiskModel(),
    )
    content = every.ml_settings.model_dump(mode="json", exclude={"schema_reference"})
    content["position_model"] |= {"enabled": True, "exit_threshold": 0.97, "min_prob_diff": 0.2}
    content["ml_sltp"] |= {"enabled": True}
    every = replace(every, ml_settings=type(every.ml_settings).model_validate(content))
    journal = tmp_path / "journal.sqlite"
    session = open_scenario(every, journal)
    finish(session)
    session.close()
    first, carried = first_midnight(every.bars), 0
    for day in range(first, first + 6 * DAY, DAY):
        report = report_of(journal, day, every)
        assert report.differences == ()
        assert report.live == report.replay
        carried += sum(held.entry_time < day for held in report.live)
    assert carried > 0


@given(data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_parts_add_up_whatever_the_journal_says(
    data: st.DataObject, finished: Path, day: int, scenario: Scenario, tmp_path: Path
) -> None:
    moments = st.integers(1, 96).map(lambda bar: day + bar * 900)
    gone = data.draw(st.lists(moments, max_size=12), label="bars that were not processed")
    shifts = data.draw(
        st.lists(
            st.tuples(moments, st.sampled_from(["price", "profit", "swap", "volume"]), st.floats(-9, 9)), max_size=6
        ),
        label="deals",
    )
    silent = data.draw(st.lists(moments, max_size=4), label="bars without a candidate")

    def tamper(connection: sqlite3.Connection) -> None:
        for bar in gone:
            if bar != day + DAY:
                connection.execute("DELETE FROM decisions WHERE bar = ?", (bar,))
        for bar, column, amount in shifts:
            value = f"{column} * 0.5" if column == "volume" else f"{column} + {amount}"
            connection.execute(f"UPDATE deals SET {column} = {value} WHERE time = ?", (bar,))
        for bar in silent:
            connection.execute("UPDATE decisions SET candidate = NULL, gates = NULL WHERE bar = ?", (bar,))

    # `report_of` holds the parts against the results, in USD and in R.
    report = report_of(copy_of(finished, tmp_path, tamper), day, scenario)
    assert report.bars_missed == len(set(gone) - {day + DAY})


def test_the_summary_names_the_kinds_that_occurred(
    true_report: DayReport, finished: Path, day: int, scenario: Scenario
) -> None:
    assert "no drift" in day_summary(true_report)
    other = report_of(finished, day, replace(scenario, model=replace(scenario.model, hold=0.6)))
    text = day_summary(other)
    assert f"signal {categories(other)['signal']:+.2f}" in text
    assert "missed" not in text


def test_a_day_the_journal_does_not_know_is_refused(finished: Path, day: int, scenario: Scenario) -> None:
    with pytest.raises(DataError, match=r"no bar of 2023-0.-..: it covers"):
        report_of(finished, day + 400 * DAY, scenario)


def test_bars_that_do_not_cover_the_day_are_refused(finished: Path, day: int, scenario: Scenario) -> None:
    until = int(scenario.bars["time"].searchsorted(pd.Timestamp(day + DAY // 2, unit="s", tz="UTC")))
    with pytest.raises(DataError, match="48 bar"):
        report_of(finished, day, scenario.until(until))


def test_the_command_replays_what_the_bot_traded(desk: Desk, tmp_path: Path) -> None:
    bars = tmp_path / "bars.parquet"
    frame = load_bars(desk.bars).tail(WARM_UP + 300).reset_index(drop=True)
    save_bars(bars, frame)
    costs = ["--spread", 14, "--commission", 2]
    traded = run_script(
        "trading.py", "--paper", "--replay", bars, "--journal", "j.sqlite", *desk.flags, *costs, cwd=tmp_path
    )
    assert traded.code == 0, traded.err
    date = f"{datetime.fromtimestamp(int(frame['time'].iloc[-120].timestamp()), tz=UTC):%Y-%m-%d}"
    flags = ["--journal", "j.sqlite", "--data", bars, *desk.flags]
    answer = run_script("scripts/replay_day.py", date, *flags, *costs, "--json", "drift.json", cwd=tmp_path)
    assert answer.code == 0, answer.err
    content = json.loads((tmp_path / "drift.json").read_text())
    assert (content["day"], content["drift_usd"], content["differences"]) == (date, 0.0, [])
    assert content["live_positions"]
    assert "Result of the day" in answer.out
    cheaper = run_script("scripts/replay_day.py", date, *flags, "--spread", 14, "--commission", 0, cwd=tmp_path)
    assert cheaper.code == 0, cheaper.err
    assert "cost" in cheaper.out
    assert run_script("scripts/replay_day.py", "2031-01-01", *flags, cwd=tmp_path).code == 4
    absent = run_script(
        "scripts/replay_day.py", date, "--journal", "none.sqlite", "--data", bars, *desk.flags, cwd=tmp_path
    )
    assert absent.code == 7
    assert not (tmp_path / "none.sqlite").exists()
    assert run_script("scripts/replay_day.py", f"{date}T12:00", *flags, cwd=tmp_path).code == 2
