"""A local receiver of webhooks: messages taken, and every kind of trouble."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import SecretStr

from alerts.channels.webhook import WebhookAccess
from tests.hosts.telegram_host import Trouble, write

SECRET = "a-receivers-own-secret"
PATH = "/hooks/T0SECRETPATH"


@dataclass
class Posted:
    """A request that was taken."""

    body: dict[str, Any]
    headers: dict[str, str]


@dataclass
class WebhookHost:
    """The receiver's side: messages taken, trouble planned request by request."""

    posted: list[Posted] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    trouble: deque[Trouble] = field(default_factory=deque)
    offline: Trouble | None = None

    def __post_init__(self) -> None:
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Or the body waits 40 ms for the other side to acknowledge the head.
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                host.handle(self)

            def do_HEAD(self) -> None:
                host.handle(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}{PATH}"

    def access(self, secret: str | None = SECRET) -> WebhookAccess:
        return WebhookAccess(SecretStr(self.url), None if secret is None else SecretStr(secret))

    def plan(self, *troubles: Trouble) -> None:
        self.trouble.extend(troubles)

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        content = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        body = json.loads(content) if content else {}
        self.calls.append(handler.command)
        trouble = self.offline or (self.trouble.popleft() if self.trouble else None)
        if trouble is not None and not trouble(handler, body):
            return
        if handler.command == "POST":
            self.posted.append(Posted(body, dict(handler.headers.items())))
        if trouble is None:
            write(handler, 204, b"", {})


@contextmanager
def webhook_host() -> Iterator[WebhookHost]:
    host = WebhookHost()
    thread = threading.Thread(target=host.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield host
    finally:
        host.server.shutdown()
        host.server.server_close()
        thread.join()
