"""The step that decides, and the only one that changes what the bot trades with: all of it at once, or nothing."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from backtest.evidence import paired_bootstrap
from backtest.overfit import deflated_sharpe
from backtest.statistics import Floats
from ml.deployment import Deployment, replace_deployment, set_files
from novosky.errors import SettingsError
from novosky.run_history.json_files import read_json
from optimize.choosing import SWEEP
from optimize.decision import Evidence, Verdict, decide
from optimize.judging import JUDGEMENT, Side
from optimize.learning import LEARNED, TUNING
from optimize.run import OptimizeRun
from optimize.steps import remove
from optimize.workspace import copy_deployment, digests

DECISION = "decision.json"
LOG_NAME = "optimize_log.json"
SNAPSHOT_PREFIX = "_snapshot_"
KEPT_SNAPSHOTS = 3
LEAST_DAYS = 20
"""Fewer paired days than this have no distribution to speak of."""


def decide_and_place(run: OptimizeRun) -> str:
    """Weigh the evidence; put the challenger in place when every required check passes."""
    evidence = gather(run)
    rules = run.settings_of(run.workspace.incumbent)[1].decision
    if run.plan.min_improvement is not None:
        rules = rules.model_copy(update={"min_improvement": run.plan.min_improvement})
    verdict = decide(evidence, rules)
    run.write(DECISION, _content(evidence, verdict))
    if verdict.approved:
        place(run)
    return verdict.reason


def gather(run: OptimizeRun) -> Evidence:
    """Return what the judged window, the search and the sweep say of the challenger."""
    judged, tuning, sweep = run.read(JUDGEMENT), run.read(TUNING), run.read(SWEEP)
    new = Side.of(judged["new"])
    old = None if judged["old"] is None else Side.of(judged["old"])
    old_daily = np.zeros_like(new.daily) if old is None else old.daily
    unseen = np.ones(len(new.daily), dtype=bool)
    if sweep["configurations"]:
        days = pd.Timestamp(new.first_day, tz="UTC") + pd.to_timedelta(np.arange(len(new.daily)), unit="D")
        unseen = np.asarray(days >= pd.Timestamp(run.window.sweep_end))
    trials = tried_before(run.live.models / LOG_NAME) + tried(run)
    deflated = deflated_sharpe(new.daily, max(trials, 1))
    return Evidence(
        new_score=new.metrics["score"],
        old_score=None if old is None else old.metrics["score"],
        new_trades=new.metrics["trades"],
        old_trades=0 if old is None else old.metrics["trades"],
        new_return=new.metrics["total_return"],
        old_return=0.0 if old is None else old.metrics["total_return"],
        incumbent=old is not None,
        unseen_days=int(unseen.sum()),
        probability=_probability(new.daily[unseen], old_daily[unseen], run.plan.seed),
        probability_whole=_probability(new.daily, old_daily, run.plan.seed),
        deflated_sharpe=None if deflated is None else deflated.deflated,
        trials=trials,
        pbo=sweep["pbo"],
        folds=tuning["folds"],
        folds_won=tuning["folds_won"],
    )


def _probability(new: Floats, old: Floats, seed: int) -> float | None:
    if len(new) < LEAST_DAYS:
        return None
    return float(paired_bootstrap(new, old, np.random.default_rng(seed)).probability)


def tried(run: OptimizeRun) -> int:
    """Return how many configurations this run has tried: trials of the searches, rows of the sweep."""
    searched = run.read(TUNING)["trials"] + run.read(LEARNED)["position_trials"]
    return int(searched + run.read(SWEEP)["configurations"])


def tried_before(log: Path) -> int:
    """Return how many configurations earlier runs have tried, from the log they keep beside the models."""
    entries: list[dict[str, Any]] = read_json(log) or []
    return sum(entry.get("evidence", {}).get("configurations_tried") or 0 for entry in entries)


def place(run: OptimizeRun) -> None:
    """Put models and settings of the challenger in place as one set; done already is done.

    Raises
    ------
    SettingsError
        A person changed the settings or the models since the run began; nothing was replaced.
    """
    live, challenger = run.live, run.workspace.challenger
    if digests(live) == digests(challenger):
        return
    _require_unchanged(run)
    with replace_deployment(live) as incoming:
        copy_deployment(challenger, incoming)
        _keep_snapshot(run, incoming)
        _require_unchanged(run)


def put_back(run: OptimizeRun) -> None:
    """Take the challenger out and put the incumbent back, byte for byte; what a person put there instead stays."""
    live, incumbent = run.live, run.workspace.incumbent
    if digests(live) == digests(incumbent) or digests(live) != digests(run.workspace.challenger):
        return
    with replace_deployment(live, leave_behind=set_files(live.models)) as incoming:
        copy_deployment(incumbent, incoming)


def _require_unchanged(run: OptimizeRun) -> None:
    if digests(run.live) != digests(run.workspace.incumbent):
        raise SettingsError(
            f"{run.live.config}, {run.live.ml_config} or the set in {run.live.models} was changed while the run was "
            "going on; nothing was replaced. Begin a new run with --fresh"
        )


def _keep_snapshot(run: OptimizeRun, incoming: Deployment) -> None:
    """Put what is being replaced beside the new models, and let the oldest such copies go."""
    incumbent, models = run.workspace.incumbent, incoming.models
    for old in sorted(run.live.models.glob(f"{SNAPSHOT_PREFIX}*")):
        if old.is_dir():
            shutil.copytree(old, models / old.name, copy_function=shutil.copy2)
    place = models / f"{SNAPSHOT_PREFIX}{run.name}"
    copy_deployment(incumbent, Deployment(place, place / incumbent.config.name, place / incumbent.ml_config.name))
    for old in sorted(models.glob(f"{SNAPSHOT_PREFIX}*"))[:-KEPT_SNAPSHOTS]:
        remove(old)


def _content(evidence: Evidence, verdict: Verdict) -> dict[str, Any]:
    content: dict[str, Any] = {
        "approved": verdict.approved,
        "reason": verdict.reason,
        "checks": [asdict(check) for check in verdict.checks],
        "evidence": {**asdict(evidence), "improvement": evidence.improvement},
    }
    return json.loads(json.dumps(content))  # type: ignore[no-any-return]
