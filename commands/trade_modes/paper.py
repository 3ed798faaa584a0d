"""What `trading.py --paper` does: read what was named, open the account, run the bot, write the files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.shared.options import refuse_collisions

if TYPE_CHECKING:
    from commands.trade_modes.paper_markets import FollowedMarket
    from novosky.market.timeframe import Timeframe
    from novosky.settings import Settings
    from novosky.settings.overrides import AccountFlags
    from trading.paper.session import PaperMarket, PaperSession
    from trading.reports.health import Heartbeat
    from trading.reports.narrator import Narrator
    from trading.reports.tables import CurrentTables

DEFAULT_DAYS = 365
"""Window of a replay without --start; the backtest's default, so that both tell the same story."""


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
    accept_balance : bool
        A person accepts a balance far from the starting balance.
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
    accept_balance: bool = False


def replay(run: PaperRun, window: Window) -> None:
    """Run the bot over a file's bars as fast as possible, resuming where it was killed."""
    from engine.inputs.bar_spreads import bar_spreads
    from novosky.in_sample import banner, in_sample_notice

    def opened(settings: Settings) -> PaperMarket:
        return replay_market(window, settings.frame, fixed_spread=run.account.spread is not None)

    with _session(run, opened, bars=window.bars, live=False) as (session, settings, market):
        for remark in bar_spreads(market.frame, settings, fixed=market.fixed_spread).remarks:
            click.echo(remark, err=True)
        known = in_sample_notice(
            market.frame["time"].iloc[market.first :], session.train_cutoff, "Begin after it with --start."
        )
        if known is not None:
            # At once, for whoever watches; and again beside the result.
            click.echo(banner(known), err=True)
        _replay_with_progress(session, market)
        _export(session, settings, run)
        if known is not None:
            click.echo(banner(known))
        _print_standing(session)


def follow(run: PaperRun, followed: FollowedMarket, *, once: bool) -> None:
    """Follow a market in real time until interrupted; any end is a clean one."""
    from contextlib import closing

    from novosky.clock import RealClock
    from novosky.errors import UsageError
    from trading.reports.expectation import expectation_facts
    from trading.reports.health import Heartbeat, health_file

    def market(settings: Settings) -> PaperMarket:
        return followed.open(run.journal, settings, fixed_spread=run.account.spread is not None, once=once)

    with closing(followed), _session(run, market, bars=None, live=True) as (session, settings, _):
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
            once=once,
        )
        tables, narrator = _current_tables(session, settings, run), _narrator(session, settings)
        try:
            with heartbeat:
                facts = expectation_facts(run.models, settings)
                _follow(session, followed, heartbeat, tables, narrator, facts=facts, once=once)
        except KeyboardInterrupt:
            again = f"python trading.py --paper{followed.flag}{_journal_flag(run)}"
            narrator.ended(session.bot.status, again)
            raise
        finally:
            tables.write()
        _print_standing(session)


def _journal_flag(run: PaperRun) -> str:
    from commands.trade_modes.live import default_journal

    return "" if run.journal == default_journal(None) else f" --journal {run.journal}"


def _current_tables(session: PaperSession, settings: Settings, run: PaperRun) -> CurrentTables:
    from trading.reports.tables import BLOCKED_NAME, TRADES_NAME, CurrentTables

    folder = output_folder(run.journal)
    return CurrentTables(
        session.journal, settings, run.trades_file or folder / TRADES_NAME, run.blocked_file or folder / BLOCKED_NAME
    )


def _narrator(session: PaperSession, settings: Settings) -> Narrator:
    from novosky.clock import RealClock
    from novosky.supervision.freeze import is_frozen
    from trading.reports.narrator import Narrator

    return Narrator(
        session.journal,
        settings,
        session.params,
        RealClock(),
        positions=session.broker.positions,
        stops=lambda: ("the freeze flag is set",) if is_frozen() else (),
    )


def output_folder(journal: Path) -> Path:
    """Return where a paper account's tables and log lie: beside its journal.

    Where a live bot keeps its own there, they go into a folder of their own: a table of pretend
    money must never replace one of real money.
    """
    import os

    from commands.trade_modes.live import JOURNAL, LOGS, database_of
    from novosky.environment import ENV_FILE, read_environment

    folder = journal.parent
    if folder.resolve() != LOGS.resolve():
        return folder
    live = JOURNAL.exists() or database_of(read_environment(ENV_FILE, os.environ)) is not None
    return folder / "paper" if live else folder


def _begin_log(folder: Path) -> None:
    """Send the log to a file; on the console only what the bot's own lines do not say."""
    import os

    from commands.trade_modes.live import LEVEL_VARIABLE
    from novosky.environment import ENV_FILE, read_environment
    from novosky.log import configure_logging
    from novosky.settings.secrets import load_secrets

    level = read_environment(ENV_FILE, os.environ).get(LEVEL_VARIABLE, "INFO")
    configure_logging(folder, level, secrets=load_secrets(ENV_FILE).hidden_values, console_level="WARNING")


def _refuse_own_inputs(run: PaperRun, bars: Path | None) -> None:
    refuse_collisions(
        {"--journal": run.journal, "--trades": run.trades_file, "--blocked": run.blocked_file},
        {"--replay": bars, "--config": run.config, "--ml-config": run.ml_config, "--calendar": run.calendar}
        | {"--models": run.models},
    )


@contextmanager
def _session(
    run: PaperRun, market: Callable[[Settings], PaperMarket], *, bars: Path | None, live: bool
) -> Iterator[tuple[PaperSession, Settings, PaperMarket]]:
    """Open the account for this process alone.

    Everything the user named is read before anything of the account is touched or discarded.
    """
    import signal

    _refuse_own_inputs(run, bars)
    from alerts.notify import SilentNotifier
    from ml.load_models import load_deployment
    from ml.sets.deployment import Deployment
    from novosky.clock import RealClock
    from novosky.data.identity import require_file_of_bars
    from novosky.data.market_bars import require_bars_of
    from novosky.market.news import load_calendar
    from novosky.settings.overrides import apply_flags
    from novosky.supervision.freeze import is_frozen
    from trading.paper.session import check_account_files, discard_account, open_session, single_instance
    from trading.reports.narrator import SayingNotifier

    # pm2 and systemd stop a program this way; it ends like Ctrl-C, with its files closed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if bars is not None:
        # A mistyped name is told at once, not after seconds of loading models; and not as theirs.
        require_file_of_bars(bars)
    settings, ml_settings, models = load_deployment(
        Deployment(run.models, run.config, run.ml_config),
        lambda stated: apply_flags(stated, run.account),
        # A replay ends by itself, and soon: a process more would only make it wait.
        apart=live,
    )
    opened = None if bars is None else market(settings)
    if bars is not None and opened is not None:
        require_bars_of(opened.frame, bars, settings)
    news = load_calendar(run.calendar) if run.calendar else None
    with single_instance(run.journal):
        check_account_files(run.journal)
        if run.fresh:
            discard_account(run.journal)
        if live:
            _begin_log(output_folder(run.journal))
        served = market(settings) if opened is None else opened
        session = open_session(
            served,
            settings,
            ml_settings,
            models,
            run.journal,
            SayingNotifier() if live else SilentNotifier(),
            news=news,
            # A replay retells history; today's freeze flag is no part of it.
            frozen=is_frozen if live else lambda: False,
            durable=live,
            now=RealClock().now if live else None,
            accept_balance=run.accept_balance,
        )
        try:
            yield session, settings, served
        finally:
            session.close()


def replay_market(window: Window, frame: Timeframe, *, fixed_spread: bool) -> PaperMarket:
    """Read the bars of a replay over the backtest's window; bars before it serve as history."""
    from engine.inputs.columns import window_rows
    from novosky.data.store import load_bars
    from novosky.market.window import choose_window
    from trading.paper.session import PaperMarket
    from trading.reports.health import REPLAY_NAME

    bars = load_bars(window.bars, seconds=frame.seconds)
    bounds = choose_window(bars["time"], window.start, window.end, window.days or DEFAULT_DAYS, None, frame)
    first, last = window_rows(bars, *bounds)
    m1 = load_bars(window.m1, seconds=60) if window.m1 is not None else None
    name = f"{REPLAY_NAME}{window.bars.name}"
    return PaperMarket(name, bars.iloc[:last].reset_index(drop=True), first, m1, fixed_spread)


def _replay_with_progress(session: PaperSession, market: PaperMarket) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from trading.paper.replay import run_replay

    def done(bar: int) -> int:
        return bar - market.first + 1

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=4) as progress:
        total = done(len(market.frame) - 1)
        task = progress.add_task(market.name, total=total, completed=done(session.server.bar))
        run_replay(session.bot.cycle, session.server, lambda bar: progress.update(task, completed=done(bar)))


def _follow(
    session: PaperSession,
    followed: FollowedMarket,
    heartbeat: Heartbeat,
    tables: CurrentTables,
    narrator: Narrator,
    *,
    facts: tuple[str, ...],
    once: bool,
) -> None:
    from commands.trade_modes.paper_markets import POLL_SECONDS
    from novosky.clock import RealClock
    from trading.reports.standing import wrapped

    for line in (piece for text in followed.banner() for piece in wrapped(text)):
        click.echo(line)
    tables.follow()
    narrator.started(session.bot.status, [*_facts(session, tables), *facts])
    while True:
        due = followed.catch_up(session)
        narrator.looked(session.bot.status)
        if due and session.bot.cycle():
            heartbeat.beat()
            narrator.followed(session.bot.status)
            tables.follow()
        if once:
            return
        RealClock().sleep(POLL_SECONDS)


def _facts(session: PaperSession, tables: CurrentTables) -> list[str]:
    from novosky.log import LOG_FILE

    return [
        f"models: {session.models.summary}",
        "alerts: a paper bot sends nothing; its messages stand here and in the log",
        f"tables: {tables.trades}, {tables.blocked}; log: {tables.trades.parent / LOG_FILE}",
    ]


def _export(session: PaperSession, settings: Settings, run: PaperRun) -> None:
    from trading.reports.exports import export_blocks, export_trades

    if run.trades_file is not None:
        export_trades(session.journal, run.trades_file, settings.broker.digits, settings.money_digits)
    if run.blocked_file is not None:
        export_blocks(session.journal, run.blocked_file, settings.symbol, settings.broker.digits)


def _print_standing(session: PaperSession) -> None:
    from trading.reports.standing import wrapped

    status = session.bot.status
    text = (
        f"{status.bars_processed} bars processed, {status.bars_missed} missed, "
        f"{status.guard.closed} trades closed, balance {status.cash:.2f} USD, equity {status.guard.equity:.2f} USD"
    )
    for line in wrapped(text):
        click.echo(line)
