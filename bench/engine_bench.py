"""The engine's speed on the bracket benchmark, and its trades against the reference loop."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.bracket_series import BARS, SHARED_TRADES, bracket_series, shared_generator
from bench.context import BenchContext, BenchError
from bench.measure import Required, Result, Scalar, not_measured, result_of
from bench.peers import ENGINES, peers_python, run_vectorbt
from bench.reference_loop import reference_trades
from bench.runs.engine import SPREAD, neutral_params, prepare, run
from engine.records import Params

LOOP = Required("at least", 110e6)
RATIO = Required("at least", 6.0)
ROUNDS = 7


def measure_engine(context: BenchContext) -> Iterator[Result]:
    """Measure the loop, the whole way from columns to trades, and the ratio to vectorbt's faster engine.

    Every round runs each contestant once in a fresh process, so that what else the machine
    does falls on all of them alike.
    """
    series = bracket_series()
    trades = check_against_reference(series, neutral_params())
    # Real bars carry the broker's spread as a column; here it never changes.
    series["spread"] = SPREAD
    path = context.folder / "bracket.parquet"
    series.to_parquet(path, index=False)
    python = peers_python(context)
    rounds = 2 if context.quick else ROUNDS
    ours: list[dict[str, Any]] = []
    theirs: dict[str, list[dict[str, Any]]] = {engine: [] for engine in ENGINES}
    for number in range(rounds):
        context.say(f"engine: round {number + 1} of {rounds}")
        ours.append(context.child("bench.runs.engine", path))
        if isinstance(python, Path):
            for engine in ENGINES:
                theirs[engine].append(run_vectorbt(python, path, engine))
    yield result_of(
        "engine.loop",
        "bars per CPU second",
        [sample["bars"] / sample["warm_cpu_s_loop"] for sample in ours],
        LOOP,
        bars=BARS,
        trades_all_rules_and_costs=ours[0]["trades"],
        trades_neutral_equal_reference=trades,
        series="shared generator" if shared_generator() else "own generator",
        first_pass=statistics.median(sample["bars"] / sample["cpu_s_loop"] for sample in ours),
        with_equity_curve=statistics.median(sample["bars"] / sample["warm_cpu_s_loop_with_curve"] for sample in ours),
    )
    yield result_of(
        "engine.columns_to_trades",
        "bars per CPU second",
        [sample["bars"] / sample["cpu_s"] for sample in ours],
        first_pass_cpu_ms=1e3 * statistics.median(sample["cpu_s"] for sample in ours),
        warm=statistics.median(sample["bars"] / sample["warm_cpu_s"] for sample in ours),
    )
    yield from _compare(ours, theirs, python)


def check_against_reference(series: pd.DataFrame, params: Params) -> int:
    """Return how many trades the run without costs makes, after comparing all of them with the reference loop.

    Raises
    ------
    BenchError
        A side, bar or price differs, or the shared series gave another number of trades than it must.
    """
    expected = reference_trades(series)
    prepared = prepare(series.assign(spread=0.0), params)
    found, times = run(prepared)[0], prepared.bars.time
    columns = {
        "side": found["side"],
        "entry_bar": np.searchsorted(times, found["entry_time"]),
        "exit_bar": np.searchsorted(times, found["exit_time"]),
        "entry_price": found["entry_price"],
        "exit_price": found["exit_price"],
    }
    for name, column in columns.items():
        if not np.array_equal(column, getattr(expected, name)):
            raise BenchError(
                f"the engine's trades differ from the reference loop in {name}; speed counts once they agree"
            )
    if shared_generator() and len(series) == BARS and len(found) != SHARED_TRADES:
        raise BenchError(f"the shared series gives {len(found)} trades instead of {SHARED_TRADES}; is it another seed?")
    return len(found)


def _compare(
    ours: list[dict[str, Any]], theirs: dict[str, list[dict[str, Any]]], python: Path | str
) -> Iterator[Result]:
    """Report vectorbt's engines, and how many times faster we are than the faster one, round by round."""
    if isinstance(python, str):
        yield not_measured("engine.vs_vectorbt", "times faster", python, RATIO)
        return
    medians: dict[str, Scalar] = {}
    for engine, samples in theirs.items():
        speeds = [sample["bars"] / sample["cpu_s"] for sample in samples]
        yield result_of(
            f"engine.vectorbt_{engine}",
            "bars per CPU second",
            speeds,
            version=samples[0]["version"],
            trades=samples[0]["trades"],
        )
        medians[f"vs_{engine}"] = statistics.median(_ratios(ours, samples))
    fastest = min(theirs, key=lambda engine: statistics.median(sample["cpu_s"] for sample in theirs[engine]))
    ratios = _ratios(ours, theirs[fastest])
    yield result_of("engine.vs_vectorbt", "times faster", ratios, RATIO, fastest=fastest, **medians)


def _ratios(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> list[float]:
    """Return their CPU seconds over ours, round by round, first pass against first pass."""
    return [other["cpu_s"] / own["cpu_s"] for own, other in zip(ours, theirs, strict=True)]
