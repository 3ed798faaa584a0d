"""Symbols: their contracts as the broker states them, and the masks that pick them by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.records import Params, new_record
from novosky.market.timeframe import USUAL, Timeframe
from novosky.market.trading_hours import Weekday
from trading.brokers.mt5_package.constants import SYMBOL_EXPIRATION_ALL, SYMBOL_ORDER_ALL
from trading.brokers.mt5_package.constants import ModuleConstants as C

if TYPE_CHECKING:
    from novosky.settings import Settings


@dataclass(frozen=True)
class SymbolSpec:
    """What a broker says of a symbol.

    Attributes
    ----------
    name : str
    contract_size : float
        Units of the underlying in one lot of this account.
    calc_mode, trade_mode, exemode, swap_mode : int
        SYMBOL_CALC_MODE_..., SYMBOL_TRADE_MODE_..., SYMBOL_TRADE_EXECUTION_..., SYMBOL_SWAP_MODE_...
    filling_mode, order_mode, expiration_mode : int
        Bit masks; note that a request's `type_filling` is an enumeration instead.
    tick_size : float
        Step of the prices; 0.0 for one point.
    stops_level, freeze_level : float
        Points.
    volume_limit : float
        Most lots on one side, 0.0 without limit.
    margin_initial : float
        Account currency for one lot where `calc_mode` takes a fixed sum (futures).
    margin_rate : float
        What is taken, as a multiple of what `calc_mode` says.
    trading_hours : mapping
        Weekly hours on the server's clock; days left out are open. Beyond them there is no
        dealing where there is no bar.
    tick_value_factor : float
        Other than 1.0 for a broker whose stated tick value contradicts its own profits.
    """

    name: str
    digits: int = 2
    contract_size: float = 1.0
    calc_mode: int = C.SYMBOL_CALC_MODE_CFDLEVERAGE
    currency_base: str = "BTC"
    currency_profit: str = "USD"
    currency_margin: str = "USD"
    trade_mode: int = C.SYMBOL_TRADE_MODE_FULL
    exemode: int = C.SYMBOL_TRADE_EXECUTION_MARKET
    filling_mode: int = 3
    order_mode: int = SYMBOL_ORDER_ALL
    expiration_mode: int = SYMBOL_EXPIRATION_ALL
    tick_size: float = 0.0
    stops_level: float = 0.0
    freeze_level: float = 0.0
    volume_min: float = 0.01
    volume_max: float = 100.0
    volume_step: float = 0.01
    volume_limit: float = 0.0
    swap_mode: int = C.SYMBOL_SWAP_MODE_CURRENCY_DEPOSIT
    swap_rollover3days: int = C.DAY_OF_WEEK_FRIDAY
    margin_initial: float = 0.0
    margin_rate: float = 1.0
    trading_hours: Mapping[Weekday, str] = field(default_factory=dict)
    tick_value_factor: float = 1.0
    path: str = ""
    description: str = ""

    @property
    def point(self) -> float:
        """Smallest step of the quoted digits."""
        return float(10.0**-self.digits)

    @property
    def step(self) -> float:
        """Step of the prices."""
        return self.tick_size or self.point


EURUSD = SymbolSpec(
    "EURUSD",
    digits=5,
    contract_size=100_000.0,
    calc_mode=C.SYMBOL_CALC_MODE_FOREX,
    currency_base="EUR",
    currency_margin="EUR",
    swap_rollover3days=C.DAY_OF_WEEK_WEDNESDAY,
    path="Forex\\EURUSD",
)
USDJPY = SymbolSpec(
    "USDJPY",
    digits=3,
    contract_size=100_000.0,
    calc_mode=C.SYMBOL_CALC_MODE_FOREX,
    currency_base="USD",
    currency_profit="JPY",
    currency_margin="USD",
    swap_rollover3days=C.DAY_OF_WEEK_WEDNESDAY,
    path="Forex\\USDJPY",
)
EURJPY = SymbolSpec(
    "EURJPY",
    digits=3,
    contract_size=100_000.0,
    calc_mode=C.SYMBOL_CALC_MODE_FOREX,
    currency_base="EUR",
    currency_profit="JPY",
    currency_margin="EUR",
    swap_rollover3days=C.DAY_OF_WEEK_WEDNESDAY,
    path="Forex\\EURJPY",
)


def spec_from_settings(settings: Settings) -> SymbolSpec:
    """Return the contract that config.json states.

    Trading hours are left out: over bars, where there is a bar there is dealing, and the
    backtest fills an exit at the next bar whatever the hours say.
    """
    broker = settings.broker
    days = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
    triple = settings.costs.triple_swap_day
    return SymbolSpec(
        settings.symbol,
        digits=broker.digits,
        contract_size=settings.lot_units,
        currency_base=settings.symbol[:3],
        tick_size=broker.point,
        stops_level=broker.stops_level,
        volume_min=broker.volume_min,
        volume_max=broker.volume_max,
        volume_step=broker.volume_step,
        margin_rate=broker.margin_rate,
        swap_rollover3days=C.DAY_OF_WEEK_SUNDAY if triple is None else days.index(triple),
        path=f"Crypto\\{settings.symbol}",
    )


def engine_params(
    spec: SymbolSpec,
    *,
    leverage: float,
    frame: Timeframe = USUAL,
    stop_out_level: float = 0.5,
    commission_per_lot: float = 0.0,
    slippage: float = 0.0,
    swap_long: float = 0.0,
    swap_short: float = 0.0,
) -> Params:
    """Return the engine's parameters for a symbol: what `fills` reads of them, all else zero.

    Parameters
    ----------
    frame : Timeframe
        Of the market's bars.
    leverage, stop_out_level : float
        Of the account; the stop-out as a share of margin.
    commission_per_lot, swap_long, swap_short : float
        USD per lot, a side and a night respectively.
    slippage : float
        In the symbol's price.
    """
    params = new_record(Params)
    params.bar_seconds = frame.seconds
    params.lot_units = spec.contract_size
    params.price_scale = 10.0**spec.digits
    params.money_scale = 100.0
    params.stops_distance = spec.stops_level * spec.point
    params.commission_per_lot = commission_per_lot
    params.slippage = slippage
    params.swap_long = swap_long
    params.swap_short = swap_short
    params.leverage = leverage / spec.margin_rate
    params.stop_out_level = stop_out_level
    return params


def matches_group(name: str, group: str) -> bool:
    """Tell whether a symbol belongs to a group such as ``"*,!*USD*,!*EUR*"``.

    Conditions are applied from left to right; `*` stands for anything, `!` takes away.
    """
    chosen = False
    for condition in group.split(","):
        mask = condition.strip()
        wanted = not mask.startswith("!")
        pattern = ".*".join(re.escape(part) for part in mask.removeprefix("!").split("*"))
        if re.fullmatch(pattern, name):
            chosen = wanted
    return chosen
