"""Judge the newest live trades."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commands.shared.options import FILE, FOLDER, refuse_collisions
from commands.trade_modes.live import LOGS
from novosky.market.timeframe import DAY_SECONDS

if TYPE_CHECKING:
    from novosky.measures.sequential import Reference
    from trading.reports.performance import ClosedTrade, Judgement

EPILOG = """\b
Trades come from the journal of the live bot (NOVOSKY_DATABASE_URL, or logs/novosky.sqlite, or
where there is none the paper bot's logs/paper.sqlite), from --journal, or from a CSV file.

\b
Every trade's result in multiples of its risk (R) since the set in use was approved is held
against the lower bound of the trades it was approved with (strategy_params.json beside
config.json, or the trades CSV of its out-of-sample backtest given by --approved), by a
sequential test that may be asked as often as one likes: of sets as good as that, at most 5 % are
ever called degraded, and one that earns 0.3 R a trade less is found within 200 trades, four
times out of five. Without such a record the claim is only that trades do not lose.

\b
--min-wr, --min-pf and --max-cl ask for more; where any of them is given they decide instead of
the test. With fewer than ten closed trades there is no verdict, unless the test has failed, or
more trades than --max-cl were lost in a row. --alert tells every alert channel at most once a day. --retrain
starts scripts/weekly_optimize.py with the profile of config.json and waits for it: never two
at a time, and not again before --retrain-every days have passed, because new models need
trades of their own before they can be judged. What was done is kept in
logs/performance_monitor.json.

\b
Exit codes: 0 healthy; 1 degraded; 2 wrong arguments; 3 no or too few trades to judge (or, with
--retrain, a wrong config.json); 4 the CSV file is damaged; 7 the journal cannot be read. What
becomes of alert and retraining is said in words and changes no exit code.

\b
Examples:
  python scripts/performance_monitor.py --lookback 50
  python scripts/performance_monitor.py --approved oos-trades.csv --alert
  python scripts/performance_monitor.py --lookback 50 --min-wr 0.55 --min-pf 2.0 --max-cl 7 --alert --retrain
  python scripts/performance_monitor.py --trades logs/trades.csv --dry-retrain --json monitor.json
"""
STATE_NAME = "performance_monitor.json"
LOCK_NAME = "performance_retrain.lock"
DEGRADED, NO_DATA = 1, 3


@dataclass(frozen=True)
class Source:
    """Where trades come from.

    Attributes
    ----------
    words : str
        For people.
    trades : sequence of ClosedTrade or None
        None when there is nothing at that place.
    folder : Path
        Where what was done is kept.
    journal : Path or None
        The SQLite file, when it is one.
    """

    words: str
    trades: list[ClosedTrade] | None
    folder: Path
    journal: Path | None = None


@click.command(epilog=EPILOG)
@click.option("--lookback", type=click.IntRange(min=10), default=50, show_default=True, help="Newest closed trades.")
@click.option("--min-wr", type=click.FloatRange(0, 1), help="Ask for this win rate at least.")
@click.option("--min-pf", type=click.FloatRange(min=0), help="Ask for this profit factor at least.")
@click.option("--max-cl", type=click.IntRange(min=0), help="Ask for no more losses in a row.")
@click.option("--approved", type=FILE, help="Trades CSV of the out-of-sample backtest the set was approved with.")
@click.option("--journal", type=FILE, help="SQLite journal.")
@click.option("--trades", "trades_file", type=FILE, help="Trades CSV instead of a journal.")
@click.option("--config", type=FILE, default=Path("config.json"), show_default=True, help="Names the profile.")
@click.option("--models", type=FOLDER, default=Path("models"), show_default=True, help="The set in use.")
@click.option("--alert", is_flag=True, help="Tell every alert channel when degraded, once a day.")
@click.option("--retrain", is_flag=True, help="Start scripts/weekly_optimize.py when degraded.")
@click.option("--dry-retrain", is_flag=True, help="Only print the command that --retrain would run.")
@click.option(
    "--retrain-every", type=click.IntRange(min=0), default=7, show_default=True, help="Least days between two."
)
@click.option("--json", "json_file", type=FILE, help="Write the figures as one flat JSON object.")
def performance_monitor(
    lookback: int,
    min_wr: float | None,
    min_pf: float | None,
    max_cl: int | None,
    approved: Path | None,
    journal: Path | None,
    trades_file: Path | None,
    config: Path,
    models: Path,
    alert: bool,
    retrain: bool,
    dry_retrain: bool,
    retrain_every: int,
    json_file: Path | None,
) -> None:
    """Judge the closed trades of the bot by what its set was approved with, or by limits you ask for."""
    import os

    from novosky.clock import RealClock
    from novosky.environment import ENV_FILE, read_environment
    from novosky.errors import UsageError
    from novosky.files import write_json
    from trading.reports.performance import Limits, judge, measure, trial_since

    if journal is not None and trades_file is not None:
        raise UsageError("--journal and --trades name two sources; give one of them")
    refuse_collisions(
        {"--json": json_file},
        {"--journal": journal, "--trades": trades_file, "--config": config, "--approved": approved},
    )
    environment = read_environment(ENV_FILE, os.environ)
    source = _source(journal, trades_file, environment)
    limits = Limits(min_wr, min_pf, max_cl)
    reference = _reference(approved, config, models)
    trial = None if limits.asked else trial_since(source.trades or [], reference)
    judgement = judge(measure(source.trades or [], lookback), limits, trial)
    _print(judgement, source)
    if json_file is not None:
        write_json(json_file, {"source": source.words, **judgement.as_dict()})
    if judgement.verdict == "too few trades":
        sys.exit(NO_DATA)
    if judgement.verdict == "healthy":
        return
    now = RealClock().now()
    if alert:
        click.echo(f"alert: {_alert(judgement, source, environment, now)}")
    if retrain or dry_retrain:
        command = _retrain_command(config)
        click.echo(f"retrain: {_retrain(command, source.folder, now, retrain_every, dry=dry_retrain)}")
    sys.exit(DEGRADED)


def _reference(approved: Path | None, config: Path, models: Path) -> Reference:
    """Return what the set in use was approved with, breakeven where nothing says so.

    Raises
    ------
    DataError
        The trades file that was named cannot be read, or holds too few trades with a stop.
    StorageError, ModelError
        The record beside the configuration, or that of the set, is damaged.
    """
    from novosky.errors import DataError
    from novosky.measures.sequential import BREAKEVEN, Reference
    from optimize.history import PARAMS_NAME, approved_expectancy
    from trading.reports.claim import reference_of_set
    from trading.reports.performance import read_trades, reference_of_trades

    if approved is not None:
        found = reference_of_trades(read_trades(approved), str(approved))
        if found is None:
            raise DataError(f"{approved} holds too few trades with a stop to hold others against; name a longer run")
        return found
    path = config.parent / PARAMS_NAME
    known = approved_expectancy(path)
    if known is None:
        # A set that was pulled brings its own record; the machine that made it keeps the fuller one above.
        return reference_of_set(models) or BREAKEVEN
    return Reference(known.low, known.mean, known.trades, known.since, str(path))


def _source(journal: Path | None, trades_file: Path | None, environment: Mapping[str, str]) -> Source:
    from commands.trade_modes.bot_here import find_bot
    from trading.reports.performance import read_trades

    if trades_file is not None:
        return Source(str(trades_file), read_trades(trades_file) if trades_file.exists() else None, LOGS)
    bot = find_bot(journal, environment)
    words = "the journal's database" if bot.file is None else bot.words
    trades = _journal_trades(bot.url) if bot.exists else None
    return Source(words, trades, LOGS if journal is None else journal.parent, bot.file)


def _journal_trades(url: Any) -> list[ClosedTrade]:
    from trading.journal import Journal
    from trading.reports.performance import trades_of_records

    books = Journal(url, durable=True, read_only=True)
    try:
        return trades_of_records(books.trades())
    finally:
        books.close()


def _print(judgement: Judgement, source: Source) -> None:
    figures = judgement.performance
    if source.trades is None:
        click.echo(f"no data: there is nothing at {source.words}; start the bot once, or give --journal or --trades")
        return
    click.echo(f"trades         {figures.trades} of the last {figures.lookback}, from {source.words}")
    if figures.win_rate is not None:
        asked = judgement.limits
        click.echo(
            f"win rate       {figures.win_rate:.1%} (95 % {figures.win_rate_low:.1%} to {figures.win_rate_high:.1%})"
            + ("" if asked.min_win_rate is None else f", asked for {asked.min_win_rate:.1%}")
        )
        wanted = "" if asked.min_profit_factor is None else f", asked for {asked.min_profit_factor:.2f}"
        click.echo(f"profit factor  {figures.profit_factor:.2f}{wanted}")
        click.echo(
            f"losing run     longest {figures.longest_losing_run}, now {figures.current_losing_run}"
            + ("" if asked.most_losses is None else f", allowed {asked.most_losses}")
        )
        fall = "unknown" if figures.max_drawdown is None else f"{figures.max_drawdown:.2%}"
        click.echo(f"max drawdown   {fall}, net {figures.net:+,.2f} USD")
        click.echo(f"exits          {figures.first_exit} to {figures.last_exit}")
    trial = judgement.trial
    if trial is not None and trial.mean_r is not None:
        click.echo(
            f"test           {trial.trades} trades, {trial.mean_r:+.3f} R in the mean, evidence {trial.evidence:.2f}, "
            f"at most {trial.highest:.2f}; 20 is degraded"
        )
    for note in judgement.notes:
        click.echo(f"note           {note}")
    click.echo(f"{judgement.verdict.upper()}{': ' if judgement.reasons else ''}{'; '.join(judgement.reasons)}")


def _alert(judgement: Judgement, source: Source, environment: Mapping[str, str], now: float) -> str:
    """Tell everybody unless they were told today; return what was done, in words."""
    from alerts.direct import tell_now
    from alerts.family import configured_channels, how_to_configure
    from novosky.clock import RealClock
    from trading.reports.performance_alert import alert_message, day_of, queue_alert, served_outbox

    channels = configured_channels(environment)
    if not channels:
        return f"no alert channel is configured ({how_to_configure()}); nobody was told"
    if _state(source.folder).get("alerted") == day_of(now):
        return "told today already"
    message = alert_message(judgement, source.words, now)
    if source.journal is not None and served_outbox(source.journal, now):
        queue_alert(source.journal, message, [channel.name for channel in channels])
        done = "queued in the bot's outbox"
    else:
        told = tell_now(channels, message, now, sleep=RealClock().sleep)
        problems = [problem for each in told for problem in each.problems]
        if problems:
            return f"not everybody was reached, tried again at the next run: {'; '.join(problems)}"
        done = f"sent to {', '.join(channel.reach for channel in channels)}"
    _remember(source.folder, "alerted", day_of(now))
    return done


def _retrain_command(config: Path) -> list[str]:
    """Return the command with the profile of the configuration.

    Raises
    ------
    SettingsError
        The configuration cannot be read.
    """
    from novosky.installation import ROOT
    from novosky.settings import load_settings

    script = ROOT / "scripts" / "weekly_optimize.py"
    profile = load_settings(config).risk_profile.name
    named = [] if config == Path("config.json") else ["--config", str(config)]
    return [sys.executable, str(script), "--profile", profile, *named]


def _retrain(command: list[str], folder: Path, now: float, every_days: int, *, dry: bool) -> str:
    """Run the optimisation unless one is running or has run lately; return what was done, in words."""
    from filelock import FileLock, Timeout

    if dry:
        return f"would run {shlex.join(command)}"
    if not Path(command[1]).is_file():
        return f"{command[1]} does not exist: retraining needs a checkout; nothing was started"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(str(folder / LOCK_NAME))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return "one is running already; none was started"
    try:
        last = _state(folder).get("retrained")
        if last is not None and now - datetime.fromisoformat(last).timestamp() < every_days * DAY_SECONDS:
            return f"the last one began {last}, less than {every_days} days ago; none was started"
        # Remembered first: one that fails is not begun again with every run.
        _remember(folder, "retrained", datetime.fromtimestamp(now, tz=UTC).isoformat(timespec="seconds"))
        click.echo(f"retrain: running {shlex.join(command)}")
        code = subprocess.run(command, check=False).returncode
    finally:
        lock.release()
    return "done" if code == 0 else f"it ended with {code}; its own messages say why"


def _state(folder: Path) -> dict[str, str]:
    """Return what earlier runs did; StorageError when the file is damaged."""
    from novosky.errors import StorageError
    from novosky.guarded_json import read_json_file

    path = folder / STATE_NAME
    try:
        content = read_json_file(path)
        if "retrained" in content:
            datetime.fromisoformat(content["retrained"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise StorageError(f"{path} cannot be read ({error}); remove it: only alerts and retrainings repeat") from error
    return {str(name): str(value) for name, value in content.items()}


def _remember(folder: Path, name: str, value: str) -> None:
    from novosky.files import write_json

    write_json(folder / STATE_NAME, {**_state(folder), name: value})
