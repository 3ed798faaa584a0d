"""The broker's contract: what the bot relies on, whoever is behind the port."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import pytest

from novosky.market.bars import epoch_seconds
from trading.brokers.port import Broker, DealEntry, DealReason, OrderRequest, Outcome, Position

Row = tuple[float, float, float, float]
QUIET: Row = (50_000.0, 50_010.0, 49_990.0, 50_000.0)
UP: Row = (50_000.0, 50_150.0, 49_995.0, 50_120.0)
DOWN: Row = (50_000.0, 50_005.0, 49_850.0, 49_880.0)
BAR = 900
START = 1_704_283_200
"""2024-01-03 12:00 UTC, open of the first bar."""
SPREAD = 10.0
MAGIC = 42


@dataclass(frozen=True)
class Terms:
    """An account: one unit per lot, prices and money to the cent.

    Attributes
    ----------
    balance, commission, slippage, swap : float
        USD; commission per lot and side, swap per lot and night.
    leverage, stop_out : float
        Stop-out as a share of margin.
    stops_distance : float
        USD.
    midnights : tuple of int
        Bars that a server midnight precedes.
    """

    balance: float = 10_000.0
    commission: float = 3.0
    slippage: float = 0.0
    swap: float = -7.0
    leverage: float = 100.0
    stop_out: float = 0.5
    stops_distance: float = 0.0
    midnights: tuple[int, ...] = ()


class Stage(Protocol):
    """A broker over prepared bars, standing at the close of the first one."""

    broker: Broker

    def go_on(self) -> None:
        """Let the market move to the close of the next bar."""

    def reconnect(self) -> None:
        """Lose the connection and replace `broker` by a new one to the same account."""


def buy(volume: float = 1.0, sl: float = 49_910.0, tp: float = 50_110.0, comment: str = "e1") -> OrderRequest:
    return OrderRequest(1, volume, sl, tp, 0, MAGIC, comment)


def sell(volume: float = 1.0, sl: float = 50_100.0, tp: float = 49_900.0, comment: str = "e1") -> OrderRequest:
    return OrderRequest(-1, volume, sl, tp, 0, MAGIC, comment)


def close(position: Position, comment: str = "x1") -> OrderRequest:
    return OrderRequest(-position.side, position.volume, 0.0, 0.0, position.ticket, MAGIC, comment)


class BrokerContract:
    """Tests that a broker passes; a subclass says how to set its stage."""

    def stage(self, folder: Path, rows: list[Row], terms: Terms, slots: list[int] | None = None) -> Stage:
        """Return a broker over bars at `START + BAR * slot` with a spread of `SPREAD` USD."""
        raise NotImplementedError

    def test_quote_of_a_close_is_its_bid_and_ask(self, tmp_path: Path) -> None:
        quote = self.stage(tmp_path, [QUIET, UP], Terms()).broker.quote()
        assert (quote.time, quote.bid, quote.ask) == (START + BAR, 50_000.0, 50_010.0)

    def test_a_new_account_holds_its_deposit(self, tmp_path: Path) -> None:
        broker = self.stage(tmp_path, [QUIET, UP], Terms()).broker
        state = broker.account()
        assert (state.balance, state.equity, state.margin) == (10_000.0, 10_000.0, 0.0)
        assert broker.positions() == []
        deals = broker.deals(0)
        assert [(deal.entry, deal.profit) for deal in deals] == [(DealEntry.BALANCE, 10_000.0)]

    def test_closed_bars_are_the_newest_and_never_the_one_forming(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, UP, DOWN, QUIET], Terms())
        assert len(stage.broker.closed_bars(5)) == 1
        stage.go_on()
        stage.go_on()
        bars = stage.broker.closed_bars(2)
        assert list(bars.index) == [0, 1]
        assert list(bars["close"]) == [UP[3], DOWN[3]]
        stage.broker.send(buy(sl=49_700.0, tp=50_300.0))
        assert list(stage.broker.closed_bars(1)["close"]) == [DOWN[3]], "the order's bar has not closed"

    def test_closed_arrays_are_the_columns_of_the_closed_bars(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, UP, DOWN, QUIET], Terms())
        stage.go_on()
        first = stage.broker.closed_arrays(5)
        kept = (first.times.tolist(), first.close.tolist())
        stage.go_on()
        for count in (1, 2, 5):
            frame, arrays = stage.broker.closed_bars(count), stage.broker.closed_arrays(count)
            assert arrays.times.tolist() == epoch_seconds(frame).tolist()
            for name in ("open", "high", "low", "close", "volume"):
                assert getattr(arrays, name).tolist() == frame[name].tolist()
        assert (first.times.tolist(), first.close.tolist()) == kept, "a window handed out does not change later"

    def test_a_buy_fills_at_the_next_ask(self, tmp_path: Path) -> None:
        broker = self.stage(tmp_path, [QUIET, QUIET], Terms(slippage=0.5)).broker
        result = broker.send(buy(volume=0.5))
        assert (result.outcome, result.price) == (Outcome.FILLED, 50_010.5)
        (position,) = broker.positions()
        assert (position.ticket, position.side, position.volume) == (result.order, 1, 0.5)
        assert (position.time, position.price_open) == (START + BAR, 50_010.5)
        assert (position.sl, position.tp) == (49_910.0, 50_110.0)
        assert (position.magic, position.comment) == (MAGIC, "e1")

    def test_what_it_says_is_in_the_words_of_the_port(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, QUIET, UP], Terms())
        sent = stage.broker.send(buy())
        again = stage.broker.send(sell(comment="e2"))
        gone = stage.broker.modify_stops(77, 49_900.0, 50_140.0)
        assert all(isinstance(result.outcome, Outcome) for result in (sent, again, gone))
        assert (sent.outcome.executed, again.outcome.executed, again.outcome.refused) == (True, False, True)
        assert all(isinstance(result.code, str) and isinstance(result.comment, str) for result in (sent, again, gone))
        stage.go_on()
        stage.go_on()
        for deal in stage.broker.deals(0):
            assert isinstance(deal.entry, DealEntry)
            assert isinstance(deal.reason, DealReason)

    def test_a_sell_fills_at_the_next_bid(self, tmp_path: Path) -> None:
        broker = self.stage(tmp_path, [QUIET, QUIET], Terms(slippage=0.5)).broker
        assert broker.send(sell()).price == 49_999.5
        assert broker.positions()[0].side == -1

    def test_an_entry_is_a_deal_that_books_its_commission(self, tmp_path: Path) -> None:
        broker = self.stage(tmp_path, [QUIET, QUIET], Terms()).broker
        result = broker.send(buy(volume=2.0))
        deal = broker.deals(0)[-1]
        assert (deal.ticket, deal.position, deal.entry) == (result.deal, result.order, DealEntry.IN)
        assert (deal.reason, deal.volume, deal.price, deal.time) == (DealReason.PROGRAM, 2.0, 50_010.0, START + BAR)
        assert (deal.commission, deal.swap, deal.profit) == (-6.0, 0.0, 0.0)
        assert (deal.magic, deal.comment) == (MAGIC, "e1")
        assert broker.account().balance == 9_994.0

    def test_equity_floats_on_the_leaving_side(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, (50_000.0, 50_060.0, 49_990.0, 50_040.0)], Terms(commission=0.0))
        stage.broker.send(buy(volume=2.0))
        stage.go_on()
        state = stage.broker.account()
        assert (state.balance, state.equity) == (10_000.0, 10_060.0)
        assert state.margin == pytest.approx(2.0 * 50_010.0 / 100.0)
        assert stage.broker.positions()[0].profit == 60.0

    @pytest.mark.parametrize(
        ("order", "row", "reason", "price", "profit"),
        [
            (buy(), UP, DealReason.TARGET, 50_110.0, 99.5),
            (buy(), DOWN, DealReason.STOP, 49_909.5, -101.0),
            (sell(), DOWN, DealReason.TARGET, 49_900.0, 99.5),
            (sell(), UP, DealReason.STOP, 50_100.5, -101.0),
        ],
        ids=["buy-target", "buy-stop", "sell-target", "sell-stop"],
    )
    def test_stop_and_target_close_on_the_server(
        self, tmp_path: Path, order: OrderRequest, row: Row, reason: DealReason, price: float, profit: float
    ) -> None:
        stage = self.stage(tmp_path, [QUIET, QUIET, row], Terms(slippage=0.5))
        result = stage.broker.send(order)
        stage.go_on()
        stage.go_on()
        assert stage.broker.positions() == []
        deal = stage.broker.deals(result.deal)[-1]
        assert (deal.position, deal.entry, deal.reason) == (result.order, DealEntry.OUT, reason)
        assert (deal.price, deal.time, deal.profit, deal.commission) == (price, START + 2 * BAR, profit, -3.0)
        assert stage.broker.account().balance == 10_000.0 + profit - 6.0

    def test_stop_and_target_are_live_in_the_entry_bar(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, UP], Terms())
        stage.broker.send(buy())
        stage.go_on()
        assert stage.broker.deals(0)[-1].reason == DealReason.TARGET

    def test_too_little_equity_is_stopped_out(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, QUIET, DOWN], Terms(balance=600.0, commission=0.0, stop_out=1.0))
        stage.broker.send(buy(sl=49_000.0, tp=51_000.0))
        stage.go_on()
        stage.go_on()
        assert stage.broker.positions() == []
        assert stage.broker.deals(0)[-1].reason == DealReason.STOP_OUT

    def test_a_close_order_leaves_at_the_next_quote(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, QUIET, (50_020.0, 50_030.0, 50_010.0, 50_025.0)], Terms())
        stage.broker.send(buy())
        stage.go_on()
        result = stage.broker.send(close(stage.broker.positions()[0]))
        assert (result.outcome, result.price) == (Outcome.FILLED, 50_020.0)
        deal = stage.broker.deals(0)[-1]
        assert (deal.ticket, deal.entry, deal.reason, deal.comment) == (
            result.deal,
            DealEntry.OUT,
            DealReason.PROGRAM,
            "x1",
        )
        assert stage.broker.positions() == []

    def test_a_close_by_hand_carries_no_magic(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, QUIET, QUIET], Terms())
        stage.broker.send(buy())
        (position,) = stage.broker.positions()
        stage.broker.send(replace(close(position), magic=0, comment=""))
        entry, leave = stage.broker.deals(0)[1:]
        assert (entry.magic, leave.magic, leave.comment) == (MAGIC, 0, "")

    def test_swap_gathers_on_the_position_and_is_booked_with_its_exit(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, QUIET, QUIET, UP], Terms(midnights=(2, 3)))
        stage.broker.send(buy(volume=2.0))
        stage.go_on()
        stage.go_on()
        assert stage.broker.positions()[0].swap == -14.0
        assert stage.broker.account().balance == 9_994.0, "not booked yet"
        stage.go_on()
        assert stage.broker.deals(0)[-1].swap == -28.0

    def assert_refused(self, stage: Stage, order: OrderRequest, outcome: Outcome) -> None:
        before = (stage.broker.positions(), stage.broker.deals(0), stage.broker.account().balance)
        result = stage.broker.send(order)
        assert (result.outcome, result.order, result.deal) == (outcome, 0, 0)
        assert outcome is Outcome.NOT_SENT or outcome.refused
        assert result.comment
        after = (stage.broker.positions(), stage.broker.deals(0), stage.broker.account().balance)
        assert after == before

    @pytest.mark.parametrize("order", [buy(sl=50_020.0), buy(tp=49_990.0), sell(sl=49_990.0), sell(tp=50_050.0)])
    def test_stops_on_the_wrong_side_are_refused(self, tmp_path: Path, order: OrderRequest) -> None:
        self.assert_refused(self.stage(tmp_path, [QUIET, QUIET], Terms()), order, Outcome.STOPS_TOO_CLOSE)

    def test_stops_nearer_than_the_broker_allows_are_refused(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, QUIET], Terms(stops_distance=91.0))
        self.assert_refused(stage, buy(), Outcome.STOPS_TOO_CLOSE)

    def test_an_order_into_a_closed_market_is_refused(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, QUIET, UP], Terms(), slots=[0, 4, 5])
        self.assert_refused(stage, buy(), Outcome.MARKET_CLOSED)
        stage.go_on()
        assert stage.broker.send(buy()).outcome == Outcome.FILLED, "and forgotten"

    def test_a_close_order_into_a_closed_market_leaves_the_position(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, QUIET, QUIET], Terms(), slots=[0, 1, 9])
        stage.broker.send(buy())
        stage.go_on()
        self.assert_refused(stage, close(stage.broker.positions()[0]), Outcome.MARKET_CLOSED)

    def test_more_margin_than_money_is_refused(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, QUIET], Terms(balance=499.0))
        self.assert_refused(stage, buy(), Outcome.NO_MONEY)

    def test_an_order_without_a_quote_is_refused(self, tmp_path: Path) -> None:
        self.assert_refused(self.stage(tmp_path, [QUIET], Terms()), buy(), Outcome.NOT_SENT)

    def test_closing_what_is_not_open_is_refused(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, UP, QUIET], Terms())
        self.assert_refused(stage, OrderRequest(-1, 1.0, 0.0, 0.0, 77, MAGIC, "x1"), Outcome.POSITION_GONE)
        stage.broker.send(buy())
        (position,) = stage.broker.positions()
        self.assert_refused(
            stage, OrderRequest(-1, 1.0, 0.0, 0.0, position.ticket + 1, MAGIC, "x1"), Outcome.POSITION_GONE
        )
        stage.go_on()
        self.assert_refused(stage, close(position), Outcome.POSITION_GONE)

    def test_a_second_position_is_refused(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, QUIET, QUIET], Terms())
        stage.broker.send(buy())
        stage.go_on()
        self.assert_refused(stage, sell(comment="e2"), Outcome.TOO_MANY_POSITIONS)

    def test_an_order_that_was_executed_is_found_again(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, QUIET, QUIET], Terms())
        order = buy(comment="e6595a2c4")
        sent = stage.broker.send(order)
        assert replace(stage.broker.outcome_of(order, START + BAR), comment="") == replace(sent, comment="")
        stage.go_on()
        (position,) = stage.broker.positions()
        leave = close(position, comment="x6595a648")
        sent = stage.broker.send(leave)
        found = stage.broker.outcome_of(leave, START + 2 * BAR)
        assert (found.outcome, found.deal, found.price) == (Outcome.FILLED, sent.deal, sent.price)
        assert stage.broker.outcome_of(order, START + BAR).outcome == Outcome.FILLED, "closed since, but executed"

    def test_an_order_that_was_never_sent_is_told_from_one_that_was(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, QUIET, QUIET], Terms())
        assert stage.broker.outcome_of(buy(comment="e6595a2c4"), START + BAR).outcome == Outcome.NOT_PLACED
        stage.broker.send(buy(comment="e6595a2c4"))
        stage.go_on()
        (position,) = stage.broker.positions()
        assert stage.broker.outcome_of(close(position), START + 2 * BAR).outcome == Outcome.NOT_PLACED

    def test_stops_of_an_open_position_can_be_set(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, QUIET, UP], Terms(stops_distance=20.0))
        stage.broker.send(buy())
        stage.go_on()
        (position,) = stage.broker.positions()
        assert stage.broker.modify_stops(position.ticket, 49_910.0, 50_110.0).outcome == Outcome.UNCHANGED
        assert stage.broker.modify_stops(position.ticket, 49_990.0, 50_110.0).outcome == Outcome.STOPS_TOO_CLOSE
        assert stage.broker.modify_stops(position.ticket + 1, 49_900.0, 50_140.0).outcome == Outcome.POSITION_GONE
        assert stage.broker.modify_stops(position.ticket, 49_900.0, 50_140.0).outcome == Outcome.ACCEPTED
        (position,) = stage.broker.positions()
        assert (position.sl, position.tp) == (49_900.0, 50_140.0)
        stage.go_on()
        assert stage.broker.deals(0)[-1].price == 50_140.0

    def test_deals_ascend_and_add_up_to_the_balance(self, tmp_path: Path) -> None:
        stage = self.stage(tmp_path, [QUIET, UP, QUIET, DOWN, QUIET, QUIET], Terms(slippage=0.25, midnights=(1, 4)))
        for number in range(5):
            if not stage.broker.positions():
                stage.broker.send(buy(comment=f"e{number}"))
            stage.go_on()
        deals = stage.broker.deals(0)
        tickets = [deal.ticket for deal in deals]
        assert tickets == sorted(set(tickets))
        assert stage.broker.deals(tickets[1]) == deals[2:]
        total = sum(deal.profit + deal.commission + deal.swap for deal in deals)
        assert stage.broker.account().balance == pytest.approx(total, abs=1e-9)

    def test_the_account_survives_a_lost_connection_at_every_point(self, tmp_path: Path) -> None:
        rows = [QUIET, QUIET, UP, QUIET, QUIET]
        lost, kept = (self.stage(tmp_path / name, rows, Terms(midnights=(2,))) for name in ("lost", "kept"))
        for number in range(4):
            for stage in (lost, kept):
                if number != 2:
                    stage.broker.send(buy(comment=f"e{number}"))
                    if stage is lost:
                        stage.reconnect()
                stage.go_on()
                if stage is lost:
                    stage.reconnect()
            assert lost.broker.positions() == kept.broker.positions()
            assert lost.broker.deals(0) == kept.broker.deals(0)
            assert lost.broker.account() == kept.broker.account()
            assert lost.broker.quote() == kept.broker.quote()
            assert lost.broker.closed_bars(9).equals(kept.broker.closed_bars(9))
