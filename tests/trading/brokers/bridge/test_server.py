"""What the bridge's server refuses, and that it says so in the log without the token."""

from __future__ import annotations

import http.client
import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from novosky.clock import RealClock
from novosky.errors import NetworkError, UsageError
from tests.helpers.bridge_module import TOKEN, Caller, SmallModule, bridged, serving
from trading.brokers.bridge.admission import MOST_SESSIONS, WINDOW_SECONDS, ReplayGuard
from trading.brokers.bridge.client import BridgeModule
from trading.brokers.bridge.limits import Limits
from trading.brokers.bridge.protocol import MAX_REQUEST_BYTES, Call
from trading.brokers.bridge.refusal import Reason, Refusal
from trading.brokers.bridge.server import BridgeServer


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Whatever a test does, the token must not get into the log."""
    caplog.set_level(logging.DEBUG)
    yield caplog
    assert TOKEN not in caplog.text


def test_a_proper_call_is_answered() -> None:
    with serving(SmallModule()) as server:
        status, answer = Caller(server).post(Caller(server).call())

    assert status == 200
    assert answer["value"] == [500, 5200, "26 Sep 2026"]
    assert answer["error"] == [1, "Success"]


@pytest.mark.parametrize("token", [None, "", "wrong" * 10, TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "ü" * 40])
def test_a_request_without_the_token_is_refused_and_logged(token: str | None, log: pytest.LogCaptureFixture) -> None:
    module = SmallModule()
    with serving(module) as server:
        caller = Caller(server)
        status, answer = caller.post(caller.call(function="symbol_select", args=["X"]), token=token)

    assert (status, answer["refused"]) == (401, "token")
    assert module.error == (1, "Success")
    assert "refused a request from 127.0.0.1: token" in log.text
    assert not token or token not in log.text


def test_hello_needs_the_token_too(log: pytest.LogCaptureFixture) -> None:
    with serving(SmallModule()) as server:
        connection = http.client.HTTPConnection(*server.server_address[:2], timeout=5)
        connection.request("GET", "/v1/hello")
        assert connection.getresponse().status == 401
        connection.close()
    assert ": token: " in log.text


def test_without_the_token_a_body_is_not_even_looked_at(log: pytest.LogCaptureFixture) -> None:
    with serving(SmallModule()) as server:
        assert Caller(server).post(b"[" * 30_000, token="w" * 40)[0] == 401
    assert ": malformed: " not in log.text


@pytest.mark.parametrize("name", ["Buy", "Sell", "Close", "__class__", "error", "eval", "", "order_send.__call__"])
def test_only_the_packages_functions_can_be_called(name: str, log: pytest.LogCaptureFixture) -> None:
    module = SmallModule()
    with serving(module) as server:
        caller = Caller(server)
        status, answer = caller.post(caller.call(function=name, args=["BTCUSD", 1.0]))

    assert (status, answer["refused"]) == (403, "function")
    assert module.sent == []
    assert ": function: " in log.text


def test_a_replayed_request_is_refused_and_logged(log: pytest.LogCaptureFixture) -> None:
    module = SmallModule()
    with serving(module) as server:
        caller = Caller(server)
        body = caller.call(function="order_send", kwargs={"symbol": "BTCUSD"})
        first, second = caller.post(body), caller.post(body)

    assert first[0] == 200
    assert (second[0], second[1]["refused"]) == (409, "replayed")
    assert len(module.sent) == 1
    assert ": replayed: " in log.text


def test_of_20_copies_of_a_request_at_once_one_is_executed() -> None:
    module = SmallModule()
    with serving(module) as server:
        caller = Caller(server)
        body = caller.call(function="order_send", kwargs={"symbol": "BTCUSD"})
        statuses: list[int] = []
        threads = [threading.Thread(target=lambda: statuses.append(caller.post(body)[0])) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert sorted(statuses) == [200] + [409] * 19
    assert len(module.sent) == 1


def test_numbers_of_a_session_only_grow(log: pytest.LogCaptureFixture) -> None:
    with serving(SmallModule()) as server:
        caller = Caller(server)
        statuses = [caller.post(caller.call(seq=seq))[0] for seq in (3, 2, 3, 4)]

    assert statuses == [200, 409, 409, 200]
    assert log.text.count(": replayed: ") == 2


@pytest.mark.parametrize("away", [-WINDOW_SECONDS - 1, WINDOW_SECONDS + 1])
def test_a_call_from_another_time_is_refused_and_logged(away: float, log: pytest.LogCaptureFixture) -> None:
    with serving(SmallModule()) as server:
        caller = Caller(server)
        status, answer = caller.post(caller.call(stamp=caller.template.stamp + away))

    assert (status, answer["refused"]) == (409, "stale")
    assert ": stale: " in log.text


def test_a_call_for_an_earlier_start_is_refused_so_a_restart_forgets_no_replay(log: pytest.LogCaptureFixture) -> None:
    with serving(SmallModule()) as server:
        body = Caller(server).call()
    with serving(SmallModule()) as server:
        status, answer = Caller(server).post(body)

    assert (status, answer["refused"]) == (409, "restarted")
    assert ": restarted: " in log.text


def test_sessions_are_forgotten_only_when_no_request_of_theirs_can_come_back() -> None:
    now = 1000.0
    guard = ReplayGuard("s", lambda: now)

    def call(session: int) -> Call:
        return Call("s", f"{session:032x}", 1, now, 1.0, "version", [], None)

    old = call(0)
    for session in range(MOST_SESSIONS):
        guard.admit(call(session))
    with pytest.raises(Refusal) as crowded:
        guard.admit(call(MOST_SESSIONS))
    now += 2 * WINDOW_SECONDS + 1
    guard.admit(call(MOST_SESSIONS))
    with pytest.raises(Refusal) as late:
        guard.admit(old)

    assert (crowded.value.reason, late.value.reason) == (Reason.BUSY, Reason.STALE)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"function": "version"}',
        b"\xff\xfe",
        b"[" * 30_000,
        b'{"a": NaN}',
        b"1" * 5000,
    ],
    ids=["empty", "cut", "list", "null", "fields", "bytes", "deep", "nan", "digits"],
)
def test_a_malformed_call_is_refused_and_logged(body: bytes, log: pytest.LogCaptureFixture) -> None:
    with serving(SmallModule()) as server:
        status, answer = Caller(server).post(body)

    assert (status, answer["refused"]) == (400, "malformed")
    assert ": malformed: " in log.text


@pytest.mark.parametrize(
    "changes",
    [
        {"session": "x"},
        {"session": "A" * 32},
        {"seq": 0},
        {"patience": 0.0},
        {"patience": -1.0},
        {"args": [{"t": "pickle", "v": ""}]},
        {"args": [{"t": "struct", "v": ["object", []]}]},
        {"kwargs": {"a": {"t": "array", "v": ["<f8", 0]}}},
    ],
    ids=str,
)
def test_a_call_with_an_unfit_field_is_refused_and_logged(
    changes: dict[str, object], log: pytest.LogCaptureFixture
) -> None:
    with serving(SmallModule()) as server:
        caller = Caller(server)
        status, answer = caller.post(caller.call(**changes))

    assert (status, answer["refused"]) == (400, "malformed")
    assert ": malformed: " in log.text


def test_an_oversized_request_is_refused_unread_and_logged(log: pytest.LogCaptureFixture) -> None:
    with serving(SmallModule()) as server:
        address = server.server_address[:2]
        with socket.create_connection(address, timeout=5) as line:
            head = f"POST /v2/call HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: "
            line.sendall(f"{head}{MAX_REQUEST_BYTES + 1}\r\n\r\n".encode())
            assert line.recv(100).startswith(b"HTTP/1.1 413")

    assert ": oversized: " in log.text


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /v2/call HTTP/1.1\r\n\r\n", 411),
        (b"POST /v2/call HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"POST /v2/call HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"POST /v2/call HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /v2/call HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n", 400),
        (b"DELETE /v1/call HTTP/1.1\r\n\r\n", 405),
        (b"GET /etc/passwd HTTP/1.1\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n\r\n", 404),
        (b"GET /v1/hello" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 400),
        (b"\x16\x03\x01 garbage here \xff\r\n\r\n", 400),
    ],
    ids=[
        "no length",
        "chunked",
        "two lengths",
        "negative",
        "odd digit",
        "method",
        "path",
        "long",
        "headers",
        "garbage",
    ],
)
def test_what_is_no_request_of_the_bridge_is_refused_and_logged(
    head: bytes, status: int, log: pytest.LogCaptureFixture
) -> None:
    with serving(SmallModule()) as server, socket.create_connection(server.server_address[:2], timeout=5) as line:
        line.sendall(head)
        assert line.recv(100).startswith(f"HTTP/1.1 {status} ".encode())
    assert "refused a request from 127.0.0.1: " in log.text


def test_a_request_that_drips_in_is_cut_off_and_logged(log: pytest.LogCaptureFixture) -> None:
    """One byte every 50 ms keeps a socket's own timeout from ever expiring."""
    with serving(SmallModule(), limits=Limits(request_seconds=0.4)) as server:
        with socket.create_connection(server.server_address[:2], timeout=5) as line:
            begin = time.monotonic()
            line.sendall(b"POST /v2/call HTTP/1.1\r\n")
            closed = False
            while not closed and time.monotonic() - begin < 3:
                time.sleep(0.05)
                try:
                    line.sendall(b"a")
                except OSError:
                    closed = True
            assert closed
            assert time.monotonic() - begin < 2
        assert "too slowly" in log.text


def test_a_body_that_drips_in_is_cut_off_and_logged(log: pytest.LogCaptureFixture) -> None:
    head = f"POST /v2/call HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 50\r\n\r\n"
    with (
        serving(SmallModule(), limits=Limits(request_seconds=0.3)) as server,
        socket.create_connection(server.server_address[:2], timeout=5) as line,
    ):
        line.sendall(head.encode() + b"{")
        begin = time.monotonic()
        assert line.recv(100) == b""
        assert time.monotonic() - begin < 2
        assert "too slowly" in log.text


def test_a_body_that_breaks_off_is_refused_and_logged(log: pytest.LogCaptureFixture) -> None:
    head = f"POST /v2/call HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 50\r\n\r\n"
    with serving(SmallModule()) as server, socket.create_connection(server.server_address[:2], timeout=5) as line:
        line.sendall(head.encode() + b"{")
        line.shutdown(socket.SHUT_WR)
        assert line.recv(100).startswith(b"HTTP/1.1 400")
    assert "shorter than it says" in log.text


def test_an_answer_nobody_takes_is_given_up_and_logged(log: pytest.LogCaptureFixture) -> None:
    """A client that never reads would keep a connection, and the memory of its answer, for ever."""
    with serving(SmallModule(), limits=Limits(answer_seconds=0.3)) as server:
        caller = Caller(server)
        body = caller.call(function="copy_rates_from_pos", args=["BTCUSD", 15, 0, 400_000])
        head = f"POST /v2/call HTTP/1.1\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(server.server_address[:2], timeout=5) as line:
            line.sendall(head.encode() + body)
            until = time.monotonic() + 10
            while "taken too slowly" not in log.text and time.monotonic() < until:
                time.sleep(0.05)
        assert "gave up an answer to 127.0.0.1: it was taken too slowly" in log.text
        assert caller.post(caller.call(seq=2))[0] == 200, "others are served"


def test_an_idle_connection_is_closed_without_complaint(log: pytest.LogCaptureFixture) -> None:
    with serving(SmallModule(), limits=Limits(idle_seconds=0.2)) as server:
        with socket.create_connection(server.server_address[:2], timeout=5) as line:
            assert line.recv(100) == b""
        assert "refused" not in log.text


def test_slow_clients_do_not_keep_others_out_and_too_many_are_turned_away(log: pytest.LogCaptureFixture) -> None:
    with serving(SmallModule(), limits=Limits(connections=4, request_seconds=0.5)) as server:
        lines = [socket.create_connection(server.server_address[:2], timeout=5) for _ in range(3)]
        for line in lines:
            line.sendall(b"POST ")
        time.sleep(0.1)
        with BridgeModule(server.url, TOKEN) as mt5:
            assert mt5.version() == (500, 5200, "26 Sep 2026")
            with socket.create_connection(server.server_address[:2], timeout=5) as fifth:
                assert fifth.recv(100) == b""
        for line in lines:
            line.close()
    assert "4 are open" in log.text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1"])
def test_an_open_address_without_tls_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="--cert"):
        BridgeServer(SmallModule(), TOKEN, RealClock(), host=host)


def test_an_unfit_token_does_not_open_a_server() -> None:
    with pytest.raises(UsageError, match="NOVOSKY_BRIDGE_TOKEN"):
        BridgeServer(SmallModule(), "short", RealClock())


def test_a_taken_port_is_named() -> None:
    with serving(SmallModule()) as server:
        port = server.server_address[1]
        with pytest.raises(NetworkError, match=f"port {port}"):
            BridgeServer(SmallModule(), TOKEN, RealClock(), port=port)


def test_the_server_launches_only_its_own_terminal() -> None:
    module = SmallModule()
    with bridged(module, terminal="C:/MT5/terminal64.exe") as mt5:
        assert mt5.initialize("C:/Windows/evil.exe") is False
        assert mt5.last_error()[0] == -10003
        assert mt5.initialize(path="C:/Windows/evil.exe") is False
        assert mt5.initialize("C:/MT5/terminal64.exe", login=5) is True
        assert mt5.initialize(login=5, timeout=1000) is True

    own = ("C:/MT5/terminal64.exe",)
    assert module.paths == [(own, {"login": 5}), (own, {"login": 5, "timeout": 1000})]


def test_without_a_terminal_of_its_own_the_server_lets_the_package_find_it() -> None:
    module = SmallModule()
    with bridged(module) as mt5:
        assert mt5.initialize("C:/Windows/evil.exe") is False
        assert mt5.initialize() is True

    assert module.paths == [((), {})]


def test_passwords_of_a_login_are_not_logged(log: pytest.LogCaptureFixture) -> None:
    with bridged(SmallModule()) as mt5:
        mt5.initialize(login=5, password="p4ssw0rd!", server="Demo")
        with pytest.raises(RuntimeError):
            mt5.login(5, password="p4ssw0rd!")
    assert "p4ssw0rd!" not in log.text
