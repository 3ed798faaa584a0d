"""What a broker says of its symbol and its account: read by a probe, compared to the settings by the doctor."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

UNITS_PER_USD = {"USD": 1.0, "USC": 100.0}
"""Account currencies: dollars, and the cents of a cent account."""


@dataclass(frozen=True)
class MarginFacts:
    """The broker's own answers.

    Attributes
    ----------
    volume : float
        Lots it was asked for: one, or what is nearest to that within the symbol's limits.
    price : float
        USD.
    taken, at_half : float or None
        Margin of these lots in USD, at `price` and at half of it; None where the terminal gave none.
    leverage : float
        As the account states it; symbols can have their own.
    """

    volume: float
    price: float
    taken: float | None
    at_half: float | None
    leverage: float


@dataclass(frozen=True)
class SymbolFacts:
    """What the terminal says of the symbol.

    Attributes
    ----------
    symbol : str
    point, tick_size : float
        Price steps.
    digits : int
    contract_size : float
        Units in one lot.
    volume_min, volume_max, volume_step : float
        Lots.
    stops_level : int
        Points.
    tick_value : float
        Account currency per tick and lot.
    currency : str
        Of the account; USC on a cent account.
    currency_digits : int
        Decimals to which the account books.
    margin : MarginFacts or None
        What it takes for a lot; None where its currency is unknown.
    """

    symbol: str
    point: float
    tick_size: float
    digits: int
    contract_size: float
    volume_min: float
    volume_max: float
    volume_step: float
    stops_level: int
    tick_value: float
    currency: str
    currency_digits: int = 2
    margin: MarginFacts | None = None


@dataclass(frozen=True)
class AccountFacts:
    """What the terminal says of the account.

    Attributes
    ----------
    balance, equity : float
        USD.
    own, foreign : int
        Open positions of the symbol that carry the bot's magic, and others.
    """

    balance: float
    equity: float
    own: int
    foreign: int


class BrokerProbe(Protocol):
    """What the checks ask of a connected broker. It is entered before and left after: it holds a connection."""

    def __enter__(self) -> Self:
        """Return itself; nothing is asked yet."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave the broker as it is."""

    def facts(self) -> SymbolFacts:
        """Return the symbol's contract ; BrokerError when it is not there."""

    def account(self) -> AccountFacts:
        """Return the account's money and the symbol's open positions."""

    def server_seconds(self) -> int | None:
        """Return the newest tick's time as the server writes it, its wall clock as epoch seconds; None without one."""
