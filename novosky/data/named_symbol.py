"""The symbol in a file's name, as terminals and venues name the files that people download."""

from __future__ import annotations

import re
from pathlib import Path

_SYMBOL = r"(?P<symbol>[A-Za-z][A-Za-z0-9]{1,11}(?:[.#!][A-Za-z]{0,6})?)"
_FRAME = r"(?:M1|M5|M15|M30|H1|H4|D1|1m|5m|15m|30m|1h|4h|1d|1min|5min|15min|minute|hour|1|5|15|30|60|240|1440)"
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


def symbol_in_name(path: Path) -> str | None:
    """Return the symbol that a file's name states by a known pattern, None where it has none.

    Examples
    --------
    >>> symbol_in_name(Path("GER40_M15.csv")), symbol_in_name(Path("BTCUSDT-15m-2024-01.csv"))
    ('GER40', 'BTCUSDT')
    >>> symbol_in_name(Path("history.csv")) is None
    True
    """
    matches = (pattern.fullmatch(path.stem) for pattern in _PATTERNS)
    return next((match["symbol"] for match in matches if match is not None), None)
