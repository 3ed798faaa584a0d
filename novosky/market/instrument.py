"""What is traded: an instrument's terms as plain values, and the names under which brokers and venues list it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from novosky.market.timeframe import Timeframe

if TYPE_CHECKING:
    # Opening hours are computed with pandas, for which `--help` must not wait.
    from novosky.market.trading_hours import Weekday

USUAL_SYMBOL = "BTCUSD"
"""Taken where nobody names one: the default of config.json, and what the embedded market stands in for."""
BOT_MAGIC = 770_001
"""Marks the bot's own orders and positions at the broker. A position opened under another number would be a
stranger's to the bot after an update, so this never changes; which symbol it is of, the broker says itself."""

_DOLLAR_COINS = ("USDT", "USDC", "FDUSD")
# BNBUSD, XBTUSD and DOTUSD are priced in dollars: without a separator the last letter of the base
# cannot be told from the first of these coins.
_DOLLAR_COINS_APART = ("BUSD", "TUSD")
_SEPARATORS = re.compile(r"[/\-_ ]")
# Brokers mark their kinds of account in lower case after the name: BTCUSD.r, EURUSDm, GER40.cash,
# XAUUSD#. Capitals after a dot are part of the name: BRK.B, AAPL.US.
_ACCOUNT_MARK = re.compile(r"(?<=[A-Z0-9])(?:[.!#+][a-z]*|[a-z]{1,3})\Z")


@dataclass(frozen=True)
class TradingCalendar:
    """When an instrument is dealt in.

    Attributes
    ----------
    server_clock : str
        Rule of the server's clock, see `novosky.market.server_time.ServerClock`.
    hours : mapping
        Sessions by weekday on that clock; days left out are open.
    """

    server_clock: str
    hours: Mapping[Weekday, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Instrument:
    """An instrument as it is traded: plain values, of which the engine is given numbers only.

    Attributes
    ----------
    symbol : str
        As config.json names it; a broker's own name may carry a suffix.
    timeframe : Timeframe
        Length of the bars that decide.
    point : float
        Smallest price step, in units of the price; `spread` columns count it.
    digits : int
        Decimals of the prices.
    contract_size : float
        Units of the underlying in one standard lot.
    base_currency, quote_currency : str or None
        Of the pair; None where the symbol's name is no pair, as of an index.
    profit_currency, margin_currency : str or None
        In which results and margin are counted; None until a broker has said so.
    calendar : TradingCalendar
    magic : int
        Marks the orders and positions of the bot that trades it.
    """

    symbol: str
    timeframe: Timeframe
    point: float
    digits: int
    contract_size: float
    base_currency: str | None
    quote_currency: str | None
    profit_currency: str | None
    margin_currency: str | None
    calendar: TradingCalendar
    magic: int = BOT_MAGIC

    @property
    def plain_name(self) -> str:
        """The market the symbol stands for, see `instrument`."""
        return instrument(self.symbol)


def currencies_of(symbol: str) -> tuple[str | None, str | None]:
    """Return base and quote currency of a pair's symbol, (None, None) for what is no pair of six letters.

    Examples
    --------
    >>> currencies_of("BTCUSDT"), currencies_of("EURUSD.r"), currencies_of("GER40")
    (('BTC', 'USD'), ('EUR', 'USD'), (None, None))
    """
    name = instrument(symbol)
    # Six letters are a pair by the convention of all brokers; digits name an index or a future.
    return (name[:3], name[3:]) if len(name) == 6 and name.isalpha() else (None, None)


def instrument(symbol: str) -> str:
    """Return the plain name of the market that a broker's or venue's symbol stands for.

    Separators and the broker's account marks are left out, and a coin that is held to the
    dollar counts as the dollar; BUSD and TUSD only behind a separator, as in ``BTC/BUSD``. A
    name in small letters only is taken to be in capitals.

    Examples
    --------
    >>> instrument("BTC/USD"), instrument("btcusd"), instrument("BTCUSDT"), instrument("EURUSD.r")
    ('BTCUSD', 'BTCUSD', 'BTCUSD', 'EURUSD')
    """
    parts = _SEPARATORS.split(symbol.strip())
    name = "".join(parts)
    name = name.upper() if name == name.lower() else _ACCOUNT_MARK.sub("", name).upper()
    coins = (*_DOLLAR_COINS, *(coin for coin in _DOLLAR_COINS_APART if parts[-1].upper().startswith(coin)))
    coin = next((coin for coin in coins if name.endswith(coin) and len(name) > len(coin)), None)
    return name if coin is None else name.removesuffix(coin) + "USD"


def same_instrument(one: str, other: str) -> bool:
    """Whether two symbols stand for the same market, see `instrument`."""
    return instrument(one) == instrument(other)
