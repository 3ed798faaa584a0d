"""`python -m bench`: measure what is promised, print JSON, end with a table."""

from __future__ import annotations

import importlib
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commands.main import run
from commands.shared.options import FILE, FOLDER

if TYPE_CHECKING:
    from bench.context import BenchContext
    from bench.measure import Result

# name: (module, function). In this order: the cheap ones first, training before what needs its models.
MEASURES: dict[str, tuple[str, str]] = {
    "imports": ("bench.startup_bench", "measure_imports"),
    "bridge": ("bench.bridge_bench", "measure_bridge"),
    "engine": ("bench.engine_bench", "measure_engine"),
    "features": ("bench.features_bench", "measure_features"),
    "labels": ("bench.features_bench", "measure_labels"),
    "training": ("bench.models_bench", "measure_training"),
    "inference": ("bench.models_bench", "measure_inference"),
    "backtest": ("bench.backtest_bench", "measure_backtest"),
    "sweep": ("bench.sweep_bench", "measure_sweep"),
    "replay": ("bench.replay_bench", "measure_replay"),
    "memory": ("bench.replay_bench", "measure_memory"),
    "growth": ("bench.growth_bench", "measure_growth"),
}

EPILOG = """\b
Examples:
  python -m bench --quick
  python -m bench --only engine --peers-venv build/peers
  python -m bench --json bench.json
  python -m bench --only replay --before ../older-checkout
"""


@click.command(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", type=click.Choice(list(MEASURES)), multiple=True, help="Measure only this; may be repeated.")
@click.option("--json", "json_file", type=FILE, help="Write the JSON here as well.")
@click.option("--quick", is_flag=True, help="Small sizes in under a minute; figures of other sizes are not judged.")
@click.option("--data", type=FILE, help="M15 bars instead of the embedded market.")
@click.option("--models", type=FOLDER, help="A trained set to use where one is needed, instead of training one.")
@click.option("--peers-venv", type=FOLDER, help="Virtual environment for vectorbt; made and filled when missing.")
@click.option("--before", type=FOLDER, help="Another checkout to measure first, each figure beside ours.")
def bench(
    only: tuple[str, ...],
    json_file: Path | None,
    quick: bool,
    data: Path | None,
    models: Path | None,
    peers_venv: Path | None,
    before: Path | None,
) -> None:
    """Measure speed, growth and memory against the figures that are promised.

    Standard output carries one JSON object, standard error the progress and a table. The
    command exits 1 when a promised figure is missed. Measures that need models train them
    first, unless --models names a set.

    --before runs each measure in another checkout (its own .venv, its own models) right before it
    runs here, so that both figures come from the same machine under the same load.
    """
    from bench.before import measured_before
    from bench.context import BenchContext
    from bench.machine import library_versions, load, machine_facts
    from novosky.files import write_json

    facts = machine_facts()
    results: dict[str, Result] = {}
    earlier: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="novosky-bench-") as folder:
        context = BenchContext(
            quick, Path(folder), data, models, peers_venv, say=lambda line: click.echo(line, err=True)
        )
        for name, (module, function) in MEASURES.items():
            if not only or name in only:
                if before is not None:
                    earlier |= measured_before(context, before, name)
                measure: Callable[[BenchContext], Iterator[Result]] = getattr(importlib.import_module(module), function)
                results |= {result.name: result for result in measure(context)}
    missed = [name for name, result in results.items() if result.ok is False]
    answer: dict[str, Any] = {
        "quick": quick,
        "machine": {**facts, "load_after": load()},
        "libraries": library_versions(),
        "results": {name: result.as_dict() for name, result in results.items()},
        **({} if before is None else {"before": earlier}),
        "missed": missed,
        "ok": not missed,
    }
    click.echo(json.dumps(answer, indent=2, allow_nan=False))
    if json_file is not None:
        write_json(json_file, answer)
    _print_table(results, None if before is None else earlier)
    if missed:
        raise click.ClickException(f"below what is promised: {', '.join(missed)}")


def _print_table(results: dict[str, Result], earlier: dict[str, dict[str, Any]] | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from bench.before import ratio

    table = Table(box=None, pad_edge=False)
    compared = () if earlier is None else ("before", "now/before")
    figures = ("median", *compared, "low", "high", "runs")
    for column in ("measure", *figures, "unit", "required", "ok"):
        table.add_column(column, justify="right" if column in figures else "left")
    for result in results.values():
        old = None if earlier is None else earlier.get(result.name, {}).get("median")
        table.add_row(
            result.name,
            _figure(result.value),
            *(() if earlier is None else (_figure(old), _figure(ratio(result.value, old)))),
            *(_figure(value) for value in (result.low, result.high)),
            str(result.runs),
            result.unit,
            "" if result.required is None else str(result.required),
            {True: "yes", False: "NO", None: ""}[result.ok],
        )
    Console(stderr=True, width=140).print(table)


def _figure(value: float | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


if __name__ == "__main__":
    run(bench)
