"""`scripts/download_data.py` and `novosky data`: bring bars into the store."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from click.core import ParameterSource

from novosky.cli.options import FILE, UtcDate
from novosky.clock import RealClock
from novosky.errors import BrokerError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from novosky.data.candle_sources import BinanceCandles, BitstampCandles

TIMEFRAMES = {"M1": 60, "M15": 900}

# Which options each source understands, besides --output, --timeframe, --start, --end and --replace.
SOURCES: dict[str, tuple[str, ...]] = {
    "mt5-export": ("input", "server_clock", "repeated_hour", "symbol"),
    "csv": ("input", "server_clock", "repeated_hour", "symbol"),
    "parquet": ("input",),
    "binance": ("symbol", "base_url"),
    "bitstamp": ("symbol", "base_url"),
    "synthetic": ("kind", "bars", "seed"),
    "mt5": ("symbol", "server_clock"),
}
_SOURCE_OPTIONS = sorted({name for names in SOURCES.values() for name in names})


@dataclass(frozen=True)
class Request:
    """What was asked for on the command line; names and units are those of the options."""

    source: str
    output: Path
    timeframe: str
    start: datetime | None
    end: datetime | None
    replace: bool
    input: Path | None
    symbol: str | None
    server_clock: str | None
    repeated_hour: Literal["earlier", "later"] | None
    base_url: str | None
    kind: Literal["planted", "null"]
    bars: int
    seed: int

    @property
    def seconds(self) -> int:
        """Length of a bar."""
        return TIMEFRAMES[self.timeframe]


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--source", required=True, type=click.Choice(list(SOURCES)), help="Where the bars come from.")
@click.option("--input", type=FILE, help="File to import (mt5-export, csv, parquet).")
@click.option("--output", type=FILE, help="Store to create or extend. [data/BTCUSD_<timeframe>.parquet]")
@click.option("--symbol", help="Venue's symbol (binance: BTCUSDT, bitstamp: btcusd).")
@click.option(
    "--timeframe", type=click.Choice(list(TIMEFRAMES)), default="M15", show_default=True, help="Length of a bar."
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
    "--kind", type=click.Choice(["planted", "null"]), default="planted", show_default=True, help="Synthetic market."
)
@click.option("--bars", type=click.IntRange(1), default=40_000, show_default=True, help="Number of synthetic bars.")
@click.option("--seed", type=click.IntRange(min=0), default=7, show_default=True, help="Seed of the synthetic market.")
@click.option("--replace", is_flag=True, help="Replace the stored bars instead of extending them.")
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
      python scripts/download_data.py --source csv --input history.csv --output data/history.parquet
      python scripts/download_data.py --source synthetic --kind null --bars 20000 --seed 3 --output data/null.parquet
    """  # noqa: D301 - click needs the backspace character itself
    options["output"] = options["output"] or Path("data") / f"BTCUSD_{options['timeframe']}.parquet"
    request = Request(**options)  # type: ignore[arg-type]
    _check(ctx, request)
    bars = _collect(request)
    _summarise(request, bars)


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
    if request.output.suffix.lower() != ".parquet":
        raise UsageError(f"--output {request.output}: bars are stored as Parquet; give a name that ends in .parquet")
    if request.base_url is not None and not request.base_url.startswith(("http://", "https://")):
        raise UsageError(f"--base-url {request.base_url}: give an address that begins with https:// or http://")
    if request.source == "synthetic" and (request.end is not None or request.timeframe != "M15"):
        raise UsageError("the synthetic market has M15 bars from --start on; give their number with --bars, not --end")
    if request.start is not None and request.end is not None and request.end <= request.start:
        raise UsageError(f"--end {request.end} is not after --start {request.start}")


def _collect(request: Request) -> pd.DataFrame:
    from novosky.data.store import store_lock

    if request.source == "mt5":
        raise BrokerError(
            "bars from the broker need the MetaTrader 5 package beside a running terminal on Windows, or the bridge to "
            "one, and no terminal is connected; export the history in the terminal and use --source mt5-export instead"
        )
    with store_lock(request.output):
        if request.source in ("binance", "bitstamp"):
            return _download(request)
        if request.source == "synthetic":
            return _generate(request)
        return _import(request)


def _import(request: Request) -> pd.DataFrame:
    from novosky.data.store import load_bars, merge_bars, save_bars
    from novosky.market.bars import slice_bars

    bars = slice_bars(_read(request), _utc(request.start), _utc(request.end), source=str(request.input))
    if request.output.exists() and not request.replace:
        bars = merge_bars(load_bars(request.output, seconds=request.seconds), bars)
    save_bars(request.output, bars, seconds=request.seconds)
    return bars


def _read(request: Request) -> pd.DataFrame:
    from novosky.data.importers import read_mt5_export, read_text_bars
    from novosky.data.store import load_bars
    from novosky.market.server_time import ServerClock

    if request.input is None:
        raise UsageError(f"--source {request.source} needs --input FILE")
    if request.source == "parquet":
        if request.input.suffix.lower() != ".parquet":
            raise UsageError(f"--input {request.input} is not named .parquet; use --source csv for text files")
        return load_bars(request.input, seconds=request.seconds)
    clock = None if request.server_clock is None else ServerClock(request.server_clock)
    repeated = request.repeated_hour or "later"
    if request.source == "mt5-export" and clock is not None:
        bars = read_mt5_export(request.input, clock, seconds=request.seconds, repeated=repeated)
    else:
        bars = read_text_bars(request.input, clock, seconds=request.seconds, repeated=repeated)
    bars.attrs["source"] = f"{request.source} {request.symbol}" if request.symbol else request.source
    return bars


def _generate(request: Request) -> pd.DataFrame:
    from novosky.data.store import save_bars
    from novosky.data.synthetic import synthetic_bars

    start = {} if request.start is None else {"start": request.start.isoformat()}
    bars = synthetic_bars(request.kind, request.bars, seed=request.seed, **start)
    if request.output.exists() and not request.replace:
        _check_kept(request.output, bars)
    save_bars(request.output, bars)
    return bars


def _check_kept(path: Path, made: pd.DataFrame) -> None:
    """Refuse to write `made` where that would lose a stored bar or change it."""
    from novosky.data.store import load_bars

    stored = load_bars(path)
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


def _download(request: Request) -> pd.DataFrame:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from novosky.data.download import download_bars

    source = _venue(request)
    # A replacement grows beside the old store, resumable, and takes its place when complete.
    path = request.output.with_suffix(".new.parquet") if request.replace else request.output
    start, end = _utc(request.start), _utc(request.end)
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
            progress=lambda done, total: display.update(task, completed=done, total=total),
        )
    if request.replace:
        path.replace(request.output)
    return bars


def _utc(moment: datetime | None) -> pd.Timestamp | None:
    import pandas as pd

    return None if moment is None else pd.Timestamp(moment).tz_convert("UTC")


def _summarise(request: Request, bars: pd.DataFrame) -> None:
    from novosky.market.bars import find_gaps

    kind = bars.attrs.get("synthetic")
    label = f" (synthetic: {kind})" if kind else ""
    first, last = (bars["time"].iloc[at].strftime("%Y-%m-%d %H:%M") for at in (0, -1))
    click.echo(f"{request.output}: {len(bars):,} {request.timeframe} bars from {first} to {last} UTC{label}")
    gaps = find_gaps(bars, seconds=request.seconds)
    if not gaps:
        click.echo("gaps: none")
        return
    largest = max(gaps, key=lambda gap: gap.missing)
    click.echo(
        f"gaps: {len(gaps):,} with {sum(gap.missing for gap in gaps):,} bars missing; the largest misses "
        f"{largest.missing:,} between {largest.after:%Y-%m-%d %H:%M} and {largest.before:%Y-%m-%d %H:%M} UTC"
    )
