"""The steps that learn, all of them on the training window: search the settings, train the models."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from ml.sets.stage_files import STAGE_ORDER, Stage
from optimize.state.run import OptimizeRun

if TYPE_CHECKING:
    from ml.stages.report import TrainingReport
    from ml.tune.study import SearchOutcome, SearchPlan

TUNING, LEARNED = "tuning.json", "learned.json"
STUDIES = "studies.sqlite"
SIGNAL_MIN_TRADES = 20
"""Trades every fold of the search needs; the default of ml/tune/hyperparams.py."""
POSITION_MIN_EXITS = 10
"""Early exits, likewise."""


def search(run: OptimizeRun) -> str:
    """Search the signal models' settings inside the training window and keep better ones, if there are any."""
    from ml.tune.adoption import SettingsFile
    from ml.tune.search import search_signal

    shaped, tuned = run.workspace.shaped, run.workspace.tuned
    tuned.config.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(shaped.config, tuned.config)
    shutil.copyfile(shaped.ml_config, tuned.ml_config)
    if not run.plan.retrain or run.plan.trials == 0:
        run.write(TUNING, {"trials": 0, "folds": 0, "folds_won": 0, "values": {}})
        return "skipped"
    settings, _ = run.settings_of(tuned)
    outcome = search_signal(
        run.training_bars,
        settings,
        SettingsFile.read(tuned.ml_config),
        _plan(run, SIGNAL_MIN_TRADES),
        folds=run.plan.folds,
        news=run.news,
        dry_run=False,
        tell=lambda what, done: run.progress(f"Optuna: {what}", done, run.plan.trials),
    )
    chosen = outcome.best if outcome.best is not None and outcome.improved else outcome.baseline
    run.write(
        TUNING,
        {
            "trials": len(outcome.trials),
            "folds": len(chosen.folds),
            "folds_won": sum((fold.mean_gain or 0.0) > 0.0 for fold in chosen.folds),
            "values": dict(chosen.values),
        },
    )
    return _found(outcome)


def _found(outcome: SearchOutcome) -> str:
    if outcome.best is None or not outcome.improved:
        return f"{len(outcome.trials)} trials, none beats the present settings ({outcome.to_beat:+.4f} R)"
    return (
        f"{len(outcome.trials)} trials, trial {outcome.best.number} is worth {outcome.best.value:+.4f} R "
        f"per trade at the bound, before {outcome.to_beat:+.4f}"
    )


def retrain(run: OptimizeRun) -> str:
    """Train all four models afresh on the training window, or take the incumbent's where asked."""
    tuned, trained = run.workspace.tuned, run.workspace.trained
    trained.config.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(tuned.config, trained.config)
    shutil.copyfile(tuned.ml_config, trained.ml_config)
    run.write(LEARNED, {"position_trials": 0})
    if not run.plan.retrain:
        shutil.copytree(run.workspace.incumbent.models, trained.models)
        return "skipped: the incumbent's models stay"
    if run.settings_of(trained)[1].position_model.enabled and run.plan.trials:
        # Its search needs the new signal models' out-of-fold entries.
        reports = _train(run, ("signal",))
        run.write(LEARNED, {"position_trials": _search_position(run)})
        reports += _train(run, STAGE_ORDER[1:])
    else:
        reports = _train(run, STAGE_ORDER)
    seconds = sum(report.seconds for report in reports)
    cutoff = reports[0].train_cutoff
    return f"four models on {reports[0].rows:,} rows up to {cutoff:%Y-%m-%d} in {seconds:.0f} s"


def _train(run: OptimizeRun, stages: tuple[Stage, ...]) -> list[TrainingReport]:
    from backtest.risk_history import out_of_fold_sequences
    from ml.train import train

    trained = run.workspace.trained
    settings, ml_settings = run.settings_of(trained)
    report = train(
        run.training_bars,
        ml_settings,
        settings,
        trained.models,
        stages,
        warm_start=False,
        progress=run.progress,
        news=run.news,
        trade_history=out_of_fold_sequences,
    )
    return [report, *report.later]


def _search_position(run: OptimizeRun) -> int:
    from ml.tune.adoption import SettingsFile
    from ml.tune.search import search_position

    trained = run.workspace.trained
    settings, _ = run.settings_of(trained)
    outcome = search_position(
        run.training_bars,
        trained.models,
        settings,
        SettingsFile.read(trained.ml_config),
        _plan(run, POSITION_MIN_EXITS),
        folds=run.plan.folds,
        news=run.news,
        dry_run=False,
        tell=lambda what, done: run.progress(f"Optuna, position: {what}", done, run.plan.trials),
    )
    return len(outcome.trials)


def _plan(run: OptimizeRun, least: int) -> SearchPlan:
    from ml.tune.storage import parse_storage, sqlite_storage
    from ml.tune.study import SearchPlan

    storage = run.plan.storage
    url = sqlite_storage(run.workspace.path(STUDIES)) if storage is None else parse_storage(storage)
    return SearchPlan(url, None, run.plan.trials, least, run.plan.seed)
