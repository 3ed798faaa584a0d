"""Names of instruments: how brokers and venues write them, and which of them mean the same market."""

from __future__ import annotations

import re

_DOLLAR_COINS = ("USDT", "USDC", "FDUSD")
# BNBUSD, XBTUSD and DOTUSD are priced in dollars: without a separator the last letter of the base
# cannot be told from the first of these coins.
_DOLLAR_COINS_APART = ("BUSD", "TUSD")
_SEPARATORS = re.compile(r"[/\-_ ]")
# Brokers mark their kinds of account in lower case after the name: BTCUSD.r, EURUSDm, GER40.cash,
# XAUUSD#. Capitals after a dot are part of the name: BRK.B, AAPL.US.
_ACCOUNT_MARK = re.compile(r"(?<=[A-Z0-9])(?:[.!#+][a-z]*|[a-z]{1,3})\Z")


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
