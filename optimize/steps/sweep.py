"""The steps that choose settings for trained models: sweep the first part of the window, apply inside the limits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd

from novosky.files import write_json
from novosky.guarded_json import read_json_file
from novosky.settings import MlSettings, Settings
from novosky.settings.profile_application import apply_confidence, apply_profile, labels_of
from novosky.settings.profiles import profile_named
from novosky.settings.runtime import RiskProfile
from optimize.state.run import OptimizeRun
from optimize.steps.judge import DAY, MIN_DAYS, common_start

if TYPE_CHECKING:
    from backtest.sweep.run import SweepOutcome
    from engine.inputs.models import Models

SWEEP = "sweep.json"
SWEEP_FOLDER = "sweep"
SWEEP_TABLE = "sweep.csv"


def sweep(run: OptimizeRun) -> str:
    """Run configurations inside the profile over the part of the window that may be seen, and take the best."""
    from backtest.sweep.run import COMPARED
    from ml.load_models import load_models
    from novosky.files import write_text

    if run.plan.configurations == 0:
        run.write(SWEEP, {"configurations": 0, "values": {}, "pbo": None})
        return "skipped"
    settings, ml_settings = run.settings_of(run.workspace.trained)
    models = load_models(run.workspace.trained.models, settings, ml_settings, selectivity=True)
    # New models know nothing of the window; kept ones may, and what they know chooses nothing.
    start, end = common_start(run), pd.Timestamp(run.window.sweep_end)
    if end - start < MIN_DAYS * DAY:
        run.write(SWEEP, {"configurations": 0, "values": {}, "pbo": None})
        return f"skipped: the models leave less than {MIN_DAYS} days to choose on"
    outcome = _swept(run, settings, ml_settings, models, start, end)
    write_text(run.workspace.path(SWEEP_TABLE), outcome.table.to_csv(index=False))
    run.write(
        SWEEP,
        {
            "configurations": len(outcome.table),
            "values": outcome.best or {},
            "pbo": None if outcome.overfitting is None else outcome.overfitting.probability,
        },
    )
    if outcome.best_row is None:
        return f"{len(outcome.table)} configurations: {outcome.note}"
    best = outcome.table.iloc[outcome.best_row]
    kept = ", the present one" if outcome.best_row == 0 else ""
    return (
        f"{len(outcome.table)} configurations, the best scores {best[COMPARED]:.2f} at 1 % risk a trade with "
        f"{best['trades']} trades{kept}"
    )


def _swept(
    run: OptimizeRun,
    settings: Settings,
    ml_settings: MlSettings,
    models: Models,
    start: pd.Timestamp,
    end: pd.Timestamp,
) -> SweepOutcome:
    """Run the plan's configurations over the bars from `start` to before `end`."""
    from backtest.run import prepare
    from backtest.sweep.run import SweepPlan, run_sweep
    from optimize.history.optimize_log import LOG_NAME, tried_before

    prepared = prepare(
        run.bars,
        settings,
        ml_settings,
        models.signal,
        start=start,
        end=end,
        news=run.news,
        fixed_spread=run.plan.account.spread is not None,
        sltp=models.sltp,
    )
    plan = SweepPlan(
        "both" if ml_settings.position_model.enabled else "signal",
        settings,
        ml_settings,
        run.plan.configurations,
        run.plan.seed,
        # Every configuration ever tried counts in the deflated Sharpe ratio, not only those of this week.
        tried_before(run.live.models / LOG_NAME),
    )
    return run_sweep(
        plan,
        prepared,
        models,
        folder=run.workspace.path(SWEEP_FOLDER),
        jobs=run.plan.jobs,
        scheduler=run.plan.scheduler,
        progress=run.progress,
    )


def apply_best(run: OptimizeRun) -> str:
    """Put the sweep's choice into the settings, and every safety limit of the profile over it."""
    source, target = run.workspace.trained, run.workspace.challenger
    chosen: dict[str, Any] = run.read(SWEEP)["values"]
    contents = {
        "config": read_json_file(source.config),
        "ml_config": read_json_file(source.ml_config),
    }
    for dotted, value in chosen.items():
        _place(contents, dotted, value)
    config, ml_config = contents["config"], contents["ml_config"]
    if run.plan.command == "weekly_optimize":
        profile = profile_named(run.plan.profile)
        config = apply_profile(config, profile, labels_of(ml_config))
        ml_config = apply_confidence(ml_config, profile, config["risk_profile"].get("scale", RiskProfile().scale))
    Settings.model_validate_json(json.dumps(config), strict=True)
    MlSettings.model_validate_json(json.dumps(ml_config), strict=True)
    write_json(target.config, config)
    write_json(target.ml_config, ml_config)
    if not chosen:
        return "settings stay as searched"
    return ", ".join(f"{dotted.split('.', 1)[1]} {value}" for dotted, value in sorted(chosen.items()))


def _place(contents: dict[str, Any], dotted: str, value: Any) -> None:
    file, *path, key = dotted.split(".")
    place = contents[file]
    for part in path:
        place = place.setdefault(part, {})
    place[key] = value
