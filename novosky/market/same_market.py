"""Check that models, settings, bars and terminal are of one market: the one rule for all of them.

Symbols are compared by the market they stand for, not by their spelling: `symbol` in config.json
is the name at the broker (or its beginning), models carry the name they were trained under, bars
the name their source gave them. The same market is:

- one plain name, whatever the broker's or venue's marks (`novosky.market.instrument`);
- a name and the same name with something after a separator (`BTCUSD.PRO`, `US500_Z24`);
- two usual names of one index or metal (`ALIASES`).
"""

from __future__ import annotations

import re
import reprlib
from dataclasses import dataclass

from novosky.errors import ModelCompatibilityError
from novosky.market.instrument import instrument, same_instrument

ALIASES = (
    frozenset({"GER40", "DE40", "DAX40", "GER30", "DE30", "DAX", "GERMANY40"}),
    frozenset({"NAS100", "USTEC", "US100", "NDX100", "USTECH100"}),
    frozenset({"US500", "SPX500", "SP500", "USA500"}),
    frozenset({"US30", "DJ30", "WS30", "DJI30"}),
    frozenset({"XAUUSD", "GOLD"}),
    frozenset({"XAGUSD", "SILVER"}),
    frozenset({"BTCUSD", "XBTUSD", "BITCOIN"}),
)
"""Names under which brokers list the same market."""
_AFTER_NAME = re.compile(r"[.\-_#+!].*", re.DOTALL)


@dataclass(frozen=True)
class Market:
    """What somebody says a thing is of.

    Attributes
    ----------
    what : str
        The thing, as messages name it: "the models in models", "data/GER40_M15.parquet".
    symbol, timeframe : str or None
        None where it does not say.
    """

    what: str
    symbol: str | None
    timeframe: str | None = None


def same_symbol(one: str, other: str) -> bool:
    """Tell whether two symbols stand for one market.

    Examples
    --------
    >>> same_symbol("BTCUSD", "BTCUSDm"), same_symbol("BTCUSD.PRO", "BTCUSD"), same_symbol("DE40", "GER40.cash")
    (True, True, True)
    >>> same_symbol("BTCUSD", "ETHUSD"), same_symbol("EURUSD", "EURUSX")
    (False, False)
    """
    if same_instrument(one, other):
        return True
    names = [{instrument(name), instrument(_AFTER_NAME.sub("", name))} for name in (one, other)]
    if instrument(one) in names[1] or instrument(other) in names[0]:
        return True
    return any(group & names[0] and group & names[1] for group in ALIASES)


def require_same_market(one: Market, other: Market, mend: str) -> None:
    """Refuse two things of different markets; what one of them does not say is no difference.

    Parameters
    ----------
    mend : str
        What to do about it.

    Raises
    ------
    ModelCompatibilityError
        Names both.
    """
    if one.symbol is not None and other.symbol is not None and not same_symbol(one.symbol, other.symbol):
        raise ModelCompatibilityError(
            f"{one.what}: {_shown(one.symbol)}, but {other.what}: {_shown(other.symbol)}; {mend}"
        )
    if one.timeframe is not None and other.timeframe is not None and one.timeframe != other.timeframe:
        raise ModelCompatibilityError(
            f"{one.what}: {_shown(one.timeframe)} bars, but {other.what}: {_shown(other.timeframe)} bars; {mend}"
        )


def _shown(name: str) -> str:
    """Return a name for a message; what is none is shown as such."""
    return name if name.isprintable() and 0 < len(name) <= 40 else reprlib.repr(name)


@dataclass(frozen=True)
class ModelMarket:
    """What a model set says of the bars it learned from.

    Attributes
    ----------
    symbol, timeframe : str or None
        None in sets that do not say.
    synthetic : str or None
        Kind of the embedded market, for models that have never seen a real one.
    """

    symbol: str | None = None
    timeframe: str | None = None
    synthetic: str | None = None
