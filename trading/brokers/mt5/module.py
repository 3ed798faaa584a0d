"""What the adapter needs of a module: the functions of the MetaTrader 5 package, failure values included."""

from __future__ import annotations

from typing import Any, Protocol


class TerminalModule(Protocol):
    """The official package, the bridge's client or the simulated terminal.

    A call that fails answers None or False, and `last_error()` says why. Structs are typed
    as Any: they are of the module's own types, which only share their fields.
    """

    def initialize(self, *args: Any, **kwargs: Any) -> bool:
        """Connect to the terminal."""

    def login(self, *args: Any, **kwargs: Any) -> bool:
        """Switch the terminal to an account."""

    def shutdown(self) -> None:
        """Close the connection."""

    def last_error(self) -> tuple[int, str]:
        """Return code and text of the last call's error."""

    def account_info(self) -> Any:
        """Return the account."""

    def terminal_info(self) -> Any:
        """Return the terminal's state and switches."""

    def symbol_info(self, symbol: str, /) -> Any:
        """Return a symbol's contract."""

    def symbol_info_tick(self, symbol: str, /) -> Any:
        """Return a symbol's newest tick."""

    def symbol_select(self, symbol: str, enable: bool, /) -> bool:
        """Put a symbol into Market Watch."""

    def symbols_get(self, *args: Any, **kwargs: Any) -> Any:
        """Return the symbols of a group."""

    def copy_rates_from_pos(self, symbol: str, timeframe: int, start: int, count: int, /) -> Any:
        """Return bars counted back from the newest."""

    def positions_get(self, **kwargs: Any) -> Any:
        """Return open positions."""

    def orders_get(self, **kwargs: Any) -> Any:
        """Return active orders."""

    def history_orders_get(self, *args: Any, **kwargs: Any) -> Any:
        """Return finished orders."""

    def history_deals_get(self, *args: Any, **kwargs: Any) -> Any:
        """Return deals."""

    def order_calc_margin(self, action: int, symbol: str, volume: float, price: float, /) -> Any:
        """Return the margin an order would need."""

    def order_calc_profit(self, action: int, symbol: str, volume: float, opened: float, closed: float, /) -> Any:
        """Return the result a trade would have."""

    def order_check(self, *args: Any, **kwargs: Any) -> Any:
        """Check a request without sending it."""

    def order_send(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request."""
