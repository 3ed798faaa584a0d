"""`trading.py --health`: where the bot stands, for a person and for a watchdog."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sqlalchemy import URL

    from trading.journal import BotStatus
    from trading.reports.health import Health


def show_health(journal: Path | None, most_behind: int) -> None:
    """Print where the bot of this journal stands and exit 1 when it has fallen behind the market.

    Parameters
    ----------
    journal : Path or None
        None looks where the live bot keeps it, and when it was never started at the paper bot's.

    Raises
    ------
    StorageError
        There is no journal, or it cannot be read.
    """
    from commands.trade_modes.bot_here import known_status
    from novosky.clock import RealClock
    from novosky.supervision.freeze import FREEZE_FLAG, is_frozen
    from trading.cycle.unknown_orders import UNKNOWN_ORDERS
    from trading.journal import Journal
    from trading.reports.health import health_file, is_running, judge_health, read_health

    place, url, beside = find_journal(journal)
    books = Journal(url, durable=True, read_only=True)
    try:
        status, unknown = known_status(books, place), books.flag(UNKNOWN_ORDERS)
    finally:
        books.close()
    health = read_health(health_file(beside))
    _print_status(status)
    if is_frozen():
        click.echo(f"frozen         {FREEZE_FLAG} is set: no new entries")
    if unknown is not None:
        click.echo(f"NO ENTRIES     {unknown.value} is not this bot's; stop other bots, then novosky journal adopt")
    running = is_running(health_file(beside))
    if health is not None and health.identity == status.identity:
        _print_process(health, gone=health.state == "running" and running is False)
    verdict = judge_health(status, health, RealClock().now(), most_behind, running=running)
    click.echo(f"{verdict.word:<15}{verdict.reason}")
    if not verdict.healthy:
        sys.exit(1)


def find_journal(named: Path | None) -> tuple[str, URL, Path]:
    """Return the journal in words, its URL, and the file the health file lies beside."""
    import os

    from commands.trade_modes.bot_here import find_bot
    from novosky.environment import ENV_FILE, read_environment
    from novosky.errors import StorageError

    bot = find_bot(named, read_environment(ENV_FILE, os.environ) if named is None else {})
    if not bot.exists:
        raise StorageError(f"no journal at {bot.words}; start the bot once, or name its file with --journal")
    return bot.words, bot.url, bot.beside


def _print_status(status: BotStatus) -> None:
    from engine.outputs.tables import utc_text
    from trading.reports.health import latched_breakers, shown_identity, shown_models

    guard = status.guard
    click.echo(f"account        {shown_identity(status.identity)}")
    click.echo(f"models         {shown_models(status.models)}")
    click.echo(
        f"last bar       {utc_text(status.last_bar)} ({status.bars_processed} processed, {status.bars_missed} missed)"
    )
    click.echo(f"equity         {guard.equity:.2f} USD, balance {status.cash:.2f} USD, {guard.closed} trades closed")
    click.echo(f"losses in row  {guard.losses} ({guard.day_losses} since 00:00 UTC)")
    click.echo(f"breakers       {', '.join(latched_breakers(guard)) or 'none latched'}")


def _print_process(health: Health, *, gone: bool) -> None:
    from engine.outputs.tables import SIDE_NAMES, utc_text, volume_text

    trade = health.position
    if trade is None:
        click.echo("position       none")
    else:
        click.echo(
            f"position       {SIDE_NAMES[trade.side]} {volume_text(trade.volume)} at {trade.price_open:.2f}, "
            f"stop {trade.sl:.2f}, target {trade.tp:.2f}"
        )
    click.echo(
        f"process        {'gone' if gone else health.state}, pid {health.pid}, last beat {utc_text(health.written)}"
    )
