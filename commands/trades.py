"""Show the closed trades of the bot."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import click

from commands.shared.options import FILE, UtcDate

EPILOG = """\b
The bot is found as by `novosky status`. --csv prints the columns of logs/trades.csv.

\b
Examples:
  novosky trades
  novosky trades --last 100 --since 2024-03-01
  novosky trades --since 2024-03-01 --csv
"""
USUAL = 20


@click.command(epilog=EPILOG)
@click.option("--last", type=click.IntRange(1), help=f"Only the newest so many.  [{USUAL}; all with --since]")
@click.option("--since", type=UtcDate(), help="Only those closed from here on, UTC.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead.")
@click.option("--journal", type=FILE, help="Journal file of another bot.")
@click.option("--config", type=FILE, default=Path("config.json"), show_default=True, help="Digits of the prices.")
def trades(
    last: int | None, since: datetime | None, as_json: bool, as_csv: bool, journal: Path | None, config: Path
) -> None:
    """Show the closed trades of the bot, newest last, with their totals."""
    from commands.trade_modes.health import find_journal
    from engine.outputs.tables import TRADE_COLUMNS, csv_text, trade_row
    from engine.records import Trade, from_text
    from novosky.errors import UsageError
    from novosky.settings import load_settings
    from trading.journal import Journal
    from trading.reports.trades import trade_lines, trade_values

    if as_json and as_csv:
        raise UsageError("--json and --csv are two forms of the same; give one of them")
    digits = load_settings(config).broker.digits
    _, url, _ = find_journal(journal)
    books = Journal(url, durable=True, read_only=True)
    try:
        closed = [from_text(Trade, content) for content in books.trades()]
    finally:
        books.close()
    if since is not None:
        closed = [trade for trade in closed if trade.exit_time >= since.timestamp()]
    most = last or (USUAL if since is None and not (as_json or as_csv) else None)
    left_out = 0 if most is None else max(0, len(closed) - most)
    closed = closed[left_out:]
    if as_json:
        click.echo(json.dumps([trade_values(trade, digits) for trade in closed], indent=2))
    elif as_csv:
        click.echo(csv_text(TRADE_COLUMNS, (trade_row(trade, digits) for trade in closed)), nl=False)
    else:
        for line in trade_lines(closed, digits):
            click.echo(line)
        if left_out:
            click.echo(f"{left_out} older ones are not shown; --last {left_out + len(closed)} shows all")
