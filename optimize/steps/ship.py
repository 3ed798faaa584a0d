"""The steps after the decision: prove that it starts, publish it, write it down, commit it, tell people."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from ml.sets.model_set import lock_model_set
from novosky.errors import ModelError
from novosky.persistence import remove_file
from novosky.settings import MlSettings, Settings, load_ml_settings, load_settings
from optimize.history import (
    PARAMS_NAME,
    BestRun,
    Decision,
    Evidence,
    OptimizeEntry,
    PerfRow,
    StrategyParams,
    append_optimize_log,
    append_perf_history,
    improvement_pct,
    parameters_in_force,
    update_optimize_best,
    write_strategy_params,
)
from optimize.history.optimize_log import LOG_NAME
from optimize.state import git
from optimize.state.run import OptimizeRun
from optimize.state.workspace import LOCK_WAIT_SECONDS, is_trained
from optimize.steps.judge import JUDGEMENT, Side
from optimize.steps.promote import DECISION, put_back, tried
from optimize.steps.smoke import smoke_test

MOMENT = "moment.json"
SMOKE, PUSHED, RECORDED, COMMITTED, TOLD = "smoke.json", "pushed.json", "recorded.json", "committed.json", "told.json"
BEST_NAME = "optimize_best.json"
HISTORY_NAME = "PERF_HISTORY.md"


def smoke(run: OptimizeRun) -> str:
    """Start the bot on what is in place; a challenger that does not start is taken back."""
    approved = bool(run.read(DECISION)["approved"])
    passed, note = True, "nothing to start"
    if is_trained(run.live):
        try:
            note = smoke_test(run, run.live)
        except ModelError as error:
            passed, note = False, str(error)
    if approved and not passed:
        put_back(run)
        note += "; the incumbent was put back"
    run.write(SMOKE, {"passed": passed, "note": note})
    return note


def shipped(run: OptimizeRun) -> bool:
    """Whether the challenger is in place for good."""
    return bool(run.read(DECISION)["approved"]) and bool(run.read(SMOKE)["passed"])


def reason(run: OptimizeRun) -> str:
    """Return why, in words."""
    proved = run.read(SMOKE)
    if run.read(DECISION)["approved"] and not proved["passed"]:
        return f"reverted: {proved['note']}"
    return str(run.read(DECISION)["reason"])


def push(run: OptimizeRun) -> str:
    """Publish the approved set to the hub; a revision published by an earlier attempt is not published twice."""
    tag: str | None = None
    if not shipped(run):
        note = "nothing to publish"
    elif not run.plan.push:
        note = "not published (--no-push)"
    elif not run.read(DECISION)["publishable"]:
        note = "not published: a first set that has not proved to beat cash stays on this machine"
    else:
        from optimize.steps.publish import publish

        tag = publish(run)
        note = "not published: what is in place is no longer this run's" if tag is None else f"published as {tag}"
    run.write(PUSHED, {"tag": tag})
    return note


def record(run: OptimizeRun) -> str:
    """Write strategy_params.json, PERF_HISTORY.md, the optimisation log and the best result so far.

    Killed in between, the next call writes the same again, which every record takes as known.
    """
    ended = _moment(run)
    decision: Decision = "COMMIT" if shipped(run) else "REVERT"
    evidence, tag = _evidence(run), run.read(PUSHED)["tag"]
    new, old = _sides(run)
    # The files' own values: account flags say how it was judged, not how it trades.
    challenger = run.workspace.challenger
    settings, ml_settings = load_settings(challenger.config), load_ml_settings(challenger.ml_config)
    parameters = parameters_in_force(settings, ml_settings)
    score = new.score
    before = None if old is None else old.score
    entry = OptimizeEntry(
        run_id=run.name,
        iteration=run.plan.iteration,
        finished_at=ended,
        command=run.plan.command,
        profile_name=run.plan.profile,
        decision=decision,
        reason=reason(run),
        baseline_score=before,
        final_score=score,
        improvement_pct=improvement_pct(before, score),
        params=parameters,
        evidence=evidence,
    )
    history, params_file = run.root / HISTORY_NAME, run.root / PARAMS_NAME
    _remove_unfinished(history, params_file, run.live.models / LOG_NAME, run.live.models / BEST_NAME)
    # A set that is being replaced just now would take the new lines away with it.
    with lock_model_set(run.live.models, wait_seconds=LOCK_WAIT_SECONDS):
        append_optimize_log(run.live.models / LOG_NAME, entry)
        if decision == "COMMIT" and score:
            update_optimize_best(run.live.models / BEST_NAME, _best(run, ended, score, settings, ml_settings))
    if decision == "COMMIT":
        params = StrategyParams(
            run_id=run.name,
            profile_name=run.plan.profile,
            applied_at=ended,
            reason=reason(run),
            approved=True,
            score=score,
            parameters=parameters,
            models=tag,
            evidence=evidence,
        )
        write_strategy_params(params_file, params)
    append_perf_history(history, _row(run, ended, decision, tag))
    run.write(RECORDED, {"ended": ended.isoformat(), "decision": decision})
    return f"{HISTORY_NAME}, {LOG_NAME}" + (f", {PARAMS_NAME}" if decision == "COMMIT" else "")


def _moment(run: OptimizeRun) -> datetime:
    """Return when the run came to its end; the same however often its last steps are done again."""
    if not run.workspace.path(MOMENT).is_file():
        run.write(MOMENT, datetime.fromtimestamp(run.now(), tz=UTC).isoformat())
    return datetime.fromisoformat(run.read(MOMENT))


def _remove_unfinished(*files: Path) -> None:
    """Remove what a killed attempt left beside the records; no other run writes them meanwhile."""
    for file in files:
        for left in file.parent.glob(f".{file.name}.*.tmp"):
            remove_file(left, missing_ok=True)


def _best(run: OptimizeRun, ended: datetime, score: float, settings: Settings, ml_settings: MlSettings) -> BestRun:
    return BestRun(
        score=score,
        profile_name=run.plan.profile,
        achieved_at=ended,
        config=settings.model_dump(mode="json", by_alias=True),
        ml_config=ml_settings.model_dump(mode="json", by_alias=True),
        run_id=run.name,
    )


def _sides(run: OptimizeRun) -> tuple[Side, Side | None]:
    judged = run.read(JUDGEMENT)
    return Side.of(judged["new"]), None if judged["old"] is None else Side.of(judged["old"])


def _evidence(run: OptimizeRun) -> Evidence:
    found = run.read(DECISION)["evidence"]
    new, _ = _sides(run)
    return Evidence(
        oos_start=pd.Timestamp(new.metrics["start"]).to_pydatetime(),
        oos_end=pd.Timestamp(new.metrics["end"]).to_pydatetime(),
        trades=found["new_trades"],
        expectancy_r=new.metrics.get("expectancy_r"),
        expectancy_r_low=new.metrics.get("expectancy_r_low"),
        configurations_tried=tried(run),
        deflated_sharpe=found["deflated_sharpe"],
        overfitting_probability=found["pbo"],
    )


def _row(run: OptimizeRun, ended: datetime, decision: Decision, tag: str | None) -> PerfRow:
    new, old = _sides(run)
    in_force = new if decision == "COMMIT" else old
    metrics = {} if in_force is None else in_force.metrics
    return PerfRow(
        ended_at=ended,
        run_id=run.name,
        profile_name=run.plan.profile,
        decision=decision,
        score_before=None if old is None else old.score,
        score_after=new.score,
        trades=metrics.get("trades"),
        win_rate=metrics.get("win_rate"),
        profit_factor=metrics.get("profit_factor"),
        max_drawdown=metrics.get("max_drawdown"),
        total_return=metrics.get("total_return"),
        oos_start=pd.Timestamp(new.metrics["start"]).to_pydatetime(),
        oos_end=pd.Timestamp(new.metrics["end"]).to_pydatetime(),
        models=tag,
        reason=reason(run),
    )


def commit(run: OptimizeRun) -> str:
    """Commit the settings, the small records of the models and the history."""
    if not run.plan.commit:
        run.write(COMMITTED, {"commit": None})
        return "not committed (--no-commit)"
    from ml.sets.stage_files import COMMITTED_RECORDS

    live, root = run.live, run.root
    files = [live.config, live.ml_config, root / PARAMS_NAME, root / HISTORY_NAME]
    files += [live.models / name for name in COMMITTED_RECORDS]
    found = git.commit(root, [file.resolve() for file in files], _message(run), run.name)
    run.write(COMMITTED, {"commit": found})
    return "nothing had changed" if found is None else f"commit {found}"


def _message(run: OptimizeRun) -> str:
    new, old = _sides(run)
    before, after = ("-" if side is None or side.score is None else f"{side.score:.2f}" for side in (old, new))
    verb = "Ship" if shipped(run) else "Keep the incumbent over"
    return f"{verb} this week's {run.plan.profile} challenger: score {before} to {after} at equal risk\n\n{reason(run)}"


def tell(run: OptimizeRun) -> str:
    """Send the report on every alert channel; a report that nobody takes undoes nothing."""
    from optimize.steps.report import send_report

    note = send_report(run.environment, report_text(run))
    run.write(TOLD, {"note": note})
    return note


def report_text(run: OptimizeRun) -> str:
    """Return the run in plain words."""
    decision = run.read(DECISION)
    found, window = decision["evidence"], run.window
    mark = "\n".join(
        f"{'+' if check['passed'] else '-'} {check['text']}"
        if check["required"]
        else f"  {check['text']}, not required"
        for check in decision["checks"]
    )
    whole = found["probability_whole"]
    lines = [
        f"NOVOSKY {run.plan.command.replace('_', ' ')}, {run.plan.profile}: "
        f"{'SHIPPED' if shipped(run) else 'kept the incumbent'}",
        *([] if run.read(SMOKE)["passed"] else [reason(run)]),
        f"judged {window.oos_start[:10]} to {window.oos_end[:10]}; return {found['new_return']:+.1%}, "
        + (f"before {found['old_return']:+.1%}" if found["incumbent"] else "no incumbent"),
        mark,
    ]
    lines.append(f"smoke test: {run.read(SMOKE)['note']}")
    if whole is not None:
        lines.append(f"over the whole window, of which the sweep has seen a part, P(new > old) is {whole:.2f}")
    if window.synthetic is not None:
        lines.insert(0, f"SYNTHETIC DATA: {window.synthetic} market")
    return "\n".join(lines)
