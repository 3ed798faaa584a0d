"""The public candle histories: how each venue is asked and how its answer is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pandas as pd

from novosky.market.timeframe import TRADED, timeframe

CANDLES_PER_PAGE = 1000
"""Most candles either venue returns for one request."""


class CandleSource(Protocol):
    """A venue that serves closed candles over HTTP, at most `CANDLES_PER_PAGE` a request.

    A source only knows the venue's format; waiting, retrying and storing are done by
    `novosky.data.download`. Implementations are values: no state, safe to share.
    """

    @property
    def symbol(self) -> str:
        """The venue's name of the instrument."""
        ...

    @property
    def label(self) -> str:
        """Venue and symbol, stored with the bars so that venues are never mixed."""
        ...

    @property
    def base_url(self) -> str:
        """Scheme and host, without a trailing slash."""
        ...

    @property
    def first_open(self) -> int:
        """Epoch seconds before which the venue has no history."""
        ...

    @property
    def timeframes(self) -> Mapping[int, str]:
        """The venue's name of each timeframe, by its seconds."""
        ...

    def request(self, start: int, end: int, seconds: int) -> tuple[str, dict[str, str | int]]:
        """Return path and query for the candles that open in [start, end), UTC epoch seconds."""
        ...

    def parse(self, answer: object) -> pd.DataFrame:
        """Turn a decoded JSON answer into columns of a bar frame, `time` in UTC, ascending.

        Raises
        ------
        ValueError, TypeError, KeyError, IndexError
            When the answer does not have the documented shape.
        """
        ...


def _frame(opens: Sequence[int], unit: str, columns: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    time = pd.to_datetime(pd.Series(opens, dtype="int64").to_numpy().astype(f"datetime64[{unit}]"), utc=True)
    return pd.DataFrame(
        {"time": time.as_unit("ns"), **{name: pd.Series(v, dtype="float64") for name, v in columns.items()}}
    )


@dataclass(frozen=True)
class BinanceCandles:
    """Spot klines of Binance, ``GET /api/v3/klines``.

    Source: Binance Spot API documentation, "Kline/Candlestick data". Candles are stamped with
    their open in milliseconds UTC; prices come as text; both ends of the window are inclusive.
    """

    symbol: str = "BTCUSDT"
    base_url: str = "https://api.binance.com"
    first_open: int = 1_502_928_000  # 2017-08-17, the first BTCUSDT day
    timeframes: Mapping[int, str] = field(
        default_factory=lambda: {timeframe(name).seconds: name[1:] + name[0].lower() for name in TRADED}
    )

    @property
    def label(self) -> str:
        """Venue and symbol."""
        return f"binance {self.symbol}"

    def request(self, start: int, end: int, seconds: int) -> tuple[str, dict[str, str | int]]:
        """Return path and query of one page."""
        return "/api/v3/klines", {
            "symbol": self.symbol,
            "interval": self.timeframes[seconds],
            "startTime": start * 1000,
            "endTime": end * 1000 - 1,
            "limit": CANDLES_PER_PAGE,
        }

    def parse(self, answer: object) -> pd.DataFrame:
        """Read ``[[open ms, open, high, low, close, volume, close ms, quote volume, trades, taker buy, …], …]``."""
        if not isinstance(answer, list):
            raise TypeError(f"expected a list of klines, not {type(answer).__name__}")
        fields = {"open": 1, "high": 2, "low": 3, "close": 4, "volume": 5, "trades": 8, "taker_buy_volume": 9}
        return _frame(
            [int(row[0]) for row in answer],
            "ms",
            {name: [float(row[at]) for row in answer] for name, at in fields.items()},
        )


@dataclass(frozen=True)
class BitstampCandles:
    """OHLC data of Bitstamp, ``GET /api/v2/ohlc/{pair}/``.

    Source: Bitstamp HTTP API documentation, "Get OHLC data". Candles are stamped with their open
    in seconds UTC. When start and end are both given the venue counts back from the end, so a
    page must never span more than `CANDLES_PER_PAGE` candles.
    """

    symbol: str = "btcusd"
    base_url: str = "https://www.bitstamp.net"
    first_open: int = 1_313_625_600  # 2011-08-18
    timeframes: Mapping[int, str] = field(
        default_factory=lambda: {timeframe(name).seconds: str(timeframe(name).seconds) for name in TRADED}
    )

    @property
    def label(self) -> str:
        """Venue and symbol."""
        return f"bitstamp {self.symbol}"

    def request(self, start: int, end: int, seconds: int) -> tuple[str, dict[str, str | int]]:
        """Return path and query of one page."""
        return f"/api/v2/ohlc/{self.symbol}/", {
            "step": self.timeframes[seconds],
            "limit": CANDLES_PER_PAGE,
            "start": start,
            "end": end - 1,
        }

    def parse(self, answer: object) -> pd.DataFrame:
        """Read ``{"data": {"ohlc": [{"timestamp": …, "open": …, …}, …]}}``."""
        if not isinstance(answer, dict):
            raise TypeError(f"expected an object, not {type(answer).__name__}")
        rows = sorted(answer["data"]["ohlc"], key=lambda row: int(row["timestamp"]))
        columns = ("open", "high", "low", "close", "volume")
        return _frame(
            [int(row["timestamp"]) for row in rows],
            "s",
            {name: [float(row[name]) for row in rows] for name in columns},
        )
