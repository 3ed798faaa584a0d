"""When the line or the server fails, the caller gets the package's IPC errors and no order is sent twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from novosky.clock import RealClock
from novosky.errors import BrokerError
from tests.helpers.bridge_module import TOKEN, SmallModule, bridged, serving
from tests.hosts.bridge_line import breakable
from tests.hosts.ports import own_port
from trading.brokers.bridge import protocol
from trading.brokers.bridge.client import BridgeModule
from trading.brokers.bridge.limits import Limits
from trading.brokers.bridge.line import LinkFailure
from trading.brokers.bridge.server import BridgeServer

ROOT = Path(__file__).resolve().parents[4]
REQUEST = {"action": 1, "symbol": "BTCUSD", "volume": 0.1}
NO_CONNECTION = (-10004, "No IPC connection")
SEND_FAILED = (-10001, "IPC send failed")
RECEIVE_FAILED = (-10002, "IPC recv failed")
TIMEOUT = (-10005, "IPC timeout")


def test_nobody_listening_is_no_connection() -> None:
    with own_port() as port, BridgeModule(f"http://127.0.0.1:{port}", TOKEN) as mt5:
        assert mt5.initialize() is False
        assert mt5.last_error() == NO_CONNECTION
        for name in ("account_info", "positions_total", "positions_get", "version", "order_send"):
            assert getattr(mt5, name)() is None
            assert mt5.last_error() == NO_CONNECTION
        assert mt5.symbol_select("BTCUSD", True) is False
        assert mt5.shutdown() is None
        assert mt5.__version__ == "unknown"


def test_a_wrong_token_is_a_failed_authorization() -> None:
    with serving(SmallModule()) as server, BridgeModule(server.url, "w" * 40) as mt5:
        assert mt5.initialize() is False
        assert mt5.last_error() == (-6, "Terminal: Authorization failed")


@pytest.mark.parametrize(
    ("fault", "error"),
    [("cut", RECEIVE_FAILED), ("lose", RECEIVE_FAILED), ("garble", RECEIVE_FAILED), ("swallow", TIMEOUT)],
)
def test_an_order_whose_answer_is_missing_is_never_sent_again(fault: str, error: tuple[int, str]) -> None:
    module = SmallModule()
    with breakable(module) as (mt5, line):
        line.fault = fault
        assert mt5.order_send(REQUEST) is None
        assert mt5.last_error() == error
        assert line.calls == 1
        assert len(module.sent) == (0 if fault == "lose" else 1)

        assert mt5.version() is not None
        assert len(module.sent) == (0 if fault == "lose" else 1)


@pytest.mark.parametrize("fault", ["cut", "lose"])
def test_a_read_is_tried_once_more_on_a_new_connection(fault: str) -> None:
    with breakable(SmallModule()) as (mt5, line):
        line.fault = fault
        assert mt5.version() == (500, 5200, "26 Sep 2026")
        assert mt5.last_error() == (1, "Success")
        assert line.calls == 2


def test_a_read_is_not_tried_a_third_time() -> None:
    with breakable(SmallModule()) as (mt5, line):
        line.fault, line.times = "cut", 9
        assert mt5.version() is None
        assert mt5.last_error() == RECEIVE_FAILED
        assert line.calls == 2


@pytest.mark.parametrize("name", ["initialize", "login", "shutdown"])
def test_what_changes_the_connection_is_sent_once(name: str) -> None:
    with breakable(SmallModule()) as (mt5, line):
        line.fault = "cut"
        getattr(mt5, name)()
        assert mt5.last_error() == RECEIVE_FAILED
        assert line.calls == 1


@pytest.mark.parametrize(
    "garbled",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 66\r\n\r\n\0\0\0\x3e"
        b'{"seq":99,"stamp":1.0,"value":1,"raised":null,"error":[1,"OK"]}',
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n\xff\xff\xff\xffnone",
        b"HTTP/1.1 500 X\r\nContent-Length: 4\r\n\r\noops",
        b"SSH-2.0-OpenSSH\r\n\r\n",
    ],
    ids=["huge", "endless", "elsewhere", "other-call", "shorter than it says", "error", "other-server"],
)
def test_what_is_no_answer_to_this_call_is_a_failed_receive(garbled: bytes) -> None:
    with breakable(SmallModule()) as (mt5, line):
        line.fault, line.garbled = "garble", garbled
        assert mt5.order_send(REQUEST) is None
        assert mt5.last_error() == RECEIVE_FAILED
        assert line.calls == 1


def refusal(word: str, status: int) -> bytes:
    body = protocol.dump(protocol.Refused(word, "for the test"))
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize("word", ["busy", "stopping", "stale", "replayed", "malformed"])
def test_a_refused_order_is_a_failed_send_and_not_sent_again(word: str) -> None:
    with breakable(SmallModule()) as (mt5, line):
        line.fault, line.garbled = "garble", refusal(word, 409)
        assert mt5.order_send(REQUEST) is None
        assert mt5.last_error() == SEND_FAILED
        assert line.calls == 1


def test_after_a_suspended_machine_a_read_begins_a_new_session() -> None:
    with breakable(SmallModule()) as (mt5, line):
        line.fault, line.garbled = "garble", refusal("stale", 409)
        assert mt5.version() is not None
        assert line.calls == 2


def test_a_result_that_cannot_be_carried_is_a_failed_receive_not_a_made_up_value() -> None:
    module = SmallModule()
    module.returned = object()
    with bridged(module) as mt5:
        assert mt5.account_info() is None
        assert mt5.last_error() == RECEIVE_FAILED


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"protocol": 1}, "speaks protocol 1, this client 2"), ({"structs": {"Tick": ["time"]}}, "another AccountInfo")],
    ids=["protocol", "structs"],
)
def test_another_version_is_refused_with_a_clear_message(changes: dict[str, Any], words: str) -> None:
    class Other(BridgeServer):
        def hello(self) -> bytes:
            return protocol.dump(replace(protocol.load_hello(super().hello()), **changes))

    server = Other(SmallModule(), TOKEN, RealClock())
    stop = threading.Event()
    thread = threading.Thread(target=server.serve, args=(stop,))
    thread.start()
    with BridgeModule(server.url, TOKEN) as mt5:
        assert mt5.initialize() is False
        code, text = mt5.last_error()
        assert code == -5
        assert text.startswith("Incompatible versions, ")
        assert words in text
    stop.set()
    thread.join()


def test_a_call_the_terminal_does_not_return_from_times_out() -> None:
    module = SmallModule()
    module.gate.clear()
    with serving(module) as server, BridgeModule(server.url, TOKEN, call_seconds=0.3) as mt5:
        begin = time.monotonic()
        assert mt5.positions_get() is None
        assert mt5.last_error() == TIMEOUT
        assert time.monotonic() - begin < 2
        assert mt5.hello().busy > 0.2


def test_an_order_that_waits_behind_a_hung_call_is_dropped_when_its_time_is_over() -> None:
    """Executed minutes later, at another price, it would be an order nobody wants any more."""
    module = SmallModule()
    module.gate.clear()
    with (
        serving(module) as server,
        BridgeModule(server.url, TOKEN, call_seconds=0.2) as mt5,
        BridgeModule(server.url, TOKEN, call_seconds=0.2) as other,
    ):
        mt5.positions_get()
        assert other.order_send(REQUEST) is None
        assert other.last_error() == TIMEOUT
        module.gate.set()
        assert other.version() is not None
        assert module.sent == []


def test_a_client_survives_a_restart_of_the_server_but_the_order_in_between_is_not_sent() -> None:
    first, second, third = SmallModule(), SmallModule(), SmallModule()
    with own_port() as port, BridgeModule(f"http://127.0.0.1:{port}", TOKEN) as mt5:
        with serving(first, port=port):
            assert mt5.version() is not None
        with serving(second, port=port):
            assert mt5.order_send(REQUEST) is None
            assert mt5.last_error() == NO_CONNECTION
            assert mt5.order_send(REQUEST) is not None
        with serving(third, port=port):
            assert mt5.version() is not None
    assert (first.sent, second.sent, third.sent) == ([], [REQUEST], [])


def test_an_order_after_a_long_silence_takes_a_new_connection_instead_of_failing_on_the_closed_one() -> None:
    module = SmallModule()
    with serving(module, limits=Limits(idle_seconds=0.2)) as server, BridgeModule(server.url, TOKEN) as mt5:
        assert mt5.version() is not None
        time.sleep(0.5)
        assert mt5.order_send(REQUEST) is not None
        assert module.sent == [REQUEST]


SERVER = """
import sys, threading
sys.path.insert(0, {root!r})
from tests.helpers.bridge_module import SmallModule, TOKEN
from novosky.clock import RealClock
from trading.brokers.bridge.server import BridgeServer

class Noting(SmallModule):
    def order_send(self, request):
        with open({notes!r}, "a") as file:
            file.write("sent\\n")
        return super().order_send(request)

module = Noting()
if {hang}:
    module.gate.clear()
server = BridgeServer(module, TOKEN, RealClock(), port={port})
print("ready", flush=True)
server.serve(threading.Event())
"""


@contextmanager
def process(notes: Path, port: int, *, hang: bool) -> Iterator[subprocess.Popen[str]]:
    """Serve from a process of its own, which a test can kill."""
    code = SERVER.format(root=str(ROOT), notes=str(notes), port=port, hang=hang)
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        try:
            yield server
        finally:
            server.kill()


def test_a_server_killed_in_the_middle_of_an_order_leaves_one_order_and_an_unknown_result(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    with own_port() as port, BridgeModule(f"http://127.0.0.1:{port}", TOKEN, call_seconds=5) as mt5:
        with process(notes, port, hang=True) as server:
            assert mt5.version() is not None

            def kill() -> None:
                while not notes.exists():
                    time.sleep(0.01)
                server.send_signal(signal.SIGKILL)

            killer = threading.Thread(target=kill)
            killer.start()
            assert mt5.order_send(REQUEST) is None
            killer.join()
            assert mt5.last_error() == RECEIVE_FAILED
        assert mt5.order_send(REQUEST) is None
        assert mt5.last_error() == NO_CONNECTION
        with process(notes, port, hang=False):
            assert mt5.version() is not None
            assert notes.read_text() == "sent\n"


def test_stopping_lets_the_running_call_end_and_be_answered() -> None:
    module = SmallModule()
    module.gate.clear()
    server = BridgeServer(module, TOKEN, RealClock())
    stop = threading.Event()
    thread = threading.Thread(target=server.serve, args=(stop,))
    thread.start()
    results: list[Any] = []
    with BridgeModule(server.url, TOKEN) as mt5:
        caller = threading.Thread(target=lambda: results.append(mt5.order_send(REQUEST)))
        caller.start()
        assert module.entered.wait(5)
        stop.set()
        time.sleep(0.4)
        module.gate.set()
        caller.join(5)
        thread.join(5)
        assert not thread.is_alive()
        assert results[0].retcode == 10009
        assert module.stopped
        assert mt5.version() is None
        assert mt5.last_error() == NO_CONNECTION


def test_a_call_that_hangs_for_good_ends_the_server_with_an_error() -> None:
    module = SmallModule()
    module.gate.clear()
    server = BridgeServer(module, TOKEN, RealClock(), limits=Limits(hung_seconds=0.3))
    ends: list[BrokerError] = []

    def serve() -> None:
        try:
            server.serve(threading.Event())
        except BrokerError as error:
            ends.append(error)

    thread = threading.Thread(target=serve)
    thread.start()
    with BridgeModule(server.url, TOKEN, call_seconds=0.2) as mt5:
        mt5.positions_get()
    time.sleep(0.5)
    module.gate.set()
    thread.join(10)

    assert "hangs" in str(ends[0])


def test_hello_raises_what_a_caller_of_the_package_would_get_as_a_value() -> None:
    with (
        own_port() as port,
        BridgeModule(f"http://127.0.0.1:{port}", TOKEN) as mt5,
        pytest.raises(LinkFailure) as link,
    ):
        mt5.hello()
    assert (link.value.failure.code, link.value.failure.text) == NO_CONNECTION
