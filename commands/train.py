"""Train the models."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commands.shared.next_step import say_proof
from commands.shared.options import FILE, SEED, UtcDate, data_option, file_options
from commands.shared.provenance import provenance
from novosky.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from ml.sets.shap_summary import ShapSummary
    from ml.sets.stage_files import Stage
    from ml.train import TrainingReport
    from novosky.market.news import NewsCalendar
    from novosky.settings import MlSettings, Settings

EPILOG = """\b
Examples:
  python train_ml_model.py --ensemble --no-warmstart
  python train_ml_model.py --ensemble --data data/BTCUSD_M15.parquet --start 2021-07-01 --end 2024-01-01
  python train_ml_model.py --ensemble --position --sltp --risk --no-warmstart --shap
  python train_ml_model.py --risk --data data/BTCUSD_M15.parquet
  python train_ml_model.py --refresh --calendar data/calendar.parquet --shap
  python train_ml_model.py --shap-only

Bars from --end on stay unseen: test on them with backtest_config.py --oos-only.
"""


@click.command(epilog=EPILOG)
@click.option("--ensemble", is_flag=True, help="Train the signal models (RF, XGBoost, LightGBM).")
@click.option(
    "--position", is_flag=True, help="Train the position models on the signal models' out-of-fold entries, after them."
)
@click.option("--sltp", is_flag=True, help="Train the stop and target models on the same entries, after those.")
@click.option(
    "--risk", is_flag=True, help="Train the risk model on a backtest of the out-of-fold signals, after all others."
)
@click.option(
    "--refresh",
    is_flag=True,
    help="Train every model of the set from the start of its last window to the newest stored bar.",
)
@click.option(
    "--no-warmstart", is_flag=True, help="Train afresh; needed after a change of features, labels or hyperparameters."
)
@click.option("--no-onnx", is_flag=True, help="Leave the ONNX copies out, where what writes them is not installed.")
@click.option("--shap", is_flag=True, help="Then rank the features by mean |SHAP|: shap_summary.json in --models.")
@click.option("--shap-only", is_flag=True, help="Rank the features of the set in --models, without training.")
@click.option(
    "--shap-report", type=FILE, default=Path("reports/shap.html"), show_default=True, help="The ranking as a page."
)
@data_option()
@click.option("--start", type=UtcDate(), help="First bar's open, UTC.")
@click.option("--end", type=UtcDate(), help="End of the training window, UTC, exclusive.")
@click.option("--seed", type=SEED, help="Instead of the seeds in ml_config.json.")
@file_options
def train(
    ensemble: bool,
    position: bool,
    sltp: bool,
    risk: bool,
    refresh: bool,
    no_warmstart: bool,
    no_onnx: bool,
    shap: bool,
    shap_only: bool,
    shap_report: Path,
    data: Path,
    start: datetime | None,
    end: datetime | None,
    seed: int | None,
    config: Path,
    ml_config: Path,
    models: Path,
    calendar: Path | None,
) -> None:
    """Train the models and put the finished set in place as a whole.

    The order is Signal, Position, SLTP, Risk, whatever the order of the flags: each learns
    from what those before it said of bars they had not seen. New signal models outdate all
    others in --models, new SLTP models the risk model; name the flags of those to be trained
    anew in the same run.

    Continues from the set in --models where there is one (warm start). The set in place
    stays usable until the new one is complete, whatever happens to the run. A SHAP summary
    of the old models goes with them; --shap makes the new one.
    """
    chosen: dict[Stage, bool] = {"signal": ensemble, "position": position, "sltp": sltp, "risk": risk}
    training = refresh or any(chosen.values())
    _check_flags(training, refresh, shap_only, no_warmstart or start is not None or end is not None, end is not None)
    from backtest.risk_history import out_of_fold_sequences
    from ml.ensemble.onnx_export import require_exporters
    from ml.train import train as train_models
    from novosky.data.market_bars import load_market_bars
    from novosky.market.bars import slice_bars
    from novosky.market.news import load_calendar
    from novosky.settings import load_ml_settings, load_settings

    if training and not no_onnx:
        require_exporters()
    settings, ml_settings = load_settings(config), load_ml_settings(ml_config)
    if shap or shap_only:
        _check_shap(models if shap_only else None)
    last_start = _last_start(models) if refresh else None
    first = last_start if start is None else _timestamp(start)
    history = load_market_bars(data, settings)
    bars = slice_bars(history, first, _timestamp(end), source=str(data))
    news = load_calendar(calendar) if calendar is not None else None
    if "synthetic" in bars.attrs:
        click.echo(f"SYNTHETIC DATA: {bars.attrs['synthetic']} market", err=True)
    if shap_only:
        _explain(models, settings, ml_settings, bars, news, seed, shap_report)
        return
    with ProgressBar() as bar:
        report = train_models(
            bars,
            ml_settings,
            settings,
            models,
            [*(stage for stage, wanted in chosen.items() if wanted), *(_stages_in(models) if refresh else ())],
            warm_start=not no_warmstart,
            progress=bar.show,
            seed=seed,
            news=news,
            trade_history=out_of_fold_sequences,
            onnx=not no_onnx,
        )
    for stage in (report, *report.later):
        _print_report(stage)
    if shap:
        _explain(models, settings, ml_settings, bars, news, seed, shap_report)
    say_proof(data, models, history["time"].iloc[-1], max(stage.train_cutoff for stage in (report, *report.later)))


def _stages_in(models: Path) -> list[Stage]:
    """Return the stages of the set in place, the signal stage always among them."""
    from ml.sets.compat import read_manifest
    from ml.sets.stage_files import STAGE_ORDER, STAGE_REQUIRED

    artifacts = read_manifest(models).artifacts
    return [stage for stage in STAGE_ORDER if stage == "signal" or set(STAGE_REQUIRED[stage]) <= set(artifacts)]


def _check_flags(training: bool, refresh: bool, shap_only: bool, shaped: bool, ends: bool) -> None:
    """Refuse flags that contradict each other; `shaped` says that a flag shapes a training."""
    if shap_only and (training or shaped):
        raise click.UsageError("--shap-only explains the set in place over its own window; leave training flags out")
    if not (training or shap_only):
        raise click.UsageError("name what to train: --ensemble, --position, --sltp, --risk or --refresh")
    if refresh and ends:
        raise click.UsageError("--refresh trains up to the newest bar; leave --end out")


def _timestamp(moment: datetime | None) -> pd.Timestamp | None:
    import pandas as pd

    return None if moment is None else pd.Timestamp(moment)


def _check_shap(models: Path | None) -> None:
    """Fail before bars are read or models trained, not after."""
    from ml.report.shap_analysis import require_shap
    from ml.sets.compat import read_manifest

    require_shap()
    if models is not None:
        read_manifest(models)


def _explain(
    models: Path,
    settings: Settings,
    ml_settings: MlSettings,
    bars: pd.DataFrame,
    news: NewsCalendar | None,
    seed: int | None,
    page: Path,
) -> None:
    from ml.report.shap_analysis import explain_signal
    from ml.report.shap_page import write_shap_page
    from ml.sets.shap_summary import write_shap_summary

    with ProgressBar() as bar:
        calendar = settings.instrument.calendar
        summary = explain_signal(
            models, ml_settings, bars, settings.frame, news, calendar=calendar, seed=seed, progress=bar.show
        )
    path = write_shap_summary(models, summary)
    write_shap_page(page, summary, provenance(settings))
    _print_shap(summary)
    click.echo(f"SHAP    {path}")
    click.echo(f"page    {page}")


def _last_start(models: Path) -> pd.Timestamp:
    """Return where the last training window began; UsageError before the first training."""
    import pandas as pd

    from ml.sets.companions import MANIFEST_NAME
    from ml.sets.compat import read_manifest

    if not (models / MANIFEST_NAME).exists():
        raise UsageError(
            f"--refresh: there is no set in {models} and so no last window to continue; train a first one with "
            "--ensemble, its window given by --start and --end"
        )
    return pd.Timestamp(read_manifest(models).train_start)


class ProgressBar:
    """How far a training is, as a bar on stderr; standard output carries the result alone."""

    def __enter__(self) -> ProgressBar:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description:<24}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True))
        self._task = self._bar.add_task("loading", total=1)
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, step: str, done: int, total: int) -> None:
        """Show a step; the shape of `ml.signal.trainer.Progress`."""
        self._bar.update(self._task, description=step, completed=done, total=total)


_COLUMNS = {
    "signal": {
        "log_loss": "log loss",
        "log_loss_of_base_rates": "of base rates",
        "brier": "Brier",
        "auc_side": "AUC of side",
    },
    "position": {
        "log_loss": "log loss",
        "log_loss_of_base_rates": "of base rates",
        "brier": "Brier",
        "auc_side": "AUC EXIT/ADD",
    },
}
"""What the table of a stage shows; other stages name their own figures."""


def _print_report(report: TrainingReport) -> None:
    from commands.shared.tables import print_table

    (stage,) = report.stages
    own = {key: key.replace("_", " ") for values in report.metrics.values() for key in values}
    columns = _COLUMNS.get(stage, own)
    rows = [
        (name, str(report.trees.get(name, "")), *(_figure(values.get(key)) for key in columns))
        for name, values in report.metrics.items()
    ]
    first, last, cutoff = (f"{t:%Y-%m-%d %H:%M}" for t in (report.train_start, report.train_end, report.train_cutoff))
    click.echo(f"trained {stage} in {report.seconds:.0f} s on {report.rows:,} rows of {report.bars:,} bars")
    click.echo(f"window  {first} to {last} UTC, labels known to {cutoff}")
    if report.class_balance:
        click.echo("labels  " + ", ".join(f"{name} {share:.1%}" for name, share in report.class_balance.items()))
    click.echo(f"device  {report.device}")
    for note in report.notes:
        click.echo(f"note    {note}")
    title = "out of fold" if stage != "risk" else "on trades held out"
    print_table(title, ("model", "trees", *columns.values()), rows)
    click.echo(f"models  {report.models_dir}")


def _figure(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "" if value is None else str(value)


def _print_shap(summary: ShapSummary, most: int = 10) -> None:
    from commands.shared.tables import print_table

    rows = [
        (entry.feature, *(f"{value:.2%}" for value in (entry.mean_abs_shap, entry.rf, entry.xgb, entry.lgb)))
        for entry in summary.ranked_features[:most]
    ]
    title = f"mean |SHAP| over {summary.rows:,} rows, top {most}"
    print_table(title, ("feature", "share", "rf", "xgb", "lgb"), rows)
    protected = [(at + 1, entry.feature) for at, entry in enumerate(summary.ranked_features) if entry.protected]
    click.echo("protected features and their ranks: " + ", ".join(f"{name} {rank}" for rank, name in protected))
    click.echo(summary.note)
