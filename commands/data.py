"""Import or download bars."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from commands.data_sources.naming import digits_of, name_bars, output_for
from commands.data_sources.request import Request, Stored, utc
from commands.shared.options import FILE, UtcDate, check_address_option
from novosky.choices import MARKET_KINDS
from novosky.clock import RealClock
from novosky.errors import UsageError
from novosky.market.timeframe import TRADED, USUAL

if TYPE_CHECKING:
    import pandas as pd

    from novosky.data.candle_sources import BinanceCandles, BitstampCandles

# Which options each source understands, besides --output, --timeframe, --start, --end, --replace, --join and --config.
SOURCES: dict[str, tuple[str, ...]] = {
    "mt5-export": ("input", "server_clock", "repeated_hour", "symbol", "resample"),
    "csv": ("input", "server_clock", "repeated_hour", "symbol", "resample"),
    "parquet": ("input", "symbol", "resample"),
    "binance": ("symbol", "base_url"),
    "bitstamp": ("symbol", "base_url"),
    "synthetic": ("kind", "bars", "seed"),
    "mt5": ("symbol", "server_clock"),
}
_SOURCE_OPTIONS = sorted({name for names in SOURCES.values() for name in names})


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--source", required=True, type=click.Choice(list(SOURCES)), help="Where the bars come from.")
@click.option("--input", type=FILE, help="File to import (mt5-export, csv, parquet).")
@click.option("--output", type=FILE, help="Store to create or extend. [data/<symbol>_<timeframe>.parquet]")
@click.option(
    "--symbol", help="What the bars are of, or the venue's symbol. [the file's own, its name's, or that of --config]"
)
@click.option(
    "--timeframe", type=click.Choice(list(TRADED)), default=USUAL.name, show_default=True, help="Length of a bar."
)
@click.option("--start", type=UtcDate(), metavar="DATE", help="First bar, UTC.")
@click.option("--end", type=UtcDate(), metavar="DATE", help="End, UTC, not included.")
@click.option("--server-clock", metavar="RULE", help="Broker clock of the file: NewYork+7, UTC or an IANA zone.")
@click.option(
    "--repeated-hour",
    type=click.Choice(["earlier", "later"]),
    help="Which pass broker stamps belong to that stand once in the hour repeated in autumn. [later]",
)
@click.option("--base-url", metavar="URL", help="Another address of the same HTTP interface.")
@click.option(
    "--kind", type=click.Choice(MARKET_KINDS), default=MARKET_KINDS[0], show_default=True, help="Synthetic market."
)
@click.option("--bars", type=click.IntRange(1), default=40_000, show_default=True, help="Number of synthetic bars.")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Seed of the synthetic market.")
@click.option("--replace", is_flag=True, help="Replace the stored bars instead of extending them.")
@click.option(
    "--join",
    type=click.Choice(["symbols", "sources"]),
    multiple=True,
    help="Extend the store although the new bars have another symbol or source; may be given twice.",
)
@click.option(
    "--resample",
    is_flag=True,
    help="Make the bars of --timeframe from finer ones: volumes added, the first one's spread, no gap filled.",
)
@click.option(
    "--config", type=FILE, default=Path("config.json"), show_default=True, help="Settings: symbol, digits, clock."
)
@click.pass_context
def download_data(ctx: click.Context, /, **options: object) -> None:
    """Import, download or generate bars into a Parquet store.

    A store that exists is extended; bars it already holds must agree with the new ones.
    Downloads resume after the last stored bar, and only closed candles are kept.

    \b
    Examples:
      python scripts/download_data.py --source binance --start 2020-01-01
      python scripts/download_data.py --source bitstamp --output data/BTCUSD_bitstamp.parquet
      python scripts/download_data.py --source mt5-export --input BTCUSD_M15.csv --server-clock NewYork+7
      python scripts/download_data.py --source csv --input history.csv --symbol GER40 --server-clock UTC
      python scripts/download_data.py --source csv --input EURUSD_M1.csv --server-clock NewYork+7 --resample
      python scripts/download_data.py --source mt5 --symbol BTCUSD --start 2024-01-01
      python scripts/download_data.py --source synthetic --kind null --bars 20000 --seed 3 --output data/null.parquet
    """  # noqa: D301 - click needs the backspace character itself
    request = Request(**options)  # type: ignore[arg-type]
    _check(ctx, request)
    stored = _collect(request)
    _summarise(request, stored)


def _check(ctx: click.Context, request: Request) -> None:
    """Refuse options that the source would ignore, and missing ones that it needs."""
    for name in _SOURCE_OPTIONS:
        given = ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE
        option = "--" + name.replace("_", "-")
        if given and name not in SOURCES[request.source]:
            raise UsageError(f"{option} has no meaning with --source {request.source}; leave it out")
        if name == "input" and name in SOURCES[request.source] and not given:
            raise UsageError(f"--source {request.source} needs the file to import; give {option} FILE")
    if request.source == "mt5-export" and request.server_clock is None:
        raise UsageError(
            "a MetaTrader 5 export carries its broker's clock; give --server-clock NewYork+7 (most brokers), "
            "UTC, or an IANA zone"
        )
    if request.repeated_hour is not None and request.server_clock is None:
        raise UsageError("--repeated-hour belongs to a broker's clock; give --server-clock as well")
    if request.output is not None and request.output.suffix.lower() != ".parquet":
        raise UsageError(f"--output {request.output}: bars are stored as Parquet; give a name that ends in .parquet")
    if request.base_url is not None:
        check_address_option("--base-url", request.base_url)
    if request.source == "synthetic" and (request.end is not None or request.timeframe != USUAL.name):
        raise UsageError(
            f"the synthetic market has {USUAL.name} bars from --start on; give their number with --bars, not --end"
        )
    if request.start is not None and request.end is not None and request.end <= request.start:
        raise UsageError(f"--end {request.end} is not after --start {request.start}")


def _collect(request: Request) -> Stored:
    from commands.data_sources.imports import collect_file
    from novosky.data.store import store_lock

    if request.source in ("mt5-export", "csv", "parquet"):
        return collect_file(request)
    if request.source == "mt5":
        from commands.data_sources.broker import collect_broker

        return collect_broker(request)
    naming = name_bars(request, _venue(request).symbol if request.source != "synthetic" else None)
    output = output_for(request, naming.symbol, synthetic=request.source == "synthetic")
    with store_lock(output):
        bars = _generate(request, output) if request.source == "synthetic" else _download(request, output)
    return Stored(output, bars, naming.notes)


def _generate(request: Request, output: Path) -> pd.DataFrame:
    from novosky.data.store import save_bars
    from novosky.data.synthetic import synthetic_bars

    start = {} if request.start is None else {"start": request.start.isoformat()}
    bars = synthetic_bars(request.kind, request.bars, seed=request.seed, **start)
    if output.exists() and not request.replace:
        _check_kept(output, bars, request.seconds)
    save_bars(output, bars, seconds=request.seconds)
    return bars


def _check_kept(path: Path, made: pd.DataFrame, seconds: int) -> None:
    """Refuse to write `made` where that would lose a stored bar or change it."""
    from novosky.data.store import load_bars

    stored = load_bars(path, seconds=seconds)
    if "synthetic" not in stored.attrs:
        raise UsageError(f"{path} holds real bars; give another --output, or --replace to lose them")
    again = made.loc[made["time"].isin(stored["time"])].reset_index(drop=True)
    if stored.attrs["synthetic"] != made.attrs["synthetic"] or not again.equals(stored):
        raise UsageError(
            f"{path} holds {len(stored):,} other bars of a synthetic market ({stored.attrs['synthetic']}), which these "
            f"{len(made):,} do not contain; give another --output, or --replace to lose them"
        )


def _venue(request: Request) -> BinanceCandles | BitstampCandles:
    from novosky.data.candle_sources import BinanceCandles, BitstampCandles

    venue = BinanceCandles() if request.source == "binance" else BitstampCandles()
    return replace(venue, symbol=request.symbol or venue.symbol, base_url=request.base_url or venue.base_url)


def _download(request: Request, output: Path) -> pd.DataFrame:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from novosky.data.download import download_bars
    from novosky.persistence import replace_file

    source = _venue(request)
    # A replacement grows beside the old store, resumable, and takes its place when complete.
    path = output.with_suffix(".new.parquet") if request.replace else output
    start, end = utc(request.start), utc(request.end)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as display:
        task = display.add_task(source.label, total=None)
        bars = download_bars(
            source,
            path,
            # A command is where the wall clock enters; everything below takes the time as an argument.
            now=int(RealClock().now()),
            start=None if start is None else int(start.timestamp()),
            end=None if end is None else int(end.timestamp()),
            seconds=request.seconds,
            join=frozenset(request.join),
            progress=lambda done, total: display.update(task, completed=done, total=total),
        )
    if request.replace:
        replace_file(path, output)
    return bars


def _summarise(request: Request, stored: Stored) -> None:
    from novosky.data.oddities import oddities
    from novosky.market.bars import find_gaps

    bars = stored.bars
    for note in stored.notes:
        click.echo(f"note: {note}", err=True)
    kind = bars.attrs.get("synthetic")
    label = f" (synthetic: {kind})" if kind else ""
    first, last = (bars["time"].iloc[at].strftime("%Y-%m-%d %H:%M") for at in (0, -1))
    click.echo(f"{stored.output}: {len(bars):,} {request.timeframe} bars from {first} to {last} UTC{label}")
    for odd in oddities(
        bars, seconds=request.seconds, digits=digits_of(request, bars.attrs.get("symbol")), now=RealClock().now()
    ):
        click.echo(f"warning: {odd}", err=True)
    gaps = find_gaps(bars, seconds=request.seconds)
    if not gaps:
        click.echo("gaps: none")
        return
    largest = max(gaps, key=lambda gap: gap.missing)
    click.echo(
        f"gaps: {len(gaps):,} with {sum(gap.missing for gap in gaps):,} bars missing; the largest misses "
        f"{largest.missing:,} between {largest.after:%Y-%m-%d %H:%M} and {largest.before:%Y-%m-%d %H:%M} UTC"
    )
