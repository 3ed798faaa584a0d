"""A local server that speaks the Bot API: queues of updates, messages taken, and every kind of trouble."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from pydantic import SecretStr

from alerts.telegram.access import TelegramAccess

TOKEN = "123456789:AAF-secret_secret_secret_secret_secret"
OWNER, PARTNER, STRANGER = 1111, -2222, 6666
Trouble = Callable[[BaseHTTPRequestHandler, dict[str, Any]], bool]
"""Does something instead of answering, or before; True when the call is to be taken all the same."""


@dataclass
class Sent:
    """A message the host has taken."""

    chat: int
    text: str
    html: bool
    file: bytes | None = None


def answer(status: int, body: bytes, headers: dict[str, str] | None = None) -> Trouble:
    def trouble(handler: BaseHTTPRequestHandler, call: dict[str, Any]) -> bool:
        write(handler, status, body, headers or {})
        return False

    return trouble


def failure(status: int, description: str, **parameters: Any) -> Trouble:
    content = {"ok": False, "error_code": status, "description": description}
    return answer(status, json.dumps(content | ({"parameters": parameters} if parameters else {})).encode())


def hang(seconds: float) -> Trouble:
    def trouble(handler: BaseHTTPRequestHandler, call: dict[str, Any]) -> bool:
        time.sleep(seconds)
        handler.close_connection = True
        return False

    return trouble


def hang_up(handler: BaseHTTPRequestHandler, call: dict[str, Any]) -> bool:
    handler.close_connection = True
    return False


def take_and_hang_up(handler: BaseHTTPRequestHandler, call: dict[str, Any]) -> bool:
    """The message arrives, the answer does not."""
    handler.close_connection = True
    return True


def write(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]) -> None:
    try:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)
    except OSError:
        # The caller has gone away.
        handler.close_connection = True


@dataclass
class TelegramHost:
    """The host's side: updates waiting, messages taken, trouble planned per method."""

    updates: list[dict[str, Any]] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    trouble: dict[str, deque[Trouble]] = field(default_factory=dict)
    offline: Trouble | None = None
    blocked: set[int] = field(default_factory=set)
    """Chats that have blocked the bot."""
    confirms: bool = True
    """False for a host that gives confirmed updates again."""
    next_id: int = 1000

    def __post_init__(self) -> None:
        host = self
        self.changed = threading.Condition()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Or the body waits 40 ms for the other side to acknowledge the head.
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                host.handle(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    def access(self, *chats: int, token: str = TOKEN) -> TelegramAccess:
        url = f"http://127.0.0.1:{self.server.server_port}"
        return TelegramAccess(SecretStr(token), chats or (OWNER,), url)

    def plan(self, method: str, *troubles: Trouble) -> None:
        self.trouble.setdefault(method, deque()).extend(troubles)

    def says(self, text: str, chat: int = OWNER, **changes: Any) -> int:
        """Queue a message from a chat, as a user's client would send it."""
        with self.changed:
            self.next_id += 1
            message = {
                "message_id": self.next_id,
                "date": 1_700_000_000,
                "chat": {"id": chat, "type": "private"},
                "from": {"id": abs(chat), "is_bot": False, "first_name": "A"},
                "text": text,
            }
            self.updates.append({"update_id": self.next_id, "message": message} | changes)
            self.changed.notify_all()
            return self.next_id

    def texts(self, chat: int = OWNER) -> list[str]:
        return [sent.text for sent in self.sent if sent.chat == chat]

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        _, token, method = handler.path.split("/")
        call = arguments(handler.headers.get("Content-Type", ""), body)
        self.calls.append((method, call))
        if token != f"bot{TOKEN}":
            failure(401, "Unauthorized")(handler, call)
            return
        planned = self.trouble.get(method)
        trouble = self.offline or (planned.popleft() if planned else None)
        if int(call.get("chat_id", 0)) in self.blocked:
            trouble = failure(403, "Forbidden: bot was blocked by the user")
        if trouble is not None:
            if trouble(handler, call):
                self.take(method, call)
            return
        result = json.dumps({"ok": True, "result": self.take(method, call)}).encode()
        write(handler, 200, result, {"Content-Type": "application/json"})

    def take(self, method: str, call: dict[str, Any]) -> Any:
        if method == "getMe":
            return {"id": 123456789, "is_bot": True, "first_name": "N", "username": "novosky_bot"}
        if method == "getUpdates":
            return self.give_updates(call)
        sent = Sent(
            int(call["chat_id"]), call.get("text", call.get("caption", "")), "parse_mode" in call, call.get("file")
        )
        with self.changed:
            self.sent.append(sent)
            self.changed.notify_all()
        return {"message_id": len(self.sent), "date": 1_700_000_000, "chat": {"id": sent.chat, "type": "private"}}

    def give_updates(self, call: dict[str, Any]) -> list[Any]:
        offset, until = int(call.get("offset", 0)), time.monotonic() + float(call.get("timeout", 0))
        with self.changed:
            while True:
                if self.confirms:
                    self.updates = [each for each in self.updates if not confirmed(each, offset)]
                if self.updates or not self.changed.wait(until - time.monotonic()):
                    return self.updates[:100]

    def wait_for(self, ready: Callable[[], bool], seconds: float = 5.0) -> bool:
        with self.changed:
            return self.changed.wait_for(ready, seconds)


def confirmed(update: Any, offset: int) -> bool:
    return isinstance(update, dict) and isinstance(update.get("update_id"), int) and update["update_id"] < offset


def arguments(kind: str, body: bytes) -> dict[str, Any]:
    if not kind.startswith("multipart/"):
        return {name: values[0] for name, values in parse_qs(body.decode()).items()}
    found: dict[str, Any] = {}
    parts = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body).get_payload()
    assert isinstance(parts, list)
    for part in parts:
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        if part.get_filename() is not None:
            found["file"] = content
        else:
            found[str(part.get_param("name", header="content-disposition"))] = content.decode()
    return found


@contextmanager
def telegram_host() -> Iterator[TelegramHost]:
    host = TelegramHost()
    thread = threading.Thread(target=host.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield host
    finally:
        host.server.shutdown()
        host.server.server_close()
        thread.join()


class FakeClock:
    """Stands still until it is moved; sleeping moves it."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.time = now
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
