"""Walk-forward: train on the past, trade what follows, move on; every bar traded is out of sample."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from backtest.benchmarks import buy_and_hold, random_entry_runs
from backtest.code_hash import code_hash
from backtest.model_answers import model_answers
from backtest.result import BacktestResult
from backtest.risk_history import out_of_fold_sequences
from backtest.run import Prepared, prepare, simulate
from backtest.trade_results import net_results, r_multiples
from backtest.walk_forward.folds import VARIANTS, FoldOutcome, FoldWindow, Leg, leg_of, load_outcome, save_outcome
from backtest.walk_forward.yardstick import QUANTILE, fit_yardstick
from engine.inputs.models import SignalModel
from engine.inputs.selectivity import decided
from ml.ensemble.predictor import EnsemblePredictor
from ml.feature_engineering import warm_up_bars
from ml.load_models import load_models, load_selectivity
from ml.sets.compat import library_versions
from ml.sets.loading import load_undisturbed
from ml.sets.stage_files import STAGE_ORDER
from ml.train import TrainingReport, train
from novosky.errors import DataError, ModelError
from novosky.market.bars import epoch_seconds, venue_seams
from novosky.market.news import NewsCalendar
from novosky.market.timeframe import Timeframe
from novosky.measures.statistics import Floats, Ints
from novosky.settings import MlSettings, Settings

Done = Callable[[FoldOutcome, bool], None]
"""Called with each finished fold, and whether it was finished by an earlier run."""


@dataclass(frozen=True, eq=False)
class WalkPlan:
    """What is to be walked through.

    Attributes
    ----------
    history : pandas.DataFrame
        Bar frame that covers all training windows (with warm-up) and folds.
    settings : Settings
    ml_settings : MlSettings
    news : NewsCalendar or None
    seed : int
        Of models, yardstick and random entries.
    quantile : float
        Of the yardstick's threshold.
    random_runs : int
    fixed_spread : bool
        The bars' own spread is ignored.
    all_models : bool
        Train the other three models too, and trade with each and with all of them beside the
        signal models alone.
    """

    history: pd.DataFrame
    settings: Settings
    ml_settings: MlSettings
    news: NewsCalendar | None = None
    seed: int = 7
    quantile: float = QUANTILE
    random_runs: int = 200
    fixed_spread: bool = False
    all_models: bool = True


def walk_forward(
    plan: WalkPlan, windows: list[FoldWindow], cache: Path, *, jobs: int = 1, done: Done | None = None
) -> list[FoldOutcome]:
    """Run every fold that is not in the cache, and return all of them in order of time.

    Parameters
    ----------
    plan : WalkPlan
    windows : list of FoldWindow
    cache : Path
        Folder of finished folds. A file is named by a hash of its bars, settings, seed, code
        and libraries, so that none is ever taken for another.
    jobs : int
        Folds that run at once, each in its own process; no number depends on it.
    done : callable, optional

    Raises
    ------
    DataError
        The history does not reach back to the first training window.
    StorageError
        A fold cannot be written, or a cached one cannot be read.
    """
    pieces = [fold_bars(plan.history, window, plan.settings.frame) for window in windows]
    files = [
        cache / f"fold-{fold_key(plan, window, bars)[:32]}.npz" for window, bars in zip(windows, pieces, strict=True)
    ]
    found: dict[int, FoldOutcome] = {}
    missing = []
    for at, file in enumerate(files):
        if not file.exists():
            missing.append(at)
            continue
        found[at] = load_outcome(file)
        if done is not None:
            done(found[at], True)
    for at, outcome in _finished(plan, pieces, windows, missing, jobs):
        found[at] = outcome
        save_outcome(files[at], outcome)
        if done is not None:
            done(outcome, False)
    return [found[at] for at in range(len(windows))]


def _finished(
    plan: WalkPlan, pieces: list[pd.DataFrame], windows: list[FoldWindow], missing: list[int], jobs: int
) -> Iterator[tuple[int, FoldOutcome]]:
    """Yield the missing folds as they are finished."""
    if jobs == 1 or len(missing) < 2:
        for at in missing:
            yield at, run_fold(replace(plan, history=pieces[at]), windows[at])
        return
    # Folds share the cores; what training makes does not depend on its number of threads.
    threads = max((os.cpu_count() or 1) // jobs, 1)
    training = plan.ml_settings.training.model_copy(update={"threads": threads})
    shared = replace(plan, ml_settings=plan.ml_settings.model_copy(update={"training": training}))
    # A fresh interpreter per worker: a forked one would inherit the locks of running threads.
    pool = ProcessPoolExecutor(max_workers=jobs, mp_context=multiprocessing.get_context("spawn"))
    try:
        futures = {pool.submit(run_fold, replace(shared, history=pieces[at]), windows[at]): at for at in missing}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def fold_bars(history: pd.DataFrame, window: FoldWindow, frame: Timeframe) -> pd.DataFrame:
    """Return the bars a fold may know: warm-up, training window and fold.

    Raises
    ------
    DataError
        The history begins too late or holds no bar of the fold.
    """
    opens = epoch_seconds(history)
    needed = warm_up_bars(frame)
    first = int(np.searchsorted(opens, window.train_start)) - needed
    last = int(np.searchsorted(opens, window.test_end))
    begin = pd.Timestamp(window.train_start, unit="s", tz="UTC")
    if first < 0:
        raise DataError(
            f"fold {window.number} trains from {begin:%Y-%m-%d} and its features need {needed} bars before "
            f"that, but the data begin {history['time'].iloc[0]:%Y-%m-%d}; give a later --start or fewer --train-days"
        )
    if last == int(np.searchsorted(opens, window.test_start)):
        raise DataError(
            f"fold {window.number} holds no bar; the data end {history['time'].iloc[-1]}: give an earlier --end"
        )
    return history.iloc[first:last].reset_index(drop=True)


def training_bars(bars: pd.DataFrame, window: FoldWindow) -> pd.DataFrame:
    """Return a fold's bars up to the embargo, warm-up included.

    What is cut off cannot be looked at: a label that is undecided at the last of these bars
    does not exist, so every training label ends before the embargo begins.
    """
    return bars.iloc[: int(np.searchsorted(epoch_seconds(bars), window.train_end))].reset_index(drop=True)


def run_fold(plan: WalkPlan, window: FoldWindow) -> FoldOutcome:
    """Train on the window's past and trade its fold, with everything it is compared to.

    Parameters
    ----------
    plan : WalkPlan
        Its history is what `fold_bars` gives.
    window : FoldWindow

    Raises
    ------
    DataError
        The signal models find too few labels in the fold's past; names the fold.
    ModelError
        A label of the training rows reaches into the fold.
    """
    past = training_bars(plan.history, window)
    with _named(window):
        yardstick = fit_yardstick(
            past,
            plan.ml_settings,
            frame=plan.settings.frame,
            seed=plan.seed,
            quantile=plan.quantile,
            news=plan.news,
            calendar=plan.settings.instrument.calendar,
        )
    alone = _switched(plan, ())
    with tempfile.TemporaryDirectory(prefix="walk-forward-") as folder:
        models = Path(folder) / "models"
        reports, untrained = _train(plan, window, past, models)
        signal = load_undisturbed(models, plan.ml_settings, EnsemblePredictor)
        # A share of bars is a threshold of this fold's models, from its past alone.
        if plan.ml_settings.prediction.confidence_share is not None:
            plan = replace(plan, ml_settings=decided(plan.ml_settings, load_selectivity(models, plan.ml_settings)))
            alone = _switched(plan, ())
        cutoffs = [yardstick.train_cutoff, *(stage.train_cutoff for stage in reports)]
        cutoff = int(max(cutoffs).timestamp())
        if cutoff >= window.train_end:
            raise ModelError(f"fold {window.number}: a training label looked at a bar of the fold or its embargo")
        prepared = _prepare(alone, window, signal)
        result = simulate(prepared, alone.settings, alone.ml_settings)
        names = VARIANTS if plan.all_models else ()
        variants = {name: _variant(plan, name, models, prepared, untrained) for name in names}
    hold = buy_and_hold(result)
    paid = result.bars.open[0] + result.bars.spread[0]
    run, net, r, growth = _random_entries(plan, window, prepared, result)
    none = np.empty(0)
    measured = simulate(_prepare(alone, window, yardstick), alone.settings, alone.ml_settings)
    return FoldOutcome(
        window=window,
        train_rows=reports[0].rows,
        train_cutoff=cutoff,
        times=result.bars.time,
        signal=leg_of(result),
        yardstick=leg_of(measured),
        hold=Leg(none, none, result.bars.close / paid, hold.max_drawdown, halted=False),
        random_run=run,
        random_net=net,
        random_r=r,
        random_growth=growth,
        variants=variants,
        untrained=untrained,
    )


def _train(
    plan: WalkPlan, window: FoldWindow, past: pd.DataFrame, models: Path
) -> tuple[list[TrainingReport], dict[str, str]]:
    """Train a fold's models on its past, as many of them as it has data for.

    Returns
    -------
    reports : list of TrainingReport
        In order of training, the signal models first.
    untrained : dict of str to str
        Each model that could not be trained, with the reason.
    """
    reports: list[TrainingReport] = []
    untrained: dict[str, str] = {}
    for stage in STAGE_ORDER if plan.all_models else STAGE_ORDER[:1]:
        try:
            reports.append(
                train(
                    past,
                    plan.ml_settings,
                    plan.settings,
                    models,
                    (stage,),
                    warm_start=False,
                    seed=plan.seed,
                    news=plan.news,
                    trade_history=out_of_fold_sequences,
                )
            )
        except DataError as error:
            if not reports:
                # Without the signal models there is nothing to trade.
                with _named(window):
                    raise
            later = STAGE_ORDER[STAGE_ORDER.index(stage) + 1 :]
            untrained[stage] = str(error)
            untrained.update(dict.fromkeys(later, f"it is trained after the {stage} model"))
            break
    return reports, untrained


@contextmanager
def _named(window: FoldWindow) -> Iterator[None]:
    """Say in which fold the bars do not suffice: what is too little in one may do in all others."""
    try:
        yield
    except DataError as error:
        first, last = (pd.Timestamp(moment, unit="s", tz="UTC") for moment in (window.train_start, window.train_end))
        raise DataError(f"fold {window.number}, trained on {first:%Y-%m-%d} to {last:%Y-%m-%d}: {error}") from error


def _switched(plan: WalkPlan, on: Collection[str]) -> WalkPlan:
    """Return the plan with exactly these of the position, SLTP and risk models switched on."""
    ml = plan.ml_settings
    return replace(
        plan,
        settings=plan.settings.model_copy(
            update={"risk_model": plan.settings.risk_model.model_copy(update={"enabled": "risk" in on})}
        ),
        ml_settings=ml.model_copy(
            update={
                "position_model": ml.position_model.model_copy(update={"enabled": "position" in on}),
                "ml_sltp": ml.ml_sltp.model_copy(update={"enabled": "sltp" in on}),
            }
        ),
    )


def _variant(plan: WalkPlan, name: str, models: Path, prepared: Prepared, untrained: Collection[str]) -> Leg:
    """Trade the prepared fold once more, with those of the named models that it has beside the signal ensemble."""
    wanted = STAGE_ORDER[1:] if name == "all" else (name,)
    switched = _switched(plan, [stage for stage in wanted if stage not in untrained])
    settings, ml_settings = switched.settings, switched.ml_settings
    served = load_models(models, settings, ml_settings)
    prepared = replace(prepared, signals=prepared.signals.with_distances(served.sltp))
    answers = model_answers(served, prepared, settings, ml_settings)
    return leg_of(simulate(prepared, settings, ml_settings, answers=answers))


def _prepare(plan: WalkPlan, window: FoldWindow, model: SignalModel) -> Prepared:
    start, end = (pd.Timestamp(moment, unit="s", tz="UTC") for moment in (window.test_start, window.test_end))
    return prepare(
        plan.history,
        plan.settings,
        plan.ml_settings,
        model,
        start=start,
        end=end,
        news=plan.news,
        fixed_spread=plan.fixed_spread,
    )


def _random_entries(
    plan: WalkPlan, window: FoldWindow, prepared: Prepared, result: BacktestResult
) -> tuple[Ints, Floats, Floats, Floats]:
    runs = list(
        random_entry_runs(
            result,
            prepared.atr,
            np.random.default_rng([plan.seed, window.number]),
            plan.random_runs,
            minutes=result.minutes,
            rollovers=result.rollovers,
        )
    )
    owner = np.repeat(np.arange(len(runs)), [len(trades) for trades, _ in runs]).astype(np.int64)
    net, r = (
        np.concatenate([np.empty(0), *(measure(trades) for trades, _ in runs)])
        for measure in (net_results, r_multiples)
    )
    return owner, net, r, np.array([equity / result.start_balance for _, equity in runs], dtype=np.float64)


def fold_key(plan: WalkPlan, window: FoldWindow, bars: pd.DataFrame) -> str:
    """Return the SHA-256 of everything that decides a fold's outcome: bars, settings, seed, code, libraries."""
    digest = hashlib.sha256()
    ml_settings = plan.ml_settings.model_dump(mode="json", exclude={"schema_reference"})
    del ml_settings["training"]["threads"]
    described = {
        "window": asdict(window),
        "settings": plan.settings.model_dump(mode="json", exclude={"schema_reference"}),
        "ml_settings": ml_settings,
        "seed": plan.seed,
        "quantile": plan.quantile,
        "random_runs": plan.random_runs,
        "fixed_spread": plan.fixed_spread,
        "all_models": plan.all_models,
        "seams": venue_seams(bars).tolist(),
        "libraries": library_versions(),
        "code": code_hash(),
    }
    digest.update(json.dumps(described, sort_keys=True).encode())
    for name in bars.columns:
        digest.update(name.encode())
        values = epoch_seconds(bars) if name == "time" else bars[name]
        digest.update(pd.util.hash_pandas_object(pd.Series(values), index=False).to_numpy().tobytes())
    if plan.news is not None:
        digest.update(plan.news.event_times.tobytes())
    return digest.hexdigest()
