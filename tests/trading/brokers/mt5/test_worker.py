"""One thread owns the module: calls are serialised, errors stay with their call, a hung call ends the link."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.contracts.broker import buy
from tests.helpers.mt5.stage import ACCESS, Counted, stage
from trading.brokers.mt5.broker import Mt5Broker
from trading.brokers.mt5.terms import Timing
from trading.brokers.mt5.worker import ENTRY, EXIT, READ, LinkWedged, Worker, caller_of
from trading.brokers.port import BrokerUnavailable, Outcome
from trading.brokers.simulated.faults import FaultPlan, hang
from trading.brokers.simulated.functions.views import Installation

THREADS = 20
IMPATIENT = Timing(call=0.2, history_call=0.2, connect_call=0.2)


def wait_for(release: threading.Event) -> None:
    release.wait(5.0)


@pytest.mark.parametrize("limit", [30.0, math.inf], ids=["a thread of its own", "no thread"])
def test_56_twenty_threads_are_serialised_and_each_error_belongs_to_its_call(limit: float) -> None:
    mt5 = stage().mt5
    worker = caller_of(mt5, limit)
    questions = [
        (("symbol_info", "BTCUSD"), 1),
        (("symbol_info", "NOPE"), -4),
        (("positions_get", "BTCUSD"), -2),
        (("copy_rates_from_pos", "NOPE", 15, 0, 5), -1),
    ]
    start = threading.Barrier(THREADS)

    def ask(number: int) -> list[tuple[int, int, bool]]:
        start.wait()
        found = []
        for turn in range(25):
            question, code = questions[(number + turn) % len(questions)]
            answer = worker.call(*question)
            found.append((answer.code, code, answer.failed == (code != 1)))
        return found

    with ThreadPoolExecutor(THREADS) as pool:
        results = [row for rows in pool.map(ask, range(THREADS)) for row in rows]
    assert len(results) == THREADS * 25
    assert all(said == meant and flagged for said, meant, flagged in results)
    worker.stop()


@pytest.mark.parametrize(("limit", "watched"), [(30.0, True), (math.inf, False)])
def test_only_a_call_that_may_hang_gets_a_thread_to_be_watched_in(limit: float, watched: bool) -> None:
    class Looking:
        def account_info(self) -> int:
            return threading.get_ident()

        def last_error(self) -> tuple[int, str]:
            return (1, "Success")

    module: Any = Looking()
    caller = caller_of(module, limit)
    assert (caller.call("account_info").value != threading.get_ident()) is watched
    caller.stop()


@pytest.mark.parametrize("limit", [30.0, math.inf])
def test_a_modules_broken_connection_is_a_failed_answer(limit: float) -> None:
    class Broken:
        def order_send(self, request: object) -> None:
            raise ConnectionResetError("by the other side")

    module: Any = Broken()
    caller = caller_of(module, limit)
    answer = caller.order_send({}, priority=EXIT)
    assert (answer.failed, answer.code, answer.value) == (True, -10_001, None)
    caller.stop()


def test_56_twenty_threads_on_one_broker_all_get_their_answers() -> None:
    broker = stage().broker
    with ThreadPoolExecutor(THREADS) as pool:
        quotes = list(pool.map(lambda _: (broker.quote(), broker.account(), broker.positions()), range(THREADS)))
    assert len(set(map(repr, quotes))) == 1


def test_52_waiting_calls_are_made_by_priority_exits_first() -> None:
    mt5 = stage().mt5
    order: list[str] = []
    entered, release = threading.Event(), threading.Event()

    def slow() -> None:
        entered.set()
        release.wait(5.0)

    class Recording:
        def __getattr__(self, name: str) -> object:
            def function(*_: object) -> None:
                order.append(name)
                if name == "slow":
                    slow()

            return function

        def last_error(self) -> tuple[int, str]:
            return mt5.last_error()

    worker = Worker(Recording(), 30.0)  # type: ignore[arg-type]
    with ThreadPoolExecutor(5) as pool:
        calls = [pool.submit(worker.call, "slow")]
        assert entered.wait(5.0)
        for name, priority in (("entry", ENTRY), ("read", READ), ("exit", EXIT)):
            waiting = len(worker._waiting)
            calls.append(pool.submit(worker.call, name, priority=priority))
            while len(worker._waiting) == waiting:
                pass
        release.set()
        for call in calls:
            call.result(5.0)
    assert order == ["slow", "exit", "read", "entry"]
    worker.stop()


def test_a_remote_modules_broken_connection_is_a_failed_answer() -> None:
    class Broken:
        def positions_get(self) -> None:
            raise ConnectionResetError("gone")

        def symbol_info(self) -> None:
            raise ValueError("a defect")

    worker = Worker(Broken(), 30.0)  # type: ignore[arg-type]
    answer = worker.call("positions_get")
    assert (answer.value, answer.code, answer.failed) == (None, -10001, True)
    with pytest.raises(ValueError, match="a defect"):
        worker.call("symbol_info")
    worker.stop()


def test_57_a_hung_call_times_out_and_its_worker_is_never_used_again() -> None:
    play = stage(timing=IMPATIENT)
    release = threading.Event()
    play.plan(hang(lambda: wait_for(release), "symbol_info_tick"))
    with pytest.raises(LinkWedged, match="has not answered for"):
        play.broker.quote()
    made = dict(play.mt5.calls)
    for again in (play.broker.quote, play.broker.positions, play.broker.account):
        with pytest.raises(LinkWedged):
            again()
    release.set()
    assert play.mt5.calls == made, "nothing was called after the hang"


def test_57_threads_waiting_behind_a_hung_call_are_told_at_once() -> None:
    play = stage(timing=replace(IMPATIENT, call=0.3))
    release = threading.Event()
    play.plan(hang(lambda: wait_for(release), "symbol_info_tick"))
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(play.broker.quote) for _ in range(8)]
        for call in calls:
            with pytest.raises(LinkWedged):
                call.result(5.0)
    assert play.mt5.calls["symbol_info_tick"] == 1
    release.set()


def test_57_with_a_module_to_renew_the_link_goes_on() -> None:
    play = stage(timing=IMPATIENT, connect=False)
    installed = Installation(selected=("BTCUSD",))
    renewed: list[Counted] = []

    def renew() -> Counted:
        renewed.append(Counted(play.server, FaultPlan(), installed))
        return renewed[-1]

    broker = Mt5Broker(play.mt5, play.settings, play.clock, ACCESS, timing=IMPATIENT, renew=renew)
    broker.connect()
    release = threading.Event()
    play.plan(hang(lambda: wait_for(release), "positions_get"))
    with pytest.raises(BrokerUnavailable):
        broker.positions()
    assert broker.positions() == []
    assert len(renewed) == 1
    release.set()


def test_57_an_order_that_hangs_is_unknown_and_found_by_the_next_process() -> None:
    play = stage(timing=IMPATIENT)
    release = threading.Event()
    play.plan(hang(lambda: wait_for(release)))
    order = buy(comment="e6595a2c4")
    assert play.broker.send(order).outcome == Outcome.UNKNOWN
    assert play.broker.outcome_of(order, int(play.clock.now())).outcome == Outcome.UNKNOWN
    release.set()
    # The thread that hung comes back and the order is executed after all.
    while not play.server.book.positions:
        pass
    terminal = Counted(play.server, FaultPlan(), Installation(selected=("BTCUSD",)))
    restarted = Mt5Broker(terminal, play.settings, play.clock, ACCESS)
    assert restarted.outcome_of(order, int(play.clock.now())).outcome == Outcome.FILLED
    assert len(restarted.positions()) == 1


def test_numpy_results_pass_through_unchanged() -> None:
    rates = Worker(stage().mt5, 30.0).call("copy_rates_from_pos", "BTCUSD", 15, 0, 2).value
    assert isinstance(rates, np.ndarray)
