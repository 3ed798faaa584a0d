"""What the terminal shows of account, program and symbols, field by field."""

from __future__ import annotations

from dataclasses import dataclass

from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.sequences import filled
from trading.brokers.mt5_package.structs import (
    AccountInfo,
    BookInfo,
    OrderCheckResult,
    SymbolInfo,
    TerminalInfo,
    Tick,
    TradeRequest,
)
from trading.brokers.simulated.calc import tick_value
from trading.brokers.simulated.markets.market import Feed
from trading.brokers.simulated.venue import Venue

CODEPAGE = 1252


@dataclass(frozen=True)
class Installation:
    """The terminal program.

    Attributes
    ----------
    path : str
        Its folder; `initialize` with any other finds nothing.
    build : int
    released : str
        As `version()` says it.
    maxbars : int
        "Max bars in chart": longer requests fail.
    ping : int
        Microseconds.
    selection_delay : float
        Seconds until the first tick of a symbol that was selected.
    selected : tuple of str
        Symbols shown after the terminal's start.
    """

    path: str = "C:\\Program Files\\MetaTrader 5\\terminal64.exe"
    name: str = "MetaTrader 5"
    build: int = 6231
    released: str = "25 Sep 2026"
    maxbars: int = 1_000_000
    ping: int = 25_000
    selection_delay: float = 0.0
    selected: tuple[str, ...] = ()


def terminal_info(server: Venue, installation: Installation) -> TerminalInfo:
    """Return the program's state."""
    state = server.conditions
    folder = installation.path.rpartition("\\")[0]
    return filled(
        TerminalInfo,
        connected=state.connected,
        trade_allowed=state.algo_trading,
        tradeapi_disabled=not state.api_allowed,
        build=installation.build,
        maxbars=installation.maxbars,
        codepage=CODEPAGE,
        ping_last=installation.ping,
        company=server.terms.company,
        name=installation.name,
        language="English",
        path=folder,
        data_path=folder,
        commondata_path=folder,
    )


def account_info(server: Venue) -> AccountInfo:
    """Return the account's terms and money."""
    terms, funds, state = server.terms, server.funds(), server.conditions
    return filled(
        AccountInfo,
        login=terms.login,
        trade_mode=terms.trade_mode,
        leverage=terms.leverage,
        limit_orders=terms.limit_orders,
        margin_so_mode=terms.margin_so_mode,
        trade_allowed=state.account_trading and state.connected,
        trade_expert=state.expert_trading,
        margin_mode=terms.margin_mode,
        currency_digits=terms.currency_digits,
        fifo_close=terms.fifo_close,
        balance=funds.balance,
        credit=terms.booked(server.book.credit),
        profit=funds.profit,
        equity=funds.equity,
        margin=funds.margin,
        margin_free=funds.free,
        margin_level=funds.level,
        margin_so_call=terms.margin_call,
        margin_so_so=terms.stop_out,
        name=terms.name,
        server=terms.server,
        currency=terms.currency,
        company=terms.company,
    )


def symbol_info(server: Venue, feed: Feed, tick: Tick, *, selected: bool) -> SymbolInfo:
    """Return a symbol's contract with its newest quote."""
    spec, params, terms = feed.spec, feed.params, server.terms
    value = terms.shown(tick_value(server.feeds, feed)) * spec.tick_value_factor
    return filled(
        SymbolInfo,
        select=selected,
        visible=selected,
        time=tick.time,
        digits=spec.digits,
        spread=round((tick.ask - tick.bid) / spec.point),
        spread_float=True,
        trade_calc_mode=spec.calc_mode,
        trade_mode=spec.trade_mode,
        trade_stops_level=round(spec.stops_level),
        trade_freeze_level=round(spec.freeze_level),
        trade_exemode=spec.exemode,
        swap_mode=spec.swap_mode,
        swap_rollover3days=spec.swap_rollover3days,
        expiration_mode=spec.expiration_mode,
        filling_mode=spec.filling_mode,
        order_mode=spec.order_mode,
        order_gtc_mode=C.SYMBOL_ORDERS_GTC,
        bid=tick.bid,
        ask=tick.ask,
        point=spec.point,
        trade_tick_value=value,
        trade_tick_value_profit=value,
        trade_tick_value_loss=value,
        trade_tick_size=spec.step,
        trade_contract_size=spec.contract_size,
        volume_min=spec.volume_min,
        volume_max=spec.volume_max,
        volume_step=spec.volume_step,
        volume_limit=spec.volume_limit,
        swap_long=terms.shown(float(params.swap_long)),
        swap_short=terms.shown(float(params.swap_short)),
        margin_initial=spec.margin_initial,
        margin_hedged=spec.contract_size,
        session_open=feed.day_open(),
        currency_base=spec.currency_base,
        currency_profit=spec.currency_profit,
        currency_margin=spec.currency_margin,
        description=spec.description,
        name=spec.name,
        path=spec.path,
    )


def depth(tick: Tick) -> tuple[BookInfo, ...]:
    """Return the one line on each side that a quote makes: sells first."""
    return (
        BookInfo((C.BOOK_TYPE_SELL, tick.ask, 1, 1.0)),
        BookInfo((C.BOOK_TYPE_BUY, tick.bid, 1, 1.0)),
    )


def check_result(server: Venue, request: TradeRequest, retcode: int, text: str, added: float) -> OrderCheckResult:
    """Return the answer to `order_check`; `added` is the margin the request would take, account currency."""
    if retcode:
        return filled(OrderCheckResult, retcode=retcode, comment=text, request=request)
    funds = server.funds()
    margin = funds.margin + added
    level = 100.0 * funds.equity / margin if margin else 0.0
    sums = (funds.balance, funds.equity, funds.profit, margin, funds.equity - margin, level)
    return OrderCheckResult((0, *sums, "Done", request))
