"""The bot at work: bars per second of a replay, the time from closed bar to order, resident memory."""

from __future__ import annotations

from collections.abc import Iterator

from bench.context import BenchContext, replay_once
from bench.measure import Required, Result, not_measured, result_of

SPEED = Required("at least", 600.0)
LATENCY = Required("at most", 12.0)
MEMORY = Required("at most", 350.0)


def measure_replay(context: BenchContext) -> Iterator[Result]:
    """Measure replay speed, and one cycle's time with the journal synced to disk as a live bot's is."""
    more = 0 if context.quick else 2
    samples = [context.replay, *(replay_once(context, number, durable=False) for number in range(1, 1 + more))]
    yield result_of(
        "replay.speed",
        "bars per second",
        [sample["bars"] / sample["wall_s"] for sample in samples],
        None if context.quick else SPEED,
        bars=samples[0]["bars"],
        trades=samples[0]["trades"],
        per_cpu_second=max(sample["bars"] / sample["cpu_s"] for sample in samples),
    )
    live = replay_once(context, len(samples), durable=True)
    yield result_of(
        "replay.bar_to_order_p99",
        "milliseconds",
        [live["cycle_p99_ms"]],
        LATENCY,
        cycles=live["bars"],
        p50=live["cycle_p50_ms"],
    )


def measure_memory(context: BenchContext) -> Iterator[Result]:
    """Measure the resident memory of a bot after a replay."""
    sample = context.replay
    if sample["resident_mib"] is None:
        yield not_measured("memory.replaying_bot", "MiB", "this system has no /proc", MEMORY)
        return
    yield result_of("memory.replaying_bot", "MiB", [sample["peak_mib"]], MEMORY, at_the_end=sample["resident_mib"])
