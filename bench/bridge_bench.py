"""What the bridge adds to a call of each function of the package: client and server in two processes, on loopback."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from bench.context import ROOT, BenchContext, BenchError
from bench.measure import Required, Result, repeated, result_of
from bench.runs.bridge import calls_of

if TYPE_CHECKING:
    from trading.brokers.bridge.client import BridgeModule

OVERHEAD = Required("at most", 5.0)
"""Milliseconds that 99 of 100 calls take at most."""
WINDOW = 3_000
"""Bars of the largest request the bot makes of a running terminal, its whole window."""
CALLS = 100
ROUNDS = 10


def measure_bridge(context: BenchContext) -> Iterator[Result]:
    """Measure every function of the package through the bridge, the terminal answering at once.

    The runs of a result are the 99th percentiles of rounds of a hundred calls. What is promised is
    judged by each function's quietest round: on two processes that wake each other up, anything
    else that runs on the machine shows as milliseconds, as it does in `bridge.bare_loopback`,
    which sends a byte to and fro between two processes and nothing more.
    """
    functions = [name for name in calls_of(WINDOW) if name != "last_error"]
    slow: dict[str, list[float]] = {name: [] for name in functions}
    middle: dict[str, list[float]] = {name: [] for name in functions}
    bare: list[float] = []
    with served(WINDOW) as mt5, echo() as answer:
        for number in range(3 if context.quick else ROUNDS):
            context.say(f"bridge: round {number + 1}, {CALLS} calls of each function")
            bare.append(percentiles(answer)[1])
            for name in functions:
                p50, p99 = round_of(mt5, name)
                middle[name].append(p50)
                slow[name].append(p99)
    for name in functions:
        p50 = float(np.median(middle[name]))
        yield result_of(f"bridge.{name}", "milliseconds", slow[name], p50=p50, quietest_p50=min(middle[name]))
    yield result_of("bridge.bare_loopback", "milliseconds", bare)
    quiet = {name: min(rounds) for name, rounds in slow.items()}
    worst = max(quiet, key=lambda name: quiet[name])
    yield result_of("bridge.overhead_p99", "milliseconds", [quiet[worst]], OVERHEAD, function=worst, window=WINDOW)


def round_of(mt5: BridgeModule, name: str) -> tuple[float, float]:
    """Return median and 99th percentile of a round of calls, in milliseconds.

    Raises
    ------
    BenchError
        A call failed.
    """
    call = calls_of(WINDOW)[name]
    found = percentiles(lambda: call(mt5))
    code, text = mt5.last_error()
    if code != 1:
        raise BenchError(f"{name} through the bridge: {text} ({code})")
    return found


def percentiles(call: Callable[[], object]) -> tuple[float, float]:
    """Return median and 99th percentile of `CALLS` calls, in milliseconds."""
    call()
    p50, p99 = np.percentile([1e3 * seconds for seconds in repeated(call, CALLS)], (50, 99))
    return float(p50), float(p99)


@contextmanager
def echo() -> Iterator[Callable[[], bytes]]:
    """Give what sends a byte to another process and returns the one that comes back."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        child = multiprocessing.get_context("spawn").Process(target=_echo, args=door.getsockname()[:2], daemon=True)
        child.start()
        line, _ = door.accept()
        with line:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

            def answer() -> bytes:
                line.sendall(b"x")
                return line.recv(1)

            yield answer
        child.join()


def _echo(host: str, port: int) -> None:
    with socket.create_connection((host, port)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := line.recv(1):
            line.sendall(data)


@contextmanager
def served(window: int) -> Iterator[BridgeModule]:
    """Give a client of a bridge in a process of its own.

    Raises
    ------
    BenchError
        The server did not start.
    """
    from trading.brokers.bridge.admission import TOKEN_VARIABLE
    from trading.brokers.bridge.client import BridgeModule

    token = secrets.token_hex(32)
    command = [sys.executable, "-m", "bench.runs.bridge", str(window)]
    environment = {**os.environ, TOKEN_VARIABLE: token}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None and server.stderr is not None
            url = server.stdout.readline().strip()
            if not url:
                last = (server.stderr.read().strip().splitlines() or ["nothing on stderr"])[-1]
                raise BenchError(f"the bridge did not start: {last}")
            with BridgeModule(url, token) as mt5:
                yield mt5
        finally:
            server.terminate()
