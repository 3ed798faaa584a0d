"""What a run reports besides trades, what it asks, and what it says of orders refused at the open."""

from __future__ import annotations

import pytest

from engine.bar import ASK_MULTIPLIER, ASK_POSITION
from engine.gates import gate_names
from tests.engine.cases.bar_cases import BarCase, Signal, case_market, case_params
from tests.engine.cases.case import LONG, QUIET, SHORT, TO_TARGET
from tests.engine.market import Play, begin, play


def run(*bars: tuple[float, float, float, float], signal: Signal = LONG, **settings: float) -> Play:
    case = BarCase(id="", why="", signals=(signal,), bars=bars, settings=tuple(settings.items()))
    return play(case_params(case), case_market(case), case.balance)


def test_drawdown_of_a_long_is_taken_at_the_low() -> None:
    done = run(QUIET, (50_000.0, 50_010.0, 49_920.0, 50_000.0))
    assert done.run.max_drawdown == pytest.approx(90.0 / 10_000.0)


def test_drawdown_of_a_short_is_taken_at_the_highs_ask() -> None:
    done = run(QUIET, (50_000.0, 50_080.0, 49_990.0, 50_000.0), signal=SHORT)
    assert done.run.max_drawdown == pytest.approx(90.0 / 10_000.0)


def test_drawdown_is_measured_from_the_highest_floating_equity() -> None:
    done = run(QUIET, (50_000.0, 50_105.0, 49_999.0, 50_100.0), (50_100.0, 50_101.0, 50_000.0, 50_050.0))
    assert done.run.peak == pytest.approx(10_090.0)
    assert done.run.max_drawdown == pytest.approx(100.0 / 10_090.0)


def test_drawdown_counts_what_was_booked() -> None:
    done = run(QUIET, (50_000.0, 50_005.0, 49_900.0, 49_950.0), QUIET)
    assert done.run.max_drawdown == pytest.approx(100.0 / 10_000.0)


def test_bars_in_market_are_those_that_saw_a_position() -> None:
    done = run(QUIET, QUIET, QUIET, QUIET, TO_TARGET, QUIET)
    assert done.run.bars_in_market == 4


def test_equity_is_written_for_every_bar() -> None:
    done = run(QUIET, QUIET, (50_000.0, 50_040.0, 49_990.0, 50_030.0), TO_TARGET, QUIET)
    assert done.equity.tolist() == [10_000.0, 9_990.0, 10_020.0, 10_100.0, 10_100.0]


def test_order_refused_at_the_open_names_its_own_candidate() -> None:
    case = BarCase(
        id="",
        why="",
        signals=(Signal(bar=0, market_open=False), Signal(bar=1), Signal(bar=2, market_open=False)),
        bars=(QUIET, QUIET, (50_150.0, 50_160.0, 50_140.0, 50_150.0), QUIET),
    )
    done = play(case_params(case), case_market(case), case.balance)
    assert [(block.candidate, gate_names(int(block.gates))) for block in done.blocks] == [
        (0, ["market_closed"]),
        (1, ["stops_level"]),
        (2, ["market_closed"]),
    ]


# A risk of 100 USD over a stop of 100 USD is one lot, which binds 1,000.20 USD at leverage 50.
SIZED = (
    ("fixed_volume", 0.0),
    ("risk_fraction", 0.1),
    ("max_risk_fraction", 0.5),
    ("leverage", 50.0),
    ("risk_model", 1),
)


def sized_case() -> BarCase:
    return BarCase(id="", why="", signals=(LONG,), bars=(QUIET, QUIET, TO_TARGET), balance=1_000.0, settings=SIZED)


def test_margin_is_judged_at_the_size_the_risk_model_leaves() -> None:
    case = sized_case()
    done = play(case_params(case), case_market(case), case.balance, lambda *_: 0.5)
    assert [trade.volume for trade in done.trades] == [0.5]


def test_margin_blocks_the_size_the_risk_model_asks_for() -> None:
    case = sized_case()
    done = play(case_params(case), case_market(case), case.balance, lambda *_: 1.0)
    assert [gate_names(int(block.gates)) for block in done.blocks] == [["margin"]]


def test_risk_model_is_asked_after_the_gates_and_the_position_model_while_holding() -> None:
    case = BarCase(
        id="",
        why="",
        signals=(Signal(market_open=False), Signal(bar=1), Signal(bar=2)),
        bars=(QUIET, QUIET, QUIET, QUIET, TO_TARGET, QUIET),
        settings=(("risk_model", 1), ("position_model", 1)),
    )
    asked: list[tuple[int, int]] = []

    def answer(question: int, bar: int) -> float:
        asked.append((question, bar))
        return 0.0

    play(case_params(case), case_market(case), case.balance, answer)
    assert asked == [(ASK_MULTIPLIER, 1), (ASK_POSITION, 2), (ASK_POSITION, 3)]


def test_order_of_the_last_bar_is_filled_when_history_goes_on() -> None:
    case = BarCase(id="", why="", signals=(LONG,), bars=(QUIET, TO_TARGET))
    market = case_market(case)
    bot = begin(case_params(case), market, case.balance)
    bot.go(market.until(1))
    assert (bot.account.pending_side, len(bot.trades)) == (1, 0)
    bot.go(market)
    assert (bot.account.pending_side, len(bot.trades)) == (0, 1)


def test_nothing_left_to_do_changes_nothing() -> None:
    done = run(QUIET, QUIET, TO_TARGET, QUIET)
    before = (done.account.tobytes(), done.guard.tobytes(), done.run.tobytes())  # type: ignore[attr-defined]
    case = BarCase(id="", why="", signals=(LONG,), bars=(QUIET, QUIET, TO_TARGET, QUIET))
    done.go(case_market(case))
    assert (done.account.tobytes(), done.guard.tobytes(), done.run.tobytes()) == before  # type: ignore[attr-defined]
