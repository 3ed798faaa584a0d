"""Which functions of the package the bridge carries, and how each behaves when the link fails."""

from __future__ import annotations

from typing import Final

BOOLEAN: Final = frozenset({"initialize", "login", "symbol_select", "market_book_add", "market_book_release"})
"""They answer False when they fail; the others None."""

SENT_ONCE: Final = frozenset({"initialize", "login", "shutdown", "order_send"})
"""What changes the account or the connection is never sent a second time, whatever happened to the first."""

HISTORY: Final = frozenset(
    {
        "copy_rates_from",
        "copy_rates_from_pos",
        "copy_rates_range",
        "copy_ticks_from",
        "copy_ticks_range",
        "history_deals_get",
        "history_deals_total",
        "history_orders_get",
        "history_orders_total",
    }
)
"""The terminal may first have to download what they ask for, which takes a minute and more."""

FUNCTIONS: Final = (
    BOOLEAN
    | SENT_ONCE
    | HISTORY
    | {
        "account_info",
        "last_error",
        "market_book_get",
        "order_calc_margin",
        "order_calc_profit",
        "order_check",
        "orders_get",
        "orders_total",
        "positions_get",
        "positions_total",
        "symbol_info",
        "symbol_info_tick",
        "symbols_get",
        "symbols_total",
        "terminal_info",
        "version",
    }
)
"""The package's functions without its helpers Buy, Sell and Close, which choose what they trade themselves."""
