"""The six questions of onboarding, asked or answered by options, and what follows from the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.shared.questions import ask, read_amount, read_choice

if TYPE_CHECKING:
    from novosky.environment import Variable
    from novosky.settings import Settings
    from novosky.settings.profiles import Profile


@dataclass(frozen=True)
class Given:
    """What the options state; None where nothing was said.

    Attributes
    ----------
    channels : mapping of str to bool
        Whether an alert channel is to be used, for those of which anything was said.
    """

    profile: int | None
    balance: float | None
    account: str | None
    broker: str | None
    bridge_url: str | None
    channels: Mapping[str, bool]
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


def answer(
    given: Given, settings: Settings, *, interactive: bool, present: Mapping[str, str], windows: bool
) -> Answers:
    """Complete the options by questions, or by what the settings say.

    Parameters
    ----------
    given : Given
    settings : Settings
    interactive : bool
        Whether a person can be asked.
    present : mapping
        The variables of the environment and `.env`; what they say is offered first.
    windows : bool
        Whether this machine can run MetaTrader 5's own package.

    Raises
    ------
    UsageError
        A balance below the profile's minimum, or options that lack or contradict each other.
    """
    if interactive:
        click.echo(INTRODUCTION)
    profile = _profile(given.profile, settings, interactive)
    balance, notes = _balance(given.balance, settings, profile, interactive)
    account = given.account or (_account(settings.account_type) if interactive else settings.account_type)
    broker, values = _broker(given, interactive, present, windows)
    channels = _channels(given.channels, interactive, present)
    hub = given.hub or (_hub(present) if interactive else None)
    variables, hub_values = _variables(broker, hub or "none", channels)
    return Answers(profile, balance, account, variables, {**values, **hub_values}, tuple(notes), hub)


INTRODUCTION = """NOVOSKY set-up
Six questions about this machine and the account: they write config.json, offer a template for secrets, and end
with a check of this machine. Enter takes what stands in brackets, ? explains a question, Ctrl-C leaves
everything as it is. No password is asked for, and nothing is written before you say yes.
"""
_PROFILE = (
    "A profile says how much the bot dares: the share of equity a trade loses at its stop, the loss from the week's "
    "peak that pauses it until Monday, and the loss from the starting balance that stops it for good."
)
_BALANCE = (
    "What lies in the account now. The stop for good is measured from it; the bot refuses to start where the account "
    "holds much less. Write 1000, $1,000 or 1000.50."
)
_ACCOUNT = "On a cent account one lot is a hundredth of a standard lot; all sums here stay in US dollars."
_CHANNELS = "Name one or several, with commas between them; what they need goes into .env, not here."
_HUB = (
    "Where approved models are published: a folder, s3 for the bucket of the R2_ settings, or none. Without one, "
    "`novosky models starter` makes a set to practise with."
)


def _profile(number: int | None, settings: Settings, interactive: bool) -> Profile:
    from novosky.errors import UsageError
    from novosky.settings.profiles import PROFILES, profile_named

    if number is None and not interactive:
        raise UsageError("--non-interactive needs --profile 1..5")
    if number is None:
        click.echo(profile_table())
        present = profile_named(settings.risk_profile.name).number
        number = ask("1. Profile", _PROFILE, str(present), _read_profile)
    return next(profile for profile in PROFILES if profile.number == number)


def _read_profile(text: str) -> int:
    from novosky.settings.profiles import PROFILES

    for profile in PROFILES:
        if text.lower() in (str(profile.number), profile.name, f"{profile.number} {profile.name}"):
            return profile.number
    raise ValueError(f"{text!r} is no profile; answer 1 to {len(PROFILES)}, or a name from the table")


def profile_table() -> str:
    """Return the profiles as a table for the terminal."""
    from novosky.settings.profiles import PROFILES

    rows = [("", "profile", "risk a trade", "week paused at", "stopped at", "balance from")]
    for each in PROFILES:
        least, most = each.risk_percent
        rows.append(
            (
                str(each.number),
                each.name,
                f"{least:g}-{most:g} %",
                f"-{each.max_weekly_drawdown_pct:g} %",
                f"-{each.max_total_drawdown_pct:g} %",
                f"${each.min_balance_usd:,.0f}",
            )
        )
    return "\n".join(f"{row[0]:>1}  {row[1]:<14}" + "".join(f"{cell:>16}" for cell in row[2:]) for row in rows)


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

        def enough(text: str) -> float:
            amount = read_amount(text)
            if amount < least:
                raise ValueError(
                    f"profile {profile.number} ({profile.name}) needs at least ${least:,.0f}, this is ${amount:,.2f}; "
                    "write more, or begin again with a smaller profile"
                )
            return amount

        question = f"2. Starting balance in USD, at least {least:,.0f}"
        return ask(question, _BALANCE, f"{max(present, least):g}", enough), []
    if present >= least:
        return present, []
    return least, [
        f"the starting balance {present:g} USD is below this profile's minimum and becomes {least:g} USD; the hard "
        "halt measures from it, so state your own with --balance"
    ]


def _account(present: str) -> str:
    return ask("3. Account type (standard, cent)", _ACCOUNT, present, read_choice(("standard", "cent")))


def broker_choices(*, windows: bool) -> tuple[str, ...]:
    """Return how an account can be reached from this machine."""
    from trading.brokers.family import broker_kinds

    return tuple(kind.name for kind in broker_kinds() if not kind.refusal(_platform(windows=windows)))


def _platform(*, windows: bool) -> str:
    return "win32" if windows else "linux"


def _broker(given: Given, interactive: bool, present: Mapping[str, str], windows: bool) -> tuple[str, dict[str, str]]:
    """Return how the account is reached, and the variables that say so."""
    from novosky.environment import BRIDGE, BROKER
    from novosky.errors import UsageError
    from trading.brokers.family import broker_kinds

    broker = given.broker or ("bridge" if given.bridge_url else None)
    choices, known = broker_choices(windows=windows), present.get(BROKER.name, "paper")
    # What this machine cannot use is named with its reason: whoever looks for it should not have to guess.
    unfit = {
        kind.name: kind.refusal(_platform(windows=windows)).partition(";")[0]
        for kind in broker_kinds()
        if kind.name not in choices
    }
    if broker in unfit:
        raise UsageError(f"--broker {broker}: {unfit[broker]}; take --broker {', or '.join(reversed(choices))}")
    if broker is None:
        broker = known if known in choices else "paper"
        if interactive:
            for name, reason in unfit.items():
                click.echo(f"   {name} is not offered: {reason}.")
            summary = "; ".join(kind.summary for kind in broker_kinds()) + "."
            broker = ask(f"4. Broker ({', '.join(choices)})", summary, broker, read_choice(choices))
        elif broker == "bridge" and BRIDGE[0].name not in present:
            broker = "paper"
    if given.bridge_url and broker != "bridge":
        raise UsageError(f"--bridge-url belongs to --broker bridge, not to {broker}")
    if broker != "bridge":
        return broker, {BROKER.name: broker}
    return broker, {BROKER.name: broker, BRIDGE[0].name: _bridge_url(given, interactive, present.get(BRIDGE[0].name))}


def _bridge_url(given: Given, interactive: bool, known: str | None) -> str:
    from novosky.errors import UsageError

    if given.bridge_url is not None:
        return _checked_url(given.bridge_url)
    if not interactive:
        if known is None:
            raise UsageError("--broker bridge needs --bridge-url")
        return _checked_url(known)

    def checked(text: str) -> str:
        try:
            return _checked_url(text)
        except UsageError as reason:
            raise ValueError(str(reason)) from reason

    explanation = "Where `novosky bridge serve` listens, like https://10.0.0.5:8765; its token goes into .env."
    return ask("   Address of the bridge", explanation, known or "https://10.0.0.5:8765", checked)


def _channels(stated: Mapping[str, bool], interactive: bool, present: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of the alert channels to use; a person is asked unless an option says so."""
    from alerts.family import channel_kinds

    kinds = channel_kinds()
    if stated or not interactive:
        return tuple(name for name in kinds if stated.get(name, False))
    known = [name for name, kind in kinds.items() if all(each in present for each in kind.NEEDED)]
    explanation = " ".join(f"{name}: {kind.PURPOSE}" for name, kind in kinds.items())
    question = f"5. Alert channels ({', '.join(kinds)}, none)"
    return ask(question, f"{_CHANNELS} {explanation}", ",".join(known) or "none", _read_channels)


def _read_channels(text: str) -> tuple[str, ...]:
    from alerts.family import channel_names

    words = [word for word in text.lower().replace(",", " ").split() if word]
    unknown = [word for word in words if word not in (*channel_names(), "none")]
    if unknown or not words or ("none" in words and len(words) > 1):
        raise ValueError(f"{text!r} is not understood; answer with {', '.join(channel_names())}, several, or none")
    return tuple(name for name in channel_names() if name in words)


def _hub(present: Mapping[str, str]) -> str:
    from novosky.environment import HUB_FOLDER, HUB_STORE

    known = present.get(HUB_FOLDER.name) or ("s3" if HUB_STORE[0].name in present else "none")
    return ask("6. Where models come from (a folder, s3, none)", _HUB, known, _read_hub)


def _read_hub(text: str) -> str:
    if "://" in text and not text.startswith("file://"):
        raise ValueError("a hub is a folder, file:///folder, s3 or none; an address of another kind is not read")
    return text


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


def _variables(broker: str, hub: str, channels: Sequence[str]) -> tuple[tuple[Variable, ...], dict[str, str]]:
    from alerts.family import channel_kind
    from novosky import environment
    from trading.brokers.family import kind_named

    kind = kind_named(broker)
    variables: list[Variable] = [environment.BROKER, *(() if kind is None else kind.variables)]
    for name in channels:
        variables += channel_kind(name).VARIABLES
    values: dict[str, str] = {}
    if hub == "s3":
        variables += environment.HUB_STORE
        variables.append(environment.HUB_PUBLIC_KEY)
    elif hub != "none":
        variables += (environment.HUB_FOLDER, environment.HUB_PUBLIC_KEY)
        values[environment.HUB_FOLDER.name] = hub if hub.startswith("file://") else Path(hub).absolute().as_uri()
    variables.append(environment.DATABASE)
    return tuple(variables), values
