"""Search, retrain, judge; keep or put back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from optimize.state.run import OptimizeRun
from commands.shared.optimize_run import SHARED_EPILOG, carry_out, plan_of, run_options

LOOP_EPILOG = f"""\b
Examples:
  python scripts/optimize_loop.py --iterations 1 --trials 50 --drop-threshold 0.0
  python scripts/optimize_loop.py --iterations 3 --trials 50 --drop-threshold 0.0
  python scripts/optimize_loop.py --analyze-only
  python scripts/optimize_loop.py --retrain-only
{SHARED_EPILOG}
A low SHAP value in training does not mean that a feature is worthless live: use
--drop-threshold 0.0 to drop none. Protected features are never dropped. With
NOVOSKY_STRICT_CONFIG_SYNC=1 settings that have drifted from code and models stop the run.
"""


@click.command(epilog=LOOP_EPILOG)
@click.option("--iterations", type=click.IntRange(min=1), default=1, show_default=True, help="Cycles to run.")
@click.option("--trials", type=click.IntRange(min=1), default=50, show_default=True, help="Optuna trials per model.")
@click.option(
    "--drop-threshold",
    type=click.FloatRange(min=0, max=1),
    default=0.003,
    show_default=True,
    help="Drop unprotected features with a smaller share of mean |SHAP|; 0.0 drops none.",
)
@click.option(
    "--improvement-threshold",
    type=click.FloatRange(min=0, max=1),
    default=0.02,
    show_default=True,
    help="Share by which the new score must exceed the old one.",
)
@click.option("--local", is_flag=True, help="Accepted for older scripts; the loop always runs on this machine.")
@click.option("--analyze-only", is_flag=True, help="SHAP and baseline backtest; change nothing.")
@click.option("--retrain-only", is_flag=True, help="Leave SHAP out, go straight to search and training.")
@run_options
def optimize_loop(**given: Any) -> None:
    """SHAP, baseline, Optuna, retraining, out-of-sample backtest; keep the new set or put the old one back."""
    from novosky.errors import UsageError
    from optimize import pipeline
    from optimize.state.run import ANALYSIS
    from optimize.steps.ship import report_text

    if given["analyze_only"] and given["retrain_only"]:
        raise UsageError("--analyze-only changes nothing and --retrain-only analyses nothing; give one of them")
    iteration, iterations = 1, 1 if given["analyze_only"] else given["iterations"]
    while iteration <= iterations:
        plan = plan_of(
            ANALYSIS if given["analyze_only"] else "optimize_loop",
            given,
            profile=None,
            configurations=0,
            drop_threshold=given["drop_threshold"],
            explain=not given["retrain_only"],
            min_improvement=given["improvement_threshold"],
            iteration=iteration,
        )
        run = carry_out(pipeline.ANALYSIS if given["analyze_only"] else pipeline.ITERATION, plan, given)
        if run is None:
            return
        if given["analyze_only"]:
            _print_ranking(run)
        else:
            click.echo(f"iteration {run.plan.iteration} of {iterations}\n{report_text(run)}")
        # A killed loop goes on with the iteration it was killed in.
        iteration = run.plan.iteration + 1


def _print_ranking(run: OptimizeRun) -> None:
    from optimize.steps.judge import BASELINE, Side, figures
    from optimize.steps.prepare import SHAP

    if run.window.synthetic is not None:
        click.echo(f"SYNTHETIC DATA: {run.window.synthetic} market")
    found = run.read(SHAP)
    for name, share in found["ranked_features"][:10]:
        click.echo(f"{share:6.1%}  {name}")
    if found["dropped"]:
        click.echo(f"below {run.plan.drop_threshold:g} and not protected: {', '.join(found['dropped'])}")
    judged = run.read(BASELINE)
    click.echo("baseline: " + ("no models yet" if judged is None else figures(Side.of(judged))))
