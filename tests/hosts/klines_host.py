"""A local host that speaks Binance's public kline protocol over a file of bars, in a time of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pandas as pd

from novosky.market.bars import epoch_seconds


class KlinesHost:
    """What the host knows and how it behaves; both may be changed while it serves.

    Attributes
    ----------
    now : float
        UTC epoch seconds; a bar that has not begun by then is not shown, one not over only in part.
    status : int
        Of every answer; any other than 200 has no content.
    body : bytes
        Sent instead of the klines unless empty.
    asked : list of dict
        The queries so far.
    """

    def __init__(self, bars: pd.DataFrame, now: float) -> None:
        self.bars, self.now = bars, now
        self.opens = epoch_seconds(bars)
        self.status, self.body = 200, b""
        self.asked: list[dict[str, str]] = []
        self.url = ""

    def klines(self, query: dict[str, str]) -> list[list[object]]:
        start, end = int(query["startTime"]) // 1000, int(query["endTime"]) // 1000
        shown = (self.opens >= start) & (self.opens <= min(end, self.now))
        rows: list[list[object]] = []
        for time, bar in zip(self.opens[shown], self.bars[shown].itertuples(), strict=True):
            forming = time + 900 > self.now
            # Of a bar that is not over nothing but its open is the bar's.
            prices = [bar.open] * 4 if forming else [bar.open, bar.high, bar.low, bar.close]
            volume = 0.0 if forming else bar.volume
            texts = [repr(float(value)) for value in (*prices, volume)]
            rows.append([int(time) * 1000, *texts, int(time) * 1000 + 899_999, "0", 1, "0", "0", "0"])
        return rows[: int(query["limit"])]


@contextmanager
def serving_klines(host: KlinesHost) -> Iterator[KlinesHost]:
    """Serve on a free port of the loopback interface; `host.url` tells it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            host.asked.append(query)
            body = host.body or json.dumps(host.klines(query)).encode()
            self.send_response(host.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    host.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
