"""The brokers there are: each is a package beside this file that holds an `entry.py` with a `KIND`.

Nothing keeps a list of them. The value of `NOVOSKY_BROKER`, the questions of onboarding, the doctor's
checks and the messages all read this family; a broker is added by adding its package and its test.
A package without an `entry.py` is no broker but a part of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from novosky.environment import BROKER, Variable
from novosky.errors import UsageError

if TYPE_CHECKING:
    from random import Random

    from novosky.clock import Clock
    from novosky.settings import Settings
    from trading.brokers.facts import BrokerProbe
    from trading.brokers.live_broker import LiveBroker

ENTRY = "entry"
"""Every broker's package holds a module of this name."""


class Reach(Protocol):
    """One account and the way to it, read from the environment; nothing is asked before `open` or `probe`."""

    @property
    def key(self) -> str:
        """A name for the account that does not tell its number: for files and the journal."""

    @property
    def shown(self) -> str:
        """The account in words, of its number the last digits at most."""

    @property
    def real(self) -> bool:
        """True when it holds real money."""

    def is_practice(self, login: int, server: str) -> bool:
        """Tell whether this is the simulated account of a rehearsal, whose clock may run faster."""

    def open(self, settings: Settings, clock: Clock, rng: Random) -> LiveBroker:
        """Return the broker; it connects at its first question. Whoever opened it closes it.

        Raises
        ------
        SettingsError
            The settings state what this broker does not have, as costs that it never charges.
        BrokerError
            This machine lacks what the broker is reached with.
        """

    def probe(self, symbol: str, clock: Clock, magic: int) -> BrokerProbe:
        """Return what the doctor asks; it only reads. `magic` marks the bot's own positions."""


def runs_anywhere(platform: str) -> str:
    """Say nothing against any platform."""
    return ""


@dataclass(frozen=True)
class BrokerKind:
    """What a broker's package says of itself.

    Attributes
    ----------
    name : str
        The value of `NOVOSKY_BROKER`.
    summary : str
        What it does, one clause for the question of onboarding.
    order : int
        Its place among the answers; practice first.
    variables : tuple of Variable
        What the environment has to tell, secrets among it. A secret's name ends like one
        (`_KEY`, `_TOKEN`, `_PASSWORD`, `_SECRET`): the log's filter goes by it.
    account : str
        Which of them name the account, in words, for the message that none is named.
    reach : callable or None
        Reads the account from the environment, UsageError saying what to set; None where there is no
        account outside this program.
    refusal : callable
        Given `sys.platform`, says why it cannot be used on such a machine, what to do after a
        semicolon; empty when it can.
    """

    name: str
    summary: str
    order: int
    variables: tuple[Variable, ...] = ()
    account: str = ""
    reach: Callable[[Mapping[str, str]], Reach] | None = None
    refusal: Callable[[str], str] = runs_anywhere


def broker_kinds() -> tuple[BrokerKind, ...]:
    """Return every kind of broker, practice first."""
    here = Path(__file__).parent
    packages = sorted(path.parent.name for path in here.glob(f"*/{ENTRY}.py"))
    kinds = [import_module(f"{__package__}.{package}.{ENTRY}").KIND for package in packages]
    return tuple(sorted(kinds, key=lambda kind: (kind.order, kind.name)))


def account_kinds() -> tuple[BrokerKind, ...]:
    """Return the kinds that reach an account outside this program."""
    return tuple(kind for kind in broker_kinds() if kind.reach is not None)


def kind_named(name: str) -> BrokerKind | None:
    """Return the kind of this name, None when there is none."""
    return next((kind for kind in broker_kinds() if kind.name == name), None)


def names_of(kinds: tuple[BrokerKind, ...], last: str = "or") -> str:
    """Return names as a sentence has them: "paper, mt5 or bridge"."""
    names = [kind.name for kind in kinds]
    return f" {last} ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


def reach_from_environment(environment: Mapping[str, str]) -> Reach:
    """Read which account to trade.

    Raises
    ------
    UsageError
        No broker is named, or what belongs to it is missing. The message says what to set.
    """
    name = environment.get(BROKER.name, "").strip()
    kind = kind_named(name)
    if kind is None or kind.reach is None:
        accounts = account_kinds()
        named = f"is {name}" if name else "is not set"
        # Brokers whose account is named alike are told of once.
        account = "; ".join(dict.fromkeys(each.account for each in accounts))
        raise UsageError(
            f"no broker to trade with: {BROKER.name} {named}; set it to {names_of(accounts)} in .env or the "
            f"environment ({account}), or trade a simulated account with --paper"
        )
    return kind.reach(environment)
