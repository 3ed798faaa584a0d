"""Strangers without the token never keep the honest client off the bridge, from its own address either."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.bridge_module import TOKEN, SmallModule, serving
from tests.trading.brokers.bridge.test_tls import certificate
from trading.brokers.bridge.client import BridgeModule
from trading.brokers.bridge.limits import Limits
from trading.brokers.bridge.places import Place, Places
from trading.brokers.bridge.server import tls_context

__all__ = ["certificate"]
PROMPT = 4.0
"""Seconds; alone it is some milliseconds, and the machine may have other work."""


def knock(server: Any) -> socket.socket:
    return socket.create_connection(server.server_address[:2], timeout=5)


def idle(server: Any) -> socket.socket:
    return knock(server)


def slow_head(server: Any) -> socket.socket:
    line = knock(server)
    line.sendall(b"POST /v2/call HTTP/1.1\r\nX: ")
    return line


def half_closed(server: Any) -> socket.socket:
    line = knock(server)
    line.sendall(b"GET /v1/hello HTTP/1.1\r\n")
    line.shutdown(socket.SHUT_WR)
    return line


def wrong_token(server: Any) -> socket.socket:
    line = knock(server)
    line.sendall(b"GET /v1/hello HTTP/1.1\r\nAuthorization: Bearer " + b"y" * 40 + b"\r\n\r\n")
    return line


def slow_body(server: Any) -> socket.socket:
    line = knock(server)
    line.sendall(b"POST /v2/call HTTP/1.1\r\nContent-Length: 50000\r\n\r\n{")
    return line


STRANGERS: dict[str, Callable[[Any], socket.socket]] = {
    "idle": idle,
    "slow head": slow_head,
    "half closed": half_closed,
    "wrong token": wrong_token,
    "slow body": slow_body,
}


def honest(server: Any, ca: Path | None = None) -> float:
    """Be the honest client once; seconds until its first answer."""
    begun = time.monotonic()
    with BridgeModule(server.url, TOKEN, ca=ca) as mt5:
        assert mt5.version() == (500, 5200, "26 Sep 2026"), mt5.last_error()
    return time.monotonic() - begun


@pytest.mark.parametrize("kind", STRANGERS)
@pytest.mark.parametrize("count", [64, 200])
def test_the_honest_client_gets_in_among_strangers_that_stay(kind: str, count: int) -> None:
    with serving(SmallModule()) as server, ExitStack() as lines:
        for _ in range(count):
            lines.enter_context(STRANGERS[kind](server))
        time.sleep(0.2)
        assert honest(server) < PROMPT
        assert honest(server) < PROMPT


def test_strangers_that_drip_byte_by_byte_keep_nobody_out() -> None:
    with serving(SmallModule()) as server, ExitStack() as lines, in_the_background() as stop:
        slow = [lines.enter_context(slow_head(server)) for _ in range(64)]

        def drip() -> None:
            while not stop.wait(0.05):
                for line in slow:
                    with suppress(OSError):
                        line.send(b"a")

        begin(drip)
        time.sleep(0.3)
        assert honest(server) < PROMPT


def test_strangers_that_connect_all_the_time_keep_nobody_out() -> None:
    with serving(SmallModule()) as server, in_the_background() as stop:
        kept: list[socket.socket] = []

        def flood() -> None:
            # Some hundred a second; each stays until it is thrown out.
            while not stop.wait(0.003):
                with suppress(OSError):
                    kept.append(knock(server))
                if len(kept) > 300:
                    kept.pop(0).close()

        begin(flood)
        time.sleep(0.5)
        took = [honest(server) for _ in range(3)]
        stop.set()
        for line in kept:
            line.close()
        assert max(took) < PROMPT


def test_what_has_shown_the_token_is_never_thrown_out() -> None:
    with serving(SmallModule()) as server, ExitStack() as lines, BridgeModule(server.url, TOKEN) as mt5:
        assert mt5.version() is not None
        line = mt5._transport._line._socket  # type: ignore[attr-defined]
        for _ in range(3):
            for _ in range(100):
                lines.enter_context(knock(server))
            assert mt5.version() is not None
            assert mt5._transport._line._socket is line, "the same connection"  # type: ignore[attr-defined]


def test_strangers_are_few_and_short() -> None:
    limits = Limits(strangers=5, stranger_seconds=0.5)
    with serving(SmallModule(), limits=limits) as server, ExitStack() as lines:
        for _ in range(50):
            lines.enter_context(slow_head(server))
        assert wait_until(lambda: server._places.count <= 5)
        assert wait_until(lambda: server._places.count == 0), "with more time for a request, but no token"
        assert wait_until(lambda: threads_of(server) == 0)


def test_a_crowd_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with serving(SmallModule()) as server, ExitStack() as lines:
        for _ in range(300):
            lines.enter_context(knock(server))
        time.sleep(0.2)
        assert 1 <= caplog.text.count("had not shown the token") <= 3


def test_handshakes_that_never_end_keep_nobody_out(certificate: tuple[Path, Path]) -> None:
    with serving(SmallModule(), tls=tls_context(*certificate)) as server, ExitStack() as lines:
        for number in range(100):
            line = lines.enter_context(knock(server))
            if number % 2:
                line.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01")
        time.sleep(0.2)
        assert honest(server, certificate[0]) < PROMPT


# The rule itself.


def place(address: str, since: float) -> Place:
    line = socket.socket()
    line.close()
    return Place(address, since, line)


def test_the_oldest_of_the_address_with_most_makes_room() -> None:
    places = Places(10, 4)
    few = place("10.0.0.1", 0.0)
    many = [place("10.0.0.2", 1.0 + number) for number in range(3)]
    for each in (few, *many):
        assert places.enter(each) == (True, None)
    assert places.enter(place("10.0.0.3", 9.0)) == (True, many[0])
    assert not places.prove(many[0]), "too late"
    assert places.enter(place("10.0.0.3", 10.0)) == (True, many[1]), "the older of two that have as many"


def test_those_with_the_token_hold_their_places() -> None:
    places = Places(3, 3)
    proved = [place("10.0.0.1", float(number)) for number in range(3)]
    for each in proved:
        places.enter(each)
        assert places.prove(each)
    assert places.enter(place("10.0.0.2", 9.0)) == (False, None)
    assert places.overdue(100.0) == []
    places.leave(proved[0])
    assert places.enter(place("10.0.0.2", 9.0)) == (True, None)


@given(
    st.lists(st.tuples(st.sampled_from("epl"), st.integers(0, 30)), max_size=200), st.integers(1, 6), st.integers(1, 6)
)
def test_never_too_many_and_never_a_proved_one_out(steps: list[tuple[str, int]], most: int, strangers: int) -> None:
    places, known = Places(most, strangers), {}
    for time_, (what, number) in enumerate(steps):
        if what == "e":
            known[number] = place(str(number % 3), float(time_))
            entered, victim = places.enter(known[number])
            assert victim is None or not victim.proved
            assert entered or all(each.proved for each in places._open)
        elif number in known:
            (places.prove if what == "p" else places.leave)(known[number])
        assert places.count <= most
        assert sum(not each.proved for each in places._open) <= strangers


@contextmanager
def in_the_background() -> Iterator[threading.Event]:
    stop = threading.Event()
    try:
        yield stop
    finally:
        stop.set()


def begin(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()


def wait_until(ready: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.02)
    return ready()


def threads_of(server: Any) -> int:
    return len(server._placed)
