"""Netting accounts and waiting orders, for every stand-in; numbers as in `mt5_module`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.mt5_module import Build, ContractBase
from tests.helpers.mt5.terminal import BAR, DOWN, MAGIC, QUIET, START, UP, Stage, market
from trading.brokers.simulated.accounts import AccountTerms

NETTING = AccountTerms(leverage=100, margin_mode=0)
DAY_BREAK = 1_704_326_400
"""2024-01-04 00:00 UTC."""


class NettingContract(ContractBase):
    """Trades on an account with one position per symbol."""

    def test_41_another_buy_averages_the_price(self, build: Build) -> None:
        high = (50_100.0, 50_110.0, 50_090.0, 50_100.0)
        made = build(market(rows=[QUIET, QUIET, high, QUIET]), terms=NETTING)
        made.deal(0, 0.1)
        ticket = made.position.ticket
        made.server.advance()
        made.deal(0, 0.3)
        assert (made.position.ticket, made.position.volume) == (ticket, 0.4)
        assert made.position.price_open == pytest.approx((50_010.0 * 0.1 + 50_110.0 * 0.3) / 0.4)
        assert [deal.entry for deal in made.deals(position=made.position.identifier)] == [0, 0]

    def test_41_a_sell_reduces_and_closes_without_naming_the_position(self, build: Build) -> None:
        made = build(terms=NETTING)
        made.deal(0, 0.3)
        made.deal(1, 0.1)
        assert made.position.volume == pytest.approx(0.2)
        made.deal(1, 0.2)
        assert made.positions == ()
        assert [deal.entry for deal in made.deals()] == [0, 1, 1]

    def test_41_a_larger_sell_turns_the_position_round(self, build: Build) -> None:
        made = build(market(commission_per_lot=1.0), terms=NETTING)
        made.deal(0, 0.1)
        before = made.position
        result = made.deal(1, 0.3)
        after = made.position
        assert (after.type, after.volume, after.price_open) == (1, pytest.approx(0.2), 50_000.0)
        assert after.identifier == before.identifier and after.ticket == result.order != before.ticket
        _, turn = made.deals(position=before.identifier)
        assert (turn.entry, turn.volume, turn.profit) == (2, 0.3, -1.0)
        assert turn.commission == pytest.approx(-0.3)
        assert made.balance == pytest.approx(10_000.0 + sum(d.profit + d.commission for d in made.deals()))


class PendingContract(ContractBase):
    """Orders that wait."""

    def pending(self, made: Stage, kind: int, price: float, **fields: Any) -> Any:
        """Send a pending order."""
        request = {"action": 5, "symbol": "BTCUSD", "volume": 0.1, "type": kind, "price": price, "type_filling": 2}
        return made.send(**request | fields)

    def test_36_an_order_is_placed_changed_and_removed(self, build: Build) -> None:
        made = build()
        placed = self.pending(made, 2, 49_900.0, sl=49_000.0, comment="wait", magic=MAGIC)
        assert (placed.retcode, placed.deal, placed.volume, placed.price) == (10009, 0, 0.1, 0.0)
        assert (placed.bid, placed.ask) == (50_000.0, 50_010.0)
        (order,) = made.mt5.orders_get()
        assert (order.ticket, order.state, order.price_open, order.sl) == (placed.order, 1, 49_900.0, 49_000.0)
        assert (order.volume_current, order.time_done, order.comment) == (0.1, 0, "wait")
        change = {"action": 7, "order": order.ticket, "symbol": "BTCUSD", "price": 49_800.0, "sl": 0.0}
        assert made.send(**change).retcode == 10009
        assert made.send(**change).retcode == 10025
        assert made.mt5.orders_get(ticket=order.ticket)[0].price_open == 49_800.0
        assert made.send(action=8, order=order.ticket).retcode == 10009
        assert made.mt5.orders_total() == 0
        assert made.send(action=8, order=order.ticket).retcode == 10013
        assert made.mt5.history_orders_get(ticket=order.ticket)[0].state == 2

    @pytest.mark.parametrize(
        ("kind", "price", "row", "fill"),
        [
            (2, 49_900.0, DOWN, 49_900.0),
            (3, 50_100.0, UP, 50_100.0),
            (4, 50_100.0, UP, 50_103.0),
            (5, 49_900.0, DOWN, 49_897.0),
            (2, 49_860.0, DOWN, 49_860.0),
            (4, 50_160.0, UP, 50_163.0),
        ],
    )
    def test_36_an_order_triggers_on_its_side_of_the_quote(
        self, build: Build, kind: int, price: float, row: Any, fill: float
    ) -> None:
        """Buying waits for the ask, selling for the bid; stops suffer the slippage of 3, limits do not."""
        made = build(market(rows=[QUIET, row, QUIET], slippage=3.0))
        placed = self.pending(made, kind, price)
        made.server.advance()
        assert made.mt5.orders_get() == ()
        assert (made.position.ticket, made.position.price_open) == (placed.order, fill)
        (order,) = made.mt5.history_orders_get(ticket=placed.order)
        assert (order.state, order.type) == (4, kind)

    @pytest.mark.parametrize(("kind", "price", "row"), [(2, 49_855.0, DOWN), (5, 49_849.0, DOWN), (3, 50_151.0, UP)])
    def test_36_an_order_just_out_of_reach_waits_on(self, build: Build, kind: int, price: float, row: Any) -> None:
        made = build(market(rows=[QUIET, row, QUIET]))
        self.pending(made, kind, price)
        made.server.advance()
        assert made.positions == () and made.mt5.orders_total() == 1

    def test_36_a_stop_limit_becomes_a_limit_first(self, build: Build) -> None:
        made = build(market(rows=[QUIET, UP, QUIET, QUIET]))
        placed = self.pending(made, 6, 50_100.0, stoplimit=50_020.0)
        made.server.advance()
        (order,) = made.mt5.orders_get()
        assert (order.ticket, order.type, order.price_open) == (placed.order, 2, 50_020.0)
        made.server.advance()
        assert made.position.price_open == 50_010.0

    def test_36_an_order_expires_on_the_server_s_clock(self, build: Build) -> None:
        made = build()
        placed = self.pending(made, 2, 49_000.0, type_time=2, expiration=START + 2 * BAR)
        made.server.advance()
        assert made.mt5.orders_total() == 1
        made.server.advance()
        assert made.mt5.orders_total() == 0
        (order,) = made.mt5.history_orders_get(ticket=placed.order)
        assert (order.state, order.time_expiration) == (6, START + 2 * BAR)

    def test_36_there_can_be_too_many(self, build: Build) -> None:
        made = build(terms=AccountTerms(leverage=100, limit_orders=1))
        assert self.pending(made, 2, 49_900.0).retcode == 10009
        assert self.pending(made, 2, 49_800.0).retcode == 10033

    def test_36_stop_and_target_are_measured_from_the_order_s_price(self, build: Build) -> None:
        made = build()
        assert self.pending(made, 2, 49_900.0, sl=49_950.0).retcode == 10016
        assert self.pending(made, 2, 49_900.0, sl=49_800.0, tp=49_950.0).retcode == 10009
        assert self.pending(made, 2, 50_020.0).retcode == 10015, "above the ask a limit would not wait"
        assert self.pending(made, 4, 50_000.0).retcode == 10015

    def test_36_near_its_price_an_order_is_frozen(self, build: Build) -> None:
        made = build()
        placed = self.pending(made, 2, 50_000.0)
        made.server.respecify("BTCUSD", freeze_level=1_000.0)
        assert made.send(action=8, order=placed.order).retcode == 10029
        change = {"action": 7, "order": placed.order, "symbol": "BTCUSD", "price": 49_000.0}
        assert made.send(**change).retcode == 10029
        made.server.respecify("BTCUSD", freeze_level=999.0)
        assert made.send(**change).retcode == 10009

    @pytest.mark.parametrize(("lifetime", "expiration"), [(1, 0), (3, DAY_BREAK - 3 * BAR)])
    def test_36_an_order_can_live_until_the_server_s_midnight(
        self, build: Build, lifetime: int, expiration: int
    ) -> None:
        made = build(market(rows=[QUIET] * 8, start=DAY_BREAK - 5 * BAR))
        placed = self.pending(made, 2, 49_000.0, type_time=lifetime, expiration=expiration)
        while made.server.now < DAY_BREAK:
            assert made.mt5.orders_total() == 1
            made.server.advance()
        made.server.advance()
        assert made.mt5.history_orders_get(ticket=placed.order)[0].state == 6

    def test_36_an_order_that_cannot_be_paid_is_rejected_when_it_triggers(self, build: Build) -> None:
        made = build(market(rows=[QUIET, DOWN, QUIET]), balance=600.0)
        placed = self.pending(made, 2, 49_900.0, volume=1.0)
        made.deal(0, 1.0)
        made.server.advance()
        assert len(made.positions) == 1
        assert made.mt5.history_orders_get(ticket=placed.order)[0].state == 5

    def test_36_a_stop_behind_the_trigger_counts_within_the_bar(self, build: Build) -> None:
        """Nothing tells the order of prices inside a bar, so the stop is taken and a target is not."""
        made = build(market(rows=[QUIET, DOWN, QUIET]))
        self.pending(made, 2, 49_950.0, sl=49_900.0)
        self.pending(made, 2, 49_950.0, tp=49_960.0)
        made.server.advance()
        assert made.position.tp == 49_960.0
        assert [(deal.entry, deal.reason, deal.price) for deal in made.deals()] == [
            (0, 3, 49_950.0),
            (1, 4, 49_900.0),
            (0, 3, 49_950.0),
        ]

    def test_36_on_a_netting_account_an_order_changes_the_position(self, build: Build) -> None:
        made = build(market(rows=[QUIET, DOWN, QUIET]), terms=NETTING)
        made.deal(0, 0.3)
        self.pending(made, 5, 49_900.0)
        made.server.advance()
        assert made.position.volume == pytest.approx(0.2)

    def test_36_an_order_of_a_market_type_cannot_wait(self, build: Build) -> None:
        assert self.pending(build(), 0, 50_010.0).retcode == 10013
