"""`trading.py --health`: where the bot stands, for a person and for a watchdog."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sqlalchemy import URL

    from trading.health import Health
    from trading.journal import BotStatus


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
    from novosky.clock import RealClock
    from novosky.errors import StorageError
    from trading.freeze import FREEZE_FLAG, is_frozen
    from trading.health import health_file, judge_health, read_health
    from trading.journal import Journal

    place, url, beside = find_journal(journal)
    books = Journal(url, durable=True, read_only=True)
    try:
        status = books.status()
    finally:
        books.close()
    if status is None:
        raise StorageError(f"{place} holds no bot yet; start the bot once")
    health = read_health(health_file(beside))
    _print_status(status)
    if is_frozen():
        click.echo(f"frozen         {FREEZE_FLAG} is set: no new entries")
    if health is not None and health.identity == status.identity:
        _print_process(health)
    verdict = judge_health(status, health, RealClock().now(), most_behind)
    click.echo(f"{'healthy' if verdict.healthy else 'STALE':<15}{verdict.reason}")
    if not verdict.healthy:
        sys.exit(1)


def find_journal(named: Path | None) -> tuple[str, URL, Path]:
    """Return the journal in words, its URL, and the file the health file lies beside."""
    import os

    from novosky.cli.live import JOURNAL, database_of
    from novosky.cli.trade import default_journal
    from novosky.environment import ENV_FILE, read_environment
    from novosky.errors import StorageError
    from trading.journal import journal_url, sqlite_url

    if named is None:
        database = database_of(read_environment(ENV_FILE, os.environ))
        if database is not None:
            return "the database", journal_url(database), JOURNAL
        named = JOURNAL if JOURNAL.exists() else default_journal(None)
    if not named.exists():
        raise StorageError(f"no journal at {named}; start the bot once, or name its file with --journal")
    return str(named), sqlite_url(named), named


def _print_status(status: BotStatus) -> None:
    from trading.exports import utc_text
    from trading.health import latched_breakers

    guard = status.guard
    click.echo(f"account        {status.identity}")
    click.echo(f"models         {status.models}")
    click.echo(
        f"last bar       {utc_text(status.last_bar)} ({status.bars_processed} processed, {status.bars_missed} missed)"
    )
    click.echo(f"equity         {guard.equity:.2f} USD, balance {status.cash:.2f} USD, {guard.closed} trades closed")
    click.echo(f"losses in row  {guard.losses} ({guard.day_losses} since 00:00 UTC)")
    click.echo(f"breakers       {', '.join(latched_breakers(guard)) or 'none latched'}")


def _print_process(health: Health) -> None:
    from trading.exports import SIDE_NAMES, utc_text, volume_text

    trade = health.position
    if trade is None:
        click.echo("position       none")
    else:
        click.echo(
            f"position       {SIDE_NAMES[trade.side]} {volume_text(trade.volume)} at {trade.price_open:.2f}, "
            f"stop {trade.sl:.2f}, target {trade.tp:.2f}"
        )
    click.echo(f"process        {health.state}, pid {health.pid}, last beat {utc_text(health.written)}")
