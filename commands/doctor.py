"""Check whether this machine is fit to trade."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.shared.options import FILE, FOLDER, data_option
from novosky.data.places import configured_bars, configured_frame

if TYPE_CHECKING:
    from commands.trade_modes.bot_here import BotHere
    from trading.brokers.facts import BrokerProbe
    from trading.doctor.finding import Finding

EPILOG = """\b
Examples:
  novosky doctor
  novosky doctor --json
  novosky doctor --online --journal logs/paper.sqlite

\b
The journal is that of the bot here: of NOVOSKY_DATABASE_URL, else logs/novosky.sqlite, else the
paper bot's logs/paper.sqlite.
"""


@click.command(epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option(
    "--online", is_flag=True, help="Ask alert channels and broker, too; otherwise nothing leaves this machine."
)
@click.option("--journal", type=FILE, help="Journal file.  [that of the bot here: live, else paper]")
@data_option("Stored bars.")
@click.option("--env-file", type=FILE, default=Path(".env"), show_default=True, help="Where secrets are kept.")
@click.option("--config", type=FILE, default=Path("config.json"), show_default=True, help="Runtime settings.")
@click.option("--ml-config", type=FILE, default=Path("ml_config.json"), show_default=True, help="Model settings.")
@click.option("--models", type=FOLDER, default=Path("models"), show_default=True, help="Model directory.")
def doctor(
    as_json: bool,
    online: bool,
    journal: Path | None,
    data: Path,
    env_file: Path,
    config: Path,
    ml_config: Path,
    models: Path,
) -> None:
    """Check this machine: settings, models, journal, disk, clock, secrets, broker.

    Every line is OK, WARN or FAIL with its mend; nothing is changed and no secret is shown.
    Exits 0 when nothing failed, 1 otherwise.
    """
    findings = examine_machine(config, ml_config, models, journal=journal, data=data, env_file=env_file, online=online)
    if as_json:
        failed = _print_json(findings)
    else:
        failed = print_findings(findings)
    if failed:
        sys.exit(1)


def examine_machine(
    config: Path,
    ml_config: Path,
    models: Path,
    *,
    journal: Path | None = None,
    data: Path | None = None,
    env_file: Path = Path(".env"),
    online: bool = False,
    probe: BrokerProbe | None = None,
) -> Iterator[Finding]:
    """Yield the findings of all checks, each as soon as it is known."""
    from novosky.clock import RealClock
    from trading.doctor import prices

    now, data = RealClock().now(), data or configured_bars(config)
    environment = _environment(env_file)
    bot = _bot(journal, environment)
    yield from _machine_findings(models, bot.beside, data)
    if probe is not None:
        yield from _settings_findings(config, ml_config, models, now, probe, bot, None)
    else:
        yield from _findings_with_broker(config, ml_config, models, now, environment, bot, online=online)
    yield from _account_findings(models, bot, data, config, now, online=online)
    yield prices.check_price_steps(data, config)
    yield from _cost_findings(config, data)
    yield from _secret_findings(env_file, online=online)


def _environment(env_file: Path) -> Mapping[str, str]:
    """Return the variables, none where their file cannot be read: that has a finding of its own."""
    import os

    from novosky.environment import read_environment
    from novosky.errors import SettingsError

    try:
        return read_environment(env_file, os.environ)
    except SettingsError:
        return {}


def _bot(journal: Path | None, environment: Mapping[str, str]) -> BotHere:
    """Return the bot here; a database URL that is none has a finding of its own."""
    from commands.trade_modes.bot_here import find_bot
    from novosky.errors import SettingsError

    try:
        return find_bot(journal, environment)
    except SettingsError:
        return find_bot(None, {})


def _findings_with_broker(
    config: Path,
    ml_config: Path,
    models: Path,
    now: float,
    environment: Mapping[str, str],
    bot: BotHere,
    *,
    online: bool,
) -> Iterator[Finding]:
    """Check the settings, against the broker of the environment where one is named and may be asked."""
    from novosky.clock import RealClock
    from novosky.environment import BROKER
    from novosky.errors import NovoskyError, SettingsError
    from novosky.settings import load_settings
    from trading.brokers.family import reach_from_environment
    from trading.doctor.broker import check_broker_access
    from trading.doctor.finding import Grade, fail

    refusal = ""
    try:
        reach_from_environment(environment)
    except NovoskyError as error:
        refusal = str(error)
    unasked = check_broker_access(environment.get(BROKER.name, "").strip(), refusal, sys.platform)
    try:
        instrument = load_settings(config).instrument
    except SettingsError:
        instrument = None
    if not online or unasked.grade is Grade.FAIL or instrument is None or unasked.mend != "add --online":
        yield from _settings_findings(config, ml_config, models, now, None, bot, unasked)
        return
    try:
        probe = reach_from_environment(environment).probe(instrument.symbol, RealClock(), instrument.magic)
    except NovoskyError as error:
        refused = fail("broker", str(error), "correct it in .env or the environment")
        yield from _settings_findings(config, ml_config, models, now, None, bot, refused)
        return
    with probe:
        yield from _settings_findings(config, ml_config, models, now, probe, bot, None)


def _machine_findings(models: Path, journal: Path, data: Path) -> Iterator[Finding]:
    from importlib.metadata import requires

    from novosky.compiled import cache_folder
    from novosky.installation import ROOT, is_checkout
    from trading.doctor import machine

    yield machine.check_python(sys.version_info[:3])
    if is_checkout():
        yield machine.check_packages(ROOT / "requirements.txt", _installed)
    else:
        yield machine.check_requirements(requires("novosky") or [], _installed)
    yield machine.check_compiled_cache(cache_folder())
    folders = {"logs": Path("logs"), "journal": journal.parent, "data": data.parent, "models": models}
    for name, folder in folders.items():
        yield machine.check_folder(f"folder {name}", folder)
    yield machine.check_time_zones()


def _installed(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _settings_findings(
    config: Path,
    ml_config: Path,
    models: Path,
    now: float,
    probe: BrokerProbe | None,
    bot: BotHere,
    unasked: Finding | None,
) -> Iterator[Finding]:
    """Check both settings files, and what can only be judged by them; `unasked` says why no broker is asked."""
    import novosky.settings as settings_package
    from commands.trade_modes.live import CALENDAR_FOLDER
    from ml.feature_engineering import get_feature_names
    from novosky.errors import SettingsError
    from novosky.settings import load_ml_settings, load_settings
    from trading.doctor import balance, broker, calendar, configuration, model_set

    try:
        settings = load_settings(config)
    except SettingsError as error:
        settings = None
        yield configuration.refused_settings(config, error)
    try:
        ml_settings = load_ml_settings(ml_config)
    except SettingsError as error:
        ml_settings = None
        yield configuration.refused_settings(ml_config, error)
    yield configuration.check_schemas(Path(settings_package.__file__).parent)
    if settings is not None:
        yield configuration.check_profile(settings, config)
        yield configuration.check_server_clock(settings, now)
        yield calendar.check_calendar(CALENDAR_FOLDER, settings.news, now)
        if unasked is not None:
            yield unasked
        else:
            halt = None if probe is None or not bot.exists else balance.halt_state(bot.url, settings)
            yield from broker.check_broker(probe, settings, now, halt)
    if ml_settings is not None:
        yield configuration.check_features(ml_settings.features, get_feature_names(), ml_config)
    yield from model_set.check_models(models, settings, ml_settings, now)


def _account_findings(
    models: Path, bot: BotHere, data: Path, config: Path, now: float, *, online: bool
) -> Iterator[Finding]:
    from ml.sets.compat import read_manifest
    from novosky.errors import ModelError
    from novosky.installation import installed_file
    from novosky.supervision.freeze import FREEZE_FLAG
    from trading.doctor import account, machine
    from trading.reports.health import health_file

    witnesses = {"this program was installed": installed_file().stat().st_mtime}
    # A set without a manifest is reported with the models; the clock then has one witness less.
    with suppress(ModelError):
        witnesses["the models' newest bar"] = read_manifest(models).train_cutoff.timestamp()
    yield machine.check_system_clock(now, witnesses)
    yield account.check_bars(data, now, configured_frame(config))
    if bot.file is None:
        yield account.check_served_journal(bot.url, bot.words, online=online)
        yield account.check_running(health_file(bot.beside))
    else:
        yield account.check_journal(bot.file)
        yield account.check_lock(bot.file)
    yield account.check_freeze(FREEZE_FLAG)


def _cost_findings(config: Path, data: Path) -> Iterator[Finding]:
    from trading.doctor.costs import check_costs

    finding = check_costs(config, data)
    if finding is not None:
        yield finding


def _secret_findings(env_file: Path, *, online: bool) -> Iterator[Finding]:
    import os

    from novosky.environment import read_environment
    from novosky.errors import SettingsError
    from trading.doctor import secrets
    from trading.doctor.finding import fail

    yield secrets.check_env_file(env_file)
    try:
        environment = read_environment(env_file, os.environ)
    except SettingsError as error:
        yield fail("secrets file", str(error), "correct it; the checks of secrets were left out")
        return
    yield from secrets.check_channels(environment, online=online)
    yield secrets.check_hub(environment)
    yield from secrets.check_database(environment)


def print_findings(findings: Iterator[Finding]) -> int:
    """Print one line per finding as it comes, and its mend below; return how many failed."""
    from novosky.installation import as_installed
    from trading.doctor.finding import Grade

    colours = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "red"}
    counts = dict.fromkeys(Grade, 0)
    for finding in findings:
        counts[finding.grade] += 1
        click.echo(f"{click.style(f'{finding.grade:<4}', fg=colours[finding.grade])}  {finding.name}: {finding.text}")
        if finding.mend:
            click.echo(as_installed(f"      mend: {finding.mend}"))
    click.echo(f"{counts[Grade.OK]} OK, {counts[Grade.WARN]} WARN, {counts[Grade.FAIL]} FAIL")
    return counts[Grade.FAIL]


def _print_json(findings: Iterator[Finding]) -> int:
    """Print the findings as one JSON object; return how many failed."""
    import json
    from dataclasses import asdict

    from trading.doctor.finding import Grade

    found: Sequence[Finding] = list(findings)
    failed = sum(finding.grade is Grade.FAIL for finding in found)
    click.echo(json.dumps({"failed": failed, "findings": [asdict(finding) for finding in found]}, indent=2))
    return failed
