"""The bot judges a close before it decides, and `close_bar` judges it again: the second look changes nothing.

The bot has to look first, for it alone knows of money paid in and of several trades since the last
bar. Here every close is met in three ways, by an account that is judged once, twice, and again
after a restart in between: guard, account, question and gates are the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from engine.bar import DONE, HOLD, NOBODY, close_bar
from engine.breakers import start_guard
from engine.fills import floating_equity
from engine.gates import account as account_gates
from engine.gates import gate_names
from engine.records import Account, Close, Guard, Params, Run, Trade, from_bytes, new_record, to_bytes
from tests.engine.market import BAR, DAY, WEDNESDAY, one_candidate, realistic_params
from trading.cycle.money import judge_account, take_in
from trading.journal import MoneyMove

START = 10_000.0
PRICE = 50_000.0
SPREAD = 10.0
HOUR = 3_600


@dataclass(frozen=True)
class At:
    """A close and what happened in the bars since the last one.

    Attributes
    ----------
    time : int
        Seconds after Wednesday 00:00 UTC.
    bid : float
        USD.
    closed : tuple of float
        Net results of the positions that closed, USD.
    paid : float
        Money paid in or out before the close, USD.
    side : int
        Of one lot held at the close since 50,000.
    base : float
        The starting balance that config.json states by then, USD.
    flags : dict
        `frozen` and `exposed` of the close.
    """

    time: int
    bid: float = PRICE
    closed: tuple[float, ...] = ()
    paid: float = 0.0
    side: int = 0
    base: float = START
    flags: dict[str, int] = field(default_factory=dict)


SITUATIONS: dict[str, tuple[At, ...]] = {
    "quiet": (At(HOUR), At(HOUR + BAR), At(2 * HOUR)),
    "equity high": (At(HOUR, closed=(250.0,)), At(2 * HOUR, PRICE + 90, side=1), At(3 * HOUR, PRICE + 60, side=1)),
    "losses in a row": (At(HOUR, closed=(-1.0,)), At(2 * HOUR, closed=(-1.0, -1.0)), At(3 * HOUR), At(DAY)),
    "a win between losses": (At(HOUR, closed=(-1.0, 5.0)), At(2 * HOUR, closed=(0.0, -1.0, -1.0))),
    "daily loss booked": (At(HOUR, closed=(-301.0,)), At(2 * HOUR, closed=(50.0,)), At(DAY)),
    "daily loss floating": (At(HOUR, PRICE - 299, side=1), At(2 * HOUR, PRICE - 301, side=1), At(3 * HOUR, side=1)),
    "daily loss of a short": (At(HOUR, PRICE + 320, side=-1), At(2 * HOUR, side=-1)),
    "weekly drawdown": (At(HOUR, closed=(-290.0,)), At(DAY + HOUR, closed=(-290.0,)), At(2 * DAY, closed=(-290.0,))),
    "week ends": (At(2 * DAY, closed=(-900.0,)), At(5 * DAY, closed=(-5.0,)), At(5 * DAY + BAR)),
    "day begins at its first second": (At(DAY - BAR, closed=(-100.0,)), At(DAY, PRICE - 90, (-3.0,), side=1)),
    "day began while the market was closed": (
        At(DAY - BAR, PRICE - 250, side=1),
        At(DAY + 2 * HOUR, PRICE - 400, side=1),
        At(DAY + 3 * HOUR, closed=(-420.0, -7.0)),
    ),
    "weekend": (At(2 * DAY + 20 * HOUR, PRICE - 10, side=1), At(5 * DAY + 30 * HOUR, PRICE - 350, side=1)),
    "equity curve": (*(At((1 + n) * BAR, closed=(1.0,)) for n in range(10)), At(3 * HOUR, closed=(-290.0,)), At(DAY)),
    "hard halt": (
        At(HOUR, PRICE - 3_100, side=1),
        At(2 * HOUR, PRICE - 3_200, side=1),
        At(8 * DAY, closed=(-3_200.0,)),
    ),
    "halt lifted by another balance": (
        At(HOUR, closed=(-3_001.0,)),
        At(2 * HOUR, base=9_900.0),
        At(3 * HOUR, base=6_900.0),
        At(DAY, closed=(10.0,), base=6_900.0),
    ),
    "paid in between losses": (At(HOUR, closed=(-150.0, -120.0), paid=4_000.0), At(2 * HOUR, closed=(-100.0,))),
    "drawn to the last cent": (At(HOUR, closed=(-50.0,)), At(2 * HOUR, paid=-9_950.0), At(DAY + HOUR, paid=500.0)),
    "frozen": (At(HOUR, flags={"frozen": 1}), At(2 * HOUR, closed=(-301.0,), flags={"frozen": 1})),
    "lost its stop": (
        At(HOUR, side=1, flags={"exposed": 1}),
        At(2 * HOUR, PRICE - 3_100, side=1, flags={"exposed": 1}),
    ),
}


class Life:
    """An account led through the closes of a situation."""

    def __init__(self) -> None:
        self.params: Params = realistic_params(position_model=1, risk_model=1)
        self.params.stop_out_level = 0.0
        self.account: Account = new_record(Account)
        self.account.balance = START
        self.guard: Guard = new_record(Guard)
        start_guard(self.guard, self.params, WEDNESDAY, START)

    def come_to(self, close: At) -> list[Trade | MoneyMove]:
        """Let happen what happened until the close and return what the bot takes in one by one."""
        self.params.starting_balance = close.base
        account, events = self.account, list[Trade | MoneyMove]()
        for net in close.closed:
            account.balance += net
            account.closed += 1
            account.last_net = net
            trade: Trade = new_record(Trade)
            trade.profit, trade.balance = net, account.balance
            events.append(trade)
        # The newest closed position is the account's own word.
        events = events[:-1]
        if close.paid:
            account.balance += close.paid
            kind = "deposit" if close.paid > 0.0 else "withdrawal"
            time = WEDNESDAY + close.time
            events.append(MoneyMove(1, time, kind, close.paid, float(account.balance), ""))
        account.side, account.volume, account.entry_price = close.side, float(close.side != 0), PRICE
        account.entry_time = WEDNESDAY + close.time - 4 * BAR
        return events


def decided(account: Account, guard: Guard, params: Params, close: At) -> tuple[Any, ...]:
    """Decide at the close, holding and at full size, and return everything that came of it."""
    run, time = new_record(Run), WEDNESDAY + close.time
    candidate = NOBODY[0] if account.side else one_candidate()
    flags = {"frozen": 0, "exposed": 0} | close.flags
    due = -1 if account.side else 0
    told = (account, guard, params, run, candidate, Close(0, time, close.bid, SPREAD, time, due, **flags))
    asked = []
    question, mask = close_bar(*told, 0.0)
    while question != DONE:
        asked.append((int(question), to_bytes(guard)))
        question, mask = close_bar(*told, 1.0 if account.side == 0 else HOLD)
    return asked, int(mask), to_bytes(guard), to_bytes(account), to_bytes(run)


def looks(life: Life, close: At) -> dict[str, tuple[Any, ...]]:
    """Return what each way of looking at one close comes to, from the same beginning."""
    events = life.come_to(close)
    params, time, cash = life.params, WEDNESDAY + close.time, float(life.account.balance)
    equity = float(floating_equity(life.account, params, close.bid, SPREAD))
    outcomes = {}
    for way in ("once", "twice", "killed in between"):
        account, guard = from_bytes(Account, to_bytes(life.account)), from_bytes(Guard, to_bytes(life.guard))
        if way == "once":
            take_in(guard, params, events, cash, equity, time)
        else:
            judge_account(account, guard, params, events, cash, time, equity)
        if way == "killed in between":
            # What was stored is read again, and the same close is judged with nothing new to take in.
            guard = from_bytes(Guard, to_bytes(guard))
            judge_account(account, guard, params, (), cash, time, equity)
        outcomes[way] = decided(account, guard, params, close)
    life.guard = guard
    return outcomes


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_second_look_changes_nothing(situation: str) -> None:
    life = Life()
    for close in SITUATIONS[situation]:
        outcomes = looks(life, close)
        assert outcomes["twice"] == outcomes["once"]
        assert outcomes["killed in between"] == outcomes["once"]


def test_the_situations_meet_every_gate_on_the_account_and_every_way_out() -> None:
    failed, left = set[str](), set[int]()
    for closes in SITUATIONS.values():
        life = Life()
        for close in closes:
            _, mask, _, account, _ = looks(life, close)["once"]
            failed |= set(gate_names(mask))
            left.add(int(from_bytes(Account, account).pending_exit))
    assert failed >= {gate.name for gate in account_gates.GATES}
    assert len(left) == 3, "nothing, the halt and the lost stop"


@pytest.mark.parametrize("seed", range(8))
def test_a_second_look_changes_nothing_in_a_random_life(seed: int) -> None:
    rng = np.random.default_rng(seed)
    life, time, latched = Life(), 0, 0
    for _ in range(300):
        time += BAR * int(rng.choice([1, 1, 1, 4, 40, 200]))
        closed = tuple(rng.normal(0.0, 60.0, rng.choice([0, 0, 1, 3])).round(2).tolist())
        close = At(time, round(PRICE + rng.normal(0.0, 120.0), 2), closed, side=int(rng.integers(-1, 2)))
        if rng.random() < 0.05:
            close = replace(close, paid=round(float(rng.normal(0.0, 900.0)), 2))
        outcomes = looks(life, close)
        assert outcomes["twice"] == outcomes["once"] == outcomes["killed in between"]
        latched += life.guard.day_blocked or life.guard.week_blocked or life.guard.halted
    assert latched > 0
