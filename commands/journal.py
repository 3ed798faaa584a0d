"""Look at the journal, or bring it up to its account."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.shared.options import FILE

if TYPE_CHECKING:
    from engine.records import Params
    from novosky.settings import MlSettings, Settings
    from trading.account.adoption import Adoption
    from trading.live.account import AccountParts

EPILOG = """\b
Examples:
  novosky journal show
  novosky journal adopt
"""
SHOW_EPILOG = """\b
Examples:
  novosky journal show
  novosky journal show --journal logs/paper.sqlite
"""
ADOPT_EPILOG = """\b
Needed where the bot refuses to start, or has stopped entering, because the account holds trades of
the bot that its journal does not know: the journal was lost, an older copy was put back, the bot moved
to another machine or database, or a second bot has traded the account. Stop every other bot first.

\b
What no history holds is lost: the decisions of the bars between, why a model closed a position, and a
halt that a person ordered after the journal's last bar.

\b
Examples:
  novosky journal adopt
  novosky journal adopt --yes
  novosky journal adopt --journal logs/novosky.sqlite --config config.json
"""


@click.group(epilog=EPILOG)
def journal() -> None:
    """Look at the bot's journal, or bring it up to its account."""


@journal.command(epilog=SHOW_EPILOG)
@click.option("--journal", "named", help="Journal file or database URL.  [the bot's that runs here]")
def show(named: str | None) -> None:
    """Show where the journal is, how far it reaches and what it holds; it is only read."""
    from commands.trade_modes.bot_here import find_bot, known_status
    from engine.outputs.tables import utc_text
    from novosky.environment import ENV_FILE, read_environment
    from novosky.errors import StorageError
    from trading.cycle.unknown_orders import UNKNOWN_ORDERS
    from trading.journal import SCHEMA_VERSION, Journal
    from trading.reports.health import shown_identity

    bot = find_bot(named, read_environment(ENV_FILE, os.environ))
    if not bot.exists:
        raise StorageError(f"no journal at {bot.words}; start the bot once, or name its file with --journal")
    books = Journal(bot.url, durable=True, read_only=True)
    try:
        status, unknown = known_status(books, bot.words), books.flag(UNKNOWN_ORDERS)
        deals, (trades, blocked), waiting = len(books.deals()), books.table_sizes(), len(books.open_intents())
    finally:
        books.close()
    click.echo(f"journal        {bot.words}, version {SCHEMA_VERSION}")
    click.echo(f"account        {shown_identity(status.identity)}")
    click.echo(f"newest bar     {utc_text(status.last_bar) if status.last_bar else 'none yet'}")
    click.echo(f"bars           {status.bars_processed} processed, {status.bars_missed} missed")
    click.echo(f"trades         {trades} closed, {deals} deals of the account, {blocked} signals blocked")
    click.echo(f"balance        {status.cash:.2f} USD after deal {status.last_deal}")
    click.echo(f"open orders    {waiting} without a known outcome")
    if unknown is not None:
        click.echo(f"NO ENTRIES     {unknown.value} is not this journal's; stop other bots, then novosky journal adopt")


@journal.command(epilog=ADOPT_EPILOG)
@click.option("--yes", is_flag=True, help="Do not ask before writing.")
@click.option("--journal", "named", type=FILE, help="Journal file.  [NOVOSKY_DATABASE_URL, or logs/novosky.sqlite]")
@click.option("--config", type=FILE, default=Path("config.json"), show_default=True, help="Runtime settings.")
@click.option("--ml-config", type=FILE, default=Path("ml_config.json"), show_default=True, help="Model settings.")
def adopt(yes: bool, named: Path | None, config: Path, ml_config: Path) -> None:
    """Book what the account's history holds and the journal lacks, and begin after the newest deal.

    Trades, deals and an open position are brought into the journal, and the daily, weekly and total
    limits are judged again over them. Shows first what would be written. No order is sent.
    """
    from engine.inputs.parameters import build_params
    from novosky.errors import UsageError
    from trading.account.adoption import adopt as write
    from trading.account.adoption import settled_survey
    from trading.live.account import open_account

    settings, ml_settings = _settings(config, ml_config)
    parts = _account_parts(settings, named)
    with open_account(parts) as account:
        try:
            params = build_params(settings, ml_settings)
            found = settled_survey(account.broker, account.journal, params, parts.identity, parts.clock)
        finally:
            account.broker.close()
        _print(found, params)
        if not yes and not click.confirm("Write this into the journal?"):
            raise UsageError("nothing was written")
        write(account.journal, found, int(parts.clock.now()))
    click.echo("written; next: start the bot")


def _settings(config: Path, ml_config: Path) -> tuple[Settings, MlSettings]:
    from novosky.settings import load_ml_settings, load_settings

    return load_settings(config), load_ml_settings(ml_config)


def _account_parts(settings: Settings, named: Path | None) -> AccountParts:
    """Return what the live bot of this folder would open."""
    from random import Random

    from commands.trade_modes.live import JOURNAL, LOGS, database_of, locks_of
    from novosky.clock import RealClock
    from novosky.database.place import journal_url
    from novosky.environment import ENV_FILE, read_environment
    from trading.brokers.family import reach_from_environment
    from trading.live.account import AccountParts

    environment = read_environment(ENV_FILE, os.environ)
    database = database_of(environment) if named is None else None
    return AccountParts(
        settings,
        reach_from_environment(environment),
        folder=LOGS if named is None else named.parent,
        journal=named or JOURNAL,
        clock=RealClock(),
        rng=Random(),
        database=None if database is None else journal_url(database),
        locks=locks_of(environment),
    )


def _print(found: Adoption, params: Params) -> None:
    from engine.breakers import halt_base, halt_line
    from engine.outputs.tables import SIDE_NAMES, utc_text, volume_text
    from trading.account.adoption import closed_text
    from trading.reports.health import latched_breakers, shown_identity

    status, position = found.status, found.position
    click.echo(f"account        {shown_identity(status.identity)}")
    click.echo(f"to be booked   {len(found.booked.deals)} deals, {closed_text(found.booked.closed)}")
    click.echo(f"               {len(found.entries)} of the entries are unknown to the journal")
    click.echo(f"balance        {status.cash:.2f} USD after deal {status.last_deal}")
    if abs(found.unexplained) >= 0.01:
        click.echo(
            f"note           {found.unexplained:+.2f} USD of it are older than the deals that the terminal shows; "
            "where there are more, show the whole history in the terminal (History tab, All history) and run this again"
        )
    if position is None:
        click.echo("position       none")
    else:
        click.echo(
            f"position       {SIDE_NAMES[position.side]} {volume_text(position.volume)} at {position.price_open:.2f}, "
            f"ticket {position.ticket}, becomes the bot's"
        )
    click.echo(
        f"hard halt      below {halt_line(status.guard, params):.2f} USD, measured from "
        f"{halt_base(status.guard, params):.2f}"
    )
    click.echo(f"limits         {', '.join(latched_breakers(status.guard)) or 'none reached'}")
    click.echo(f"begins after   {utc_text(status.last_bar)}")
