"""A broker account simulated over bars: the same fills as the backtest, behind the broker port.

Time stands at the close of a bar until `advance` moves it to the next one. An order is
executed on the next quote, which is the open of the following bar; when that bar does not
begin at this very moment the market is closed, as on a real server. After the last bar
there are no quotes at all.
"""

from __future__ import annotations

import pandas as pd

from novosky.errors import StorageError, UsageError
from trading.broker import (
    DEAL_ENTRY_BALANCE,
    DEAL_ENTRY_IN,
    DEAL_ENTRY_OUT,
    DEAL_REASON_EXPERT,
    DEAL_REASON_SL,
    DEAL_REASON_SO,
    DEAL_REASON_TP,
    RETCODE_DONE,
    RETCODE_INVALID_STOPS,
    RETCODE_LIMIT_POSITIONS,
    RETCODE_MARKET_CLOSED,
    RETCODE_NO_CHANGES,
    RETCODE_NO_MONEY,
    RETCODE_NOT_PLACED,
    RETCODE_POSITION_CLOSED,
    RETCODE_PRICE_OFF,
    AccountState,
    Deal,
    OrderRequest,
    OrderResult,
    Position,
    Quote,
)
from trading.engine.fills import (
    BOTH_TOUCHED,
    EXIT_MANUAL,
    EXIT_STOP,
    EXIT_STOP_OUT,
    EXIT_TARGET,
    ORDER_BAD_STOPS,
    ORDER_FILLED,
    ORDER_NO_MONEY,
    first_touch,
    floating_equity,
    floating_profit,
    nights_until,
    open_of_bar,
    settle_touch,
    stops_allowed,
    touched,
)
from trading.engine.records import Account, Bars, Minutes, Params, Rollovers, Trade, new_record
from trading.engine.step import place_entry, place_exit
from trading.paper_store import PaperState, PaperStore

LOGIN = 1
_REJECTIONS = {
    ORDER_BAD_STOPS: (RETCODE_INVALID_STOPS, "Invalid stops"),
    ORDER_NO_MONEY: (RETCODE_NO_MONEY, "No money"),
}
_REASONS = {EXIT_STOP: DEAL_REASON_SL, EXIT_TARGET: DEAL_REASON_TP, EXIT_STOP_OUT: DEAL_REASON_SO}


class PaperBroker:
    """A hedging account over a known series of bars.

    Parameters
    ----------
    frame : pandas.DataFrame
        All bars of the market, those before `first` as history only.
    bars : Bars
        The same bars as columns.
    first : int
        The account begins at the open of this bar.
    params : Params
        Costs and account rules.
    rollovers : Rollovers
        Server midnights with their nights.
    minutes : Minutes
        One-minute bars, may be empty.
    store : PaperStore
        Where the account lives.
    identity : str
        Names this market and these terms; a store made for others is refused.
    balance : float
        The first deposit in USD.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        bars: Bars,
        first: int,
        params: Params,
        rollovers: Rollovers,
        minutes: Minutes,
        store: PaperStore,
        identity: str,
        balance: float,
    ) -> None:
        self._frame, self._bars, self._params = frame, bars, params
        self._rollovers, self._minutes, self._store = rollovers, minutes, store
        self._first = first
        self._trade = new_record(Trade)
        state = store.load()
        if state is None:
            account = new_record(Account)
            account.balance = balance
            # The account stands before its first bar, at what was the close of the one before.
            state = PaperState(identity, int(bars.time[0]), first - 1, False, 1, 0, 0, "", account)
            deposit = Deal(
                1, 0, int(bars.time[first]), DEAL_ENTRY_BALANCE, 0, 0.0, 0.0, 0.0, 0.0, balance, 0, "deposit"
            )
            store.save(state, [deposit])
        if state.identity != identity:
            raise UsageError(
                "the paper account on disk belongs to other bars, settings or models; "
                "give another --journal, or --fresh to discard it"
            )
        self._state, self._stored = state, state.copy()

    @property
    def bar(self) -> int:
        """Index of the newest bar that has begun."""
        return self._state.bar

    @property
    def begun(self) -> bool:
        """True once the account's first bar has begun."""
        return self._state.bar >= self._first

    @property
    def deposit(self) -> float:
        """The money the account was opened with, USD."""
        return self._store.deals(0)[0].profit

    @property
    def at_end(self) -> bool:
        """True once the last bar has closed."""
        return self._state.bar == len(self._bars.time) - 1 and not self._state.opened

    @property
    def next_close(self) -> int:
        """UTC epoch seconds at which the next bar closes."""
        bar = self._state.bar if self._state.opened else self._state.bar + 1
        return int(self._bars.time[bar]) + int(self._params.bar_seconds)

    def advance(self) -> None:
        """Move to the close of the next bar: swap, stops and targets happen on the way."""
        state = self._state
        if not state.opened:
            self._open_next()
        i, account, params = state.bar, state.account, self._params
        bars = self._bars
        if account.side != 0:
            touch = touched(account, params, bars.open[i], bars.high[i], bars.low[i], bars.spread[i])
            if touch == BOTH_TOUCHED:
                touch = first_touch(account, params, bars.spread[i], self._minutes, i)
            if touch != 0:
                settle_touch(account, params, self._trade, bars.time[i], bars.open[i], bars.spread[i], touch)
        state.opened = False
        self._save()

    def send(self, request: OrderRequest) -> OrderResult:
        """Execute a market order on the next quote; see `Broker.send`."""
        state, account = self._state, self._state.account
        if request.position != 0 and (account.side == 0 or request.position != state.position):
            return self._answer(RETCODE_POSITION_CLOSED, "Position doesn't exist")
        if request.position == 0 and account.side != 0:
            return self._answer(RETCODE_LIMIT_POSITIONS, "Only one position at a time")
        decided = self.quote().time
        if not state.opened:
            following = state.bar + 1
            if following == len(self._bars.time):
                return self._answer(RETCODE_PRICE_OFF, "No quotes to process the request")
            if self._bars.time[following] != decided:
                return self._answer(RETCODE_MARKET_CLOSED, "Market closed")
        if request.position != 0:
            place_exit(account, decided, EXIT_MANUAL)
        else:
            place_entry(account, decided, request.side, request.volume, request.sl, request.tp)
        result = self._reopen() if state.opened else self._open_next()
        if request.position == 0 and result != ORDER_FILLED:
            self._save()
            return self._answer(*_REJECTIONS[result])
        state.ticket += 1
        order = state.ticket
        if result == ORDER_FILLED:
            state.position, state.magic, state.comment = order, request.magic, request.comment
        deals = self._save(request)
        return OrderResult(RETCODE_DONE, order, deals[-1].ticket, deals[-1].price, "Request executed")

    def _answer(self, retcode: int, comment: str) -> OrderResult:
        return OrderResult(retcode, 0, 0, 0.0, comment)

    def _open_next(self) -> int:
        state = self._state
        before = self._bars.time[state.bar] if state.bar >= 0 else -1
        state.bar += 1
        now = self._bars.time[state.bar]
        position = int(self._rollovers.time.searchsorted(before, side="right"))
        _, nights = nights_until(self._rollovers, position, now)
        state.opened = True
        return self._quote_open(nights)

    def _reopen(self) -> int:
        return self._quote_open(0.0)

    def _quote_open(self, nights: float) -> int:
        i, bars = self._state.bar, self._bars
        return int(
            open_of_bar(
                self._state.account, self._params, self._trade, bars.time[i], bars.open[i], bars.spread[i], nights
            )
        )

    def _save(self, request: OrderRequest | None = None) -> list[Deal]:
        """Write the state with the deals that its last change made, oldest first."""
        state, account = self._state, self._state.account
        deals: list[Deal] = []
        if state.position != 0 and account.side == 0:
            deals.append(self._exit_deal(request))
            state.position, state.magic, state.comment = 0, 0, ""
        elif request is not None and account.side != 0 and request.position == 0:
            deals.append(self._entry_deal())
        try:
            self._store.save(state, deals)
        except StorageError:
            # What was not stored did not happen: memory must not run ahead of the disk.
            self._state = self._stored.copy()
            raise
        self._stored = state.copy()
        return deals

    def _entry_deal(self) -> Deal:
        state, account = self._state, self._state.account
        state.ticket += 1
        return Deal(
            ticket=state.ticket,
            position=state.position,
            time=int(account.entry_time),
            entry=DEAL_ENTRY_IN,
            reason=DEAL_REASON_EXPERT,
            volume=float(account.volume),
            price=float(account.entry_price),
            commission=float(account.commission),
            swap=0.0,
            profit=0.0,
            magic=state.magic,
            comment=state.comment,
        )

    def _exit_deal(self, request: OrderRequest | None) -> Deal:
        state, trade = self._state, self._trade
        state.ticket += 1
        entry_commission = sum(
            deal.commission for deal in self._store.deals(state.position) if deal.position == state.position
        )
        return Deal(
            ticket=state.ticket,
            position=state.position,
            time=int(trade.exit_time),
            entry=DEAL_ENTRY_OUT,
            reason=_REASONS.get(int(trade.reason), DEAL_REASON_EXPERT),
            volume=float(trade.volume),
            price=float(trade.exit_price),
            commission=round(float(trade.commission) - entry_commission, 8),
            swap=float(trade.swap),
            profit=float(trade.profit),
            # A stop or target carries the position's magic, an order its own: a close by hand has none.
            magic=state.magic if request is None else request.magic,
            comment="" if request is None else request.comment,
        )

    def quote(self) -> Quote:
        """Return the open's quote inside a bar, the close's between bars."""
        state, bars = self._state, self._bars
        i = max(state.bar, 0)
        if state.opened or state.bar < 0:
            return Quote(int(bars.time[i]), float(bars.open[i]), float(bars.open[i] + bars.spread[i]))
        time = int(bars.time[i]) + int(self._params.bar_seconds)
        return Quote(time, float(bars.close[i]), float(bars.close[i] + bars.spread[i]))

    def account(self) -> AccountState:
        """Return the account's money at the present quote."""
        account, quote = self._state.account, self.quote()
        equity = floating_equity(account, self._params, quote.bid, quote.ask - quote.bid)
        return AccountState(LOGIN, float(account.balance), float(equity), float(account.margin))

    def positions(self) -> list[Position]:
        """Return the open position, if any."""
        account, state, quote = self._state.account, self._state, self.quote()
        if account.side == 0:
            return []
        return [
            Position(
                ticket=state.position,
                side=int(account.side),
                volume=float(account.volume),
                time=int(account.entry_time),
                price_open=float(account.entry_price),
                sl=float(account.sl),
                tp=float(account.tp),
                swap=float(account.swap),
                profit=float(floating_profit(account, self._params, quote.bid, quote.ask - quote.bid)),
                margin=float(account.margin),
                magic=state.magic,
                comment=state.comment,
            )
        ]

    def deals(self, after_ticket: int) -> list[Deal]:
        """Return the deals with a higher ticket, oldest first."""
        return self._store.deals(after_ticket)

    def outcome_of(self, request: OrderRequest, since: int) -> OrderResult:
        """Return what became of an order; here nothing is ever unknown."""
        held = {position.ticket for position in self.positions()}
        for deal in self._store.deals(0):
            if request.position:
                if deal.entry == DEAL_ENTRY_OUT and deal.position == request.position and deal.position not in held:
                    return OrderResult(RETCODE_DONE, deal.position, deal.ticket, deal.price, "Request executed")
            elif deal.time >= since and deal.entry == DEAL_ENTRY_IN and deal.comment == request.comment:
                return OrderResult(RETCODE_DONE, deal.position, deal.ticket, deal.price, "Request executed")
        return self._answer(RETCODE_NOT_PLACED, "no trace of the order")

    def modify_stops(self, position: int, sl: float, tp: float) -> OrderResult:
        """Set stop and target of the open position; see `Broker.modify_stops`."""
        account, quote = self._state.account, self.quote()
        if account.side == 0 or position != self._state.position:
            return self._answer(RETCODE_POSITION_CLOSED, "Position doesn't exist")
        if (account.sl, account.tp) == (sl, tp):
            return self._answer(RETCODE_NO_CHANGES, "No changes")
        if not stops_allowed(self._params, account.side, quote.bid, quote.ask - quote.bid, sl, tp):
            return self._answer(RETCODE_INVALID_STOPS, "Invalid stops")
        account.sl, account.tp = sl, tp
        self._save()
        return self._answer(RETCODE_DONE, "Request executed")

    def closed_bars(self, count: int) -> pd.DataFrame:
        """Return the newest closed bars as a bar frame."""
        end = self._state.bar if self._state.opened else self._state.bar + 1
        window = self._frame.iloc[max(0, end - count) : end]
        # Unlike reset_index this does not touch the columns, which a replay would pay at every bar.
        window.index = pd.RangeIndex(len(window))
        return window

    def closed_since(self, moment: int) -> int:
        """Return how many of the account's bars closed after `moment` (UTC epoch seconds)."""
        end = self._state.bar if self._state.opened else self._state.bar + 1
        closes = self._bars.time[self._first : end] + self._params.bar_seconds
        return int((closes > moment).sum())

    def close(self) -> None:
        """Release the account's file."""
        self._store.close()
