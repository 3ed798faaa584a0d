"""Replay a live day and split the difference."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from commands.shared.options import FILE, UtcDate, account_options, data_option, file_options, refuse_collisions

EPILOG = """\b
Examples:
  python scripts/replay_day.py 2024-03-01 --data data/BTCUSD_M15.parquet
  python scripts/replay_day.py 2024-03-01 --journal logs/paper.sqlite --spread 16.95 --json drift.json
  python scripts/replay_day.py 2024-03-01 --journal postgresql://bot@127.0.0.1:5432/novosky

Give the account and cost flags that the bot was started with. Times are UTC. Exits 0 whenever
the day could be replayed, whatever was found.
"""


@click.command(epilog=EPILOG)
@click.argument("date", type=UtcDate())
@click.option(
    "--journal",
    help="Journal: a SQLite file or a PostgreSQL URL; it is only read.  [that of the bot here: live, else paper]",
)
@data_option()
@click.option("--m1", type=FILE, help="M1 bars that decide bars which touch both stop and target.")
@file_options
@account_options
@click.option("--json", "json_file", type=FILE, help="Write every figure as JSON.")
def replay_day(
    date: datetime,
    journal: str | None,
    data: Path,
    m1: Path | None,
    config: Path,
    ml_config: Path,
    models: Path,
    calendar: Path | None,
    json_file: Path | None,
    **flags: Any,
) -> None:
    """Replay the UTC day DATE of the bot's journal and split what it earned otherwise into causes.

    The replay begins with the account the journal had at midnight. Each difference is a signal,
    a gate, a price, a cost, something missed, or unexplained; together they are the live result
    minus the replay's, to the cent.
    """
    import os

    from rich.console import Console

    from backtest.day.replay import ReplaySetup
    from backtest.day.replay import replay_day as replay
    from backtest.day.report import print_report, report_json
    from commands.trade_modes.bot_here import find_bot
    from ml.load_models import load_models
    from novosky.data.market_bars import load_market_bars
    from novosky.environment import ENV_FILE, read_environment
    from novosky.errors import UsageError
    from novosky.files import write_json
    from novosky.market.news import load_calendar
    from novosky.settings import load_ml_settings, load_settings
    from novosky.settings.overrides import AccountFlags, apply_flags
    from trading.journal import Journal

    if (date.hour, date.minute, date.second, date.microsecond) != (0, 0, 0, 0):
        raise UsageError(f"DATE is a day like 2024-03-01, not the moment {date:%Y-%m-%dT%H:%M}")
    inputs = {"--data": data, "--m1": m1, "--config": config, "--ml-config": ml_config, "--calendar": calendar}
    bot = find_bot(journal, read_environment(ENV_FILE, os.environ) if journal is None else {})
    refuse_collisions({"--json": json_file}, {**inputs, "--models": models, "--journal": bot.file})
    opened = Journal(bot.url, durable=False, read_only=True)
    try:
        settings = apply_flags(load_settings(config), AccountFlags(**flags))
        ml_settings = load_ml_settings(ml_config)
        served = load_models(models, settings, ml_settings)
        setup = ReplaySetup(
            load_market_bars(data, settings),
            settings,
            served.decided(ml_settings),
            served,
            news=load_calendar(calendar) if calendar else None,
            m1=load_market_bars(m1, settings, seconds=60) if m1 else None,
            fixed_spread=flags["spread"] is not None,
        )
        report = replay(opened, int(date.timestamp()), setup)
    finally:
        opened.close()
    print_report(Console(), report)
    if json_file is not None:
        write_json(json_file, report_json(report))
