"""The symbol in a file's name, as terminals and venues name the files that people download."""

from __future__ import annotations

import re
from pathlib import Path

from novosky.market.same_market import ALIASES

_SYMBOL = r"(?P<symbol>[A-Za-z][A-Za-z0-9]{1,11}(?:[.#!][A-Za-z]{0,6})?)"
_FRAME = r"(?:[Mm](?:1|5|15|30)|[Hh][14]|[Dd]1|(?:1|5|15|30)m(?:in)?|[14]h|1d|minute|hour|1|5|15|30|60|240|1440)"
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"DAT_[A-Z]+_{_SYMBOL}_M1_\d+.*",  # HistData: DAT_ASCII_EURUSD_M1_2023
        rf"{_SYMBOL}_Candlestick_.*",  # Dukascopy: EURUSD_Candlestick_15_M_BID_01.01.2024-…
        rf"(?:[A-Z]+)[_:]{_SYMBOL}, {_FRAME}(?:_[0-9a-f]+)?",  # TradingView: BINANCE_BTCUSDT, 15
        rf"(?:Binance|Bitstamp|Bitfinex|Coinbase|Kraken|Gemini)_{_SYMBOL}_(?:\d+_)?{_FRAME}",  # CryptoDataDownload
        rf"{_SYMBOL}[_-]{_FRAME}(?:[_-].*)?",  # MetaTrader 5, ours, Binance: GER40_M15, BTCUSDT-15m-2024-01
        r"(?P<symbol>[A-Z]{6}|[A-Z]{2,5}\d{2,3}?)(?:1|5|15|30|60|240|1440)",  # MetaTrader 4: EURUSD15, GER4015
    )
)
_UNITS = frozenset(
    (
        *(
            "USD",
            "EUR",
            "GBP",
            "JPY",
            "CHF",
            "AUD",
            "NZD",
            "CAD",
            "SEK",
            "NOK",
            "DKK",
            "PLN",
            "ZAR",
            "MXN",
            "TRY",
            "SGD",
        ),
        *(
            "HKD",
            "CNH",
            "XAU",
            "XAG",
            "XPT",
            "XPD",
            "BTC",
            "ETH",
            "LTC",
            "XRP",
            "SOL",
            "ADA",
            "BCH",
            "DOT",
            "BNB",
            "TRX",
        ),
    )
)
_INDICES = frozenset(name for group in ALIASES for name in group) | {
    "UK100",
    "FRA40",
    "JP225",
    "EU50",
    "AUS200",
    "HK50",
}


def symbol_in_name(path: Path) -> str | None:
    """Return the symbol that a file's name states, None where it states none or several.

    A name of a known pattern states it, and so does a word of it that is a pair of currencies,
    metals or coins, or a usual name of an index.

    Examples
    --------
    >>> symbol_in_name(Path("GER40_M15.csv")), symbol_in_name(Path("BTCUSDT-15m-2024-01.csv"))
    ('GER40', 'BTCUSDT')
    >>> symbol_in_name(Path("my eurusd bars.csv")), symbol_in_name(Path("history.csv"))
    ('eurusd', None)
    """
    matches = (pattern.fullmatch(path.stem) for pattern in _PATTERNS)
    stated = next((match["symbol"] for match in matches if match is not None), None)
    if stated is not None:
        return stated
    words = {word for word in re.split(r"[^A-Za-z0-9]+", path.stem) if _is_symbol(word.upper())}
    return words.pop() if len(words) == 1 else None


def _is_symbol(word: str) -> bool:
    pair = word.removesuffix("T") if word.endswith("USDT") else word
    return word in _INDICES or (len(pair) == 6 and pair[:3] in _UNITS and pair[3:] in _UNITS)
