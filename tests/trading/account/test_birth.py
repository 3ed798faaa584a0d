"""A bot does not begin where its halt would stand at the wrong place, and every limit in force is said."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from engine.breakers import start_guard
from engine.inputs.parameters import build_params
from engine.records import Guard, Params, from_bytes, new_record, to_bytes, to_text
from novosky.database.place import sqlite_url
from novosky.errors import SettingsError
from tests.helpers.live_runs import LiveDesk, bot_of
from tests.helpers.paper_runs import Scenario, go_on, open_scenario, planted_bars, settings_with
from tests.hosts.telegram_host import telegram_host
from trading.account.opening_balance import balance_problem
from trading.brokers.facts import AccountFacts
from trading.cycle.messages import alarms_between, latches, start_messages
from trading.doctor.balance import HaltState, check_account, halt_state
from trading.doctor.finding import Grade
from trading.journal import Journal

HALT = {"max_total_drawdown_pct": 30.0}


def scenario(starting: float = 500.0) -> Scenario:
    return Scenario(planted_bars(30), settings=settings_with(risk_profile={"starting_balance_usd": starting}, **HALT))


@pytest.fixture
def params() -> Params:
    return build_params(scenario().settings, scenario().ml_settings)


@pytest.mark.parametrize("balance", [400.0, 500.0, 625.0])
def test_a_balance_near_the_starting_balance_is_fine(params: Params, balance: float) -> None:
    assert balance_problem(balance, 500.0, params) == ""


@pytest.mark.parametrize(("balance", "says"), [(349.0, "stands already"), (399.0, "accept"), (626.0, "accept")])
def test_one_that_is_not_names_the_line_to_write(params: Params, balance: float, says: str) -> None:
    problem = balance_problem(balance, 500.0, params)
    assert says in problem
    assert f'"starting_balance_usd": {balance:.2f} in its section risk_profile' in problem


def desk_at(tmp_path: Path, balance: float, starting: float, **parts: object) -> LiveDesk:
    """Return a desk whose account holds `balance` and whose settings say `starting`."""
    desk = LiveDesk(scenario(balance), tmp_path, **parts)  # type: ignore[arg-type]
    desk.scenario = replace(desk.scenario, settings=scenario(starting).settings)
    return desk


@pytest.mark.parametrize(("balance", "starting"), [(500.0, 1_000.0), (500.0, 2_000.0), (1_000.0, 500.0)])
def test_a_live_bot_refuses_to_begin_far_from_its_starting_balance(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, balance: float, starting: float
) -> None:
    desk = desk_at(tmp_path, balance, starting)
    with pytest.raises(SettingsError, match=f'"starting_balance_usd": {balance:.2f}') as told:
        desk.run(2)
    assert told.value.exit_code == 3
    assert "risk_profile.starting_balance_usd" in caplog.text
    with Looking(desk) as journal:
        assert journal.status() is None, "what was refused has left nothing behind"
    desk.scenario = replace(desk.scenario, settings=scenario(balance).settings)
    assert desk.run(2, look=lambda session: bot_of(session).status.bars_processed) > 0


class Looking:
    def __init__(self, desk: LiveDesk) -> None:
        self.journal = Journal(sqlite_url(desk.logs / "novosky.sqlite"), symbol="BTCUSD", durable=False, read_only=True)

    def __enter__(self) -> Journal:
        return self.journal

    def __exit__(self, *_: object) -> None:
        self.journal.close()


def test_telegram_is_told_why(tmp_path: Path) -> None:
    with telegram_host() as host:
        desk = desk_at(tmp_path, 500.0, 1_000.0, telegram=host.access())
        with pytest.raises(SettingsError):
            desk.run(2)
    with closing(sqlite3.connect(desk.logs / "novosky.sqlite")) as connection:
        texts = [text for (text,) in connection.execute("SELECT text FROM outbox WHERE key LIKE 'fatal:%'")]
    assert any("risk_profile.starting_balance_usd" in text for text in texts)


def test_a_money_movement_reaches_telegram(tmp_path: Path) -> None:
    with telegram_host() as host:
        desk = LiveDesk(scenario(500.0), tmp_path, telegram=host.access())
        desk.run(2)
        desk.server.move_money(77.0, comment="wire")
        desk.run(3)
    with closing(sqlite3.connect(desk.logs / "novosky.sqlite")) as connection:
        texts = [text for (text,) in connection.execute("SELECT text FROM outbox WHERE key LIKE 'money:%'")]
    assert any("77.00 USD were paid in (wire)" in text for text in texts)


def test_a_person_may_accept_a_balance_that_is_far_but_not_one_below_the_halt(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    far = desk_at(tmp_path / "far", 700.0, 500.0)
    assert far.run(2, accept_balance=True, look=lambda session: bot_of(session).status.bars_processed) > 0
    # Once is enough: the journal has begun.
    assert far.run(2, look=lambda session: bot_of(session).status.bars_processed) > 0
    (tmp_path / "below").mkdir()
    with pytest.raises(SettingsError, match="stands already"):
        desk_at(tmp_path / "below", 300.0, 500.0).run(2, accept_balance=True)


def test_a_starting_balance_changed_to_a_wrong_one_is_refused_too(tmp_path: Path) -> None:
    desk = LiveDesk(scenario(500.0), tmp_path)
    desk.run(2)
    desk.scenario = replace(desk.scenario, settings=scenario(1_000.0).settings)
    with pytest.raises(SettingsError, match="stands already"):
        desk.run(2)


def guard_with(params: Params, **values: float) -> Guard:
    guard = new_record(Guard)
    start_guard(guard, params, 1_700_000_000, 500.0)
    for name, value in values.items():
        setattr(guard, name, value)
    return guard


LATCHES = {
    "halted": ({"halted": 1}, "HARD HALT"),
    "week_blocked": ({"week_blocked": 1}, "until Monday"),
    "day_blocked": ({"day_blocked": 1}, "daily loss limit"),
    "paused_until": ({"paused_until": 1_700_100_000}, "no entries until 2023-11-16T02:00:00Z"),
    "day_losses": ({"day_losses": 50}, "50 losses in a row"),
}


@pytest.mark.parametrize("name", LATCHES)
def test_every_limit_in_force_is_said_at_a_start(params: Params, name: str) -> None:
    values, words = LATCHES[name]
    guard = guard_with(params, **values)
    assert list(latches(guard, params)) == [name]
    (message,) = start_messages(guard, params, 900)
    assert message.key == f"in force:900:{name}"
    assert message.text.startswith("in force at the start: ")
    assert words in message.text


def test_nothing_in_force_says_nothing(params: Params) -> None:
    assert start_messages(guard_with(params), params, 900) == []
    assert latches(guard_with(params, paused_until=1_600_000_000), params) == {}


def test_a_pause_of_the_equity_curve_is_an_alarm_of_its_bar(params: Params) -> None:
    before = guard_with(params)
    after = from_bytes(Guard, to_bytes(before))
    after.paused_until = after.time + 3_600
    assert list(alarms_between(before, after)) == ["paused_until"]


def test_a_restored_bot_says_what_is_in_force(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """However it came to be latched: here by somebody who wrote into the journal."""
    file = tmp_path / "j.sqlite"
    session = open_scenario(scenario(), file)
    go_on(session, 2)
    guard = from_bytes(Guard, to_bytes(session.bot.status.guard))
    session.close()
    guard.halted = guard.week_blocked = 1
    with create_engine(sqlite_url(file)).begin() as connection:
        connection.execute(text("UPDATE bot_status SET guard = :guard"), {"guard": to_text(guard)})
    told: list[str] = []
    from tests.helpers.paper_runs import SilentNotifier

    original = SilentNotifier.send
    try:
        SilentNotifier.send = lambda self, message: told.append(message)  # type: ignore[method-assign,assignment]
        open_scenario(scenario(), file).close()
    finally:
        SilentNotifier.send = original  # type: ignore[method-assign]
    assert [each.split(":")[1].strip()[:9] for each in told] == ["weekly dr", "HARD HALT"]


FACTS = AccountFacts(500.0, 490.0, 1, 0)


@pytest.mark.parametrize(
    ("facts", "state", "grade"),
    [
        (FACTS, HaltState(500.0, halted=False), Grade.OK),
        (FACTS, HaltState(500.0, halted=True), Grade.FAIL),
        (FACTS, HaltState(800.0, halted=False), Grade.FAIL),
        (FACTS, HaltState(650.0, halted=False), Grade.WARN),
        (replace(FACTS, own=2), HaltState(500.0, halted=False), Grade.FAIL),
        (replace(FACTS, balance=900.0, equity=900.0), HaltState(500.0, halted=False), Grade.WARN),
    ],
)
def test_doctor_compares_balance_halt_and_positions(facts: AccountFacts, state: HaltState, grade: Grade) -> None:
    found = check_account(facts, state, scenario().settings)
    assert found.grade is grade
    assert "position(s) of the bot" in found.text


def test_doctor_knows_what_was_paid_in(tmp_path: Path) -> None:
    file = tmp_path / "j.sqlite"
    session = open_scenario(scenario(), file)
    session.server.move_money(250.0)
    go_on(session, 1)
    session.close()
    assert halt_state(sqlite_url(file), scenario().settings) == HaltState(750.0, halted=False)
    assert halt_state(sqlite_url(tmp_path / "none.sqlite"), scenario().settings) == HaltState(500.0, halted=False)


def test_a_paper_account_begun_with_another_balance_goes_on_without_saying_so_again(tmp_path: Path) -> None:
    file = tmp_path / "j.sqlite"
    begun = replace(scenario(1_000.0), repeatable=False)
    session = open_scenario(begun, file)
    go_on(session, 2)
    session.close()
    session = open_scenario(replace(begun, settings=scenario(500.0).settings), file)
    go_on(session, 1)
    assert session.bot.status.guard.halt_balance == 500.0
    session.close()
