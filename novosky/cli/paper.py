"""What `trading.py --paper` does: read what was named, open the account, run the bot, write the files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from novosky.cli.options import refuse_collisions

if TYPE_CHECKING:
    from novosky.settings import Settings
    from novosky.settings.overrides import AccountFlags
    from trading.health import Heartbeat
    from trading.paper_session import PaperMarket, PaperSession

DEFAULT_DAYS = 365
"""Window of a replay without --start; the backtest's default, so that both tell the same story."""
POLL_SECONDS = 5.0
"""How often a paper bot looks for a closed bar; well below a bar, far above the cost of looking."""


@dataclass(frozen=True)
class Window:
    """The bars of a replay: its files, and the bounds in UTC."""

    bars: Path
    m1: Path | None
    start: datetime | None
    end: datetime | None
    days: int | None


@dataclass(frozen=True)
class PaperRun:
    """Everything a paper run was told besides its market.

    Attributes
    ----------
    config, ml_config, models, calendar
        The files to read.
    account : AccountFlags
        Account and cost values that replace the settings'.
    journal : Path
        Where the account lives.
    fresh : bool
        Discard the account first.
    trades_file, blocked_file : Path or None
        Where to write the tables.
    """

    config: Path
    ml_config: Path
    models: Path
    calendar: Path | None
    account: AccountFlags
    journal: Path
    fresh: bool
    trades_file: Path | None
    blocked_file: Path | None


def replay(run: PaperRun, window: Window) -> None:
    """Run the bot over a file's bars as fast as possible, resuming where it was killed."""
    from trading.bar_spreads import bar_spreads

    market = replay_market(window, fixed_spread=run.account.spread is not None)
    with _session(run, lambda: market, bars=window.bars, live=False) as (session, settings):
        for remark in bar_spreads(market.frame, settings, fixed=market.fixed_spread).remarks:
            click.echo(remark, err=True)
        _replay_with_progress(session, market)
        _export(session, settings, run)
        _print_standing(session)


def follow(run: PaperRun, *, once: bool) -> None:
    """Follow the embedded market in real time until interrupted; any end is a clean one."""
    from novosky.clock import RealClock
    from novosky.errors import UsageError
    from trading.health import Heartbeat, health_file
    from trading.live_market import live_market

    with _session(run, lambda: live_market(run.journal, RealClock().now()), bars=None, live=True) as (
        session,
        settings,
    ):
        deposit = session.server.deposit
        if run.account.balance not in (None, deposit):
            raise UsageError(
                f"this account was opened with {deposit:g} USD; leave --balance out, or begin anew with --fresh"
            )
        heartbeat = Heartbeat(
            health_file(run.journal),
            settings,
            session.fingerprint,
            lambda: (session.bot.status, session.broker.positions()),
            RealClock().now,
        )
        try:
            with heartbeat:
                _follow(session, heartbeat, once=once)
        finally:
            _export(session, settings, run)
        _print_standing(session)


@contextmanager
def _session(
    run: PaperRun, market: Callable[[], PaperMarket], *, bars: Path | None, live: bool
) -> Iterator[tuple[PaperSession, Settings]]:
    """Open the account for this process alone.

    Everything the user named is read before anything of the account is touched or discarded.
    """
    import signal

    refuse_collisions(
        {"--journal": run.journal, "--trades": run.trades_file, "--blocked": run.blocked_file},
        {"--replay": bars, "--config": run.config, "--ml-config": run.ml_config, "--calendar": run.calendar}
        | {"--models": run.models},
    )
    from ml.deployment import Deployment
    from novosky.clock import RealClock
    from novosky.market.news import load_calendar
    from novosky.settings.overrides import apply_flags
    from trading.freeze import is_frozen
    from trading.model_files import load_deployment
    from trading.notify import ConsoleNotifier, SilentNotifier
    from trading.paper_session import check_account_files, discard_account, open_session, single_instance

    # pm2 and systemd stop a program this way; it ends like Ctrl-C, with its files closed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings, ml_settings, models = load_deployment(
        Deployment(run.models, run.config, run.ml_config), lambda stated: apply_flags(stated, run.account)
    )
    news = load_calendar(run.calendar) if run.calendar else None
    with single_instance(run.journal):
        check_account_files(run.journal)
        if run.fresh:
            discard_account(run.journal)
        session = open_session(
            market(),
            settings,
            ml_settings,
            models,
            run.journal,
            ConsoleNotifier() if live else SilentNotifier(),
            news=news,
            # A replay retells history; today's freeze flag is no part of it.
            frozen=is_frozen if live else lambda: False,
            durable=live,
            now=RealClock().now if live else None,
        )
        try:
            yield session, settings
        finally:
            session.close()


def replay_market(window: Window, *, fixed_spread: bool) -> PaperMarket:
    """Read the bars of a replay over the backtest's window; bars before it serve as history."""
    from novosky.cli.backtest import choose_window
    from novosky.data.store import load_bars
    from trading.health import REPLAY_NAME
    from trading.market_inputs import window_rows
    from trading.paper_session import PaperMarket

    frame = load_bars(window.bars)
    bounds = choose_window(frame["time"], window.start, window.end, window.days or DEFAULT_DAYS, None)
    first, last = window_rows(frame, *bounds)
    m1 = load_bars(window.m1, seconds=60) if window.m1 is not None else None
    name = f"{REPLAY_NAME}{window.bars.name}"
    return PaperMarket(name, frame.iloc[:last].reset_index(drop=True), first, m1, fixed_spread)


def _replay_with_progress(session: PaperSession, market: PaperMarket) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from trading.replay import run_replay

    def done(bar: int) -> int:
        return bar - market.first + 1

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=4) as progress:
        total = done(len(market.frame) - 1)
        task = progress.add_task(market.name, total=total, completed=done(session.server.bar))
        run_replay(session.bot.cycle, session.server, lambda bar: progress.update(task, completed=done(bar)))


def _follow(session: PaperSession, heartbeat: Heartbeat, *, once: bool) -> None:
    from novosky.clock import RealClock
    from novosky.errors import UsageError
    from trading.replay import PacedMarket

    clock = RealClock()
    market = PacedMarket(session.server, clock.now)
    click.echo("SYNTHETIC DATA: paper trading on the embedded market; Ctrl-C stops, the next start resumes")
    while True:
        market.catch_up()
        acted = session.bot.cycle()
        if acted:
            heartbeat.beat()
            click.echo(f"bar {session.bot.status.bars_processed}: equity {session.bot.status.guard.equity:.2f} USD")
        if session.server.at_end:
            raise UsageError("the embedded market has ended; begin a new account with --fresh")
        if once:
            return
        clock.sleep(POLL_SECONDS)


def _export(session: PaperSession, settings: Settings, run: PaperRun) -> None:
    from trading.bot_exports import export_blocks, export_trades

    if run.trades_file is not None:
        export_trades(session.journal, run.trades_file, settings.broker.digits)
    if run.blocked_file is not None:
        export_blocks(session.journal, run.blocked_file, settings.symbol, settings.broker.digits)


def _print_standing(session: PaperSession) -> None:
    status = session.bot.status
    click.echo(
        f"{status.bars_processed} bars processed, {status.bars_missed} missed, "
        f"{status.guard.closed} trades closed, balance {status.cash:.2f} USD, equity {status.guard.equity:.2f} USD"
    )
