"""The simulated broker: pretend money on this machine, behind the live bot's own adapter."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from trading.brokers.family import BrokerKind

if TYPE_CHECKING:
    from novosky.settings import Settings
    from trading.brokers.mt5.module import TerminalModule
    from trading.brokers.port import Broker
    from trading.brokers.simulated.functions.terminal import SimulatedTerminal
    from trading.brokers.simulated.server import TradeServer

STAMPS = "UTC"
"""The simulated server's clock: one that is set back in autumn stamps two bars alike, and a terminal shows one."""


def simulated_broker(
    server: TradeServer,
    settings: Settings,
    reach: Callable[[SimulatedTerminal], TerminalModule] = lambda terminal: terminal,
    real_time: Callable[[], float] | None = None,
) -> Broker:
    """Return the live bot's adapter on a terminal of this server.

    Parameters
    ----------
    server : TradeServer
        Its stamps must be those of `STAMPS`.
    settings : Settings
    reach : callable
        Returns the module through which the adapter reaches the terminal: itself, or one end of a bridge.
    real_time : callable or None
        UTC epoch seconds, where prices are real and grow old in real time.
    """
    # The family reads this file for every command; what makes a terminal takes its time to import.
    from trading.brokers.mt5.broker import Mt5Broker
    from trading.brokers.mt5.terms import Access, Timing
    from trading.brokers.simulated.clock import TerminalClock
    from trading.brokers.simulated.functions.terminal import SimulatedTerminal
    from trading.brokers.simulated.timely import TimelyBroker

    made = Mt5Broker if real_time is None else partial(TimelyBroker, now=real_time)
    terms, terminal = server.terms, SimulatedTerminal(server)
    module = reach(terminal)
    # A terminal in this process cannot hang, and a thread beside it would cost a replay a fifth of its speed.
    timing = Timing(call=math.inf) if module is terminal else Timing()
    stamped = settings.broker.model_copy(update={"server_clock": STAMPS})
    return made(
        module,
        settings.model_copy(update={"broker": stamped}),
        TerminalClock(server),
        Access(terms.login, terms.server, real=False),
        timing=timing,
        volume_unit=server.main.volume_scale,
    )


KIND = BrokerKind(name="paper", summary="paper trades pretend money on this machine", order=0)
