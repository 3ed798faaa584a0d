"""Get a first set of models onto this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.shared.options import FILE, FOLDER, SEED
from commands.shared.settings_files import provided_settings
from novosky.market.timeframe import USUAL

if TYPE_CHECKING:
    import pandas as pd

    from ml.sets.deployment import Deployment
    from ml.stages.report import TrainingReport

TRAIN_BARS = 20_000
"""Seven months of M15 bars: enough for the planted edge, half a minute of training on two idle cores."""
HELD_BACK_BARS = 30 * USUAL.bars_per_day
"""A month that the models never see, to watch them trade on."""
MOST_REAL_BARS = 730 * USUAL.bars_per_day
"""Of given bars the newest two years are learned from; more would take minutes longer."""

EPILOG = """\b
Examples:
  novosky models starter
  novosky models starter --data data/BTCUSD_M15.parquet
  novosky models starter --hub file:///srv/hub
"""


@click.group(epilog=EPILOG)
def models() -> None:
    """Get a first set of models onto this machine."""


@dataclass(frozen=True)
class Starter:
    """What a starter set is made of.

    Attributes
    ----------
    target : Deployment
        Where it goes, and the settings it is made for.
    bars_file : Path
        The bars, with the month that is held back at their end.
    bars : pandas.DataFrame
    split : pandas.Timestamp
        Open of the first bar that is held back.
    """

    target: Deployment
    bars_file: Path
    bars: pd.DataFrame
    split: pd.Timestamp

    @property
    def synthetic(self) -> bool:
        """Whether the bars are invented."""
        return "synthetic" in self.bars.attrs


@models.command(epilog=EPILOG)
@click.option("--data", type=FILE, help="Bars to learn from.  [the embedded, SYNTHETIC market]")
@click.option("--hub", help="Pull instead: file:///folder, a folder, or s3.  [NOVOSKY_HUB or the R2_ settings, if set]")
@click.option("--replace", is_flag=True, help="Replace the set that is there.")
@click.option("--seed", type=SEED, default=7, show_default=True, help="Seed of market and models.")
@click.option("--env-file", type=FILE, default=Path(".env"), show_default=True, help="Where secrets are kept.")
@click.option("--config", type=FILE, default=Path("config.json"), show_default=True, help="Runtime settings.")
@click.option("--ml-config", type=FILE, default=Path("ml_config.json"), show_default=True, help="Model settings.")
@click.option("--models", type=FOLDER, default=Path("models"), show_default=True, help="Model directory.")
def starter(
    data: Path | None,
    hub: str | None,
    replace: bool,
    seed: int,
    env_file: Path,
    config: Path,
    ml_config: Path,
    models: Path,
) -> None:
    """Make a first set of models: pulled from a named hub, or trained here in about a minute.

    Without a hub all four models are trained, with the settings in place, on bars of the
    embedded SYNTHETIC market, or on --data. The newest month is held back, so that the bot can be
    watched on bars the models have never seen. A set that learned on invented prices says so
    wherever it is used, and never trades real money.
    """
    from ml.sets.compat import MANIFEST_NAME
    from ml.sets.deployment import Deployment, recover
    from novosky.errors import UsageError

    if data is not None and hub is not None:
        raise UsageError("--data trains here and --hub pulls what was trained elsewhere; give one of them")
    provided_settings(config, ml_config)
    target = Deployment(models, config, ml_config)
    recover(target)
    if (models / MANIFEST_NAME).exists() and not replace:
        raise UsageError(f"{models} holds a set already; use it, or replace it with --replace")
    if data is None and (hub is not None or _hub_is_named(env_file)):
        from commands.hub import pull_configured

        pull_configured(target, env_file, hub)
        return
    _train(_given(target, data) if data is not None else _embedded(target, seed), seed)


def _hub_is_named(env_file: Path) -> bool:
    import os

    from novosky.environment import HUB_FOLDER, HUB_STORE, read_environment

    stated = read_environment(env_file, os.environ)
    return any(variable.name in stated for variable in (HUB_FOLDER, *HUB_STORE))


def _embedded(target: Deployment, seed: int) -> Starter:
    """Make bars of the embedded market that end now, and keep them beside other bars."""
    import pandas as pd

    from novosky.clock import RealClock
    from novosky.data.store import save_bars
    from novosky.data.synthetic import BAR, synthetic_bars
    from novosky.settings import load_settings

    count = TRAIN_BARS + HELD_BACK_BARS
    first = BAR.floor(RealClock().now()) - count * BAR.seconds
    bars = synthetic_bars("planted", count, seed=seed, start=pd.Timestamp(first, unit="s", tz="UTC").isoformat())
    path = Path("data") / f"SYNTHETIC_{load_settings(target.config).symbol}_{BAR.name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_bars(path, bars, seconds=BAR.seconds)
    click.echo(f"bars     {path}: {count:,} SYNTHETIC ones, an invented market with an edge that can be learned")
    return Starter(target, path, bars, bars["time"].iloc[-HELD_BACK_BARS])


def _given(target: Deployment, data: Path) -> Starter:
    from novosky.data.store import load_bars
    from novosky.errors import DataError
    from novosky.settings import load_settings

    bars = load_bars(data, seconds=load_settings(target.config).frame.seconds)
    if len(bars) <= HELD_BACK_BARS:
        raise DataError(
            f"{data} holds {len(bars):,} bars and {HELD_BACK_BARS:,} are held back to try the models on; give at "
            f"least {TRAIN_BARS + HELD_BACK_BARS:,}, about eight months"
        )
    newest = bars.tail(MOST_REAL_BARS + HELD_BACK_BARS).reset_index(drop=True)
    newest.attrs.update(bars.attrs)
    click.echo(f"bars     {data}: the newest {len(newest):,} of {len(bars):,}")
    return Starter(target, data, newest, newest["time"].iloc[-HELD_BACK_BARS])


def _train(starter: Starter, seed: int) -> None:
    from backtest.risk_history import out_of_fold_sequences
    from commands.train import ProgressBar
    from ml.sets.stage_files import STAGE_ORDER
    from ml.train import train
    from novosky.installation import extra_line, missing_exporters
    from novosky.market.bars import slice_bars
    from novosky.settings import load_ml_settings, load_settings

    missing = missing_exporters()
    if missing:
        click.echo(f"note     without ONNX copies, which nothing here needs; `{extra_line('train')}` brings them")
    target = starter.target
    with ProgressBar() as bar:
        report = train(
            slice_bars(starter.bars, None, starter.split, source=str(starter.bars_file)),
            load_ml_settings(target.ml_config),
            load_settings(target.config),
            target.models,
            STAGE_ORDER,
            warm_start=False,
            progress=bar.show,
            seed=seed,
            trade_history=out_of_fold_sequences,
            onnx=not missing,
        )
    _say(starter, report)


def _say(starter: Starter, report: TrainingReport) -> None:
    from novosky.installation import as_installed
    from novosky.settings import load_settings
    from trading.live.practice import PRACTICE_NOTE

    seconds = sum(each.seconds for each in (report, *report.later))
    click.echo(f"models   {report.models_dir}: all four, trained in {seconds:.0f} s up to {starter.split:%Y-%m-%d}")
    if starter.synthetic:
        click.echo(f"NOTE     {PRACTICE_NOTE}")
    else:
        click.echo("NOTE     a first set, tried by nobody: look at it out of sample before it trades anything")
    days = HELD_BACK_BARS // load_settings(starter.target.config).frame.bars_per_day
    watch = f"python trading.py --paper --replay {starter.bars_file.as_posix()} --days {days} --trades trades.csv"
    click.echo("\nnext, a month of trades on bars the models have never seen, and then paper trading as time passes:")
    for line in (watch, "python trading.py --paper"):
        click.echo(as_installed(f"  {line}"))
