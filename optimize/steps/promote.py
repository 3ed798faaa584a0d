"""The step that decides, and the only one that changes what the bot trades with: all of it at once, or nothing."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from ml.sets.companions import EXPECTATION_NAME
from ml.sets.deployment import Deployment, previous, replace_deployment, set_files
from novosky.errors import ModelError, SettingsError
from novosky.files import write_json
from novosky.measures.deflated_sharpe import deflated_sharpe
from novosky.measures.selection import paired_bootstrap
from novosky.measures.statistics import Floats
from optimize.history.optimize_log import LOG_NAME, tried_before
from optimize.state.run import OptimizeRun
from optimize.state.workspace import RUN_PREFIX, copy_deployment, digests, file_digests, is_run_name
from optimize.steps.judge import JUDGEMENT, Side
from optimize.steps.promotion_rules import Evidence, Verdict, decide
from optimize.steps.sweep import SWEEP
from optimize.steps.train import LEARNED, TUNING

DECISION = "decision.json"
PLACED = "placed.json"
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
    # Without an incumbent the other side is cash.
    new_daily = new.daily_at_equal_risk
    old_daily = np.zeros_like(new_daily) if old is None else old.daily_at_equal_risk
    # Days on which the sweep has chosen are no evidence for its choice.
    unseen = np.ones(len(new.daily), dtype=bool)
    if sweep["configurations"]:
        days = pd.Timestamp(new.first_day, tz="UTC") + pd.to_timedelta(np.arange(len(new.daily)), unit="D")
        unseen = np.asarray(days >= pd.Timestamp(run.window.sweep_end))
    # Selection goes on from week to week, so every configuration ever tried counts.
    trials = tried_before(run.live.models / LOG_NAME) + tried(run)
    deflated = deflated_sharpe(new.daily, max(trials, 1))
    return Evidence(
        new_score=new.score,
        old_score=None if old is None else old.score,
        new_trades=new.metrics["trades"],
        old_trades=0 if old is None else old.metrics["trades"],
        new_return=new.metrics["total_return"],
        old_return=0.0 if old is None else old.metrics["total_return"],
        incumbent=old is not None,
        unseen_days=int(unseen.sum()),
        probability=_probability(new_daily[unseen], old_daily[unseen], run.plan.seed),
        probability_whole=_probability(new_daily, old_daily, run.plan.seed),
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
    # Written before, so that what is put in place can be told from what a person puts there later.
    run.write(PLACED, {"before": file_digests(live), "after": digests(challenger)})
    with replace_deployment(live, leave_behind=(*set_files(live.models), *_outdated_snapshots(live))) as incoming:
        copy_deployment(challenger, incoming)
        # Goes with the models from here on, to the hub and to whoever pulls them.
        write_json(incoming.models / EXPECTATION_NAME, run.read(JUDGEMENT)["new"]["record"])
        _keep_snapshot(run, incoming)
        _require_unchanged(run)


def put_back(run: OptimizeRun) -> None:
    """Take the challenger out and put the incumbent back, byte for byte; what a person put there instead stays.

    Raises
    ------
    ModelError
        Every copy of the incumbent has been damaged; the challenger stays.
    """
    live = run.live
    if not run.workspace.path(PLACED).is_file():
        return
    placed = run.read(PLACED)
    if digests(live) != tuple(placed["after"]):
        return
    # The second copy is the one that a replaced deployment leaves behind.
    copies = (run.workspace.incumbent, previous(live))
    source = next((each for each in copies if each is not None and file_digests(each) == placed["before"]), None)
    if source is None:
        raise ModelError(
            f"the copies of what was in use in {run.workspace.incumbent.models.parent} are damaged, so it cannot be "
            f"put back into {live.models}; pull a revision with `python ml/r2_hub.py --pull --revision TAG`"
        )
    with replace_deployment(live, leave_behind=(*set_files(live.models), _snapshot_name(run))) as incoming:
        copy_deployment(source, incoming)


def _require_unchanged(run: OptimizeRun) -> None:
    if digests(run.live) != digests(run.workspace.incumbent):
        raise SettingsError(
            f"{run.live.config}, {run.live.ml_config} or the set in {run.live.models} was changed while the run was "
            "going on; nothing was replaced. Begin a new run with --fresh"
        )


def _keep_snapshot(run: OptimizeRun, incoming: Deployment) -> None:
    """Put what is being replaced beside the new models."""
    incumbent, place = run.workspace.incumbent, incoming.models / _snapshot_name(run)
    copy_deployment(incumbent, Deployment(place, place / incumbent.config.name, place / incumbent.ml_config.name))


def _snapshot_name(run: OptimizeRun) -> str:
    return f"{SNAPSHOT_PREFIX}{run.name}"


def _outdated_snapshots(live: Deployment) -> list[str]:
    """Return the names of the oldest copies that runs have left, so that one more makes `KEPT_SNAPSHOTS`.

    Copies under other names are a person's.
    """
    own = sorted(
        path.name
        for path in live.models.glob(f"{SNAPSHOT_PREFIX}{RUN_PREFIX}*")
        if path.is_dir() and is_run_name(path.name.removeprefix(SNAPSHOT_PREFIX))
    )
    return own[: -(KEPT_SNAPSHOTS - 1)]


def _content(evidence: Evidence, verdict: Verdict) -> dict[str, Any]:
    content: dict[str, Any] = {
        "approved": verdict.approved,
        "publishable": verdict.publishable,
        "reason": verdict.reason,
        "checks": [asdict(check) for check in verdict.checks],
        "evidence": {**asdict(evidence), "improvement": evidence.improvement},
    }
    return json.loads(json.dumps(content))  # type: ignore[no-any-return]
