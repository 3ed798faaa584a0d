"""`scripts/download_data.py --source mt5`: bars from the broker, through the package or the bridge."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from commands.data_sources.imports import store_joined
from commands.data_sources.naming import output_for, settings_of
from commands.data_sources.request import Request, Stored, utc
from novosky.clock import Clock, RealClock
from novosky.errors import BrokerError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from trading.brokers.mt5.bars.history import History
    from trading.brokers.mt5.entry import TerminalReach


def collect_broker(request: Request) -> Stored:
    """Extend a store by what the broker has, from its last bar on or from --start.

    Raises
    ------
    BrokerError
        No way to a terminal is named, it does not answer, or the clock rule is not its server's.
    """
    from novosky.environment import BROKER, ENV_FILE, read_environment
    from trading.brokers.bridge.entry import bridge_reach
    from trading.brokers.mt5.entry import package_reach

    environment = with_broker(read_environment(ENV_FILE, os.environ))
    # This source is MetaTrader 5's own: no other broker of the family has these bars.
    ways = {"mt5": package_reach, "bridge": bridge_reach}
    return download_from(request, ways[environment[BROKER.name].strip()](environment), RealClock())


def with_broker(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with the way to a terminal in it: as named, else the bridge, else Windows' package.

    Raises
    ------
    BrokerError
        There is none.
    """
    from novosky.environment import BRIDGE, BROKER

    known = dict(environment)
    if known.get(BROKER.name, "").strip() in ("mt5", "bridge"):
        return known
    if known.get(BRIDGE[0].name, "").strip():
        return {**known, BROKER.name: "bridge"}
    if os.name == "nt":
        return {**known, BROKER.name: "mt5"}
    raise BrokerError(
        "bars from the broker need the MetaTrader 5 package beside a running terminal on Windows, or the bridge to "
        f"one, and neither is named; set {BRIDGE[0].name} and {BROKER.name}=bridge in .env, or export the history in "
        "the terminal and use --source mt5-export instead"
    )


def download_from(request: Request, reach: TerminalReach, clock: Clock) -> Stored:
    """Extend a store through a terminal; see `collect_broker`."""
    from novosky.market.bars import slice_bars, validate_bars
    from novosky.market.clock_changes import bars_on_clock
    from novosky.market.server_time import ServerClock

    symbol, rule, notes = _named(request)
    output = output_for(request, symbol)
    since = _since(request, output)
    found = _history(request, reach, clock, symbol, rule, since)
    wall, remarks = bars_on_clock(found.bars, ServerClock(rule), request.seconds, request.repeated_hour or "later")
    bars = validate_bars(wall, source=f"{found.symbol} on {found.server}", seconds=request.seconds)
    # With a store, what lies between its end and --start is wanted too: it must not become a hole.
    begin = None if output.exists() and not request.replace else utc(request.start)
    bars = slice_bars(bars, begin, utc(request.end), source=f"{found.symbol} on {found.server}")
    bars.attrs.update(
        symbol=found.symbol, source=f"mt5 {found.server}", point=repr(found.point), digits=str(found.digits)
    )
    if not found.confirmed:
        notes.append(f"no fresh quote of {found.symbol} to check the server clock {rule} with: is the market closed?")
    if since is not None and (gap := _gap(bars, since, request.seconds)):
        notes.append(gap)
    return store_joined(request, output, bars, [*notes, *remarks])


def _named(request: Request) -> tuple[str, str, list[str]]:
    """Return symbol and clock rule, from the options or the settings, and what is said of them."""
    settings, notes = settings_of(request), []
    symbol, rule = request.symbol, request.server_clock
    if symbol is None:
        if settings is None:
            raise UsageError(f"--source mt5 needs --symbol, or {request.config} to name it")
        symbol = settings.symbol
        notes.append(f"symbol {symbol}, from {request.config}")
    if rule is None:
        if settings is None:
            raise UsageError(f"--source mt5 needs --server-clock, or {request.config} to name it")
        rule = settings.broker.server_clock
        notes.append(f"server clock {rule}, from {request.config}")
    return symbol, rule, notes


def _since(request: Request, output: Path) -> int | None:
    """Return the UTC epoch second from which bars are wanted: the last stored one is asked for again."""
    from novosky.data.store import load_bars
    from novosky.market.bars import epoch_seconds

    start = None if request.start is None else int(request.start.timestamp())
    if request.replace or not output.exists():
        return start
    stamps = epoch_seconds(load_bars(output, seconds=request.seconds))
    return int(stamps[-1]) if start is None or start >= stamps[0] else start


def _history(
    request: Request, reach: TerminalReach, clock: Clock, symbol: str, rule: str, since: int | None
) -> History:
    from trading.brokers.mt5.bars.history import BarHistory, history_link
    from trading.brokers.mt5.terms import Timing

    timing = Timing()
    link = history_link(reach.connect(), clock, reach.access, timing)
    try:
        return BarHistory(link, clock, timing).read(
            symbol, rule, request.frame, since, lambda count: click.echo(f"{count:,} bars read", err=True)
        )
    finally:
        link.close()


def _gap(bars: pd.DataFrame, since: int, seconds: int) -> str | None:
    first = int(bars["time"].iloc[0].timestamp())
    if first <= since + seconds:
        return None
    return (
        f"the terminal's history begins at {bars['time'].iloc[0]:%Y-%m-%d %H:%M} UTC, later than what was asked for; "
        "raise Max bars in chart in its options, or scroll its chart back"
    )
