"""The bot's command: paper over a file, paper in real time, health."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from novosky.cli.options import FILE, MOST_DAYS, UtcDate, account_options, file_options

if TYPE_CHECKING:
    from novosky.settings import Settings
    from trading.paper_session import PaperMarket, PaperSession

DEFAULT_DAYS = 365
"""Window of a replay without --start; the backtest's default, so that both tell the same story."""
POLL_SECONDS = 5.0
"""How often a paper bot looks for a closed bar; well below a bar, far above the cost of looking."""

EPILOG = """\b
Examples:
  python trading.py --paper --replay data/BTCUSD_M15.parquet --start 2024-01-01 --trades trades.csv
  python trading.py --paper
  python trading.py --paper --once
  python trading.py --health
"""


@click.command(epilog=EPILOG)
@click.option("--paper", is_flag=True, help="Trade a simulated account instead of a real one.")
@click.option("--replay", type=FILE, help="With --paper: run over this file's bars as fast as possible.")
@click.option("--data", type=FILE, help="The same as --replay.")
@click.option("--m1", type=FILE, help="M1 bars that decide bars which touch both stop and target.")
@click.option("--start", type=UtcDate(), help="Replay: the account begins with the bar that opens here, UTC.")
@click.option("--end", type=UtcDate(), help="Replay: end, UTC, exclusive.")
@click.option("--days", type=click.IntRange(1, MOST_DAYS), help="Replay: window length without --start.  [365]")
@click.option("--once", is_flag=True, help="Act on the newest closed bar and exit.")
@click.option("--health", is_flag=True, help="Show where the bot stands and exit.")
@click.option("--journal", type=FILE, help="Journal file; the default depends on the mode.  [logs/paper.sqlite]")
@click.option("--fresh", is_flag=True, help="Discard the paper account and begin anew.")
@click.option("--trades", "trades_file", type=FILE, help="Write the closed trades as CSV.")
@click.option("--blocked", "blocked_file", type=FILE, help="Write the blocked signals as CSV.")
@file_options
@account_options
def trade(
    paper: bool,
    replay: Path | None,
    data: Path | None,
    m1: Path | None,
    start: datetime | None,
    end: datetime | None,
    days: int | None,
    once: bool,
    health: bool,
    journal: Path | None,
    fresh: bool,
    trades_file: Path | None,
    blocked_file: Path | None,
    config: Path,
    ml_config: Path,
    models: Path,
    calendar: Path | None,
    **flags: Any,
) -> None:
    """Run the bot. It acts once per closed bar and can be killed and restarted at any moment."""
    from novosky.errors import UsageError

    replay = replay or data
    journal = journal or default_journal(replay)
    if health:
        show_health(journal)
        return
    if not paper:
        raise UsageError(
            "only --paper is available: a real account needs the MetaTrader 5 terminal, which is not connected; "
            "add --paper, or --paper --replay FILE"
        )
    if replay is None and any(option is not None for option in (start, end, days, m1)):
        raise UsageError("--start, --end, --days and --m1 belong to --replay FILE")
    if replay is not None and once:
        raise UsageError("--once follows the clock, --replay runs through a file; give one of them")
    _run_paper(
        replay,
        m1,
        start,
        end,
        days,
        once,
        journal,
        fresh,
        trades_file,
        blocked_file,
        config,
        ml_config,
        models,
        calendar,
        flags,
    )


def default_journal(replay: Path | None) -> Path:
    """Return where a paper account's journal lives unless --journal names another file."""
    return Path("logs") / ("paper.sqlite" if replay is None else f"replay-{replay.stem}.sqlite")


def _run_paper(
    replay: Path | None,
    m1: Path | None,
    start: datetime | None,
    end: datetime | None,
    days: int | None,
    once: bool,
    journal: Path,
    fresh: bool,
    trades_file: Path | None,
    blocked_file: Path | None,
    config: Path,
    ml_config: Path,
    models: Path,
    calendar: Path | None,
    flags: dict[str, Any],
) -> None:
    from ml.ensemble_predictor import EnsemblePredictor
    from novosky.clock import RealClock
    from novosky.market.news import load_calendar
    from novosky.settings import load_ml_settings, load_settings
    from novosky.settings.overrides import AccountFlags, apply_flags
    from trading.freeze import is_frozen
    from trading.notify import ConsoleNotifier, SilentNotifier
    from trading.paper_session import journal_files, open_session, single_instance

    settings = apply_flags(load_settings(config), AccountFlags(**flags))
    ml_settings = load_ml_settings(ml_config)
    predictor = EnsemblePredictor(models, ml_settings)
    news = load_calendar(calendar) if calendar else None
    # Everything the user named is read before anything of the account is touched or discarded.
    market = None
    if replay is not None:
        market = replay_market(replay, m1, start, end, days, fixed_spread=flags["spread"] is not None)
    with single_instance(journal), _sigterm_like_ctrl_c():
        if fresh:
            for file in journal_files(journal):
                file.unlink(missing_ok=True)
        market = market or embedded_market(journal)
        session = open_session(
            market,
            settings,
            ml_settings,
            predictor,
            journal,
            SilentNotifier() if replay is not None else ConsoleNotifier(),
            news=news,
            # A replay retells history; today's freeze flag is no part of it.
            frozen=(lambda: False) if replay is not None else is_frozen,
            durable=replay is None,
            now=None if replay is not None else RealClock().now,
        )
        try:
            if replay is not None:
                _replay(session, market)
            else:
                _follow(session, once)
        except KeyboardInterrupt:
            # Following has no end of its own; a replay that was cut short has no result yet.
            if replay is None:
                _export(session, settings, trades_file, blocked_file)
            raise
        else:
            _export(session, settings, trades_file, blocked_file)
            _print_standing(session)
        finally:
            session.close()


@contextmanager
def _sigterm_like_ctrl_c() -> Iterator[None]:
    """End on SIGTERM (pm2, systemd) as on Ctrl-C: files closed, exit code 130."""
    import signal

    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _export(session: PaperSession, settings: Settings, trades_file: Path | None, blocked_file: Path | None) -> None:
    from trading.bot_exports import export_blocks, export_trades

    if trades_file is not None:
        export_trades(session.journal, trades_file, settings.broker.digits)
    if blocked_file is not None:
        export_blocks(session.journal, blocked_file, settings.symbol, settings.broker.digits)


def _print_standing(session: PaperSession) -> None:
    status = session.bot.status
    click.echo(
        f"{status.bars_processed} bars processed, {status.bars_missed} missed, "
        f"{status.guard.closed} trades closed, balance {status.cash:.2f} USD, equity {status.guard.equity:.2f} USD"
    )


def replay_market(
    replay: Path,
    m1: Path | None,
    start: datetime | None,
    end: datetime | None,
    days: int | None,
    *,
    fixed_spread: bool,
) -> PaperMarket:
    """Read the bars of a replay over the backtest's window; bars before it serve as history."""
    from novosky.cli.backtest import choose_window
    from novosky.data.store import load_bars
    from trading.market_inputs import window_rows
    from trading.paper_session import PaperMarket

    frame = load_bars(replay)
    first, last = window_rows(frame, *choose_window(frame["time"], start, end, days or DEFAULT_DAYS, None))
    minutes = load_bars(m1, seconds=60) if m1 is not None else None
    return PaperMarket(
        f"replay of {replay.name}", frame.iloc[:last].reset_index(drop=True), first, minutes, fixed_spread
    )


def embedded_market(journal: Path) -> PaperMarket:
    """Return the embedded market for real-time paper, anchored where this account first saw it."""
    from novosky.clock import RealClock
    from trading.live_market import live_market

    return live_market(journal, RealClock().now())


def _replay(session: PaperSession, market: PaperMarket) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from trading.replay import run_replay

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=4) as progress:
        total = len(market.frame) - market.first
        task = progress.add_task(market.name, total=total, completed=session.broker.bar - market.first + 1)
        run_replay(
            session.bot.cycle, session.broker, lambda bar: progress.update(task, completed=bar - market.first + 1)
        )


def _follow(session: PaperSession, once: bool) -> None:
    """Follow the embedded market in real time until interrupted; the journal makes any end a clean one."""
    from novosky.clock import RealClock
    from novosky.errors import UsageError
    from trading.replay import PacedMarket

    clock = RealClock()
    market = PacedMarket(session.broker, clock.now)
    click.echo("SYNTHETIC DATA: paper trading on the embedded market; Ctrl-C stops, the next start resumes")
    while True:
        market.catch_up()
        acted = session.bot.cycle()
        if acted:
            click.echo(f"bar {session.bot.status.bars_processed}: equity {session.bot.status.guard.equity:.2f} USD")
        if once:
            return
        if session.broker.at_end:
            raise UsageError("the embedded market has ended; begin a new account with --fresh")
        clock.sleep(POLL_SECONDS)


def show_health(journal: Path) -> None:
    """Print where the bot of this journal stands; StorageError when there is none."""
    from novosky.errors import StorageError
    from trading.exports import utc_text
    from trading.journal import Journal, sqlite_url

    if not journal.exists():
        raise StorageError(f"no journal at {journal}; start the bot once, or name its file with --journal")
    status = Journal(sqlite_url(journal), durable=True).status()
    if status is None:
        raise StorageError(f"{journal} holds no bot yet; start the bot once")
    guard = status.guard
    click.echo(f"account        {status.identity}")
    click.echo(f"models         {status.models}")
    click.echo(
        f"last bar       {utc_text(status.last_bar)} ({status.bars_processed} processed, {status.bars_missed} missed)"
    )
    click.echo(f"equity         {guard.equity:.2f} USD, balance {status.cash:.2f} USD, {guard.closed} trades closed")
    click.echo(f"losses in row  {guard.losses} ({guard.day_losses} since 00:00 UTC)")
    latched = [
        name
        for name, flag in (("day", guard.day_blocked), ("week", guard.week_blocked), ("HARD HALT", guard.halted))
        if flag
    ]
    click.echo(f"breakers       {', '.join(latched) or 'none latched'}")
