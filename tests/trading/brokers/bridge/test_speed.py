"""What the bridge adds to a call of each function: 5 ms at most, 99 times in 100, and little work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bench.bridge_bench import CALLS, OVERHEAD, WINDOW, percentiles, round_of, served
from bench.runs.bridge import calls_of, recorded
from tests.helpers.bridge_module import TOKEN, serving
from tests.hosts.bare_http import Exchange, bare_http, distant_http
from trading.brokers.bridge.client import BridgeModule
from trading.brokers.bridge.functions import FUNCTIONS
from trading.brokers.bridge.protocol import Call, dump
from trading.brokers.bridge.server import BridgeServer

BOUND = OVERHEAD.figure
MOST_ROUNDS = 40
"""Others that run on the machine take it away for milliseconds at a time; the bridge does not
get faster by being asked again, so one quiet round is enough to know it."""
MOST_TIMES = 12.0
"""How many times the work of the standard library's own server and client, for as many bytes, a call may
cost. Seen: 2 to 5, and 9 where forty orders come as structures; a window of bars encoded value by value
costs 80."""
CARRIED = sorted(FUNCTIONS - {"last_error"})


@pytest.fixture(scope="module")
def mt5() -> Iterator[BridgeModule]:
    """A bridge in a process of its own, around a terminal that answers at once."""
    with served(WINDOW) as client:
        yield client


@pytest.fixture(scope="module")
def bare() -> Iterator[Exchange]:
    """A server of the standard library in a process of its own."""
    with distant_http() as exchange:
        yield exchange


@pytest.fixture(scope="module")
def near() -> Iterator[tuple[BridgeServer, BridgeModule]]:
    """A bridge and its client in this process."""
    with serving(recorded(WINDOW)) as server, BridgeModule(server.url, TOKEN) as client:
        yield server, client


@pytest.fixture(scope="module")
def sizes(near: tuple[BridgeServer, BridgeModule]) -> dict[str, tuple[int, int]]:
    """Bytes of each function's request and answer."""
    server, client = near
    weighed: dict[str, tuple[int, int]] = {}
    answer = server.answer

    def weigh(call: Call) -> bytes:
        data = answer(call)
        weighed[call.function] = len(dump(call)), len(data)
        return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "answer", weigh)
        for call in calls_of(WINDOW).values():
            call(client)
    return weighed


def test_every_function_of_the_package_is_measured(sizes: dict[str, tuple[int, int]]) -> None:
    assert calls_of(WINDOW).keys() == FUNCTIONS
    assert sorted(sizes) == CARRIED


@pytest.mark.parametrize("name", CARRIED)
def test_of_a_hundred_calls_ninety_nine_take_5_ms_at_most(
    mt5: BridgeModule, bare: Exchange, sizes: dict[str, tuple[int, int]], name: str
) -> None:
    """Where even a bare exchange takes its time, by load or by nature, the bridge is judged by that."""
    took: list[float] = []
    alone: list[float] = []
    for _ in range(MOST_ROUNDS):
        took.append(round_of(mt5, name)[1])
        if min(took) <= BOUND:
            break
        alone.append(percentiles(lambda: bare(*sizes[name]))[1])
        if min(took) <= MOST_TIMES * min(alone):
            break
    print(f"{name}: p99 {min(took):.2f} ms, of a bare exchange {min(alone, default=float('nan')):.2f} ms")
    assert min(took) <= max(BOUND, MOST_TIMES * min(alone, default=0.0))


def work_of(call: Callable[[], Any]) -> float:
    """Return the processor time of a call in milliseconds, both its ends, over a quarter of the calls of a round."""
    begin = time.process_time()
    for _ in range(CALLS // 4):
        call()
    return 1e3 * (time.process_time() - begin) / (CALLS // 4)


@pytest.fixture(scope="module")
def exchange() -> Iterator[Exchange]:
    """A server of the standard library in this process."""
    with bare_http() as bare:
        yield bare


@pytest.mark.parametrize("name", CARRIED)
def test_the_work_of_a_call_is_a_few_times_that_of_its_bytes(
    near: tuple[BridgeServer, BridgeModule], exchange: Exchange, sizes: dict[str, tuple[int, int]], name: str
) -> None:
    """Processor time on one machine at one time: how fast that machine is says nothing."""
    call = calls_of(WINDOW)[name]
    worked: list[float] = []
    alone: list[float] = []
    for _ in range(MOST_ROUNDS):
        worked.append(work_of(lambda: call(near[1])))
        alone.append(work_of(lambda: exchange(*sizes[name])))
        if min(worked) <= MOST_TIMES * min(alone):
            break
    print(f"{name}: {min(worked):.3f} ms, {min(worked) / min(alone):.1f} times a bare exchange")
    assert min(worked) <= MOST_TIMES * min(alone)
