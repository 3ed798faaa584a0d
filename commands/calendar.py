"""Collect the weekly news calendar."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.shared.options import FILE, check_address_option
from novosky.clock import RealClock
from novosky.errors import DataError, NetworkError, StorageError

if TYPE_CHECKING:
    from novosky.data.calendar.forex_factory import Week

EPILOG = """\b
Examples:
  python scripts/download_calendar.py
  python scripts/download_calendar.py --input ff_calendar_thisweek.json --output data/calendar/2024.parquet

Backtests and the bot read the result with --calendar.
"""


@click.command(epilog=EPILOG)
@click.option(
    "--output",
    type=FILE,
    default=Path("data/calendar/forexfactory_weeks.parquet"),
    show_default=True,
    help="Calendar the week is added to; the running bot keeps the one named here by default.",
)
@click.option(
    "--input",
    "source",
    type=FILE,
    help="A weekly export saved earlier, instead of asking the host.",
)
@click.option("--config", type=FILE, default=Path("config.json"), show_default=True)
@click.option("--base-url", help="Another host than news.base_url of the configuration.")
def download_calendar(output: Path, source: Path | None, config: Path, base_url: str | None) -> None:
    """Add this week's scheduled releases to a calendar that --calendar of every command reads.

    The week replaces what was stored of it, so that moved releases are at their new time. The
    host is asked at most once per news.refresh_minutes, whoever asks.
    """
    if output.suffix.lower() != ".parquet":
        raise click.UsageError(f"--output {output}: calendars are stored as Parquet; give a name that ends in .parquet")
    if source is not None and base_url is not None:
        raise click.UsageError("--input reads a file and asks no host; leave out --base-url")
    if base_url is not None:
        check_address_option("--base-url", base_url)
    from novosky.data.calendar.forex_factory import parse_week
    from novosky.data.calendar.store import append_week

    if source is not None:
        try:
            week = parse_week(source.read_bytes())
        except FileNotFoundError as error:
            raise DataError(f"{source}: no such file; save the weekly export there, or leave --input out") from error
        except DataError as error:
            raise DataError(f"{source}: {error}; save the export again") from error
    else:
        week = _fetch(output.parent, config, base_url)
    stored = append_week(output, week)
    for problem in week.problems:
        click.echo(f"warning: left out {problem}", err=True)
    first, last = (stored["time"].iloc[at].strftime("%Y-%m-%d") for at in (0, -1))
    click.echo(f"{output}: {len(stored):,} releases from {first} to {last}, {len(week.releases)} of them this week's")


def _fetch(folder: Path, config: Path, base_url: str | None) -> Week:
    """Return the host's current week; asked too soon after the last time, the cached one."""
    from random import SystemRandom

    from novosky.data.calendar.download import CACHE_NAME, Patience, WeekDownload
    from novosky.settings import load_settings

    news = load_settings(config).news
    patience = Patience(interval=news.refresh_minutes * 60.0)
    download = WeekDownload(base_url or news.base_url, folder / CACHE_NAME, patience, SystemRandom())
    now = RealClock().now()
    download.ask(now)
    if download.unwritten:
        raise StorageError(download.unwritten)
    if download.week is None or download.state.failure:
        wait = max(0.0, download.state.next_ask - now) / 60.0
        raise NetworkError(f"{download.state.failure}; the host may be asked again in {wait:.0f} min")
    return download.week
