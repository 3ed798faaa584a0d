"""Show where the bot stands today."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.shared.options import FILE
from novosky.market.timeframe import DAY_SECONDS, WEEK_SECONDS

if TYPE_CHECKING:
    from trading.reports.status import DailyStatus


EPILOG = """\b
The bot is that of NOVOSKY_DATABASE_URL, or of logs/novosky.sqlite, or where there is neither the
paper bot's logs/paper.sqlite, or that of --journal. Nothing is changed, and the bot may be running.
The position is as of the newest bar; limits are those of the settings files.

\b
Examples:
  novosky status
  novosky status --json
  novosky status --journal logs/paper.sqlite
"""


@click.command(epilog=EPILOG)
@click.option("--journal", type=FILE, help="Journal file of another bot.")
@click.option("--json", "as_json", is_flag=True, help="Print one flat JSON object instead.")
@click.option("--config", type=FILE, default=Path("config.json"), show_default=True, help="Limits and symbol.")
@click.option("--ml-config", type=FILE, default=Path("ml_config.json"), show_default=True, help="Thresholds.")
def status(journal: Path | None, as_json: bool, config: Path, ml_config: Path) -> None:
    """Show where the bot stands: money, position, limits and how near they are, last decision, news."""
    from trading.reports.status import status_lines, status_values

    shown = _read(journal, config, ml_config)
    if as_json:
        click.echo(json.dumps(status_values(shown), indent=2))
        return
    for line in status_lines(shown):
        click.echo(line)


def _read(journal: Path | None, config: Path, ml_config: Path) -> DailyStatus:
    from commands.trade_modes.bot_here import known_status
    from commands.trade_modes.health import find_journal
    from commands.trade_modes.live import CALENDAR_FOLDER
    from engine.inputs.parameters import build_params
    from engine.records import Trade, from_text
    from novosky.clock import RealClock
    from novosky.settings import load_ml_settings, load_settings
    from novosky.supervision.freeze import is_frozen
    from trading.doctor.calendar import check_calendar
    from trading.journal import Journal
    from trading.reports.health import health_file, is_running, judge_health, read_health
    from trading.reports.status import DailyStatus

    settings, ml_settings = load_settings(config), load_ml_settings(ml_config)
    place, url, beside = find_journal(journal)
    now = RealClock().now()
    books = Journal(url, durable=True, read_only=True)
    try:
        standing = known_status(books, place)
        decision, intents = books.decision(standing.last_bar), books.intents_of(standing.last_bar)
        news = books.news_events(int(now), int(now) + WEEK_SECONDS)
        trades = [from_text(Trade, content) for content in books.trades()]
    finally:
        books.close()
    health = read_health(health_file(beside))
    own = health if health is not None and health.identity == standing.identity else None
    return DailyStatus(
        place=place,
        settings=settings,
        params=build_params(settings, ml_settings),
        status=standing,
        health=own,
        verdict=judge_health(standing, own, now, running=is_running(health_file(beside))),
        decision=decision,
        intents=intents,
        news=news,
        calendar=check_calendar(CALENDAR_FOLDER, settings.news, now).text,
        closed_today=sum(int(trade.exit_time) // DAY_SECONDS == int(now) // DAY_SECONDS for trade in trades),
        frozen=is_frozen(),
        now=now,
    )
