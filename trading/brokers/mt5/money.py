"""Money and lot value at the broker's edge: accounts in dollars or in cents, everything inside in USD."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from novosky.errors import BrokerError
from novosky.settings import Settings
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.port import MONEY_CREDIT

_UNITS = MappingProxyType({"USD": 1.0, "USC": 100.0})
"""The account's currency code to its units per USD."""
_FINEST = 8
"""Decimals of a USD sum that are kept: cents of cents carry four."""
CALIBRATION_TICKS = 1_000
"""Ticks of movement measured at once, so that results rounded to a cent still tell the value of one."""
TOLERANCE = 1e-3
"""Share by which two statements of the same value may differ."""


_KINDS = MappingProxyType(
    {
        C.DEAL_TYPE_CREDIT: MONEY_CREDIT,
        C.DEAL_TYPE_CHARGE: "charge",
        C.DEAL_TYPE_CORRECTION: "correction",
        C.DEAL_TYPE_BONUS: "bonus",
    }
)
"""Deals that move money without a trade, beside those of the balance. What else there is, commissions of a day
or a month, interest, dividends, taxes and trades taken back, is what trading costs and earns."""


def money_kind(deal_type: int, amount: float) -> str:
    """Return `Deal.money` of a DEAL_TYPE_..., empty for what trading costs and earns."""
    if deal_type == C.DEAL_TYPE_BALANCE:
        return "deposit" if amount >= 0.0 else "withdrawal"
    return _KINDS.get(deal_type, "")


@dataclass(frozen=True)
class Money:
    """An account's currency.

    Attributes
    ----------
    currency : str
        Its code as the terminal says it.
    unit : float
        How many make one USD.
    """

    currency: str
    unit: float

    def usd(self, amount: float) -> float:
        """Return an amount of the account's currency in USD."""
        return amount if self.unit == 1.0 else round(amount / self.unit, _FINEST)


def money_of(currency: str, account_type: str) -> Money:
    """Return the money of an account.

    Parameters
    ----------
    currency : str
        `account_info().currency`.
    account_type : str
        From config.json: ``"standard"`` or ``"cent"``.

    Raises
    ------
    BrokerError
        An unknown currency, or one that contradicts `account_type`.
    """
    unit = _UNITS.get(currency.upper())
    if unit is None:
        raise BrokerError(
            f"the account is kept in {currency!r}; open one in {' or '.join(_UNITS)}, which this bot trades"
        )
    if (unit != 1.0) != (account_type == "cent"):
        raise BrokerError(
            f"the account is kept in {currency} but config.json says account_type {account_type!r}; "
            f"set it to {'cent' if unit != 1.0 else 'standard'!r}"
        )
    return Money(currency, unit)


def check_digits(digits: int, settings: Settings) -> None:
    """Refuse an account that books to other decimals than config.json says: small costs would vanish, or appear.

    Raises
    ------
    BrokerError
    """
    if digits != settings.account.currency_digits:
        raise BrokerError(
            f"the account books to {digits} decimals of its currency, config.json reckons with "
            f'{settings.account.currency_digits}; set "currency_digits": {digits} in its section account'
        )


def sizing_problem(money: Money, tick_value: float, tick_size: float, measured: float | None, lot_units: float) -> str:
    """Say why lots must not be sized on this account, or return an empty text.

    Brokers disagree on whether a cent account's tick value is in cents, so it is compared
    with what the terminal itself calculates for a trade.

    Parameters
    ----------
    tick_value : float
        `trade_tick_value`, account currency per tick and lot.
    tick_size : float
        Price of a tick.
    measured : float or None
        `order_calc_profit` of one lot over `CALIBRATION_TICKS` ticks, account currency.
    lot_units : float
        USD per lot and USD of movement that sizing reckons with.
    """
    if tick_value <= 0.0 or tick_size <= 0.0:
        return f"the broker states no tick value ({tick_value:g} per {tick_size:g})"
    if measured is None:
        return "the terminal cannot calculate the profit of a lot"
    per_tick = measured / CALIBRATION_TICKS
    if abs(per_tick - tick_value) > TOLERANCE * tick_value:
        return (
            f"the broker states a tick value of {tick_value:g} {money.currency} but calculates {per_tick:g}; "
            "ask the broker which one holds"
        )
    usd_per_unit = money.usd(measured) / (CALIBRATION_TICKS * tick_size)
    if abs(usd_per_unit - lot_units) > TOLERANCE * lot_units:
        return (
            f"a lot earns {usd_per_unit:g} USD per USD of movement, config.json reckons with {lot_units:g}; "
            "set broker.contract_size and account_type"
        )
    return ""
