"""Which account is traded and how it is reached: read from the environment."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from pydantic import SecretStr

from novosky.environment import ACCOUNT_KIND, BRIDGE, BROKER, TERMINAL
from novosky.errors import BrokerError, UsageError
from trading.brokers.bridge.access import BridgeAccess
from trading.brokers.mt5.module import TerminalModule
from trading.brokers.mt5.terms import Access, shown_login

LOGIN, PASSWORD, SERVER, PATH = (variable.name for variable in TERMINAL)
_KINDS = {"demo": False, "real": True}


@dataclass(frozen=True)
class Reach:
    """An account and the way to it.

    Attributes
    ----------
    access : Access
    connect : callable
        Returns a module to reach the terminal with.
    renewable : bool
        True when a second module can be had after the first one hung.
    """

    access: Access
    connect: Callable[[], TerminalModule]
    renewable: bool


def reach_from_environment(environment: Mapping[str, str]) -> Reach:
    """Read which account to trade.

    Raises
    ------
    UsageError
        No broker is named, or what belongs to it is missing. The message says what to set.
    """
    kind = environment.get(BROKER.name, "").strip()
    if kind not in ("mt5", "bridge"):
        named = f"is {kind}" if kind else "is not set"
        raise UsageError(
            f"no broker to trade with: {BROKER.name} {named}; set it to mt5 or bridge in .env or the environment "
            f"({LOGIN} and {SERVER} name the account), or trade a simulated account with --paper"
        )
    access = account_access(environment)
    if kind == "mt5":
        return Reach(access, official_package, renewable=False)
    bridge = BridgeAccess.from_environment(environment)
    if bridge is None:
        raise UsageError(f"{BROKER.name} is bridge but {BRIDGE[0].name} is not set; give the address of the bridge")
    return Reach(access, bridge_client(bridge), renewable=True)


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
    if kind not in _KINDS:
        raise UsageError(f"{ACCOUNT_KIND.name} must be demo or real, where real means real money")
    password, path = environment.get(PASSWORD, ""), environment.get(PATH, "").strip()
    return Access(int(login), server, _KINDS[kind], SecretStr(password) if password else None, path or None)


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


def bridge_client(bridge: BridgeAccess) -> Callable[[], TerminalModule]:
    """Return what makes a client of a bridge, each with a connection of its own."""
    from trading.brokers.bridge.client import BridgeModule

    return lambda: BridgeModule(bridge.url, bridge.token.get_secret_value(), ca=bridge.ca)


def account_key(access: Access) -> str:
    """Return a name for an account that does not tell its number: for files and the journal."""
    return hashlib.sha256(f"{access.login}@{access.server}".encode()).hexdigest()[:12]


def shown_account(access: Access) -> str:
    """Return an account in words, of its number the last three digits."""
    return f"{'real' if access.real else 'demo'} account {shown_login(access.login)} on {access.server}"


def account_name(access: Access, symbol: str) -> str:
    """Return what the journal of an account belongs to; health files and messages show it."""
    return f"{shown_account(access)}, {symbol} ({account_key(access)})"
