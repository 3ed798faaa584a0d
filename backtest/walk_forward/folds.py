"""The folds of a walk-forward test: their windows, what each leaves behind, and how that is kept on disk."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from backtest.result import BacktestResult
from backtest.trade_results import net_results, r_multiples
from ml.sets.stage_files import STAGE_ORDER
from novosky.errors import StorageError, UsageError
from novosky.files import write_with
from novosky.market.timeframe import DAY_SECONDS, Timeframe
from novosky.measures.statistics import Floats, Ints

VARIANTS = (*STAGE_ORDER[1:], "all")
"""What is switched on beside the signal models: one of the others, or all of them."""


@dataclass(frozen=True)
class FoldWindow:
    """When one fold trains and when it trades, UTC epoch seconds, ends exclusive.

    Attributes
    ----------
    number : int
        From 1.
    train_start, train_end : int
        Opens of the bars that may be training rows or be looked at by a training label.
    test_start, test_end : int
        Opens of the bars that are traded.
    """

    number: int
    train_start: int
    train_end: int
    test_start: int
    test_end: int


def fold_windows(
    start: pd.Timestamp, end: pd.Timestamp, folds: int, train_days: int, embargo_bars: int, frame: Timeframe
) -> list[FoldWindow]:
    """Cut [start, end) into folds of equal time, each with the training window that precedes it.

    Training ends `embargo_bars` bars before its fold: no bar from there on may be a training
    row, and no training label may look at one. The window moves with its fold, always
    `train_days` long less the embargo.

    Parameters
    ----------
    start, end : pandas.Timestamp
        UTC, of the bars to be traded.
    folds, train_days, embargo_bars : int
    frame : Timeframe
        Of the bars: folds begin where bars open, and the embargo is counted in them.

    Raises
    ------
    UsageError
        Folds shorter than a day, or an embargo that leaves nothing to train on.

    Examples
    --------
    >>> import pandas as pd
    >>> from novosky.market.timeframe import TIMEFRAMES
    >>> day = pd.Timestamp("2024-01-03", tz="UTC")
    >>> [w.test_start - w.train_end for w in fold_windows(day, day + pd.Timedelta(days=4), 2, 2, 4, TIMEFRAMES["M15"])]
    [3600, 3600]
    """
    first, last = int(start.timestamp()), int(end.timestamp())
    if folds < 1 or (last - first) // frame.seconds < folds * frame.bars_per_day:
        raise UsageError(f"{start} to {end} cannot be cut into {folds} folds of a day or more; use fewer --folds")
    if train_days * DAY_SECONDS <= embargo_bars * frame.seconds:
        raise UsageError(f"{train_days} days to train on are shorter than the embargo of {embargo_bars} bars")
    inner = [(first + (last - first) * k // folds) // frame.seconds * frame.seconds for k in range(1, folds)]
    edges = [first, *inner, last]
    return [
        FoldWindow(
            number=number,
            train_start=begin - train_days * DAY_SECONDS,
            train_end=begin - embargo_bars * frame.seconds,
            test_start=begin,
            test_end=finish,
        )
        for number, (begin, finish) in enumerate(itertools.pairwise(edges), start=1)
    ]


@dataclass(frozen=True, eq=False)
class Leg:
    """What one way of trading did in one fold, from a fresh account.

    Attributes
    ----------
    net : ndarray, shape (trades,)
        Results of the closed trades after all costs, USD, in order of exit.
    r : ndarray, shape (trades,)
        The same in units of the initial risk, NaN where there was none.
    equity : ndarray, shape (bars,)
        Floating equity at each close, in multiples of the starting balance.
    max_drawdown : float
        Fraction, at the worst price of each bar.
    halted : bool
        The hard halt ended trading for good.
    """

    net: Floats
    r: Floats
    equity: Floats
    max_drawdown: float
    halted: bool


@dataclass(frozen=True, eq=False)
class FoldOutcome:
    """Everything a fold leaves behind; the same whatever ran beside it.

    Attributes
    ----------
    window : FoldWindow
    train_rows : int
        Labelled rows the ensemble was trained on.
    train_cutoff : int
        Open of the last bar any training label looked at, UTC epoch seconds.
    times : ndarray of int, shape (bars,)
        Opens of the traded bars.
    signal, yardstick, hold : Leg
        The ensemble alone, the plain regressions, and buy and hold (which has no trades).
    variants : mapping of str to Leg
        The ensemble with more models switched on, by the names in `VARIANTS`; empty when
        only the signal models were trained. One that could not be trained is left out of it.
    untrained : mapping of str to str
        The models for which the fold's past held too little, each with the reason.
    random_run : ndarray of int, shape (m,)
        Which random-entry run each random trade belongs to.
    random_net, random_r : ndarray, shape (m,)
    random_growth : ndarray, shape (runs,)
        Final equity of each run over its start; empty when the ensemble made no trade.
    """

    window: FoldWindow
    train_rows: int
    train_cutoff: int
    times: Ints
    signal: Leg
    yardstick: Leg
    hold: Leg
    random_run: Ints
    random_net: Floats
    random_r: Floats
    random_growth: Floats
    variants: Mapping[str, Leg]
    untrained: Mapping[str, str] = field(default_factory=dict)


def leg_of(result: BacktestResult) -> Leg:
    """Reduce a backtest to what pooling needs."""
    return Leg(
        net=net_results(result.trades),
        r=r_multiples(result.trades),
        equity=result.equity / result.start_balance,
        max_drawdown=float(result.run.max_drawdown),
        halted=bool(result.guard.halted != 0),
    )


def save_outcome(path: Path, outcome: FoldOutcome) -> None:
    """Write a finished fold; a file that exists is whole.

    Raises
    ------
    StorageError
        When the file cannot be written.
    """
    arrays: dict[str, Any] = {
        "window": json.dumps(asdict(outcome.window)),
        "untrained": json.dumps(dict(outcome.untrained)),
    }
    for part in fields(outcome):
        value = getattr(outcome, part.name)
        if isinstance(value, Leg):
            arrays |= _stored(part.name, value)
        elif part.name == "variants":
            for name, leg in value.items():
                arrays |= _stored(f"with_{name}", leg)
        elif part.name not in arrays:
            arrays[part.name] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    write_with(path, lambda stream: np.savez(stream, **arrays))


def _stored(name: str, leg: Leg) -> dict[str, Any]:
    return {f"{name}_{part.name}": getattr(leg, part.name) for part in fields(leg)}


def load_outcome(path: Path) -> FoldOutcome:
    """Read a finished fold back, byte for byte as it was.

    Raises
    ------
    StorageError
        The file is not one of these; the message says to delete it.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return FoldOutcome(
            window=FoldWindow(**json.loads(str(arrays["window"]))),
            train_rows=int(arrays["train_rows"]),
            train_cutoff=int(arrays["train_cutoff"]),
            times=arrays["times"],
            signal=_leg(arrays, "signal"),
            yardstick=_leg(arrays, "yardstick"),
            hold=_leg(arrays, "hold"),
            **{name: arrays[name] for name in ("random_run", "random_net", "random_r", "random_growth")},
            variants={name: _leg(arrays, f"with_{name}") for name in VARIANTS if f"with_{name}_net" in arrays},
            untrained=json.loads(str(arrays["untrained"])),
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise StorageError(f"{path} is not a finished fold ({error}); delete it and run the command again") from error


def _leg(arrays: dict[str, Any], name: str) -> Leg:
    return Leg(
        net=arrays[f"{name}_net"],
        r=arrays[f"{name}_r"],
        equity=arrays[f"{name}_equity"],
        max_drawdown=float(arrays[f"{name}_max_drawdown"]),
        halted=bool(arrays[f"{name}_halted"]),
    )
