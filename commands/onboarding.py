"""Choose a profile and set this machine up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from alerts.family import channel_names
from commands.setup.answers import Answers, Given, answer
from commands.shared.options import FILE, FOLDER
from commands.shared.questions import Amount
from commands.shared.settings_files import provided_settings
from trading.brokers.family import broker_kinds

if TYPE_CHECKING:
    from ml.sets.deployment import Deployment
    from novosky.errors import NovoskyError

EPILOG = """\b
Examples:
  python scripts/onboarding.py
  python scripts/onboarding.py --profile 3 --non-interactive
  python scripts/onboarding.py --profile 4 --non-interactive --balance 2000 --broker paper --dry-run
  python scripts/onboarding.py --profile 2 --broker bridge --bridge-url https://10.0.0.5:8765 --telegram --env
"""


def _channel_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one switch for each alert channel, in alphabetical order."""
    for name in reversed(channel_names()):
        command = click.option(f"--{name}/--no-{name}", default=None, help=f"Whether to use {name.title()}.")(command)
    return command


@click.command(epilog=EPILOG)
@click.option("--profile", type=click.IntRange(1, 5), help="1 steady_income … 5 aggressive.")
@click.option("--balance", type=Amount(), help="Starting balance in USD.")
@click.option("--account", type=click.Choice(["standard", "cent"]), help="Account type.")
@click.option("--broker", type=click.Choice([kind.name for kind in broker_kinds()]), help="How the account is reached.")
@click.option("--bridge-url", help="Address of the bridge, for --broker bridge.")
@_channel_options
@click.option("--hub", help="Where models come from: a folder, s3, or none.")
@click.option("--non-interactive", is_flag=True, help="Ask nothing: needs --profile, keeps what no option states.")
@click.option("--yes", is_flag=True, help="Write without asking once more.")
@click.option("--dry-run", is_flag=True, help="Show what would be written and write nothing.")
@click.option("--env/--no-env", default=None, help="Whether to write a .env template.  [ask; no]")
@click.option("--env-file", type=FILE, default=Path(".env"), show_default=True, help="Where secrets are kept.")
@click.option("--config", type=FILE, default=Path("config.json"), show_default=True, help="Runtime settings.")
@click.option("--ml-config", type=FILE, default=Path("ml_config.json"), show_default=True, help="Model settings.")
@click.option("--models", type=FOLDER, default=Path("models"), show_default=True, help="Model directory.")
def onboarding(
    profile: int | None,
    balance: float | None,
    account: str | None,
    broker: str | None,
    bridge_url: str | None,
    hub: str | None,
    non_interactive: bool,
    yes: bool,
    dry_run: bool,
    env: bool | None,
    env_file: Path,
    config: Path,
    ml_config: Path,
    models: Path,
    **channels: bool | None,
) -> None:
    """Choose a profile and set this machine up.

    Writes config.json from the present one: the profile's limits, the balance and the account
    type change, everything else stays. Secrets are never asked for; they belong to .env. Where
    a hub is configured, the approved revision of the profile is pulled. Ends with the checks
    of `novosky doctor`, whose findings do not change the exit code.
    """
    import os
    import sys

    from ml.sets.deployment import Deployment, recover
    from novosky.environment import read_environment
    from novosky.settings import load_settings

    if not dry_run:
        provided_settings(config, ml_config)
    target = Deployment(models, config, ml_config)
    recover(target)

    settings = load_settings(config)
    original = config.read_bytes()
    stated = {name: used for name, used in channels.items() if used is not None}
    given = Given(profile, balance, account, broker, bridge_url, stated, hub)
    present = read_environment(env_file, os.environ)
    windows = sys.platform == "win32"
    answers = answer(given, settings, interactive=not non_interactive, present=present, windows=windows)
    content, text = _new_content(original, answers, config, ml_config)
    unchanged = _show(content, original, answers, config, ml_config)
    if not dry_run:
        if not unchanged and (yes or non_interactive or click.confirm(f"Write {config}?", default=True)):
            _write(config, original, text)
            click.echo(f"wrote {config}")
        elif not unchanged:
            click.echo(f"{config} stays as it was")
        if env is None and not non_interactive and not env_file.exists():
            env = click.confirm(f"Write a template {env_file} with empty values?", default=True)
    _secrets(answers, env_file, write=bool(env), dry_run=dry_run)
    if dry_run:
        click.echo("dry run: nothing was written")
        return
    failure = _pull(target, answers.hub, env_file)
    _doctor(config, ml_config, models, env_file)
    _next(models, answers)
    if failure is not None:
        raise failure


def _new_content(original: bytes, answers: Answers, config: Path, ml_config: Path) -> tuple[dict[str, object], str]:
    """Return the new settings as content and as the file's text; what would not load is not written."""
    from pydantic import ValidationError

    from novosky.errors import SettingsError
    from novosky.guarded_json import parse_json
    from novosky.settings import Settings, load_ml_settings
    from novosky.settings.profile_application import apply_profile
    from novosky.settings.text_edit import edited

    try:
        labels = load_ml_settings(ml_config).labeling
    except SettingsError:
        # The checks at the end name what is wrong with that file.
        labels = None
    present = original.decode("utf-8-sig")
    content = apply_profile(parse_json(original, str(config)), answers.profile, labels)
    whole = answers.balance.is_integer()
    content["risk_profile"]["starting_balance_usd"] = int(answers.balance) if whole else answers.balance
    content["account_type"] = answers.account
    text = edited(present, content)
    try:
        Settings.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise SettingsError(f"{config} would not load with this profile: {error}; nothing was written") from error
    return content, text


def _show(content: dict[str, object], original: bytes, answers: Answers, config: Path, ml_config: Path) -> bool:
    """Print what changes and what deliberately does not; True when nothing changes."""
    from novosky.guarded_json import parse_json
    from novosky.settings import Settings
    from novosky.settings.differences import changes_between

    changes = changes_between(parse_json(original, str(config)), content)
    click.echo(f"\n{config}, profile {answers.profile.number} {answers.profile.name}:")
    for change in changes:
        click.echo(f"  {change}")
    if not changes:
        click.echo("  nothing changes")
    for note in _notes(Settings.model_validate(content), answers, ml_config):
        click.echo(f"note: {note}")
    return not changes


def _notes(settings: object, answers: Answers, ml_config: Path) -> list[str]:
    from novosky.errors import SettingsError
    from novosky.settings import Settings, load_ml_settings

    assert isinstance(settings, Settings)
    profile, notes = answers.profile, list(answers.notes)
    if settings.risk_profile.scale != "absolute":
        return notes
    management = settings.risk_management
    if management.atr_mult_range is not None:
        stated = management.atr_mult_range
        notes.append(
            f"risk_management.atr_mult_range states {stated.least:g} to {stated.most:g} ATR and deliberately overrides "
            f"the profile's {profile.atr_mult[0]:g} to {profile.atr_mult[1]:g}: the models were trained for these "
            "brackets; set it to null to follow the profile"
        )
    try:
        threshold = load_ml_settings(ml_config).prediction.confidence_threshold
    except SettingsError:
        # The checks at the end name what is wrong with that file.
        return notes
    least, most = profile.confidence
    if not least <= threshold <= most:
        notes.append(
            f"the confidence threshold {threshold:g} in {ml_config} belongs to the models and stays; "
            f"the profile's range is {least:g} to {most:g}"
        )
    return notes


def _write(config: Path, original: bytes, text: str) -> None:
    from novosky.errors import SettingsError
    from novosky.files import write_text

    if config.read_bytes() != original:
        raise SettingsError(f"{config} was changed in the meantime and was left alone; run the command again")
    write_text(config, text)


def _secrets(answers: Answers, env_file: Path, *, write: bool, dry_run: bool) -> None:
    """Say which variables belong to .env and, when asked to, create it; an existing one is never touched."""
    from novosky.environment import create_private, template

    variables = answers.variables
    click.echo(f"\nBelongs to {env_file} or the environment, never to {'config.json'}:")
    for variable in variables:
        stated = "" if variable.secret else answers.values.get(variable.name, "")
        click.echo(f"  {variable.name}={stated}".ljust(42) + f"  # {variable.purpose}")
    if not write:
        return
    if dry_run:
        click.echo(f"would create {env_file} with empty secrets, readable by you alone")
    elif create_private(env_file, template(variables, answers.values)):
        click.echo(f"wrote {env_file} with empty secrets, readable by you alone; fill it in")
    else:
        click.echo(f"{env_file} exists and was left alone; add what is missing")


def _pull(target: Deployment, hub: str | None, env_file: Path) -> NovoskyError | None:
    """Pull the approved revision where a hub is configured; return what went wrong, to be raised after the checks."""
    import os

    from commands.hub import pull_configured
    from novosky.environment import HUB_FOLDER, HUB_STORE, read_environment
    from novosky.errors import NovoskyError, SettingsError
    from novosky.installation import as_installed

    stated = read_environment(env_file, os.environ)
    configured = any(variable.name in stated for variable in (HUB_FOLDER, *HUB_STORE))
    if hub == "none" or (hub is None and not configured):
        return None
    click.echo("\nPulling the approved revision:")
    try:
        pull_configured(target, env_file, hub)
    except SettingsError as error:
        # A template that was written a moment ago is still empty.
        click.echo(as_installed(f"no models yet: {error}\nthen run `python ml/r2_hub.py --pull`"))
    except NovoskyError as error:
        return error
    return None


def _doctor(config: Path, ml_config: Path, models: Path, env_file: Path) -> None:
    from commands.doctor import examine_machine, print_findings

    click.echo("\nChecking this machine:")
    failed = print_findings(examine_machine(config, ml_config, models, env_file=env_file))
    if failed:
        click.echo(f"{failed} failure(s): do what the lines `mend:` above say, then run `novosky doctor`")


def _next(models: Path, answers: Answers) -> None:
    """Say what to do now, as a command for each step that is left."""
    from ml.sets.compat import MANIFEST_NAME, STARTER_COMMAND
    from novosky.environment import BROKER
    from novosky.installation import as_installed

    steps = []
    if not (models / MANIFEST_NAME).exists():
        steps.append((STARTER_COMMAND, "a first set of models, about a minute; or pull an approved one from a hub"))
    if answers.values.get(BROKER.name) != "paper":
        steps.append(("novosky doctor --online", "asks the broker, too, once .env is filled in"))
        steps.append(("python trading.py", "trades the account that .env names; begin on a demo account"))
    else:
        steps.append(("python trading.py --paper", "trades pretend money"))
    click.echo("\nnext:")
    for command, purpose in steps:
        click.echo(f"  {as_installed(command):<28}  {purpose}")
