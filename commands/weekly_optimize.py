"""The weekly run: retrain, prove, ship or keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from commands.shared.options import PROFILE

if TYPE_CHECKING:
    pass
from commands.shared.optimize_run import SHARED_EPILOG, carry_out, plan_of, run_options

WEEKLY_EPILOG = f"""\b
Examples:
  python scripts/weekly_optimize.py --profile balanced --no-commit --no-push
  python scripts/weekly_optimize.py --profile balanced --no-push --data data/BTCUSD_M15.parquet
  python scripts/weekly_optimize.py --profile conservative --skip-retrain --no-commit --no-push
{SHARED_EPILOG}
Without --data the bars are brought up to date from their venue first. Exit code 0: the run came
to a decision, whichever it is.
"""


@click.command(epilog=WEEKLY_EPILOG)
@click.option("--profile", type=PROFILE, help="Optimise for this profile.  [as config.json says]")
@click.option("--skip-retrain", is_flag=True, help="Keep the models; look for better settings only.")
@click.option("--no-commit", is_flag=True, help="Do not commit to git.")
@click.option("--no-push", is_flag=True, help="Do not publish to the hub.")
@click.option("--allow-dirty", is_flag=True, help="Commit even where tracked files have other changes.")
@click.option("--download/--no-download", default=None, help="Bring --data up to date first.  [only without --data]")
@click.option("--trials", type=click.IntRange(min=0), default=20, show_default=True, help="Optuna trials per model.")
@click.option(
    "--configs", type=click.IntRange(min=0), default=2_000, show_default=True, help="Configurations of the sweep."
)
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Processes of the sweep.")
@click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler that sweeps instead.")
@run_options
@click.pass_context
def weekly_optimize(context: click.Context, /, **given: Any) -> None:
    """Retrain, prove it out of sample, and ship it or leave everything as it was; from cron every Sunday."""
    from optimize.pipeline import WEEKLY
    from optimize.steps.ship import report_text

    named = context.get_parameter_source("data") == ParameterSource.COMMANDLINE
    plan = plan_of(
        "weekly_optimize",
        given,
        profile=given["profile"],
        configurations=given["configs"],
        drop_threshold=0.0,
        retrain=not given["skip_retrain"],
        commit=not given["no_commit"],
        push=not given["no_push"],
        download=not named if given["download"] is None else given["download"],
    )
    run = carry_out(WEEKLY, plan, given)
    if run is not None:
        click.echo(report_text(run))
