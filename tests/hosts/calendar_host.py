"""A local server that gives out the weekly calendar as its public host does, and misbehaves on demand."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from novosky.data.calendar.forex_factory import WEEK_FILE

Row = dict[str, Any]
NEW_YORK = ZoneInfo("America/New_York")
Answer = Callable[[BaseHTTPRequestHandler], None]


def row(when: str, impact: str = "High", country: str = "USD", title: str = "Core CPI m/m") -> Row:
    return {
        "title": title,
        "country": country,
        "date": when,
        "impact": impact,
        "forecast": "0.3%",
        "previous": "0.2%",
    }


def rows_of(table: pd.DataFrame) -> list[Row]:
    """Write a stored calendar the way the host does: New York's clock with its offset."""
    rows = []
    for each in table.itertuples():
        local = each.time.to_pydatetime().astimezone(NEW_YORK)
        rows.append(row(local.isoformat(), str(each.impact).split()[0], str(each.currency), str(each.event)))
    return rows


def epoch(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


class CalendarHost:
    """Serves `rows` with an ETag and a date; `misbehave` answers instead when it is set."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.requests: list[dict[str, str]] = []
        self.misbehave: Answer | None = None
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.requests.append({name.lower(): value for name, value in self.headers.items()})
                if self.path != f"/{WEEK_FILE}":
                    reply(404, b"no such path")(self)
                elif host.misbehave is not None:
                    host.misbehave(self)
                else:
                    host.serve(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    @property
    def body(self) -> bytes:
        return json.dumps(self.rows).encode()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        tag = f'"{hash(self.body)}"'
        if handler.headers.get("If-None-Match") == tag:
            handler.send_response(304)
            handler.end_headers()
            return
        reply(200, self.body, {"ETag": tag, "Last-Modified": "Sun, 05 May 2024 04:00:00 GMT"})(handler)


def reply(status: int, body: bytes, headers: dict[str, str] | None = None) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def truncated(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(b'[{"title": "Core')
    handler.close_connection = True


def dripping(handler: BaseHTTPRequestHandler) -> None:
    """Send a byte now and then: no single read times out."""
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(50):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        # The client has given up, as it should.
        return


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        for _ in range(100):
            handler.wfile.write(b" " * 65_536)
    except OSError:
        return


@contextmanager
def calendar_host() -> Iterator[CalendarHost]:
    host = CalendarHost()
    thread = threading.Thread(target=host.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield host
    finally:
        host.server.shutdown()
        host.server.server_close()
        thread.join()
