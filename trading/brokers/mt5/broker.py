"""The broker port over MetaTrader 5."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from random import Random
from typing import Any

import pandas as pd

from novosky.clock import Clock
from novosky.market.bar_arrays import BarArrays
from novosky.settings import Settings
from trading.brokers.clock_watch import Measured
from trading.brokers.margin import check_margin
from trading.brokers.mt5.bars.reader import BarReader
from trading.brokers.mt5.clock import OffsetCheck, ServerTime
from trading.brokers.mt5.desk import Desk
from trading.brokers.mt5.guard import check_account
from trading.brokers.mt5.link import Link
from trading.brokers.mt5.lookup import Before, Lookup
from trading.brokers.mt5.module import TerminalModule
from trading.brokers.mt5.money import check_digits, money_kind, money_of
from trading.brokers.mt5.orders import Orders
from trading.brokers.mt5.retcodes import deal_reason
from trading.brokers.mt5.symbols import await_tick, check_contract, resolve_symbol
from trading.brokers.mt5.terms import Access, Timing, shown_login
from trading.brokers.mt5.worker import LinkWedged
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.port import (
    AccountState,
    BrokerUnavailable,
    Deal,
    DealEntry,
    OpeningOrder,
    OrderRequest,
    OrderResult,
    Outcome,
    Position,
    Quote,
    WaitingOrder,
)

_log = logging.getLogger(__name__)

DEVIATION_POINTS = 1_000
"""Ten dollars on BTCUSD with two digits; only brokers that deal at the price asked for look at it."""
_DEALING = (C.DEAL_TYPE_BUY, C.DEAL_TYPE_SELL)
_CLOCK_CHANGE = 7_200
"""Seconds by which stamps can run backwards when the server's clock is set back, and more."""


class Mt5Broker:
    """A hedging account with one symbol on MetaTrader 5; see `trading.brokers.port.Broker`.

    Connects at the first call and again whenever the connection was lost. A call that hangs
    raises `LinkWedged` from then on, unless `renew` gives a new module: the process has to
    be started again, and starting is recovering.

    Parameters
    ----------
    module : TerminalModule
        The official package, the bridge's client or a simulated terminal.
    settings : Settings
    clock : Clock
        Tells UTC and waits; the simulated terminal's own where time is simulated.
    access : Access
        The account; no other is ever traded.
    timing : Timing
    renew : callable or None
        Returns a new module after the old one hung, where there can be one.
    volume_unit : float
        A bar's volume is its tick count over this.
    deviation : int
        Points, for brokers that deal at the price asked for.
    rng : random.Random or None
        Spreads the pauses before a new connection; None leaves them as they are.
    """

    def __init__(
        self,
        module: TerminalModule,
        settings: Settings,
        clock: Clock,
        access: Access,
        *,
        timing: Timing | None = None,
        renew: Callable[[], TerminalModule] | None = None,
        volume_unit: float = 1.0,
        deviation: int = DEVIATION_POINTS,
        rng: Random | None = None,
    ) -> None:
        timing = Timing() if timing is None else timing
        self._settings, self._clock = settings, clock
        self._time = ServerTime(settings.broker.server_clock)
        self._link = Link(module, clock, access, timing, self._prepare, renew, rng)
        lookup = Lookup(self._link, self._time, clock, timing)
        offset = OffsetCheck(self._time)
        self._desk = Desk(self._link, clock, self._time, offset, lookup, settings, access, timing, deviation=deviation)
        self._orders = Orders(self._desk, clock)
        self._bars = BarReader(self._link, self._time, clock, timing, volume_unit, settings.frame)
        self._margins: dict[tuple[int, float], float] = {}
        self._held: dict[int, int] = {}
        self._newest: tuple[int, int] | None = None

    @property
    def symbol(self) -> str:
        """The broker's name of the symbol; empty before the first connection."""
        return self._desk.symbol

    def connect(self) -> None:
        """Connect now.

        Raises
        ------
        BrokerUnavailable
            The terminal cannot be reached yet.
        BrokerError
            It stands at another account, or symbol, contract, currency or clock are not what
            config.json says.
        """
        self._link.ensure()

    def close(self) -> None:
        """Close the connection; the terminal and its positions stay as they are."""
        self._link.close()

    def _prepare(self) -> None:
        """After every connection: the account, the symbol and the clock are what they must be."""
        desk = self._desk
        info = desk.account()
        check_account(info, desk.access)
        desk.money = money_of(str(info.currency), self._settings.account_type)
        check_digits(int(info.currency_digits), self._settings)
        desk.symbol = resolve_symbol(self._link, self._settings.symbol)
        await_tick(self._link, self._clock, desk.timing, desk.symbol)
        contract = desk.symbol_info()
        check_contract(contract, self._settings)
        tick = desk.tick()
        desk.offset.observe(int(tick.time_msc), self._clock.now())
        problem = desk.sizing_problem(contract, tick) or check_margin(desk.margin_facts(contract, tick), self._settings)
        if problem:
            _log.warning("no entries on this account: %s", problem)
        self._bars.forget()
        _log.info("connected to account %s on %s, symbol %s", shown_login(info.login), info.server, desk.symbol)

    def quote(self) -> Quote:
        """Return the newest quote."""
        tick, now = self._desk.tick(), self._clock.now()
        self._desk.offset.observe(int(tick.time_msc), now)
        return Quote(self._time.utc(int(tick.time), now), float(tick.bid), float(tick.ask))

    def measure_clock(self) -> Measured | None:
        """Compare the newest quote's stamp with this machine's clock; None while the terminal cannot be asked."""
        try:
            tick = self._desk.tick()
            connected = bool(self._link.read("terminal_info").connected)
        except (BrokerUnavailable, LinkWedged):
            return None
        msc = int(tick.time_msc)
        return Measured(msc, self._desk.offset.lead(msc, self._clock.now()), connected)

    def account(self) -> AccountState:
        """Return the account's money."""
        info = self._desk.account()
        check_account(info, self._desk.access)
        usd = self._desk.in_usd
        return AccountState(int(info.login), usd(info.balance), usd(info.equity), usd(info.margin))

    def positions(self) -> list[Position]:
        """Return every open position of the symbol; what cannot be read raises, it is never empty."""
        listed = self._desk.positions()
        self._check_vanished(listed)
        now = self._clock.now()
        found = [self._position(position, now) for position in listed]
        # Closed positions' figures are not needed again.
        self._margins = {key: margin for key, margin in self._margins.items() if key[0] in self._held}
        return found

    def _position(self, position: Any, now: float) -> Position:
        usd = self._desk.in_usd
        return Position(
            ticket=int(position.ticket),
            side=1 if position.type == C.POSITION_TYPE_BUY else -1,
            volume=float(position.volume),
            time=self._time.utc(int(position.time), now),
            price_open=float(position.price_open),
            sl=float(position.sl),
            tp=float(position.tp),
            swap=usd(position.swap),
            profit=usd(position.profit),
            margin=self._margin(position),
            magic=int(position.magic),
            comment=str(position.comment),
        )

    def _margin(self, position: Any) -> float:
        key = (int(position.ticket), float(position.volume))
        if key not in self._margins:
            kind = C.ORDER_TYPE_BUY if position.type == C.POSITION_TYPE_BUY else C.ORDER_TYPE_SELL
            margin = self._link.read(
                "order_calc_margin", kind, self.symbol, float(position.volume), float(position.price_open)
            )
            self._margins[key] = self._desk.in_usd(margin)
        return self._margins[key]

    def _check_vanished(self, listed: Iterable[Any]) -> None:
        """Believe that a position is gone only once its closing deal shows."""
        open_now = {int(position.ticket): int(position.identifier) for position in listed}
        for ticket, identifier in self._held.items():
            if ticket in open_now:
                continue
            deals = self._link.read("history_deals_get", position=identifier)
            if all(deal.entry == C.DEAL_ENTRY_IN for deal in deals):
                raise BrokerUnavailable(
                    f"position {ticket} is not listed, but the history knows no deal that closed it"
                )
        self._held = open_now

    def deals(self, after_ticket: int) -> list[Deal]:
        """Return the account's deals with a higher ticket, oldest first."""
        known = self._newest if self._newest is not None and self._newest[0] == after_ticket else None
        since = 0 if known is None else known[1] - _CLOCK_CHANGE
        rows = self._link.read("history_deals_get", since, self._desk.lookup.history_end())
        self._check_history(rows, after_ticket, known is not None)
        newer = sorted((row for row in rows if row.ticket > after_ticket), key=lambda row: row.ticket)
        if newer:
            self._newest = (int(newer[-1].ticket), int(newer[-1].time))
        elif known is None and rows:
            newest = max(rows, key=lambda row: row.ticket)
            self._newest = (int(newest.ticket), int(newest.time))
        now = self._clock.now()
        return [self._deal(row, now) for row in newer]

    def _check_history(self, rows: Any, after_ticket: int, known: bool) -> None:
        """A terminal that has just logged in lists no deals, or only some, until it has loaded them."""
        if known:
            complete = any(row.ticket == after_ticket for row in rows)
        elif after_ticket:
            complete = any(row.ticket <= after_ticket for row in rows)
        else:
            complete = bool(rows) or self._desk.account().balance == 0.0
        if not complete:
            raise BrokerUnavailable("the terminal has not loaded the account's history yet")

    def _deal(self, deal: Any, now: float) -> Deal:
        usd = self._desk.in_usd
        entry = DealEntry.BALANCE
        if deal.type in _DEALING:
            entry = DealEntry.IN if deal.entry == C.DEAL_ENTRY_IN else DealEntry.OUT
        return Deal(
            ticket=int(deal.ticket),
            position=int(deal.position_id),
            time=self._time.utc(int(deal.time), now),
            entry=entry,
            reason=deal_reason(int(deal.reason)),
            volume=float(deal.volume),
            price=float(deal.price),
            commission=usd(deal.commission + deal.fee),
            swap=usd(deal.swap),
            profit=usd(deal.profit),
            magic=int(deal.magic),
            comment=str(deal.comment),
            money=money_kind(int(deal.type), float(deal.profit)),
        )

    def waiting_orders(self) -> list[WaitingOrder]:
        """Return the symbol's orders that are not executed yet."""
        listed = self._link.read("orders_get", symbol=self.symbol)
        return [WaitingOrder(int(order.ticket), int(order.magic), str(order.comment)) for order in listed]

    def opening_order(self, position: int) -> OpeningOrder | None:
        """Return the order that opened a position, None when the history does not know it."""
        for order in self._link.read("history_orders_get", position=position):
            # Its exits are orders of the position, too.
            if order.ticket == position:
                side = 1 if order.type == C.ORDER_TYPE_BUY else -1
                return OpeningOrder(side, float(order.sl), float(order.tp))
        return None

    def closed_bars(self, count: int) -> pd.DataFrame:
        """Return the newest closed M15 bars as a bar frame."""
        self._link.ensure()
        return self._bars.closed(self.symbol, count)

    def closed_arrays(self, count: int) -> BarArrays:
        """Return the newest closed M15 bars as arrays."""
        self._link.ensure()
        return self._bars.closed_arrays(self.symbol, count)

    def send(self, request: OrderRequest) -> OrderResult:
        """Send a market order, once; see `Broker.send`."""
        return self._orders.send(request)

    def outcome_of(self, request: OrderRequest, since: int) -> OrderResult:
        """Look up what became of an order; see `Broker.outcome_of`."""
        try:
            self._link.ensure()
            return self._desk.lookup.resolve(self.symbol, request, Before(since))
        except (BrokerUnavailable, LinkWedged) as error:
            return OrderResult(Outcome.UNKNOWN, comment=str(error))

    def modify_stops(self, position: int, sl: float, tp: float) -> OrderResult:
        """Set stop and target of a position; see `Broker.modify_stops`."""
        try:
            check_account(self._desk.account(), self._desk.access)
        except BrokerUnavailable as error:
            return OrderResult(Outcome.NOT_SENT, comment=str(error))
        return self._desk.modify_stops(position, sl, tp)
