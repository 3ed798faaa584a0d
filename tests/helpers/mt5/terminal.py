"""A simulated terminal on hand-made bars, with the requests a careful caller would write."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.records import Bars, Rollovers
from novosky.market.server_time import ServerClock
from novosky.market.timeframe import USUAL
from trading.brokers.mt5_package.structs import OrderSendResult, TradePosition
from trading.brokers.simulated.accounts import AccountTerms
from trading.brokers.simulated.faults import FaultPlan
from trading.brokers.simulated.functions.terminal import SimulatedTerminal
from trading.brokers.simulated.functions.views import Installation
from trading.brokers.simulated.markets.market import Feed
from trading.brokers.simulated.markets.stamps import Stamps
from trading.brokers.simulated.markets.symbols import SymbolSpec, engine_params
from trading.brokers.simulated.server import TradeServer
from trading.brokers.simulated.store import TerminalStore

Row = tuple[float, float, float, float]
"""Open, high, low, close of a bid."""
QUIET: Row = (50_000.0, 50_010.0, 49_990.0, 50_000.0)
UP: Row = (50_000.0, 50_150.0, 49_995.0, 50_120.0)
DOWN: Row = (50_000.0, 50_005.0, 49_850.0, 49_880.0)
BAR = 900
START = 1_704_283_200
"""Wednesday, 2024-01-03 12:00 UTC."""
SPREAD = 10.0
MAGIC = 42
BTCUSD = SymbolSpec("BTCUSD")
UTC = Stamps(ServerClock("UTC"))
NEW_YORK = Stamps(ServerClock("NewYork+7"))


def columns(rows: list[Row], spread: float = SPREAD, start: int = START, slots: list[int] | None = None) -> Bars:
    """Return rows as columns, one bar after the other or at the slots given."""
    times = start + BAR * np.array(range(len(rows)) if slots is None else slots, dtype=np.int64)
    table = np.array(rows)
    return Bars(times, *(table[:, k].copy() for k in range(4)), np.full(len(rows), spread))


def market(
    spec: SymbolSpec = BTCUSD,
    rows: list[Row] | None = None,
    *,
    spread: float = SPREAD,
    start: int = START,
    slots: list[int] | None = None,
    stamps: Stamps = UTC,
    midnights: tuple[int, ...] = (),
    nights: tuple[float, ...] = (),
    first: int = 0,
    **costs: float,
) -> Feed:
    """Return a symbol's market; a server midnight precedes each bar of `midnights`."""
    bars = columns([QUIET] * 6 if rows is None else rows, spread, start, slots)
    params = engine_params(spec, **{"frame": USUAL, "leverage": 100.0, **costs})
    moments = bars.time[list(midnights)]
    rollovers = Rollovers(moments, np.array(nights or [1.0] * len(moments)))
    return Feed(spec, bars, params, stamps, rollovers=rollovers, first=first)


def quote_market(spec: SymbolSpec, price: float, *, spread: float = 0.0, count: int = 6, **more: Any) -> Feed:
    """Return a market that stands at one price."""
    return market(spec, [(price, price, price, price)] * count, spread=spread, **more)


@dataclass
class Stage:
    """A server, its terminal and the faults between them, attached and with its symbols selected."""

    server: TradeServer
    faults: FaultPlan
    mt5: SimulatedTerminal

    def deal(self, kind: int = 0, volume: float = 0.1, **fields: Any) -> OrderSendResult:
        """Send a market order; anything but an answer fails the test."""
        result = self.mt5.order_send(market_request(kind, volume, **fields))
        assert result is not None, self.mt5.last_error()
        return result

    def send(self, **fields: Any) -> OrderSendResult:
        """Send any request; anything but an answer fails the test."""
        result = self.mt5.order_send(fields)
        assert result is not None, self.mt5.last_error()
        return result

    def close(self, position: TradePosition, volume: float | None = None, **fields: Any) -> OrderSendResult:
        """Close a position, or part of it."""
        lots = position.volume if volume is None else volume
        return self.deal(1 - position.type, lots, symbol=position.symbol, position=position.ticket, **fields)

    @property
    def position(self) -> TradePosition:
        """The only position."""
        (position,) = self.positions
        return position

    @property
    def positions(self) -> tuple[TradePosition, ...]:
        """All positions."""
        found = self.mt5.positions_get()
        assert found is not None
        return found

    @property
    def balance(self) -> float:
        """The account's balance."""
        account = self.mt5.account_info()
        assert account is not None
        return account.balance

    def deals(self, **filters: int) -> tuple[Any, ...]:
        """All deals but the deposit, or those of a position or order."""
        found = self.mt5.history_deals_get(**filters) if filters else self.mt5.history_deals_get(0, 2**31)
        assert found is not None
        return tuple(deal for deal in found if deal.type != self.mt5.DEAL_TYPE_BALANCE)


def market_request(kind: int = 0, volume: float = 0.1, **fields: Any) -> dict[str, Any]:
    """Return a market order's fields: 0 buys, 1 sells."""
    request: dict[str, Any] = {"action": 1, "symbol": "BTCUSD", "volume": volume, "type": kind, "type_filling": 0}
    request |= {"price": 50_000.0, "deviation": 20, "magic": MAGIC, "type_time": 0}
    return request | fields


def stage(
    *feeds: Feed,
    balance: float = 10_000.0,
    terms: AccountTerms | None = None,
    installation: Installation | None = None,
    store: TerminalStore | None = None,
    attach: bool = True,
    begin: bool = True,
    select: bool = True,
) -> Stage:
    """Return a stage whose first bar has closed."""
    markets = feeds or (market(),)
    server = TradeServer(markets, terms or AccountTerms(leverage=100), balance, store=store, identity="stage")
    if begin and not server.begun:
        server.advance()
    names = tuple(server.feeds) if select else ()
    faults = FaultPlan()
    terminal = SimulatedTerminal(server, faults, replace(installation or Installation(), selected=names))
    if attach:
        assert terminal.initialize()
    return Stage(server, faults, terminal)
