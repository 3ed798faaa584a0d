"""The real clock: UTC epoch seconds and plain waiting."""

from __future__ import annotations

import time

from novosky.clock import RealClock


def test_it_tells_utc_epoch_seconds() -> None:
    before = time.time()
    assert before <= RealClock().now() <= time.time()


def test_it_waits_at_least_as_long_as_asked() -> None:
    began = time.perf_counter()
    RealClock().sleep(0.02)
    # Timers of some platforms tick every 15 ms and may fire a hair early.
    assert time.perf_counter() - began >= 0.015


def test_a_span_that_is_over_is_not_waited_for() -> None:
    began = time.perf_counter()
    RealClock().sleep(0.0)
    RealClock().sleep(-3600.0)
    assert time.perf_counter() - began < 1.0
