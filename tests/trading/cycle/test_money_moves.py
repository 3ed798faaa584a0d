"""Money paid in or out is no result: no limit counts it, none is loosened by it, and people are told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.breakers import count_closed, halt_line, judge_equity, move_references, start_guard
from engine.equity import equity_state
from engine.inputs.parameters import build_params
from engine.records import Account, Guard, Params, new_record
from novosky.settings import MlSettings, Settings
from tests.helpers.paper_runs import Scenario, go_on, go_on_until, open_scenario, planted_bars, settings_with
from tests.helpers.sets.signal_models import ScatteredModel
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.port import BrokerUnavailable
from trading.cycle.messages import bar_messages
from trading.cycle.money import PATIENCE, ExplainedBalance, move_text
from trading.journal import MoneyMove
from trading.paper.session import PaperSession

DAY = 86_400
MIDNIGHT = 20_000 * DAY
START = 5_000.0


@pytest.fixture
def params(root: Path) -> Params:
    def content(name: str) -> dict[str, object]:
        loaded: dict[str, object] = json.loads((root / name).read_text(encoding="utf-8"))
        return loaded

    params = build_params(
        Settings.model_validate(content("config.json")), MlSettings.model_validate(content("ml_config.json"))
    )
    params.starting_balance, params.max_daily_loss, params.max_weekly_drawdown = START, 0.06, 0.12
    params.max_total_drawdown = 0.30
    params.equity_curve, params.equity_curve_trades, params.equity_curve_drawdown = 1, 2, 0.03
    params.equity_curve_pause = 3_600
    return params


@dataclass
class Life:
    """An account through its closes; every step is one bar."""

    params: Params
    account: Account = field(default_factory=lambda: new_record(Account))
    guard: Guard = field(default_factory=lambda: new_record(Guard))
    time: int = MIDNIGHT

    def __post_init__(self) -> None:
        self.account.balance = START
        start_guard(self.guard, self.params, self.time, START)

    def result(self, usd: float) -> Life:
        self.account.balance += usd
        self.account.closed += 1
        self.account.last_net = usd
        return self._judge()

    def pay(self, usd: float) -> Life:
        move_references(self.guard, self.params, float(self.account.balance), usd)
        self.account.balance += usd
        return self._judge()

    def _judge(self) -> Life:
        self.time += 900
        judge_equity(self.account, self.guard, self.params, self.time, float(self.account.balance))
        return self

    @property
    def reached(self) -> tuple[bool, bool, bool]:
        return bool(self.guard.day_blocked), bool(self.guard.week_blocked), bool(self.guard.halted)


def test_a_deposit_between_two_losses_hides_neither(params: Params) -> None:
    assert Life(params).result(-290.0).pay(1_000.0).result(-1_000.0).reached == (True, True, False)


def test_a_deposit_does_not_loosen_what_was_nearly_lost(params: Params) -> None:
    assert Life(params).result(-290.0).pay(1_000.0).result(-50.0).reached[0]


@pytest.mark.parametrize("paid", [-600.0, -1_600.0, -4_999.0, -5_000.0])
def test_a_withdrawal_reaches_no_limit(params: Params, paid: float) -> None:
    assert Life(params).pay(paid).reached == (False, False, False)


@pytest.mark.parametrize("lost", [290.0, 299.99])
@pytest.mark.parametrize("paid", [-600.0, -2_000.0, -4_000.0, 300.0, 50_000.0])
def test_no_movement_reaches_a_limit_that_the_losses_before_it_have_not(
    params: Params, lost: float, paid: float
) -> None:
    assert Life(params).result(-lost).pay(paid).reached == (False, False, False)


def test_a_withdrawal_near_the_halt_does_not_halt(params: Params) -> None:
    params.max_daily_loss = params.max_weekly_drawdown = 0.9
    assert Life(params).result(-1_499.0).pay(-2_000.0).reached == (False, False, False)


def test_who_draws_the_profits_keeps_a_halt(params: Params) -> None:
    params.max_daily_loss = params.max_weekly_drawdown = 0.95
    life = Life(params).result(15_000.0).pay(-18_000.0)
    line = float(halt_line(life.guard, params))
    assert line == pytest.approx(2_000.0 * 3_500.0 / 20_000.0)
    assert life.result(line - 2_000.0 - 1.0).reached[2]


def test_without_results_every_reference_moves_by_the_very_amount(params: Params) -> None:
    life = Life(params).pay(1_000.0)
    guard = life.guard
    assert [guard.equity, guard.peak_equity, guard.day_equity, guard.week_peak] == [6_000.0] * 4
    assert guard.halt_moved == 1_000.0
    assert halt_line(guard, params) == pytest.approx(6_000.0 * 0.7)


def test_money_paid_in_and_out_again_leaves_everything_as_it_was(params: Params) -> None:
    plain, moved = Life(params).result(-250.0), Life(params).result(-250.0).pay(700.0).pay(-700.0)
    for name in ("equity", "peak_equity", "day_equity", "week_peak", "halt_moved"):
        assert getattr(moved.guard, name) == pytest.approx(getattr(plain.guard, name), abs=1e-9), name


def test_an_account_emptied_and_filled_again_begins_anew(params: Params) -> None:
    life = Life(params).result(-200.0).pay(-4_800.0).pay(1_000.0)
    assert life.reached == (False, False, False)
    assert (life.guard.day_equity, life.guard.week_peak, life.guard.peak_equity) == (1_000.0,) * 3
    assert halt_line(life.guard, params) == pytest.approx(700.0)
    assert life.result(-61.0).reached == (True, False, False)


@pytest.mark.parametrize("paid", [-3_000.0, -100.0, 100.0, 40_000.0])
def test_the_risk_model_is_told_the_same_before_and_after(params: Params, paid: float) -> None:
    life = Life(params).result(120.0).result(-180.0).result(-60.0)
    before = equity_state(life.guard, params)
    assert equity_state(life.pay(paid).guard, params) == pytest.approx(before, rel=1e-12)


def test_the_equity_curve_is_of_results(params: Params) -> None:
    lost = Life(params).result(100.0).result(-50.0)
    assert lost.guard.paused_until == 0
    assert Life(params).result(100.0).pay(-2_000.0).result(10.0).guard.paused_until == 0
    assert Life(params).result(100.0).pay(2_000.0).result(-600.0).guard.paused_until > 0


def test_another_starting_balance_forgets_what_moved_the_old_one(params: Params) -> None:
    life = Life(params).pay(1_000.0)
    params.starting_balance = 6_000.0
    life.result(1.0)
    assert (life.guard.halt_moved, life.guard.halt_balance) == (0.0, 6_000.0)


def test_a_day_that_begins_after_a_deposit_opens_with_it(params: Params) -> None:
    life = Life(params).result(-200.0)
    life.time = MIDNIGHT + DAY + 900
    life.pay(1_000.0)
    assert life.guard.day_equity == 5_800.0


# The same through the bot, its journal and the terminal.


def scenario() -> Scenario:
    return Scenario(
        planted_bars(120),
        settings=settings_with(
            max_daily_loss=6.0, max_weekly_drawdown_pct=12.0, max_total_drawdown_pct=30.0, max_consecutive_losses=50
        ),
    )


@pytest.fixture
def session(tmp_path: Path) -> PaperSession:
    session = open_scenario(scenario(), tmp_path / "j.sqlite")
    go_on(session, 3)
    return session


@pytest.mark.parametrize("kind", [C.DEAL_TYPE_BALANCE, C.DEAL_TYPE_CHARGE, C.DEAL_TYPE_CORRECTION, C.DEAL_TYPE_BONUS])
@pytest.mark.parametrize("paid", [-200.0, 350.0])
def test_the_bot_takes_no_movement_for_a_result(session: PaperSession, kind: int, paid: float) -> None:
    go_on_until(session, lambda: not session.broker.positions())
    before = session.bot.status.guard
    session.server.move_money(paid, kind, "wire 17")
    go_on(session, 1)
    guard = session.bot.status.guard
    share = 1.0 + paid / before.equity
    assert guard.day_equity == pytest.approx(before.day_equity * share)
    assert (guard.day_blocked, guard.week_blocked, guard.halted) == (0, 0, 0)
    (move,) = [move for move in session.journal.money_moves() if move.comment == "wire 17"]
    assert (move.amount, move.balance) == (paid, pytest.approx(session.broker.account().balance))
    assert session.bot.status.cash == session.broker.account().balance
    session.close()


def test_a_credit_is_said_and_changes_nothing(session: PaperSession) -> None:
    go_on_until(session, lambda: not session.broker.positions())
    before = session.bot.status.guard
    session.server.move_money(5_000.0, C.DEAL_TYPE_CREDIT, "welcome")
    go_on(session, 1)
    assert session.bot.status.guard.day_equity == before.day_equity
    assert session.bot.status.guard.equity == session.broker.account().balance
    move = session.journal.money_moves()[-1]
    assert (move.kind, move.amount) == ("credit", 5_000.0)
    go_on(session, 1)
    assert len([move for move in session.journal.money_moves() if move.kind == "credit"]) == 1
    session.close()


@pytest.mark.parametrize("kind", [C.DEAL_TYPE_COMMISSION_DAILY, C.DEAL_TYPE_INTEREST, C.DEAL_TYPE_BUY_CANCELED])
def test_what_trading_costs_besides_is_a_result(session: PaperSession, kind: int) -> None:
    go_on_until(session, lambda: not session.broker.positions())
    session.server.move_money(-40.0, kind)
    go_on(session, 1)
    assert session.bot.status.guard.day_blocked
    session.close()


def test_a_downtime_is_told_in_its_order(tmp_path: Path) -> None:
    """Paid in before a trade closed and paid out after it: the same as seen bar by bar."""
    guards: list[Guard] = []
    for away in (False, True):
        file = tmp_path / f"{away}.sqlite"
        session = open_scenario(scenario(), file)
        go_on_until(session, lambda s=session: bool(s.broker.positions()))  # type: ignore[misc]
        step: Callable[[], None] = session.server.advance if away else lambda s=session: go_on(s, 1)  # type: ignore[misc]
        session.server.move_money(400.0)
        while session.server.book.positions:
            step()
        session.server.move_money(-150.0)
        go_on(session, 1)
        guards.append(session.bot.status.guard)
        session.close()
    seen, told = guards
    assert told.day_equity == pytest.approx(seen.day_equity, rel=2e-2)
    assert told.halt_moved == pytest.approx(seen.halt_moved, rel=2e-2)
    assert list(told.balances[:1]) == pytest.approx(list(seen.balances[:1]))


def test_the_first_start_takes_what_was_there_before_for_given(tmp_path: Path) -> None:
    session = open_scenario(scenario(), tmp_path / "j.sqlite")
    first = session.bot.status
    assert (first.last_deal, first.cash) == (session.server.book.deals[-1].ticket, session.server.deposit)
    go_on(session, 2)
    assert session.bot.status.guard.halt_moved == 0.0
    assert [move.kind for move in session.journal.money_moves()] == ["deposit"]
    assert len(session.journal.deals()) >= 1
    session.close()


def test_money_is_queried_with_sql(session: PaperSession, tmp_path: Path) -> None:
    session.server.move_money(-20.0, comment="card")
    go_on(session, 1)
    session.close()
    with closing(sqlite3.connect(tmp_path / "j.sqlite")) as connection:
        rows = connection.execute("SELECT kind, amount, comment FROM money_moves ORDER BY ticket").fetchall()
    assert rows[-1] == ("withdrawal", -20.0, "card")


def test_a_movement_is_a_message_of_its_bar(session: PaperSession) -> None:
    from trading.cycle.bookings import Booked

    move = MoneyMove(7, 1_700_000_000, "deposit", 1_000.0, 1_500.0, "wire")
    guard = session.bot.status.guard
    (message,) = bar_messages(
        Booked([], [], 7, 1_500.0, frozenset(), [move]),
        guard,
        guard,
        1_700_000_900,
        build_params(scenario().settings, scenario().ml_settings),
    )
    assert (message.key, message.kind) == ("money:7", "risk")
    assert message.text == (
        "1000.00 USD were paid in (wire), balance 1500.00; it is no result: daily, weekly and total limits move with it"
    )
    session.close()


@pytest.mark.parametrize(
    ("kind", "amount", "begins"),
    [
        ("withdrawal", -5.0, "5.00 USD were paid out, "),
        ("credit", 5.0, "5.00 USD of credit were granted, "),
        ("credit", -5.0, "5.00 USD of credit were taken back, "),
        ("bonus", -5.0, "5.00 USD of bonus were taken back, "),
        ("charge", -5.0, "5.00 USD were charged, "),
        ("correction", -5.0, "-5.00 USD were booked as a correction, "),
    ],
)
def test_every_kind_has_its_words(kind: str, amount: float, begins: str) -> None:
    assert move_text(MoneyMove(1, 2, kind, amount, 100.0, "")).startswith(begins)


def test_a_balance_that_no_deal_explains_yet_is_asked_for_again() -> None:
    balance = ExplainedBalance(100.0)
    assert balance.balance(500.0, 500.0) == 500.0
    with pytest.raises(BrokerUnavailable, match=r"moved by 100\.00 USD"):
        balance.balance(600.0, 500.0)
    assert balance.balance(600.0, 600.0) == 600.0


def test_what_is_never_explained_is_taken_as_it_is() -> None:
    balance = ExplainedBalance(100.0)
    balance.balance(500.0, 480.0)
    for _ in range(PATIENCE):
        with pytest.raises(BrokerUnavailable):
            balance.balance(510.0, 480.0)
    assert balance.balance(510.0, 480.0) == 510.0
    assert balance.balance(512.0, 482.0) == 512.0


def test_count_closed_alone_is_as_before(params: Params) -> None:
    guard = new_record(Guard)
    start_guard(guard, params, MIDNIGHT, START)
    count_closed(guard, params, 5_010.0, 10.0, MIDNIGHT + 900)
    assert (guard.balances[0], guard.results[0], guard.halt_moved) == (5_010.0, 10.0, 0.0)


# The outside case `deposit_hides_loss` through the bot: only the account's deals say which step is a deposit.

STEPS = {"loss": C.DEAL_TYPE_COMMISSION_DAILY, "deposit": C.DEAL_TYPE_BALANCE, "withdrawal": C.DEAL_TYPE_BALANCE}


@pytest.mark.parametrize("manner", ["bar by bar", "restarted between", "in one bar"])
@pytest.mark.parametrize(
    ("steps", "reached"),
    [
        ([("loss", -290.0), ("deposit", 1_000.0), ("loss", -1_000.0)], (1, 0)),
        ([("loss", -290.0), ("withdrawal", -2_000.0), ("loss", -20.0)], (1, 0)),
        ([("loss", -290.0), ("deposit", 10_000.0), ("loss", -20.0)], (0, 0)),
        ([("withdrawal", -600.0)], (0, 0)),
        ([("withdrawal", -1_600.0)], (0, 0)),
        ([("deposit", 1_000.0), ("withdrawal", -900.0), ("withdrawal", -600.0), ("deposit", 80.0)], (0, 0)),
        ([("withdrawal", -1_600.0), ("loss", -1_100.0)], (1, 1)),
    ],
)
def test_the_bot_judges_a_day_by_its_results_alone(
    tmp_path: Path, steps: list[tuple[str, float]], reached: tuple[int, int], manner: str
) -> None:
    settings = settings_with(
        risk_profile={"starting_balance_usd": 5_000.0},
        max_daily_loss=6.0,
        max_weekly_drawdown_pct=60.0,
        max_total_drawdown_pct=25.0,
    )
    quiet = Scenario(planted_bars(40), settings=settings, model=ScatteredModel(hold=1.0))
    file = tmp_path / "j.sqlite"
    session = open_scenario(quiet, file)
    go_on(session, 1)
    for what, usd in steps:
        session.server.move_money(usd, STEPS[what])
        if manner != "in one bar":
            go_on(session, 1)
        if manner == "restarted between":
            session.close()
            session = open_scenario(quiet, file)
    go_on(session, 1)
    guard = session.bot.status.guard
    assert (guard.day_blocked, guard.halted) == reached
    assert guard.week_blocked == 0
    assert guard.equity == pytest.approx(5_000.0 + sum(usd for _, usd in steps))
    session.close()
