"""Run the bot."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from commands.shared.options import FILE, MOST_DAYS, UtcDate, account_options, check_address_option, file_options
from commands.trade_modes.live import default_journal
from commands.trade_modes.paper_markets import FeedName

if TYPE_CHECKING:
    from commands.trade_modes.paper_markets import FeedName

EPILOG = """\b
Examples:
  python trading.py
  python trading.py --paper --replay data/BTCUSD_M15.parquet --start 2024-01-01 --trades trades.csv
  python trading.py --paper
  python trading.py --paper --feed binance
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
@click.option(
    "--feed",
    type=click.Choice(get_args(FeedName)),
    help="With --paper: pretend money on real prices of a terminal, a bridge or binance's public bars.",
)
@click.option("--feed-url", metavar="URL", help="With --feed binance: another host that speaks its protocol.")
@click.option("--once", is_flag=True, help="Act on the newest closed bar and exit.")
@click.option("--health", is_flag=True, help="Show where the bot stands; exits 1 when it is behind the market.")
@click.option("--stale-bars", type=click.IntRange(0), help="With --health: closed bars it may be behind.  [2]")
@click.option(
    "--journal",
    type=FILE,
    help="Journal file; the default depends on the mode.  [logs/novosky.sqlite, logs/paper.sqlite]",
)
@click.option("--fresh", is_flag=True, help="Discard the paper account and begin anew.")
@click.option(
    "--trades", "trades_file", type=FILE, help="Write the closed trades as CSV; a live bot keeps logs/trades.csv."
)
@click.option(
    "--blocked",
    "blocked_file",
    type=FILE,
    help="Write the blocked signals as CSV; a live bot keeps logs/blocked_signals.csv.",
)
@click.option(
    "--accept-balance",
    is_flag=True,
    help="Begin although the balance is far from risk_profile.starting_balance_usd, where the hard halt measures from.",
)
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
    feed: FeedName | None,
    feed_url: str | None,
    once: bool,
    health: bool,
    stale_bars: int | None,
    journal: Path | None,
    fresh: bool,
    trades_file: Path | None,
    blocked_file: Path | None,
    accept_balance: bool,
    config: Path,
    ml_config: Path,
    models: Path,
    calendar: Path | None,
    **flags: Any,
) -> None:
    """Run the bot. It acts once per closed bar and can be killed and restarted at any moment.

    Without --paper it trades the account that NOVOSKY_BROKER, MT5_LOGIN and MT5_SERVER name, in the
    environment or in .env, through MetaTrader 5; where NOVOSKY_BROKER says paper, that is --paper.
    """
    from commands.trade_modes import paper as paper_runs

    replay = replay or data
    if health:
        from commands.trade_modes.health import show_health
        from trading.reports.health import MOST_BARS_BEHIND

        named = journal or (default_journal(replay) if paper or replay is not None else None)
        show_health(named, MOST_BARS_BEHIND if stale_bars is None else stale_bars)
        return
    if not paper and replay is None and environment_says_paper():
        click.echo("NOVOSKY_BROKER is paper, so this is --paper")
        paper = True
    if not paper:
        simulated = {"--replay": replay, "--start": start, "--end": end, "--days": days, "--m1": m1}
        _refuse_paper_options(simulated | {"--fresh": fresh or None, "--feed": feed, "--feed-url": feed_url}, flags)
        from commands.trade_modes.live import LiveRun, trade_live

        run_live = LiveRun(
            config, ml_config, models, calendar, journal, trades_file, blocked_file, accept_balance=accept_balance
        )
        trade_live(run_live, once=once)
        return
    journal = journal or default_journal(replay)
    windowed = any(option is not None for option in (start, end, days, m1))
    _refuse_mixed_markets(replay, feed, feed_url, once=once, windowed=windowed)
    from commands.trade_modes.paper_markets import EmbeddedMarket, FeedMarket
    from novosky.settings.overrides import AccountFlags

    if replay is None and feed is None:
        config, ml_config, models = _files_of_paper(config, ml_config, models)
    run = paper_runs.PaperRun(
        config,
        ml_config,
        models,
        calendar,
        AccountFlags(**flags),
        journal,
        fresh,
        trades_file,
        blocked_file,
        accept_balance=accept_balance,
    )
    if replay is not None:
        paper_runs.replay(run, paper_runs.Window(replay, m1, start, end, days))
    else:
        followed = EmbeddedMarket() if feed is None else FeedMarket(feed, feed_url)
        paper_runs.follow(run, followed, once=once)


def _refuse_mixed_markets(
    replay: Path | None, feed: FeedName | None, feed_url: str | None, *, once: bool, windowed: bool
) -> None:
    """Refuse options of one kind of paper market beside another kind."""
    from novosky.errors import UsageError

    if replay is None and windowed:
        raise UsageError("--start, --end, --days and --m1 belong to --replay FILE")
    if replay is not None and once:
        raise UsageError("--once follows the clock, --replay runs through a file; give one of them")
    if feed is not None and replay is not None:
        raise UsageError("--feed follows the prices of now, --replay runs through a file; give one of them")
    if feed_url is not None and feed != "binance":
        raise UsageError("--feed-url names another host for --feed binance; a terminal and a bridge are named in .env")
    if feed_url is not None:
        check_address_option("--feed-url", feed_url)


def environment_says_paper() -> bool:
    """Tell whether onboarding's choice was the simulated account."""
    import os

    from novosky.environment import BROKER, ENV_FILE, read_environment

    return read_environment(ENV_FILE, os.environ).get(BROKER.name, "").strip() == "paper"


def _files_of_paper(config: Path, ml_config: Path, models: Path) -> tuple[Path, Path, Path]:
    """Take the demo's files where there are no models and none were named, and say so."""
    from commands.trade_modes.practice import named_on_the_command_line, paper_files
    from ml.sets.deployment import Deployment

    named = named_on_the_command_line("config", "ml_config", "models")
    choice = paper_files(Deployment(models, config, ml_config), named=named)
    if choice.note is not None:
        click.echo(choice.note)
    return choice.files.config, choice.files.ml_config, choice.files.models


def _refuse_paper_options(options: Mapping[str, object], flags: Mapping[str, object]) -> None:
    """Refuse what only a simulated account can be told; a real one has its own history and terms."""
    from novosky.errors import UsageError

    given = [name for name, value in options.items() if value is not None]
    given += [f"--{name.replace('_', '-')}" for name, value in flags.items() if value not in (None, False)]
    if given:
        raise UsageError(f"{', '.join(given)}: only with --paper; a real account has its own terms")
