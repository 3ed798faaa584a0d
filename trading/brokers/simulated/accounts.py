"""The account's terms, and money between the simulator's USD and the account's own currency."""

from __future__ import annotations

from dataclasses import dataclass

from engine.fills import rounded
from trading.brokers.mt5_package.constants import ModuleConstants as C

USD_PER_CENT_UNIT = 100.0


@dataclass(frozen=True)
class AccountTerms:
    """An account as its broker set it up.

    Attributes
    ----------
    currency : str
        ``"USD"``, or ``"USC"`` for an account kept in cents.
    currency_digits : int
        Decimals of the currency to which sums are booked.
    leverage : int
        Largest position value over margin.
    margin_mode : int
        ACCOUNT_MARGIN_MODE_...: hedging keeps every position, netting one per symbol.
    margin_so_mode : int
        ACCOUNT_STOPOUT_MODE_PERCENT or ..._MONEY.
    margin_call, stop_out : float
        Percent of margin, or money, at which the broker warns and closes.
    limit_orders, limit_positions : int
        Most pending orders and positions; 0 without limit.
    fifo_close : bool
        True when the oldest position of a symbol must be closed first.
    """

    login: int = 1
    password: str = ""
    server: str = "Simulated-Demo"
    name: str = "Simulated account"
    company: str = "Simulated broker"
    currency: str = "USD"
    trade_mode: int = C.ACCOUNT_TRADE_MODE_DEMO
    currency_digits: int = 2
    leverage: int = 500
    margin_mode: int = C.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING
    margin_so_mode: int = C.ACCOUNT_STOPOUT_MODE_PERCENT
    margin_call: float = 100.0
    stop_out: float = 50.0
    limit_orders: int = 200
    limit_positions: int = 0
    fifo_close: bool = False

    @property
    def hedging(self) -> bool:
        """True when a symbol can have several positions."""
        return self.margin_mode == C.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING

    @property
    def unit(self) -> float:
        """How many of the account's units make one USD."""
        return USD_PER_CENT_UNIT if self.currency == "USC" else 1.0

    def shown(self, usd: float) -> float:
        """Return a floating sum in the account's currency."""
        return usd * self.unit

    def booked(self, usd: float) -> float:
        """Return a booked sum, which is on the account's digits already, in the account's currency."""
        return usd if self.unit == 1.0 else float(rounded(usd * self.unit, 10.0**self.currency_digits))

    @property
    def money_scale(self) -> float:
        """Booked sums are multiples of 1/money_scale USD; for `Params.money_scale`."""
        return float(self.unit * 10.0**self.currency_digits)


@dataclass(frozen=True)
class Funds:
    """The account's money at the present quotes, in its own currency."""

    balance: float
    equity: float
    profit: float
    margin: float

    @property
    def free(self) -> float:
        """Equity that no position ties up."""
        return self.equity - self.margin

    @property
    def level(self) -> float:
        """Equity in percent of margin; 0.0 without margin, as the terminal says."""
        return margin_level(self.equity, self.margin)


def margin_level(equity: float, margin: float) -> float:
    """Return equity in percent of margin, 0.0 when there is none."""
    return 100.0 * equity / margin if margin else 0.0


def below_stop_out(terms: AccountTerms, equity: float, margin: float) -> bool:
    """Tell whether the broker closes positions at these figures (account currency)."""
    if margin == 0.0 or terms.stop_out == 0.0:
        return False
    if terms.margin_so_mode == C.ACCOUNT_STOPOUT_MODE_MONEY:
        return equity <= terms.stop_out
    return margin_level(equity, margin) <= terms.stop_out
