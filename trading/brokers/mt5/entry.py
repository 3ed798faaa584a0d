"""MetaTrader 5 on this machine: which account is traded and how its terminal is reached."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, cast

from pydantic import SecretStr

from novosky.environment import ACCOUNT_KIND, BROKER, TERMINAL
from novosky.errors import BrokerError, SettingsError, UsageError
from trading.brokers.family import BrokerKind
from trading.brokers.mt5.module import TerminalModule
from trading.brokers.mt5.terms import Access, Timing, shown_login

if TYPE_CHECKING:
    from random import Random

    from novosky.clock import Clock
    from novosky.settings import Settings
    from trading.brokers.mt5.broker import Mt5Broker
    from trading.brokers.mt5.probe import Mt5Probe

LOGIN, PASSWORD, SERVER, PATH = (variable.name for variable in TERMINAL)
ACCOUNT = f"{LOGIN} and {SERVER} name the account"
_REAL = {"demo": False, "real": True}


@dataclass(frozen=True)
class TerminalReach:
    """An account of MetaTrader 5 and the way to its terminal; see `trading.brokers.family.Reach`.

    Attributes
    ----------
    access : Access
    connect : callable
        Returns a module to reach the terminal with.
    renewable : bool
        True when a second module can be had after the first one hung.
    timing : Timing
    volume_unit : float
        See `Mt5Broker`.
    """

    access: Access
    connect: Callable[[], TerminalModule]
    renewable: bool
    timing: Timing = field(default_factory=Timing)
    volume_unit: float = 1.0

    @property
    def key(self) -> str:
        """A name for the account that does not tell its number: for files and the journal."""
        return hashlib.sha256(f"{self.access.login}@{self.access.server}".encode()).hexdigest()[:12]

    @property
    def shown(self) -> str:
        """The account in words, of its number the last three digits."""
        kind = "real" if self.access.real else "demo"
        return f"{kind} account {shown_login(self.access.login)} on {self.access.server}"

    @property
    def real(self) -> bool:
        """True when it holds real money."""
        return self.access.real

    def is_practice(self, login: int, server: str) -> bool:
        """Tell whether this is a rehearsal's account: reached over a bridge, under the simulated terminal's name."""
        return not self.real and self.renewable and (self.access.login, self.access.server) == (login, server)

    def open(self, settings: Settings, clock: Clock, rng: Random) -> Mt5Broker:
        """Return the adapter; it connects at its first question.

        Raises
        ------
        SettingsError
            The settings state costs that a broker of lots and nights does not charge.
        """
        check_costs(settings)
        # The doctor and onboarding read this file; the adapter they do not need takes its time to import.
        from trading.brokers.mt5.broker import Mt5Broker

        return Mt5Broker(
            self.connect(),
            settings,
            clock,
            self.access,
            timing=self.timing,
            renew=self.connect if self.renewable else None,
            volume_unit=self.volume_unit,
            rng=rng,
        )

    def probe(self, symbol: str, clock: Clock, magic: int) -> Mt5Probe:
        """Return what the doctor asks."""
        from trading.brokers.mt5.probe import Mt5Probe

        return Mt5Probe(self.connect(), self.access, self.timing, symbol, clock, magic)


def check_costs(settings: Settings) -> None:
    """Refuse the costs of an exchange: sizing and limits would reckon with what this broker never charges.

    Raises
    ------
    SettingsError
    """
    for key, value, own in (("fees", settings.costs.fees, "per_lot"), ("carry", settings.costs.carry, "nights")):
        if value != own:
            raise SettingsError(
                f'costs.{key} is "{value}", but MetaTrader 5 charges a commission per lot and swap of nights; '
                f'set it to "{own}" in config.json and write what this broker charges'
            )


def package_reach(environment: Mapping[str, str]) -> TerminalReach:
    """Read the account that a terminal on this machine trades; UsageError when it is not named."""
    return TerminalReach(account_access(environment), official_package, renewable=False)


def account_access(environment: Mapping[str, str]) -> Access:
    """Read the one account that may be traded; UsageError when it is not named."""
    login, server = environment.get(LOGIN, "").strip(), environment.get(SERVER, "").strip()
    if not login.isascii() or not login.isdigit() or not server:
        # The value itself is not shown: it may be a password in the wrong line.
        missing = SERVER if login.isdigit() else LOGIN
        # Only a file's reader takes comments away; docker, systemd and `set` hand them on.
        comment = ": it holds a #, take the comment away" if missing == LOGIN and "#" in login else ""
        raise UsageError(
            f"{missing} is not set or not valid{comment}; {LOGIN} (digits) and {SERVER} name the account to trade"
        )
    kind = environment.get(ACCOUNT_KIND.name, "demo").strip()
    if kind not in _REAL:
        raise UsageError(f"{ACCOUNT_KIND.name} must be demo or real, where real means real money")
    password, path = environment.get(PASSWORD, ""), environment.get(PATH, "").strip()
    return Access(int(login), server, _REAL[kind], SecretStr(password) if password else None, path or None)


def official_package() -> TerminalModule:
    """Return the MetaTrader5 package; BrokerError where there is none."""
    try:
        package = import_module("MetaTrader5")
    except ImportError as error:
        raise BrokerError(
            f"{BROKER.name} is mt5 but the MetaTrader5 package is not installed; it exists for Windows only "
            "(pip install MetaTrader5), elsewhere set it to bridge"
        ) from error
    return cast(TerminalModule, package)


def refusal(platform: str) -> str:
    """Say why a terminal on this machine is out of reach: its package exists for Windows only."""
    if platform == "win32":
        return ""
    return (
        "the MetaTrader5 package exists for Windows only; "
        "set it to bridge, and run `novosky bridge serve` beside the terminal"
    )


KIND = BrokerKind(
    name="mt5",
    summary="mt5 reaches a MetaTrader 5 terminal on this machine",
    order=1,
    variables=(*TERMINAL, ACCOUNT_KIND),
    account=ACCOUNT,
    reach=package_reach,
    refusal=refusal,
)
