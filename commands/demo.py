"""Train, backtest and paper-trade on the embedded market."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commands.shared.options import FILE, FOLDER, SEED
from commands.shared.settings_files import provided_settings
from novosky.data.places import USUAL, stored_bars
from novosky.installation import as_installed

if TYPE_CHECKING:
    import pandas as pd

TRAIN_SHARE = 0.75
"""Share of the bars to train on; the rest is the out-of-sample window."""

REDUCED_ENSEMBLE: dict[str, Any] = {
    "rf": {"n_estimators": 60, "max_depth": 6, "min_samples_leaf": 60, "max_features": 0.3, "max_samples": 0.5},
    "xgb": {"n_estimators": 80, "max_depth": 3, "learning_rate": 0.06, "min_child_weight": 30.0},
    "lgb": {"n_estimators": 80, "num_leaves": 9, "learning_rate": 0.06, "min_child_samples": 60},
    "calibration_folds": 2,
}
"""Trees enough to find the planted edge, few enough to grow them in seconds."""

MARKET_TERMS: dict[str, Any] = {
    # The invented edge lasts hours, so labels and brackets are narrow.
    "labeling": {"atr_tp_mult": 1.0, "atr_sl_mult": 1.0, "horizon_bars": 96},
    "prediction": {"confidence_threshold": 0.46, "min_probability_diff": 0.1},
    # A few months hold few trades to learn from.
    "position_model": {"entry_confidence": 0.42, "entry_min_gap": 0.05, "min_entries": 100, "row_every_bars": 1},
    "risk_model": {"min_trades": 20, "horizon_trades": 10},
}
"""What in `ml_config.json` is made for years of real bars, and what stands there for the embedded market."""

BRACKET: dict[str, Any] = {"sl_atr_mult": 1.0, "tp_atr_mult": 1.0, "atr_mult_range": {"least": 0.8, "most": 1.2}}

EPILOG = """\b
Examples:
  novosky demo
  novosky demo --folder demo --bars 16000 --seed 7
"""


@dataclass(frozen=True)
class DemoFiles:
    """Where everything of a demo lies."""

    folder: Path

    @property
    def bars(self) -> Path:
        """The synthetic market."""
        return self.folder / stored_bars(*USUAL).name

    @property
    def config(self) -> Path:
        """The runtime settings as they were used."""
        return self.folder / "config.json"

    @property
    def ml_config(self) -> Path:
        """The model settings with fewer trees."""
        return self.folder / "ml_config.json"

    @property
    def models(self) -> Path:
        """The trained set."""
        return self.folder / "models"

    @property
    def journal(self) -> Path:
        """The paper account."""
        return self.folder / "paper.sqlite"

    @property
    def metrics(self) -> Path:
        """Every number of the backtest."""
        return self.folder / "backtest.json"

    @property
    def report(self) -> Path:
        """The backtest's report."""
        return self.folder / "report.html"

    @property
    def backtest_trades(self) -> Path:
        """Closed trades of the backtest."""
        return self.folder / "trades_backtest.csv"

    @property
    def paper_trades(self) -> Path:
        """Closed trades of the paper bot."""
        return self.folder / "trades_paper.csv"


@click.command(epilog=EPILOG)
@click.option("--folder", type=FOLDER, default=Path("demo"), show_default=True, help="Working folder.")
@click.option(
    "--bars", type=click.IntRange(min=8_000), default=16_000, show_default=True, help="M15 bars of the market."
)
@click.option("--seed", type=SEED, default=7, show_default=True, help="Seed of market and models.")
@click.option("--config", type=FILE, default=Path("config.json"), show_default=True, help="Runtime settings.")
@click.option("--ml-config", type=FILE, default=Path("ml_config.json"), show_default=True, help="Model settings.")
def demo(folder: Path, bars: int, seed: int, config: Path, ml_config: Path) -> None:
    """Train, backtest out of sample and paper-trade on the embedded SYNTHETIC market.

    Runs the commands a user would run and prints each of them. The paper bot replays the
    backtest's window bar by bar; its trades must equal the backtest's byte for byte, and the
    command fails when they do not. What an earlier demo left in the folder is replaced.
    """
    began = time.perf_counter()
    files = DemoFiles(folder)
    provided_settings(config, ml_config)
    click.echo("NOVOSKY demo. All prices are SYNTHETIC: an invented market with a planted edge, nobody's track record.")
    _write_settings(files, config, ml_config)
    _step(1, "generate the market")
    _call("data", "--source", "synthetic", "--kind", "planted", "--bars", bars, "--seed", seed,
          "--output", files.bars, "--replace")  # fmt: skip
    split = _split(files.bars)
    _step(2, f"train all four models on the first {TRAIN_SHARE:.0%} (a reduced number of trees)")
    settings = ("--config", files.config, "--ml-config", files.ml_config, "--models", files.models)
    _call("train", "--ensemble", "--position", "--sltp", "--risk", "--no-warmstart", "--data", files.bars,
          "--end", split, "--seed", seed, *settings)  # fmt: skip
    _step(3, "backtest the bars the models have never seen")
    _call("backtest", "--data", files.bars, "--start", split, "--oos-only", *settings, "--seed", seed,
          "--trades", files.backtest_trades, "--json", files.metrics, "--report", files.report)  # fmt: skip
    _step(4, "let the paper bot trade the same bars one by one")
    _call("trade", "--paper", "--replay", files.bars, "--start", split, *settings, "--journal", files.journal,
          "--fresh", "--trades", files.paper_trades)  # fmt: skip
    _step(5, "compare the trades")
    compare_trades(files)
    _summarise(files, time.perf_counter() - began)


def reduced_ml_config(content: dict[str, Any]) -> dict[str, Any]:
    """Return an `ml_config.json` object with smaller models, made for the embedded market."""
    reduced = {**content}
    for name, terms in MARKET_TERMS.items():
        reduced[name] = {**reduced.get(name, {}), **terms}
    for section in ("signal_model", "position_model"):
        model = {**reduced.get(section, {})}
        for name, value in REDUCED_ENSEMBLE.items():
            model[name] = {**model.get(name, {}), **value} if isinstance(value, dict) else value
        reduced[section] = model
    # The schema's relative place is another one in the demo's folder.
    reduced.pop("$schema", None)
    return reduced


def _write_settings(files: DemoFiles, config: Path, ml_config: Path) -> None:
    """Put the settings the demo runs with into its folder, after checking those given."""
    from novosky.files import write_json
    from novosky.settings import load_ml_settings, load_settings

    load_settings(config)
    load_ml_settings(ml_config)
    runtime = json.loads(config.read_text(encoding="utf-8"))
    runtime.pop("$schema", None)
    runtime["risk_management"] = {**runtime.get("risk_management", {}), **BRACKET}
    runtime["risk_model"] = {"enabled": True}
    models = reduced_ml_config(json.loads(ml_config.read_text(encoding="utf-8")))
    for section in ("position_model", "ml_sltp"):
        models[section] = {**models.get(section, {}), "enabled": True}
    write_json(files.config, runtime)
    write_json(files.ml_config, models)


def _split(bars: Path) -> str:
    """Return the open of the first out-of-sample bar."""
    from novosky.data.store import load_bars
    from novosky.data.synthetic import BAR

    times: pd.Series[pd.Timestamp] = load_bars(bars, seconds=BAR.seconds)["time"]
    return str(times.iloc[int(len(times) * TRAIN_SHARE)].strftime("%Y-%m-%dT%H:%M"))


def _step(number: int, what: str) -> None:
    click.echo(f"\n[{number}/5] {what}")


def _call(name: str, *arguments: object) -> None:
    """Show and run one of the console commands."""
    from commands.main import cli

    words: Sequence[str] = [name, *map(str, arguments)]
    click.echo(f"$ novosky {shlex.join(words)}")
    began = time.perf_counter()
    cli.main(list(words), prog_name="novosky", standalone_mode=False)
    click.echo(f"({time.perf_counter() - began:.1f} s)")


def compare_trades(files: DemoFiles) -> None:
    """Fail unless backtest and paper bot wrote the same bytes.

    Raises
    ------
    click.ClickException
        Naming the first line that differs; exits 1.
    """
    backtest, paper = files.backtest_trades.read_bytes(), files.paper_trades.read_bytes()
    if backtest == paper:
        return
    left, right = backtest.splitlines(), paper.splitlines()
    same = 0
    while same < min(len(left), len(right)) and left[same] == right[same]:
        same += 1
    raise click.ClickException(
        f"the paper bot's trades are not the backtest's: {files.paper_trades} and {files.backtest_trades} differ "
        f"from line {same + 1} on ({len(right)} and {len(left)} lines); one of the two breaks the shared rules"
    )


def _summarise(files: DemoFiles, seconds: float) -> None:
    metrics = json.loads(files.metrics.read_text(encoding="utf-8"))
    score = metrics["score_note"] if metrics["score"] is None else f"{metrics['score']:.2f}"
    profit = "unknown" if metrics["profit_factor"] is None else f"{metrics['profit_factor']:.2f}"
    wins = "unknown" if metrics["win_rate"] is None else f"{metrics['win_rate']:.1%}"
    click.echo(f"the {metrics['trades']} trades are the same, byte for byte\n")
    for label, value in (
        ("window", f"{metrics['start']} to {metrics['end']}, never seen in training"),
        ("score", score),
        ("win rate", wins),
        ("profit factor", profit),
        ("drawdown", f"{metrics['max_drawdown']:.1%} at the worst"),
        ("return", f"{metrics['total_return']:+.1%} on SYNTHETIC prices; it says nothing about any real market"),
        ("report", str(files.report)),
        ("everything", str(files.folder)),
    ):
        click.echo(f"{label:<14}{value}")
    click.echo(f"\ndone in {seconds:.0f} s\n\nnext:")
    for command, purpose in (
        ("python trading.py --paper", "paper trading as time passes, with these models where models/ holds none"),
        ("python scripts/onboarding.py", "choose a profile and set this machine up"),
        ("novosky data --help", "real bars; then train, backtest and trade as above"),
    ):
        click.echo(as_installed(f"  {command:<30}{purpose}"))
