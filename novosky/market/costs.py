"""What an instrument costs to trade: fees of a fill and the carry of a held position, as plain values.

The rules that charge them are `engine.costs`; the settings that state them are `costs` in config.json.
"""

from __future__ import annotations

from dataclasses import dataclass

from novosky.market.trading_hours import Weekday


@dataclass(frozen=True)
class Fees:
    """What a fill pays: a sum per lot, or a share of its value.

    Attributes
    ----------
    per_lot : float
        USD per standard lot and side.
    maker, taker : float
        Shares of the fill's value, of orders that rested in the book and of all others; a negative
        maker's share is a rebate.
    least : float
        USD that a fill pays at least, 0.0 for none.
    """

    per_lot: float = 0.0
    maker: float = 0.0
    taker: float = 0.0
    least: float = 0.0

    @property
    def of_value(self) -> bool:
        """True for an exchange's fees, a share of what is traded."""
        return self.maker != 0.0 or self.taker != 0.0 or self.least != 0.0

    @property
    def name(self) -> str:
        """What reports call them."""
        return "Fees" if self.of_value else "Commission"

    @property
    def text(self) -> str:
        """The rates in words."""
        if not self.of_value:
            return f"{self.per_lot} USD per lot and side"
        least = f", at least {self.least:g} USD" if self.least else ""
        return f"maker {100.0 * self.maker:g} %, taker {100.0 * self.taker:g} % of a fill's value{least}"


@dataclass(frozen=True)
class Carry:
    """What holding a position pays: swap of nights, or funding at stated hours.

    Attributes
    ----------
    long, short : float
        USD per standard lot and night; negative is paid.
    triple : Weekday or None
        The server day whose night counts three times.
    funding : float
        Share of the position's value that a long pays a short at each funding moment.
    hours : tuple of int
        Hours of the day, UTC, at which funding is due; empty where nights are charged.
    """

    long: float = 0.0
    short: float = 0.0
    triple: Weekday | None = None
    funding: float = 0.0
    hours: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """What reports call it."""
        return "Funding" if self.hours else "Swap"

    @property
    def text(self) -> str:
        """The rates in words."""
        if not self.hours:
            return f"long {self.long}, short {self.short} USD per lot and night"
        hours = ", ".join(f"{hour:02d}:00" for hour in self.hours)
        return f"{100.0 * self.funding:g} % of the position's value at {hours} UTC, from longs to shorts"


@dataclass(frozen=True)
class CostModel:
    """An instrument's costs beside its spread, stated per standard lot."""

    fees: Fees = Fees()
    carry: Carry = Carry()
    slippage: float = 0.0
    """USD by which every market or stop fill is worse than its quote."""
