"""Reach a MetaTrader 5 terminal on another machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commands.shared.options import FILE, FOLDER, refuse_collisions

if TYPE_CHECKING:
    import threading
    from contextlib import ExitStack

    from novosky.market.timeframe import Timeframe
    from trading.brokers.bridge.client import BridgeModule
    from trading.brokers.bridge.protocol import Hello
    from trading.paper.rehearsal import Pace, RehearsedServer

PORT = 8787
PINGS = 20

EPILOG = """\b
Examples:
  novosky bridge serve --terminal "C:\\Program Files\\MetaTrader 5\\terminal64.exe"
  novosky bridge ping
"""
SERVE_EPILOG = """\b
NOVOSKY_BRIDGE_TOKEN holds the token, at least 32 random letters and digits, the same on both machines.
Examples, the first two beside the terminal on Windows, the third anywhere:
  novosky bridge serve --terminal "C:\\Program Files\\MetaTrader 5\\terminal64.exe"
  novosky bridge serve --terminal "C:\\MT5\\terminal64.exe" --host 0.0.0.0 --cert cert.pem --key key.pem
  novosky bridge serve --simulated data/BTCUSD_M15.parquet
  novosky bridge serve --simulated data/BTCUSD_M15.parquet --account logs/simulated.sqlite
One bridge serves a terminal, a port and an account; a second one on any of them ends with exit code 9.
"""
PING_EPILOG = """\b
NOVOSKY_BRIDGE_TOKEN, in .env or the environment, holds the token; NOVOSKY_BRIDGE_URL and NOVOSKY_BRIDGE_CA
stand for --url and --ca.
Examples:
  novosky bridge ping
  novosky bridge ping --url https://desk.example:8787 --ca cert.pem
"""


@click.group(epilog=EPILOG)
def bridge() -> None:
    """Reach a MetaTrader 5 terminal on another machine."""


@bridge.command(epilog=SERVE_EPILOG)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need TLS.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 draws a free one.")
@click.option("--cert", type=FILE, help="Certificate chain (PEM) for TLS.")
@click.option("--key", type=FILE, help="Its private key (PEM).")
@click.option("--terminal", type=FILE, help="terminal64.exe to attach to or start; clients get no other.")
@click.option(
    "--simulated",
    type=FILE,
    help="Rehearse: serve a simulated terminal on which this file's bars happen from now on.",
)
@click.option(
    "--pace", type=click.FloatRange(0, 1e6), default=1.0, show_default=True, help="Its seconds to one of ours."
)
@click.option("--account", type=FILE, help="Keeps its account over restarts; without it every start is a new one.")
@click.option("--logs", type=FOLDER, help="Folder of the log.  [default: logs/bridge-PORT]")
@click.option("--config", type=FILE, default=Path("config.json"), show_default=True, help="Its account and costs.")
@click.option("--ml-config", type=FILE, default=Path("ml_config.json"), show_default=True, help="Model settings.")
def serve(
    host: str,
    port: int,
    cert: Path | None,
    key: Path | None,
    terminal: Path | None,
    simulated: Path | None,
    pace: float,
    account: Path | None,
    logs: Path | None,
    config: Path,
    ml_config: Path,
) -> None:
    """Serve one terminal until Ctrl-C or SIGTERM; a running call is answered first."""
    import os
    from contextlib import ExitStack

    from novosky.clock import RealClock
    from novosky.environment import ENV_FILE, read_environment
    from novosky.errors import UsageError
    from novosky.log import configure_logging
    from novosky.redaction import secret_values
    from trading.brokers.bridge.admission import TOKEN_VARIABLE, check_token
    from trading.brokers.bridge.server import BridgeServer, tls_context

    if (terminal is None) == (simulated is None):
        raise UsageError("name the terminal by --terminal PATH, or a file of bars by --simulated FILE")
    if (cert is None) != (key is None):
        raise UsageError("--cert and --key belong together")
    if account is not None and simulated is None:
        raise UsageError("--account keeps a simulated account; it needs --simulated")
    refuse_collisions({"--account": account}, {"--simulated": simulated, "--config": config, "--ml-config": ml_config})
    environment = read_environment(ENV_FILE, os.environ)
    token = check_token(environment.get(TOKEN_VARIABLE, "").strip())
    tls = tls_context(cert, key) if cert is not None and key is not None else None
    with ExitStack() as held:
        if simulated is not None:
            _own(held, port, None, account)
            module, market, told = _rehearsal(simulated, config, ml_config, pace, account)
            held.callback(market.server.close)
            before = market.catch_up
        else:
            module, before, told = _package(terminal), None, None
            _own(held, port, terminal, None)
        configure_logging(logs or Path("logs") / f"bridge-{port}", secrets=secret_values(environment) | {token})
        path = str(terminal) if terminal else None
        server = BridgeServer(module, token, RealClock(), host=host, port=port, tls=tls, terminal=path, before=before)
        stop = _stop_signals()
        click.echo(f"serving {simulated or terminal} on {server.url}; Ctrl-C stops")
        if told is not None:
            from novosky.settings import load_settings

            _tell_rehearsal(server.url, told, load_settings(config).frame)
        server.serve(stop)
    click.echo("stopped")


def _own(held: ExitStack, port: int, terminal: Path | None, account: Path | None) -> None:
    """Be the only bridge to all of these until the stack ends."""
    from trading.brokers.bridge import owner

    if port:
        held.enter_context(owner.owned(owner.port(port)))
    if terminal is not None:
        held.enter_context(owner.owned(owner.terminal_program(terminal)))
    if account is not None:
        held.enter_context(owner.owned(owner.account_file(account)))


def _stop_signals() -> threading.Event:
    """Return an event that is set when the program is told to stop."""
    import signal
    import threading

    stop = threading.Event()
    # SIGBREAK is what Windows sends for Ctrl-Break and to services.
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: stop.set())
    return stop


@bridge.command(epilog=PING_EPILOG)
@click.option("--url", help=f"Where it is.  [default: NOVOSKY_BRIDGE_URL, or http://127.0.0.1:{PORT}]")
@click.option("--ca", type=FILE, help="Certificate to trust (PEM).  [default: NOVOSKY_BRIDGE_CA]")
def ping(url: str | None, ca: Path | None) -> None:
    """Ask a bridge who it is; print versions, the difference of the clocks and the latency."""
    import os

    from pydantic import SecretStr

    from novosky.environment import ENV_FILE, read_environment
    from novosky.errors import BrokerError
    from trading.brokers.bridge.access import CA_VARIABLE, URL_VARIABLE, BridgeAccess
    from trading.brokers.bridge.admission import TOKEN_VARIABLE
    from trading.brokers.bridge.client import BridgeModule
    from trading.brokers.bridge.line import LinkFailure

    stated = read_environment(ENV_FILE, os.environ)
    url = url or stated.get(URL_VARIABLE, f"http://127.0.0.1:{PORT}").strip()
    if ca is None and CA_VARIABLE in stated:
        ca = Path(stated[CA_VARIABLE].strip())
    access = BridgeAccess(url, SecretStr(stated.get(TOKEN_VARIABLE, "").strip()), ca)
    with BridgeModule(access.url, access.token.get_secret_value(), ca=access.ca) as mt5:
        try:
            _report(access.url, mt5)
        except LinkFailure as link:
            failure = link.failure
            raise BrokerError(
                f"{access.url}: {failure.code} {failure.text}; is the bridge running there, with this token?"
            ) from link


def _report(url: str, mt5: BridgeModule) -> None:
    import statistics
    import time

    from novosky.clock import RealClock

    clock = RealClock()
    spans: list[float] = []
    offsets: list[float] = []
    hello: Hello | None = None
    for _ in range(PINGS):
        wall, begin = clock.now(), time.perf_counter()
        hello = mt5.hello()
        spans.append(time.perf_counter() - begin)
        offsets.append(hello.time - (wall + spans[-1] / 2))
    assert hello is not None
    busy = f"busy with a call for {hello.busy:.1f} s" if hello.busy else "free"
    # The quickest exchange leaves the least room for doubt about when the server looked at its clock.
    best = min(range(PINGS), key=spans.__getitem__)
    version = mt5.version()
    code, text = mt5.last_error()
    terminal = f"{version[0]}.{version[1]} of {version[2]}" if version else f"not connected: {code} {text}"
    median, slowest = statistics.median(spans) * 1000, max(spans) * 1000
    click.echo(f"bridge    {url}, {busy}")
    click.echo(f"protocol  {hello.protocol}")
    click.echo(f"package   {hello.package}")
    click.echo(f"terminal  {terminal}")
    click.echo(f"clock     {offsets[best]:+.3f} s against this machine, known to {spans[best] * 500:.1f} ms")
    click.echo(f"latency   {median:.1f} ms in the middle, {slowest:.1f} ms at most, of {PINGS}")


def _rehearsal(
    bars: Path, config: Path, ml_config: Path, rate: float, account: Path | None
) -> tuple[Any, RehearsedServer, Pace]:
    """Return a terminal over the file's bars, moved to now; its market; and how its time goes."""
    from ml.feature_engineering import live_window_bars
    from novosky.clock import RealClock
    from novosky.data.market_bars import load_market_bars
    from novosky.settings import load_ml_settings, load_settings
    from trading.brokers.bridge.simulated import simulated_market
    from trading.paper import rehearsal

    settings, ml_settings = load_settings(config), load_ml_settings(ml_config)
    frame, wall = load_market_bars(bars, settings), RealClock().now
    kept = None if account is None else rehearsal.kept_placement(account, settings.frame)
    placement = kept or rehearsal.placement_of(frame, settings.frame, live_window_bars(settings.frame), wall())
    frame = rehearsal.shifted(frame, placement.shift)
    terminal, paced = simulated_market(frame, settings, ml_settings, rate, wall, account, placement.first)
    if account is not None and kept is None:
        rehearsal.keep_placement(account, placement)
    server, now = paced.server, wall()
    # At any other pace than time's own a kept account goes on from the moment at which it was left.
    pace = rehearsal.Pace(now if kept is None or rate == 1.0 else float(server.now), now, rate)
    return terminal, rehearsal.RehearsedServer(server, lambda: pace.at(wall())), pace


def _tell_rehearsal(url: str, pace: Pace, frame: Timeframe) -> None:
    """Say what a bot needs to trade here, and what it should expect."""
    from trading.paper.rehearsal import client_lines

    click.echo("a rehearsal: the file's bars come to pass from now on, at quotes of now and with pretend money")
    click.echo("for the bot, in its .env or environment (the account's password is empty):")
    for line in client_lines(url, pace, "<the token of this bridge>"):
        click.echo(f"  {line}")
    if pace.rate == 0.0:
        click.echo("at --pace 0 no bar ever closes")
    elif pace.rate != 1.0:
        click.echo(
            f"at --pace {pace.rate:g} a bar takes {frame.seconds / pace.rate:.1f} s; "
            "from 60 on a bot may miss its entries"
        )


def _package(terminal: Path | None) -> Any:
    """Return the official package, which exists for Windows only."""
    import importlib

    from novosky.errors import BrokerError, UsageError

    if terminal is None or not terminal.is_file():
        raise UsageError(f"there is no terminal at {terminal}; name its terminal64.exe")
    try:
        return importlib.import_module("MetaTrader5")
    except ImportError as error:
        raise BrokerError(
            "the MetaTrader5 package is not installed; it exists for Windows: run the bridge there, beside the terminal"
        ) from error
