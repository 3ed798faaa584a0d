"""MetaTrader 5 on another machine: the same account and adapter, reached over the bridge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from novosky.environment import ACCOUNT_KIND, BRIDGE, BROKER, TERMINAL
from novosky.errors import UsageError
from trading.brokers.family import BrokerKind
from trading.brokers.mt5.entry import ACCOUNT, TerminalReach, account_access

if TYPE_CHECKING:
    from trading.brokers.bridge.access import BridgeAccess
    from trading.brokers.mt5.module import TerminalModule


def bridge_reach(environment: Mapping[str, str]) -> TerminalReach:
    """Read the account and the bridge that leads to its terminal; UsageError when one is not named."""
    # The family reads this file for every command; the bridge itself takes its time to import.
    from trading.brokers.bridge.access import BridgeAccess

    access = account_access(environment)
    bridge = BridgeAccess.from_environment(environment)
    if bridge is None:
        raise UsageError(f"{BROKER.name} is bridge but {BRIDGE[0].name} is not set; give the address of the bridge")
    return TerminalReach(access, bridge_client(bridge), renewable=True)


def bridge_client(bridge: BridgeAccess) -> Callable[[], TerminalModule]:
    """Return what makes a client of a bridge, each with a connection of its own."""
    from trading.brokers.bridge.client import BridgeModule

    return lambda: BridgeModule(bridge.url, bridge.token.get_secret_value(), ca=bridge.ca)


KIND = BrokerKind(
    name="bridge",
    summary="bridge reaches one on another machine, where `novosky bridge serve` runs beside it",
    order=2,
    variables=(*BRIDGE, *TERMINAL, ACCOUNT_KIND),
    account=ACCOUNT,
    reach=bridge_reach,
)
