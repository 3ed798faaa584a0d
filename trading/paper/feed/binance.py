"""Public klines of Binance as a feed: no account and no key, one request for each closed bar."""

from __future__ import annotations

import httpx
import pandas as pd

from novosky.clock import Clock
from novosky.data.candle_sources import CANDLES_PER_PAGE, BinanceCandles, CandleSource
from novosky.errors import NetworkError, UsageError
from novosky.guarded_json import parse_json
from novosky.market.bars import REQUIRED_COLUMNS
from novosky.market.timeframe import Timeframe
from trading.paper.feed.port import FeedUnavailable, Window, window_of

TIMEOUT = 10.0
_MARGIN_DAYS = 1
"""Asked for beyond those needed: venues have had outages of hours."""


def binance_symbol(symbol: str) -> str:
    """Return the spot pair that stands in for a symbol: BTCUSD is traded there as BTCUSDT.

    Raises
    ------
    UsageError
        The symbol is not quoted in USD or USDT.
    """
    name = symbol.upper()
    if name.endswith("USDT"):
        return name
    if name.endswith("USD") and len(name) > len("USD"):
        return f"{name}T"
    raise UsageError(f"binance has no pair for the symbol {symbol} of config.json; it takes ...USD and ...USDT")


class BinanceFeed:
    """Klines of one pair.

    Parameters
    ----------
    symbol : str
        As config.json names it.
    frame : Timeframe
    clock : Clock
    base_url : str or None
        Another host that speaks the same protocol.
    """

    caveat = "prices are in USDT, which is not USD: usually within 0.1 % of it, at times further off"

    def __init__(self, symbol: str, frame: Timeframe, clock: Clock, base_url: str | None = None) -> None:
        pair = binance_symbol(symbol)
        source = BinanceCandles(pair) if base_url is None else BinanceCandles(pair, base_url.rstrip("/"))
        self._source: CandleSource = source
        self._frame, self._clock = frame, clock
        self._client = httpx.Client(base_url=source.base_url, timeout=TIMEOUT, follow_redirects=True)

    @property
    def label(self) -> str:
        """Venue and pair."""
        return self._source.label

    def history(self, count: int, since: int) -> Window:
        """Return the bars up to now from `count` before `since` on; see `BarFeed.history`."""
        return self._window(since - (count + _MARGIN_DAYS * self._frame.bars_per_day) * self._frame.seconds)

    def newer(self, than: int) -> Window:
        """Return the bars after a moment; see `BarFeed.newer`."""
        return self._window(than + 1)

    def _window(self, start: int) -> Window:
        now, length = int(self._clock.now()), self._frame.seconds
        width, begin = CANDLES_PER_PAGE * length, -(-start // length) * length
        pages = [self._page(at, min(at + width, now + 1)) for at in range(begin, now + 1, width)]
        columns = list(REQUIRED_COLUMNS)
        if not pages:
            return Window(pd.DataFrame(columns=columns), 0)
        frame = pd.concat(pages, ignore_index=True)[columns]
        return window_of(frame, self._frame, self._clock.now())

    def _page(self, begin: int, end: int) -> pd.DataFrame:
        path, query = self._source.request(begin, end, self._frame.seconds)
        where = f"{self.label} at {self._source.base_url}"
        try:
            answer = self._client.get(path, params=query)
        except httpx.TransportError as error:
            raise FeedUnavailable(f"{where} does not answer ({type(error).__name__})") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NetworkError(f"{where} cannot be asked ({error}); check --feed-url") from error
        status = f"HTTP {answer.status_code}"
        if answer.status_code in (418, 429) or answer.status_code >= 500:
            asked = answer.headers.get("Retry-After", "").strip()
            raise FeedUnavailable(f"{where} answers {status}", float(asked) if asked.isdigit() else 0.0)
        if not answer.is_success:
            raise NetworkError(
                f"{where} refuses with {status}: check the symbol and --feed-url (the venue refuses some countries)"
            )
        try:
            return self._source.parse(parse_json(answer.content, "the answer", mend_text=True))
        except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError) as error:
            raise FeedUnavailable(f"{where} answers something that is no list of klines") from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
