"""Many configurations over the same model outputs, the best of them, and what that choice is worth."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from backtest.code_hash import code_hash
from backtest.run import Prepared
from backtest.sweep.axes import KEYS, Design, Key, Target, axes_for, design
from backtest.sweep.inputs import SweepInputs, sweep_inputs
from backtest.sweep.opinions import with_opinions
from backtest.sweep.params import param_rows
from backtest.sweep.risk import risk_trees
from backtest.sweep.rows import FIGURES, RowRunner
from backtest.sweep.workers import all_rows, locked
from engine.inputs.models import Models
from engine.inputs.selectivity import Selectivity, decided
from ml.risk_predictor import RiskPredictor
from ml.sets.compat import library_versions
from novosky.errors import UsageError
from novosky.market.timeframe import Timeframe
from novosky.measures.deflated_sharpe import DeflatedSharpe, deflated_sharpe
from novosky.measures.selection import SPLITS, Overfitting, PairedBootstrap, block_sums, paired_bootstrap, pbo_of_blocks
from novosky.measures.statistics import Floats, Ints
from novosky.settings import MlSettings, Settings
from novosky.settings.swept import Value

COMPARED = "score_at_equal_risk"
"""The figure rows are ranked by: nobody wins by betting less."""
MIN_CHOICE_TRADES = 30
"""A configuration with fewer closed trades is never chosen."""
SEEN_SHARE = 0.7
SHORT_WINDOW = pd.Timedelta(days=90)
CONFIDENCE_SHARE = "ml_config.prediction.confidence_share"
SHARE_DIGITS = 4
"""Of a percentage of bars: a bar in a million."""
_THRESHOLD = "confidence_threshold"
TOO_FEW_TRADES = f"too few trades: no configuration closed {MIN_CHOICE_TRADES} without running into its hard halt"

Progress = Callable[[str, int, int], None]
"""Takes what is being done, how much of it is done and how much there is."""


@dataclass(frozen=True)
class SweepPlan:
    """What is to be swept.

    Attributes
    ----------
    target : {"signal", "pos", "both"}
    settings, ml_settings
        The present configuration: row 0, and what no axis touches.
    configurations : int or None
        Rows, the present one included; None runs the whole grid.
    seed : int
        Of the draw and of the bootstrap.
    earlier_trials : int
        Configurations tried on these bars before; they count in the deflated Sharpe ratio.
    selectivity : Selectivity or None
        By which thresholds are shares of bars; `run_sweep` takes the models' own.
    """

    target: Target
    settings: Settings
    ml_settings: MlSettings
    configurations: int | None = 2000
    seed: int = 7
    earlier_trials: int = 0
    selectivity: Selectivity | None = None


@dataclass(frozen=True, eq=False)
class SweepOutcome:
    """The table of a sweep, its best row and the evidence about it.

    Attributes
    ----------
    table : pandas.DataFrame
        A line per configuration in the order of the grid, the present one first: its number, what
        it sets, and `FIGURES`. Unknown figures are NaN.
    design : Design
    best_row : int or None
        The highest score at equal risk among the rows with `MIN_CHOICE_TRADES` trades that were not halted, the
        earliest of equals; None when there is none.
    best : dict of str to value, or None
        What the best row sets, by file and key: `ml_config.prediction.confidence_threshold`.
    note : str or None
        Why there is no best row.
    overfitting : Overfitting or None
        Over the rows that could have been chosen; None with fewer than two, or too short a time.
    deflated : DeflatedSharpe or None
        Of the best row's daily returns, over all trials; None where it is undefined.
    against_present : PairedBootstrap or None
        The best row against the present configuration on the same days; None when they are one.
    best_daily, present_daily : ndarray or None
        Their daily returns.
    trials : int
        Configurations tried, earlier ones included.
    start, end : str
        Open of the first bar and close of the last, ISO 8601 UTC.
    target : str
    profile : str
    labels : tuple of str
        Marks that every output must carry.
    seconds : float
        Wall time, the models' outputs not included.
    """

    table: pd.DataFrame
    design: Design
    best_row: int | None
    best: dict[str, Value] | None
    note: str | None
    overfitting: Overfitting | None
    deflated: DeflatedSharpe | None
    against_present: PairedBootstrap | None
    best_daily: Floats | None
    present_daily: Floats
    trials: int
    start: str
    end: str
    target: Target
    profile: str
    labels: tuple[str, ...]
    seconds: float


def seen_window(start: pd.Timestamp, end: pd.Timestamp, frame: Timeframe) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return the part of an out-of-sample window [start, end) that a sweep may see.

    The first 70 %, in whole bars; the rest judges what was chosen. A window shorter than 90 days
    is seen whole.
    """
    if end - start < SHORT_WINDOW:
        return start, end
    bars = math.floor((end - start).total_seconds() * SEEN_SHARE / frame.seconds)
    return start, start + pd.Timedelta(seconds=bars * frame.seconds)


def run_sweep(
    plan: SweepPlan,
    prepared: Prepared,
    models: Models,
    *,
    folder: Path | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    labels: tuple[str, ...] = (),
    progress: Progress | None = None,
) -> SweepOutcome:
    """Run the configurations of a plan over a prepared window and choose among them.

    No figure depends on `jobs`, `scheduler` or on how often the run was killed and started again.

    Parameters
    ----------
    plan : SweepPlan
    prepared : Prepared
        The window the sweep may see, with the plan's models asked; see `seen_window`.
    models : Models
        Those that are switched on are asked about the trades.
    folder : Path or None
        Keeps finished chunks, each sweep's in a subfolder of its own; None keeps nothing.
    jobs : int
        Processes on this machine.
    scheduler : str or None
        Address of a Dask scheduler.
    labels : tuple of str
    progress : callable, optional

    Raises
    ------
    UsageError
        A model is switched on and not there, or the position rule is swept without its model.
    LockedError
        Another sweep works in the folder.
    NetworkError
        The scheduler does not answer.
    """
    began = time.perf_counter()
    models.require(plan.ml_settings)
    plan, stated = _decided(plan, models.selectivity), plan.ml_settings.prediction.confidence_share
    drawn = design(
        axes_for(plan.target, plan.settings, plan.ml_settings, plan.selectivity),
        plan.settings,
        plan.ml_settings,
        plan.configurations,
        plan.seed,
    )
    inputs = asked_inputs(plan, drawn, prepared, models, progress)
    with _place(folder) as place, locked(place):
        home = place / sweep_key(inputs)[:16]
        told = None if progress is None else lambda done, rows: progress("configurations", done, rows)
        lines = all_rows(inputs, home, jobs=jobs, scheduler=scheduler, told=told)
    return _judge(plan, drawn, inputs, lines, labels, began, stated)


def _decided(plan: SweepPlan, selectivity: Selectivity | None) -> SweepPlan:
    """Return the plan with a threshold in the place of a share of bars, and no selectivity where none is needed."""
    if plan.settings.risk_profile.scale == "absolute" and plan.ml_settings.prediction.confidence_share is None:
        return replace(plan, selectivity=None)
    if selectivity is None:
        raise UsageError(
            "risk_profile.scale is selectivity, so the sweep needs to know how sure the models were out of fold; "
            "train them anew, or set it to absolute"
        )
    return replace(plan, ml_settings=decided(plan.ml_settings, selectivity), selectivity=selectivity)


def asked_inputs(
    plan: SweepPlan, drawn: Design, prepared: Prepared, models: Models, progress: Progress | None = None
) -> SweepInputs:
    """Return the inputs of a design with everything the switched-on models say about its trades."""
    settings, ml_settings = plan.settings, plan.ml_settings
    models.require(ml_settings)
    inputs = sweep_inputs(prepared, settings, ml_settings, param_rows(drawn, settings, ml_settings))
    if settings.risk_model.enabled and models.risk is not None:
        if not isinstance(models.risk, RiskPredictor):
            raise UsageError("a sweep asks the risk model of a model set; another one cannot be read as trees")
        inputs = replace(inputs, trees=risk_trees(models.risk.regressor))
    if ml_settings.position_model.enabled:
        assert models.position is not None
        told = None if progress is None else lambda done, rows: progress("position model", done, rows)
        inputs = with_opinions(models.position, prepared, inputs, progress=told)
    return inputs


def sweep_key(inputs: SweepInputs) -> str:
    """Return the SHA-256 of everything that decides the rows: their inputs, the code, the libraries."""
    described = {"inputs": inputs.content_hash(), "code": code_hash(), "libraries": library_versions()}
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


@contextmanager
def _place(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="novosky-sweep-") as name:
        yield Path(name)


def _judge(
    plan: SweepPlan,
    drawn: Design,
    inputs: SweepInputs,
    lines: Floats,
    labels: tuple[str, ...],
    began: float,
    stated: float | None,
) -> SweepOutcome:
    table = _table(plan, drawn, lines[:, : len(FIGURES)])
    if plan.selectivity is not None and _THRESHOLD in table:
        table.insert(
            list(table.columns).index(_THRESHOLD),
            "confidence_share",
            [plan.selectivity.share(value) for value in table[_THRESHOLD]],
        )
    ranked = ranking(table)
    rows = np.sort(ranked)
    best_row = int(ranked[0]) if len(ranked) else None
    trials = len(drawn) + plan.earlier_trials
    shown = np.array([0] if best_row in (None, 0) else [0, best_row], dtype=np.int64)
    _, daily = RowRunner(inputs).run(shown)
    best_daily = None if best_row is None else daily[-1]
    _, _, counts = block_sums(daily)
    first = len(FIGURES)
    against = None
    if len(shown) == 2:
        against = paired_bootstrap(daily[1], daily[0], np.random.default_rng(plan.seed))
    bars = inputs.bars.time
    return SweepOutcome(
        table=table,
        design=drawn,
        best_row=best_row,
        best=None if best_row is None else _settings_of(plan, drawn, best_row, stated),
        note=TOO_FEW_TRADES if best_row is None else None,
        overfitting=pbo_of_blocks(lines[rows, first : first + SPLITS], lines[rows, first + SPLITS :], counts),
        # Ratios of the rows differ by merit as well as by luck, so their variance would punish an edge.
        # That of worthless trials is an upper bound of the luck, however alike the rows are.
        deflated=None if best_daily is None else deflated_sharpe(best_daily, trials),
        against_present=against,
        best_daily=best_daily,
        present_daily=daily[0],
        trials=trials,
        start=_iso(int(bars[0])),
        end=_iso(plan.settings.frame.close(int(bars[-1]))),
        target=plan.target,
        profile=plan.settings.risk_profile.name,
        labels=labels,
        seconds=time.perf_counter() - began,
    )


def ranking(table: pd.DataFrame) -> Ints:
    """Return the rows that may be chosen, the highest score at equal risk first, of equals the earliest.

    Those are the rows with `MIN_CHOICE_TRADES` trades and a score that did not run into their hard halt.
    """
    rows = np.flatnonzero(_unusable(table) == "")
    return rows[np.argsort(-table[COMPARED].to_numpy()[rows], kind="stable")].astype(np.int64)


def unusable_rows(table: pd.DataFrame) -> dict[str, int]:
    """Count the rows that may not be chosen by their reason, the most frequent first.

    Reasons are disjoint: a row counts under the first of no trades, too few trades, hard halt, no score.
    """
    reasons, counts = np.unique(_unusable(table), return_counts=True)
    found = {str(reason): int(count) for reason, count in zip(reasons, counts, strict=True) if reason}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _unusable(table: pd.DataFrame) -> npt.NDArray[np.str_]:
    """Return why each row may not be chosen, empty where it may."""
    trades = table["trades"]
    reasons: npt.NDArray[np.str_] = np.select(
        [trades == 0, trades < MIN_CHOICE_TRADES, table["halted"], table[COMPARED].isna()],
        ["no trade", f"fewer than {MIN_CHOICE_TRADES} trades", "hard halt", "no score"],
        default="",
    ).astype(np.str_)
    return reasons


def _table(plan: SweepPlan, drawn: Design, figures: Floats) -> pd.DataFrame:
    columns: dict[str, Any] = {"row": np.arange(len(drawn))}
    for at, axis in enumerate(drawn.axes):
        for place, key in enumerate(axis.keys):
            # The present value stands last, where the pick of the present configuration, -1, finds it.
            values = [*(choice[place] for choice in axis.choices), key.read(plan.settings, plan.ml_settings)]
            columns[key.name] = pd.Series(values).to_numpy()[drawn.picks[:, at]]
    for at, name in enumerate(FIGURES):
        columns[name] = figures[:, at]
    table = pd.DataFrame(columns)
    return table.astype({"trades": np.int64, "halted": np.bool_, "open_at_end": np.bool_})


def _settings_of(plan: SweepPlan, drawn: Design, row: int, stated: float | None) -> dict[str, Value]:
    """Return what a row sets; a threshold that was chosen by its share of bars is told as that share.

    Parameters
    ----------
    stated : float or None
        The share that the present settings state.
    """
    values = drawn.values(row)
    keys: list[Key] = [key for axis in drawn.axes for key in axis.keys]
    found = {key.dotted: values.get(key, key.read(plan.settings, plan.ml_settings)) for key in keys}
    threshold = KEYS[_THRESHOLD]
    if plan.selectivity is None or threshold.dotted not in found:
        return found
    if threshold not in values:
        # The present threshold stays as it is stated: as a share, or as a probability.
        return found if stated is None else _as_share(found, stated)
    confidence = values[threshold]
    assert isinstance(confidence, float)
    return _as_share(found, plan.selectivity.share(confidence))


def _as_share(found: dict[str, Value], share: float) -> dict[str, Value]:
    told = {name: value for name, value in found.items() if name != KEYS[_THRESHOLD].dotted}
    return {CONFIDENCE_SHARE: round(share, SHARE_DIGITS), **told}


def _iso(seconds: int) -> str:
    return pd.Timestamp(seconds, unit="s", tz="UTC").strftime("%Y-%m-%dT%H:%M:%SZ")
