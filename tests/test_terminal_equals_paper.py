"""The simulated terminal books what the paper broker books, to the last bit, order by order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from paper_runs import planted_bars, scattered_ml_settings, settings_with

from novosky.settings import Settings
from trading.broker import Deal, OrderRequest, OrderResult
from trading.engine.records import Minutes, no_minutes
from trading.market_inputs import bar_columns
from trading.paper import PaperBroker
from trading.paper_store import PaperStore
from trading.parameters import build_params, build_rollovers
from trading.terminal.opening import paper_server
from trading.terminal.server import TradeServer
from trading.terminal.terminal import SimulatedTerminal
from trading.terminal.views import Installation

BARS = 1_500
FIRST = 100
NAMES = ("position", "time", "entry", "reason", "volume", "price", "commission", "swap", "profit", "magic", "comment")


def minutes_at_random(frame: pd.DataFrame, generator: np.random.Generator) -> Minutes:
    """Three minutes in every second bar, somewhere inside its range."""
    begin = np.concatenate(([0], np.cumsum(np.where(np.arange(len(frame)) % 2, 3, 0))))
    owner = np.repeat(np.arange(len(frame)), np.diff(begin))
    low, high = frame["low"].to_numpy()[owner], frame["high"].to_numpy()[owner]
    a, b = (low + (high - low) * generator.random(len(owner)) for _ in range(2))
    return Minutes(begin.astype(np.int64), np.maximum(a, b), np.minimum(a, b))


@dataclass
class Pair:
    """The same market behind both."""

    paper: PaperBroker
    server: TradeServer
    mt5: SimulatedTerminal
    unit: float
    ticket: int = 0

    def advance(self) -> None:
        self.paper.advance()
        self.server.advance()

    def send(self, request: OrderRequest) -> tuple[OrderResult, Any]:
        """Send one request to both; the closing ticket is each side's own."""
        held = self.mt5.positions_get() or ()
        fields = {"action": 1, "symbol": "BTCUSD", "volume": request.volume, "type": 0 if request.side > 0 else 1}
        fields |= {"sl": request.sl, "tp": request.tp, "magic": request.magic, "comment": request.comment}
        if request.position:
            fields["position"] = held[0].ticket
        return self.paper.send(request), self.mt5.order_send(fields)

    def paper_deals(self) -> list[tuple[Any, ...]]:
        """Deals without the tickets and the comments that only a real server writes."""
        return [tuple(getattr(deal, name) for name in NAMES[1:10]) for deal in self.paper.deals(0)]

    def terminal_deals(self) -> list[tuple[Any, ...]]:
        """The same of the terminal, back in USD and UTC."""
        rows = []
        for deal in self.mt5.history_deals_get(0, 2**32) or ():
            utc = int(self.server.stamps.clock.to_utc(np.array([deal.time]), repeated="earlier")[0])
            entry = -1 if deal.type == self.mt5.DEAL_TYPE_BALANCE else deal.entry
            money = (deal.commission / self.unit, deal.swap / self.unit, deal.profit / self.unit)
            rows.append((utc, entry, deal.reason, deal.volume, deal.price, *money, deal.magic))
        return rows


def pair(frame: pd.DataFrame, settings: Settings, minutes: Minutes, folder: Path, clock: str = "NewYork+7") -> Pair:
    bars = bar_columns(frame, settings, fixed_spread=False)
    params = build_params(settings, scattered_ml_settings())
    rollovers = build_rollovers(settings, int(bars.time[0]), int(bars.time[-1]))
    balance = settings.risk_profile.starting_balance_usd
    store = PaperStore(folder / "paper.sqlite", durable=False)
    paper = PaperBroker(frame, bars, FIRST, params, rollovers, minutes, store, "x", balance)
    server = paper_server(frame, FIRST, settings, params, minutes, balance, clock=clock)
    mt5 = SimulatedTerminal(server, installation=Installation(selected=("BTCUSD",)))
    assert mt5.initialize()
    return Pair(paper, server, mt5, server.terms.unit)


def random_requests(pair: Pair, generator: np.random.Generator, lots: tuple[float, ...]) -> None:
    """Trade at random over the whole market, comparing every answer."""
    while not pair.paper.at_end:
        pair.advance()
        held, quote = pair.paper.positions(), pair.paper.quote()
        if held and generator.random() < 0.05:
            request = OrderRequest(-held[0].side, held[0].volume, 0.0, 0.0, held[0].ticket, 7, "out")
        elif not held and generator.random() < 0.2:
            side = 1 if generator.random() < 0.5 else -1
            base = quote.ask if side > 0 else quote.bid
            sl, tp = (round(base - sign * side * generator.uniform(20, 400), 2) for sign in (1, -1))
            request = OrderRequest(side, float(generator.choice(lots)), sl, tp, 0, 42, f"intent-{pair.paper.bar}")
        else:
            continue
        ours, theirs = pair.send(request)
        assert (ours.retcode, ours.price) == (theirs.retcode, theirs.price)
        assert ours.retcode != 10009 or theirs.deal > 0
        compare_state(pair)


def compare_state(pair: Pair) -> None:
    """Money and positions are the same number, not nearly the same."""
    account, info = pair.paper.account(), pair.mt5.account_info()
    assert info is not None
    assert account.balance == info.balance / pair.unit
    if pair.unit == 1.0:
        assert (account.equity, account.margin) == (info.equity, info.margin)
    ours, theirs = pair.paper.positions(), pair.mt5.positions_get() or ()
    assert [(p.volume, p.price_open, p.sl, p.tp, p.magic, p.comment) for p in ours] == [
        (p.volume, p.price_open, p.sl, p.tp, p.magic, p.comment) for p in theirs
    ]
    tick, quote = pair.mt5.symbol_info_tick("BTCUSD"), pair.paper.quote()
    assert tick is not None and (tick.bid, tick.ask) == (quote.bid, quote.ask)


COSTS = {"spread": 12.0, "commission_per_lot": 3.5, "slippage": 1.5, "swap_long": -21.3, "swap_short": -4.7}


@pytest.mark.parametrize("account", ["standard", "cent"])
@pytest.mark.parametrize("with_minutes", [False, True])
def test_every_deal_of_a_market_at_random_is_the_same(tmp_path: Path, account: str, with_minutes: bool) -> None:
    generator = np.random.default_rng(5)
    frame = planted_bars(0).iloc[:BARS].reset_index(drop=True)
    settings = settings_with(costs=COSTS, account_type=account, risk_profile={"starting_balance_usd": 5_000})
    minutes = minutes_at_random(frame, generator) if with_minutes else no_minutes()
    both = pair(frame, settings, minutes, tmp_path)
    random_requests(both, generator, (0.01, 0.1, 0.5))
    deals = both.paper_deals()
    assert len(deals) > 100 and {deal[2] for deal in deals} >= {3, 4, 5}
    assert both.terminal_deals() == deals
    assert both.paper.account().balance == both.server.book.balance


def test_stop_outs_refusals_and_gaps_are_the_same(tmp_path: Path) -> None:
    """A thin account on a market with holes: 10018, 10019 and 10016 occur, and the broker's own exits."""
    generator = np.random.default_rng(9)
    whole = planted_bars(0).iloc[:BARS]
    keep = generator.random(BARS) > 0.05
    frame = whole[keep].reset_index(drop=True)
    settings = settings_with(
        costs=COSTS,
        broker={"stops_level": 6_000},
        account={"leverage": 500, "margin_call_level": 100, "stop_out_level": 90},
        risk_profile={"starting_balance_usd": 120},
    )
    both = pair(frame, settings, no_minutes(), tmp_path)
    seen: set[int] = set()
    while not both.paper.at_end:
        both.advance()
        quote = both.paper.quote()
        if both.paper.positions():
            continue
        distance = generator.uniform(50, 2_000)
        lots = float(generator.choice([0.1, 0.9, 3.0]))
        request = OrderRequest(1, lots, round(quote.ask - distance, 2), round(quote.ask + distance, 2), 0, 1, "x")
        ours, theirs = both.send(request)
        assert ours.retcode == theirs.retcode
        seen.add(ours.retcode)
        compare_state(both)
    assert seen >= {10009, 10016, 10018, 10019}
    assert both.terminal_deals() == both.paper_deals()
    assert 6 in {deal[2] for deal in both.paper_deals()}
    last: Deal = both.paper.deals(0)[-1]
    assert last.ticket > 1
