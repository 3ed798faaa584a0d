"""Waiting orders: a limit is never filled worse than its price, and no number that is none gets anywhere."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.helpers.mt5.terminal import DOWN, QUIET, START, UP, Stage, market, market_request, stage
from trading.brokers.simulated.accounts import AccountTerms

HEDGING, NETTING = AccountTerms(leverage=100), AccountTerms(leverage=100, margin_mode=0)
BUY_LIMIT, SELL_LIMIT, BUY_STOP, SELL_STOP, BUY_STOP_LIMIT = 2, 3, 4, 5, 6
FALL, RISE = (49_700.0, 49_720.0, 49_600.0, 49_650.0), (50_300.0, 50_400.0, 50_290.0, 50_350.0)


def wait(made: Stage, kind: int, price: float, volume: float = 0.1, **fields: Any) -> Any:
    """Send a waiting order."""
    request = {"action": 5, "symbol": "BTCUSD", "volume": volume, "type": kind, "price": price, "type_filling": 2}
    return made.send(**request | fields)


def price_of(made: Stage, order: int) -> float:
    """Return the price of an order's only deal."""
    (deal,) = made.mt5.history_deals_get(ticket=order) or ()
    return float(deal.price)


@pytest.mark.parametrize("terms", [HEDGING, NETTING], ids=["hedging", "netting"])
@pytest.mark.parametrize("held", [None, 0, 1], ids=["flat", "long", "short"])
@pytest.mark.parametrize("volume", [0.05, 0.1, 0.3])
@pytest.mark.parametrize(
    ("kind", "price", "row", "fill"),
    [
        (BUY_LIMIT, 49_900.0, DOWN, 49_900.0),
        (SELL_LIMIT, 50_100.0, UP, 50_100.0),
        (BUY_LIMIT, 49_900.0, FALL, 49_710.0),
        (SELL_LIMIT, 50_100.0, RISE, 50_300.0),
        (BUY_STOP, 50_100.0, UP, 50_107.0),
        (SELL_STOP, 49_900.0, DOWN, 49_893.0),
        (BUY_STOP, 50_100.0, RISE, 50_317.0),
        (SELL_STOP, 49_900.0, FALL, 49_693.0),
    ],
)
def test_what_an_order_is_filled_at_whatever_it_does_to_a_position(
    terms: AccountTerms, held: int | None, volume: float, kind: int, price: float, row: Any, fill: float
) -> None:
    """A limit at its price or a better open; a stop at its price or a worse open, and the slippage of 7."""
    made = stage(market(rows=[QUIET, QUIET, row, QUIET], slippage=7.0), terms=terms)
    if held is not None:
        made.deal(held, 0.1)
    made.server.advance()
    placed = wait(made, kind, price, volume)
    made.server.advance()
    assert price_of(made, placed.order) == fill


@pytest.mark.parametrize("terms", [HEDGING, NETTING], ids=["hedging", "netting"])
def test_the_limit_of_a_stop_limit_has_no_slippage(terms: AccountTerms) -> None:
    made = stage(market(rows=[QUIET, UP, DOWN, QUIET], slippage=7.0), terms=terms)
    made.deal(1, 0.1)
    placed = wait(made, BUY_STOP_LIMIT, 50_100.0, stoplimit=49_900.0)
    made.server.advance()
    made.server.advance()
    assert price_of(made, placed.order) == 49_900.0


@pytest.mark.parametrize("terms", [HEDGING, NETTING], ids=["hedging", "netting"])
@pytest.mark.parametrize("seed", range(12))
def test_no_limit_is_ever_filled_worse(terms: AccountTerms, seed: int) -> None:
    rng = random.Random(seed)
    rows, last = [], 50_000.0
    for _ in range(60):
        first = last + rng.choice([0.0, rng.uniform(-300.0, 300.0)])
        last = first + rng.uniform(-200.0, 200.0)
        high, low = max(first, last) + rng.uniform(0.0, 150.0), min(first, last) - rng.uniform(0.0, 150.0)
        rows.append(tuple(round(value, 2) for value in (first, high, low, last)))
    made = stage(market(rows=rows, slippage=11.13, spread=10.07), terms=terms)
    placed: dict[int, tuple[int, float]] = {}
    while not made.server.at_end:
        tick = made.mt5.symbol_info_tick("BTCUSD")
        assert tick is not None
        kind = rng.choice([BUY_LIMIT, SELL_LIMIT])
        away = rng.uniform(1.0, 250.0)
        price = round(tick.ask - away if kind == BUY_LIMIT else tick.bid + away, 2)
        placed[wait(made, kind, price, rng.choice([0.01, 0.02, 0.05])).order] = kind, price
        made.server.advance()
    filled = [deal for deal in made.deals() if deal.order in placed]
    assert len(filled) > 20
    for deal in filled:
        kind, price = placed[deal.order]
        assert (deal.price <= price) if kind == BUY_LIMIT else (deal.price >= price), (deal, price)
    sums = sum(deal.profit + deal.commission + deal.swap for deal in made.deals())
    assert made.balance == pytest.approx(10_000.0 + sums, abs=1e-6)


def test_an_ask_that_meets_the_limit_on_the_grid_fills_it() -> None:
    """49,850.00 + 10.07 is 49,860.07, whatever its last bits say."""
    made = stage(market(rows=[QUIET, DOWN, QUIET], spread=10.07))
    placed = wait(made, BUY_LIMIT, 49_860.07)
    made.server.advance()
    assert price_of(made, placed.order) == 49_860.07


def test_a_position_turned_round_by_an_order_can_be_stopped_in_the_same_bar() -> None:
    made = stage(market(rows=[QUIET, UP, QUIET]), terms=NETTING)
    made.deal(1, 0.1)
    wait(made, BUY_STOP, 50_050.0, 0.3, sl=50_000.0)
    made.server.advance()
    assert made.positions == ()
    assert [(deal.entry, deal.price) for deal in made.deals()][1:] == [(2, 50_050.0), (1, 50_000.0)]


def test_an_order_whose_surplus_cannot_be_paid_closes_and_stays_in_the_history() -> None:
    made = stage(market(rows=[QUIET, DOWN, QUIET]), terms=NETTING, balance=600.0)
    made.deal(0, 0.5)
    placed = wait(made, SELL_STOP, 49_900.0, 10.0)
    made.server.advance()
    assert made.positions == ()
    (order,) = made.mt5.history_orders_get(ticket=placed.order) or ()
    assert (order.state, order.volume_initial, order.volume_current) == (3, 10.0, 9.5)


# Numbers that are none.

BAD = [math.nan, math.inf, -math.inf, 10**400, 1e999]
FLOATS = ("volume", "price", "stoplimit", "sl", "tp")
INTEGERS = ("magic", "order", "deviation", "type", "type_filling", "type_time", "expiration", "position", "position_by")


def refused(made: Stage, answer: object) -> bool:
    return answer is None and (made.mt5.last_error() or (0,))[0] == -2


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", BAD, ids=repr)
@pytest.mark.parametrize("function", ["order_send", "order_check"])
def test_a_request_with_such_a_number_is_an_invalid_argument(name: str, value: float, function: str) -> None:
    made = stage()
    before = made.balance
    for action, kind in ((1, 0), (5, BUY_LIMIT), (6, 0), (7, 0)):
        request = market_request(kind, 0.1) | {"action": action, "price": 49_000.0, name: value}
        assert refused(made, getattr(made.mt5, function)(request)), request
        assert made.mt5.last_error() == (-2, f'Invalid "{name}" argument')
    assert made.positions == () and made.mt5.orders_total() == 0 and made.balance == before


@pytest.mark.parametrize("name", INTEGERS)
def test_so_is_an_integer_of_more_than_64_bits(name: str) -> None:
    made = stage()
    assert refused(made, made.mt5.order_send(market_request(0, 0.1) | {name: 2**70}))
    assert refused(made, made.mt5.order_check(market_request(0, 0.1) | {name: -(2**70)}))


@pytest.mark.parametrize("value", [1e308, -1e308, 5e-324, 1e17])
@pytest.mark.parametrize("name", FLOATS)
def test_an_absurd_number_is_refused_by_the_server_and_never_raises(name: str, value: float) -> None:
    made = stage()
    for action, kind in ((1, 0), (5, BUY_LIMIT), (5, BUY_STOP_LIMIT)):
        request = market_request(kind, 0.1) | {"action": action, "price": 49_000.0, "stoplimit": 48_000.0, name: value}
        made.mt5.order_check(request)
        answer = made.mt5.order_send(request)
        assert answer is not None
        if answer.retcode == 10009:
            ignored = (action, name) in {(1, "price"), (1, "stoplimit")} or (name == "stoplimit" and kind == BUY_LIMIT)
            assert ignored or (value == 1e17 and name in ("tp", "price")), "far away, but a price on the grid"


@pytest.mark.parametrize("value", BAD, ids=repr)
def test_calculations_of_such_numbers_answer_none(value: float) -> None:
    made = stage()
    for args in ((value, 50_000.0), (1.0, value)):
        assert refused(made, made.mt5.order_calc_margin(0, "BTCUSD", *args))
    for row in ((value, 1.0, 2.0), (1.0, value, 2.0), (1.0, 1.0, value)):
        assert refused(made, made.mt5.order_calc_profit(0, "BTCUSD", *row))
    assert refused(made, made.mt5.order_calc_margin(0, "BTCUSD", 1e308, 1e308))
    assert refused(made, made.mt5.order_calc_profit(0, "BTCUSD", 1e308, -1e308, 1e308))


def questions(made: Stage) -> Iterator[Callable[[Any], object]]:
    mt5 = made.mt5
    yield lambda date: mt5.history_deals_get(date, START)
    yield lambda date: mt5.history_deals_get(0, date)
    yield lambda date: mt5.history_orders_get(date, START)
    yield lambda date: mt5.history_orders_get(0, date)
    yield lambda date: mt5.history_deals_total(0, date)
    yield lambda date: mt5.history_orders_total(0, date)
    yield lambda date: mt5.copy_rates_from("BTCUSD", 15, date, 1)
    yield lambda date: mt5.copy_rates_range("BTCUSD", 15, 0, date)
    yield lambda date: mt5.copy_ticks_from("BTCUSD", date, 1, -1)
    yield lambda date: mt5.copy_ticks_range("BTCUSD", date, date, -1)


NAIVE = datetime(1, 1, 1)  # noqa: DTZ001 (what a careless caller passes)


@pytest.mark.parametrize("date", [*BAD, 2**70, -(2**70), 2**62, NAIVE], ids=repr)
def test_dates_outside_the_calendar_answer_none(date: Any) -> None:
    made = stage()
    for ask in questions(made):
        assert refused(made, ask(date))


@pytest.mark.parametrize("number", [2**70, math.nan, math.inf])
def test_tickets_counts_and_places_that_no_integer_holds_answer_none(number: Any) -> None:
    made = stage()
    mt5 = made.mt5
    for answer in (
        lambda: mt5.positions_get(ticket=number),
        lambda: mt5.orders_get(ticket=number),
        lambda: mt5.history_deals_get(position=number),
        lambda: mt5.history_deals_get(ticket=number),
        lambda: mt5.history_orders_get(ticket=number),
        lambda: mt5.copy_rates_from_pos("BTCUSD", 15, number, 1),
        lambda: mt5.copy_rates_from_pos("BTCUSD", 15, 0, number),
        lambda: mt5.copy_rates_from("BTCUSD", 15, START, number),
        lambda: mt5.copy_ticks_from("BTCUSD", START, number, -1),
    ):
        assert refused(made, answer())
    assert mt5.copy_ticks_from("BTCUSD", START, -1, -1) is None


@pytest.mark.parametrize("function", ["order_send", "order_check"])
def test_half_a_character_in_a_comment_answers_none(function: str) -> None:
    made = stage(market(rows=[QUIET, QUIET]))
    request = {"action": 5, "symbol": "BTCUSD", "volume": 0.1, "type": BUY_LIMIT, "price": 49_000.0, "type_filling": 2}
    assert getattr(made.mt5, function)({**request, "comment": "\ud800"}) is None
    assert made.mt5.last_error()[0] == -2
