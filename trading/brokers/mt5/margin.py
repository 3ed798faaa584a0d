"""Asking a terminal what it takes for a lot; `trading.brokers.margin` judges the answer."""

from __future__ import annotations

from typing import Any

from trading.brokers.facts import MarginFacts
from trading.brokers.mt5.link import Link
from trading.brokers.mt5.money import Money
from trading.brokers.mt5_package.constants import ModuleConstants as C

_OTHER_PRICE = 0.5
"""The share of the price at which the margin is asked for once more, to see whether it follows the price."""


def read_margin(link: Link, symbol: str, info: Any, price: float, money: Money) -> MarginFacts:
    """Ask a terminal (`order_calc_margin`); `info` is its SymbolInfo."""

    def taken(at: float) -> float | None:
        answer = link.ask("order_calc_margin", C.ORDER_TYPE_BUY, symbol, volume, at).value
        return None if answer is None else money.usd(float(answer))

    volume = min(max(1.0, float(info.volume_min)), float(info.volume_max))
    half = round(price * _OTHER_PRICE, int(info.digits))
    leverage = float(link.read("account_info").leverage)
    return MarginFacts(volume, price, taken(price), taken(half), leverage)
