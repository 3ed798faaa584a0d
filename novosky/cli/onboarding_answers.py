"""The six questions of onboarding, asked or answered by options, and what follows from the answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from novosky.environment import Variable
    from novosky.settings import Settings
    from novosky.settings.profiles import Profile


@dataclass(frozen=True)
class Given:
    """What the options state; None where nothing was said."""

    profile: int | None
    balance: float | None
    account: str | None
    broker: str | None
    bridge_url: str | None
    telegram: bool | None
    hub: str | None


@dataclass(frozen=True)
class Answers:
    """The six answers.

    Attributes
    ----------
    profile : Profile
    balance : float
        Starting balance, USD.
    account : str
        standard or cent.
    variables : tuple of Variable
        What belongs to the environment for these answers.
    values : mapping
        The values of those that are no secret.
    notes : tuple of str
        What was decided for lack of an answer.
    hub : str or None
        Where models come from: a folder, `s3` or `none`; None where the environment decides.
    """

    profile: Profile
    balance: float
    account: str
    variables: tuple[Variable, ...]
    values: Mapping[str, str]
    notes: tuple[str, ...]
    hub: str | None


def answer(given: Given, settings: Settings, *, interactive: bool) -> Answers:
    """Complete the options by questions, or by what the settings say.

    Raises
    ------
    UsageError
        A balance below the profile's minimum, or options that lack or contradict each other.
    """
    profile = _profile(given.profile, settings, interactive)
    balance, notes = _balance(given.balance, settings, profile, interactive)
    account = given.account or (
        _choose("3. Account type", ["standard", "cent"], settings.account_type)
        if interactive
        else settings.account_type
    )
    broker, values = _broker(given, interactive)
    telegram = given.telegram
    if telegram is None:
        telegram = interactive and click.confirm("5. Telegram messages and commands", default=False)
    hub = given.hub or (
        click.prompt("6. Where models come from (a folder, s3, none)", default="none") if interactive else None
    )
    variables, hub_values = _variables(broker, hub or "none", telegram=telegram)
    return Answers(profile, balance, account, variables, {**values, **hub_values}, tuple(notes), hub)


def _profile(number: int | None, settings: Settings, interactive: bool) -> Profile:
    from novosky.errors import UsageError
    from novosky.settings.profiles import PROFILES, profile_named

    if number is None and not interactive:
        raise UsageError("--non-interactive needs --profile 1..5")
    if number is None:
        click.echo(profile_table())
        present = profile_named(settings.risk_profile.name).number
        number = click.prompt("1. Profile", type=click.IntRange(1, len(PROFILES)), default=present)
    return next(profile for profile in PROFILES if profile.number == number)


def profile_table() -> str:
    """Return the profiles as a table for the terminal."""
    from novosky.settings.profiles import PROFILES

    lines = [
        f"{'#':>1}  {'name':<14} {'risk %':>9}  {'confidence':>11}  {'SL/TP x ATR':>11}  "
        f"{'week':>5}  {'halt':>5}  {'from':>6}"
    ]
    for row in PROFILES:
        risk, confidence, atr = (
            f"{least:.{digits}f}-{most:.{digits}f}"
            for (least, most), digits in ((row.risk_percent, 1), (row.confidence, 2), (row.atr_mult, 1))
        )
        lines.append(
            f"{row.number:>1}  {row.name:<14} {risk:>9}  {confidence:>11}  {atr:>11}  "
            f"{row.max_weekly_drawdown_pct:>4g}%  {row.max_total_drawdown_pct:>4g}%  ${row.min_balance_usd:>5g}"
        )
    return "\n".join(lines)


def _balance(stated: float | None, settings: Settings, profile: Profile, interactive: bool) -> tuple[float, list[str]]:
    from novosky.errors import UsageError

    least, present = profile.min_balance_usd, settings.risk_profile.starting_balance_usd
    if stated is not None and stated < least:
        raise UsageError(
            f"profile {profile.number} ({profile.name}) needs at least {least:g} USD, --balance says {stated:g}; "
            "choose a smaller profile"
        )
    if stated is not None:
        return stated, []
    if interactive:
        kind = click.FloatRange(min=least)
        return float(
            click.prompt(f"2. Starting balance in USD, at least {least:g}", type=kind, default=max(present, least))
        ), []
    if present >= least:
        return present, []
    return least, [
        f"the starting balance {present:g} USD is below this profile's minimum and becomes {least:g} USD; the hard "
        "halt measures from it, so state your own with --balance"
    ]


def _choose(question: str, choices: list[str], default: str) -> str:
    return str(click.prompt(question, type=click.Choice(choices), default=default))


def _broker(given: Given, interactive: bool) -> tuple[str, dict[str, str]]:
    """Return how the account is reached, and the variables that say so."""
    from novosky.environment import BRIDGE, BROKER
    from novosky.errors import UsageError

    broker = given.broker or ("bridge" if given.bridge_url else None)
    if broker is None:
        broker = (
            _choose("4. Broker: paper, mt5 (terminal on this machine) or bridge", ["paper", "mt5", "bridge"], "paper")
            if interactive
            else "paper"
        )
    if given.bridge_url and broker != "bridge":
        raise UsageError(f"--bridge-url belongs to --broker bridge, not to {broker}")
    if broker != "bridge":
        return broker, {BROKER.name: broker}
    if given.bridge_url is None and not interactive:
        raise UsageError("--broker bridge needs --bridge-url")
    url = given.bridge_url or click.prompt("   Address of the bridge, like https://10.0.0.5:8765")
    return broker, {BROKER.name: broker, BRIDGE[0].name: _checked_url(url)}


def _checked_url(url: str) -> str:
    """Return an address without credentials: those do not belong on a command line."""
    from urllib.parse import urlsplit

    from novosky.errors import UsageError

    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole:
        raise UsageError("the bridge's address must look like https://10.0.0.5:8765")
    if parts.username is not None or parts.query:
        raise UsageError("the bridge's address must hold no credentials; they belong to NOVOSKY_BRIDGE_TOKEN")
    if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
        raise UsageError("a bridge on another machine needs https://; plain http:// shows the token to the network")
    return url


def _variables(broker: str, hub: str, *, telegram: bool) -> tuple[tuple[Variable, ...], dict[str, str]]:
    from novosky import environment

    variables: list[Variable] = [environment.BROKER]
    account = (*environment.TERMINAL, environment.ACCOUNT_KIND)
    variables += {"mt5": account, "bridge": (*environment.BRIDGE, *account)}.get(broker, ())
    if telegram:
        variables += environment.TELEGRAM
    values: dict[str, str] = {}
    if hub == "s3":
        variables += environment.HUB_STORE
        variables.append(environment.HUB_PUBLIC_KEY)
    elif hub != "none":
        variables += (environment.HUB_FOLDER, environment.HUB_PUBLIC_KEY)
        values[environment.HUB_FOLDER.name] = hub if hub.startswith("file://") else Path(hub).absolute().as_uri()
    variables.append(environment.DATABASE)
    return tuple(variables), values
