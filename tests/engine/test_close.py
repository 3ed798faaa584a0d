"""What only a live close has: a late quote, a lost stop, a freeze; and from when the position model is asked."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from engine.bar import ADD, ASK_POSITION, DONE, HOLD, LEAVE, NOBODY, close_bar
from engine.breakers import start_guard
from engine.fills import EXIT_HALT, EXIT_MANUAL, EXIT_MODEL
from engine.gates import gate_names
from engine.records import Account, Close, Guard, Run, new_record
from tests.engine.market import BAR, WEDNESDAY, one_candidate, realistic_params

CLOSE = WEDNESDAY + 10 * BAR
ways = pytest.mark.parametrize("way", [close_bar, inspect.unwrap(getattr(close_bar, "py_func", close_bar))])


def decide(
    way: Callable[..., Any], *, held: int = 0, answer: float = 0.0, halted: int = 0, late: int = 0, **now: int
) -> tuple[Account, list[int], int]:
    """Return the account after a close with a candidate or a long held for `held` bars, what was asked, the gates."""
    params = realistic_params(position_model=1, min_bars_held=3)
    account, guard, run = new_record(Account), new_record(Guard), new_record(Run)
    account.balance = 10_000.0
    start_guard(guard, params, CLOSE - BAR, account.balance)
    guard.halted = halted
    if held:
        account.side, account.volume, account.entry_time, account.entry_price = 1, 0.01, CLOSE - held * BAR, 50_000.0
    due = -1 if held else 0
    flags = {"frozen": 0, "exposed": 0, **now}
    close = Close(0, CLOSE, 50_000.0, 10.0, CLOSE + late, due, flags["frozen"], flags["exposed"])
    told = (account, guard, params, run, NOBODY[0] if held else one_candidate(), close)
    asked: list[int] = []
    question, mask = way(*told, 0.0)
    while question != DONE:
        asked.append(int(question))
        question, mask = way(*told, answer)
    return account, asked, int(mask)


@ways
@pytest.mark.parametrize(
    ("now", "gates"),
    [
        ({}, []),
        ({"late": 60}, []),
        ({"late": 61}, ["market_closed"]),
        ({"frozen": 1}, ["frozen"]),
        ({"late": 61, "frozen": 1}, ["market_closed", "frozen"]),
    ],
)
def test_entry(way: Callable[..., Any], now: dict[str, int], gates: list[str]) -> None:
    account, _, mask = decide(way, **now)
    assert gate_names(mask) == gates
    assert account.pending_side == (0 if gates else 1)


@ways
@pytest.mark.parametrize(
    ("now", "reason"),
    [({}, 0), ({"exposed": 1}, EXIT_MANUAL), ({"halted": 1}, EXIT_HALT), ({"exposed": 1, "halted": 1}, EXIT_HALT)],
)
def test_a_position_without_its_stop_has_to_go(way: Callable[..., Any], now: dict[str, int], reason: int) -> None:
    account, asked, _ = decide(way, held=1, **now)
    assert (account.pending_exit, asked) == (reason, [])


@ways
@pytest.mark.parametrize(
    ("held", "answer", "asked", "reason"),
    [
        (2, LEAVE, [], 0),
        (3, LEAVE, [ASK_POSITION], EXIT_MODEL),
        (3, HOLD, [ASK_POSITION], 0),
        (3, ADD, [ASK_POSITION], 0),
    ],
)
def test_the_position_model_is_asked_from_min_bars_held_on(
    way: Callable[..., Any], held: int, answer: float, asked: list[int], reason: int
) -> None:
    account, questions, _ = decide(way, held=held, answer=answer)
    assert (account.pending_exit, questions) == (reason, asked)
