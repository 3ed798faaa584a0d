"""Every hand-made case, and the bookkeeping each of them must leave behind."""

from __future__ import annotations

import pytest

from engine.fills import EXIT_NAMES
from engine.gates import gate_names
from tests.engine.cases.bar_cases import CASES, BarCase, Booked, play_case
from tests.engine.market import Play

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


def booked(case: BarCase, done: Play) -> tuple[Booked, ...]:
    """Return the trades of a play in the words of the table, money to the cent."""
    row_of = {time: row for row, time in enumerate(case.times)}
    return tuple(
        Booked(
            row_of[int(trade.entry_time)],
            row_of[int(trade.exit_time)],
            int(trade.side),
            round(float(trade.entry_price), 2),
            round(float(trade.exit_price), 2),
            EXIT_NAMES[trade.reason],
            *(round(float(sum_), 2) for sum_ in (trade.profit, trade.commission, trade.swap)),
        )
        for trade in done.trades
    )


@each_case
def test_trades_are_the_ones_a_broker_would_book(case: BarCase) -> None:
    assert booked(case, play_case(case)) == case.trades


@each_case
def test_untraded_candidates_name_their_gates(case: BarCase) -> None:
    blocks = tuple((int(b.candidate), tuple(gate_names(int(b.gates)))) for b in play_case(case).blocks)
    assert blocks == case.blocks


@each_case
def test_account_ends_with_the_booked_money_and_the_expected_position(case: BarCase) -> None:
    account = play_case(case).account
    assert account.balance == pytest.approx(case.final_balance, abs=0.001)
    assert account.side == case.left_open


def test_case_ids_are_unique() -> None:
    assert len({case.id for case in CASES}) == len(CASES)


def test_costs_are_attributed_to_spread_and_slippage() -> None:
    slipped = {case.id: play_case(case).trades[0] for case in CASES if case.id.endswith("slips-in-and-out-of-a-stop")}
    assert {name: (trade.spread_cost, trade.slippage_cost) for name, trade in slipped.items()} == {
        "long-slips-in-and-out-of-a-stop": (10.0, 5.0),
        "short-slips-in-and-out-of-a-stop": (10.0, 5.0),
    }
