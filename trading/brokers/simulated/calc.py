"""Margin and profit by the symbol's calculation mode, converted into USD."""

from __future__ import annotations

from collections.abc import Mapping

from engine.fills import required_margin
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.simulated.markets.market import Feed

_BY_CONTRACT = {C.SYMBOL_CALC_MODE_FOREX, C.SYMBOL_CALC_MODE_FOREX_NO_LEVERAGE}
DEPOSIT = "USD"


def conversion(feeds: Mapping[str, Feed], currency: str, known: Mapping[str, float] | None = None) -> float | None:
    """Return USD per unit of a currency, None while no symbol quotes it.

    Parameters
    ----------
    feeds : mapping
        Symbol name to market.
    currency : str
    known : mapping, optional
        Prices that stand in for a symbol's quote, such as the close of the calculated trade.
    """
    if currency == DEPOSIT:
        return 1.0
    prices = {} if known is None else known
    direct, inverse = currency + DEPOSIT, DEPOSIT + currency
    if direct in prices or direct in feeds:
        return prices[direct] if direct in prices else feeds[direct].quote().bid
    if inverse in prices or inverse in feeds:
        return 1.0 / (prices[inverse] if inverse in prices else feeds[inverse].quote().ask)
    return None


def margin_usd(feeds: Mapping[str, Feed], feed: Feed, volume: float, price: float) -> float | None:
    """Return the margin of a position in USD, None when it cannot be converted.

    Source of the formulas: MetaTrader 5's table of calculation modes. The symbol's margin rate,
    which the package does not show, is within the leverage of the engine's parameters.
    """
    spec = feed.spec
    rate = conversion(feeds, spec.currency_margin, {spec.name: price})
    if rate is None:
        return None
    if spec.calc_mode == C.SYMBOL_CALC_MODE_CFDLEVERAGE and rate == 1.0:
        # The engine's own formula, so that both refuse the same orders.
        return float(required_margin(feed.params, volume, price))
    leverage = float(feed.params.leverage)
    value = volume * spec.contract_size * (1.0 if spec.calc_mode in _BY_CONTRACT else price)
    if spec.calc_mode == C.SYMBOL_CALC_MODE_FUTURES:
        return volume * spec.margin_initial * spec.margin_rate * rate
    if spec.calc_mode in (C.SYMBOL_CALC_MODE_FOREX, C.SYMBOL_CALC_MODE_CFDLEVERAGE):
        return value / leverage * rate
    return value * spec.margin_rate * rate


def profit_usd(
    feeds: Mapping[str, Feed], feed: Feed, side: int, volume: float, price_open: float, price_close: float
) -> float | None:
    """Return the price result of a trade in USD, converted at its closing price; None without a rate."""
    spec = feed.spec
    rate = conversion(feeds, spec.currency_profit, {spec.name: price_close})
    return None if rate is None else (price_close - price_open) * side * volume * spec.contract_size * rate


def update_conversion(feeds: Mapping[str, Feed], feed: Feed) -> None:
    """Tell the engine what a point of this symbol is worth in USD now."""
    if feed.spec.currency_profit != DEPOSIT:
        rate = conversion(feeds, feed.spec.currency_profit)
        feed.params.lot_units = feed.spec.contract_size * (0.0 if rate is None else rate)


def tick_value(feeds: Mapping[str, Feed], feed: Feed) -> float:
    """Return the USD value of one tick of one lot, 0.0 until the cross rate is known."""
    rate = conversion(feeds, feed.spec.currency_profit)
    return 0.0 if rate is None else feed.spec.step * feed.spec.contract_size * rate
