"""Command-line values that replace account and cost settings for one run."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ValidationError

from novosky.errors import UsageError
from novosky.settings.runtime import Settings


@dataclass(frozen=True)
class AccountFlags:
    """The flags backtest and paper share; None leaves the setting as it is.

    Attributes
    ----------
    balance : float or None
        Starting balance in USD; also the base of the hard halt.
    leverage : float or None
    spread : float or None
        USD; replaces the bars' own spread too.
    no_swap : bool
    swap_long, swap_short : float or None
        USD per lot and night, negative is paid.
    commission : float or None
        USD per lot and side.
    slippage : float or None
        USD per market or stop fill.
    cent_account : bool
    max_lot : float or None
    """

    balance: float | None = None
    leverage: float | None = None
    spread: float | None = None
    no_swap: bool = False
    swap_long: float | None = None
    swap_short: float | None = None
    commission: float | None = None
    slippage: float | None = None
    cent_account: bool = False
    max_lot: float | None = None


def apply_flags(settings: Settings, flags: AccountFlags) -> Settings:
    """Return the settings with the flags in place of the file's values.

    Raises
    ------
    UsageError
        Flags that contradict each other or lie outside the range of their key.
    """
    if flags.no_swap and (flags.swap_long is not None or flags.swap_short is not None):
        raise UsageError("--no-swap contradicts --swap-long/--swap-short; give one or the other")
    if flags.no_swap and settings.costs.carry == "funding":
        raise UsageError("--no-swap does not end funding; set costs.funding_rate_pct to 0 in the settings")
    content = settings.model_dump(by_alias=True)
    places: list[tuple[str, str, object]] = [
        ("risk_profile", "starting_balance_usd", flags.balance),
        ("account", "leverage", flags.leverage),
        ("costs", "spread", flags.spread),
        ("costs", "commission_per_lot", flags.commission),
        ("costs", "slippage", flags.slippage),
        ("costs", "swap_long", 0.0 if flags.no_swap else flags.swap_long),
        ("costs", "swap_short", 0.0 if flags.no_swap else flags.swap_short),
        ("dynamic_position_sizing", "max_lot", flags.max_lot),
    ]
    for section, key, value in places:
        if value is not None:
            content[section][key] = value
    if flags.cent_account:
        content["account_type"] = "cent"
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        detail = error.errors()[0]
        place = ".".join(str(part) for part in detail["loc"])
        raise UsageError(f"flag for {place}: {detail['msg']} (found {detail['input']!r})") from error
