"""A port a test was given stays its own: drawn for nobody else, refused by nobody, served on again and again."""

from __future__ import annotations

import socket

import pytest

from tests.helpers.bridge_module import TOKEN, SmallModule, serving
from tests.hosts.ports import own_port
from trading.brokers.bridge.client import BridgeModule


def test_it_is_served_on_again_and_again_and_dead_in_between() -> None:
    with own_port() as port, BridgeModule(f"http://127.0.0.1:{port}", TOKEN) as mt5:
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            with serving(SmallModule(), port=port):
                assert mt5.version() is not None


def test_the_system_draws_it_for_nobody() -> None:
    with own_port() as port:
        drawn: list[socket.socket] = []
        try:
            for _ in range(3_000):
                # As servers are made: the option to listen again where connections linger.
                drawn.append(socket.create_server(("127.0.0.1", 0)))
                assert drawn[-1].getsockname()[1] != port
        except OSError:
            assert len(drawn) > 200, "so many files may be open"
        finally:
            for line in drawn:
                line.close()
