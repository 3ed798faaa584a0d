"""The adapter over a simulated terminal on hand-made bars, with everything a test may want to turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from engine.records import Bars, Rollovers
from novosky.market.server_time import ServerClock
from novosky.market.timeframe import USUAL
from novosky.settings import Settings
from tests.contracts.broker import BAR, QUIET, SPREAD, START, Row, Terms
from tests.helpers.paper_runs import settings_with
from trading.brokers.mt5.broker import Mt5Broker
from trading.brokers.mt5.terms import Access, Timing
from trading.brokers.simulated.accounts import AccountTerms
from trading.brokers.simulated.book import OpenPosition
from trading.brokers.simulated.clock import TerminalClock
from trading.brokers.simulated.faults import Fault, FaultPlan
from trading.brokers.simulated.functions.terminal import SimulatedTerminal
from trading.brokers.simulated.functions.views import Installation
from trading.brokers.simulated.markets.market import Feed
from trading.brokers.simulated.markets.stamps import Stamps
from trading.brokers.simulated.markets.symbols import SymbolSpec, engine_params
from trading.brokers.simulated.server import TradeServer
from trading.brokers.simulated.store import TerminalStore

HEDGING = AccountTerms(login=1, leverage=100, limit_positions=1)
ACCESS = Access(login=1, server="Simulated-Demo", real=False)


def market(
    rows: list[Row],
    spec: SymbolSpec,
    *,
    slots: list[int] | None = None,
    start: int = START,
    rule: str = "NewYork+7",
    midnights: tuple[int, ...] = (),
    spread: float = SPREAD,
    leverage: float = 100.0,
    **costs: float,
) -> Feed:
    """Return a symbol's market over bars at `start + BAR * slot`."""
    times = start + BAR * np.array(slots or range(len(rows)), dtype=np.int64)
    table = np.array(rows)
    bars = Bars(times, *(table[:, k].copy() for k in range(4)), np.full(len(rows), spread))
    moments = times[list(midnights)]
    return Feed(
        spec,
        bars,
        engine_params(spec, **{"frame": USUAL, "leverage": leverage, **costs}),
        Stamps(ServerClock(rule)),
        rollovers=Rollovers(moments, np.ones(len(moments))),
    )


class Counted(SimulatedTerminal):
    """A terminal that counts the calls of its functions.

    Attributes
    ----------
    calls : dict
        Function name to number of calls.
    sent : list of dict
        Requests given to `order_send`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls: dict[str, int] = {}
        self.sent: list[dict[str, Any]] = []

    def _call(self, name: str, *args: Any, **kwargs: Any) -> Any:
        self.calls[name] = self.calls.get(name, 0) + 1
        return super()._call(name, *args, **kwargs)

    def order_send(self, *args: Any, **kwargs: Any) -> Any:
        self.sent.append(dict(args[0]))
        # The caller's own call is without keywords; this one must be, too.
        return super().order_send(args[0])


@dataclass
class Mt5Stage:
    """A broker over a terminal over a trade server, standing at the close of the first bar."""

    server: TradeServer
    faults: FaultPlan
    mt5: Counted
    broker: Mt5Broker
    clock: TerminalClock
    settings: Settings
    access: Access = ACCESS
    timing: Timing = field(default_factory=Timing)

    def go_on(self) -> None:
        """Let the market move to the close of the next bar."""
        self.server.advance()

    def reconnect(self) -> None:
        """Lose the connection and replace `broker` by a new one to the same account."""
        self.broker.close()
        self.broker = Mt5Broker(self.mt5, self.settings, self.clock, self.access, timing=self.timing)

    def plan(self, *faults: Fault) -> None:
        """Let things go wrong."""
        self.faults.plan(*faults)

    def sends(self) -> int:
        """Return how often `order_send` was called."""
        return len(self.mt5.sent)


def stage(
    rows: list[Row] | None = None,
    terms: Terms | None = None,
    *,
    slots: list[int] | None = None,
    rule: str = "NewYork+7",
    start: int = START,
    spec: SymbolSpec | None = None,
    others: tuple[Feed, ...] = (),
    account: AccountTerms = HEDGING,
    access: Access = ACCESS,
    installation: Installation | None = None,
    timing: Timing | None = None,
    store: TerminalStore | None = None,
    settings: dict[str, Any] | None = None,
    selected: bool = True,
    connect: bool = True,
) -> Mt5Stage:
    """Set a stage; `spec` and `settings` agree unless both are given."""
    terms = Terms() if terms is None else terms
    level = terms.stops_distance * 100.0
    spec = SymbolSpec("BTCUSD", stops_level=level) if spec is None else spec
    costs = {"commission_per_lot": terms.commission, "slippage": terms.slippage}
    swaps = {"swap_long": terms.swap, "swap_short": terms.swap, "stop_out_level": terms.stop_out}
    feed = market(
        [QUIET] * 8 if rows is None else rows,
        spec,
        slots=slots,
        start=start,
        rule=rule,
        midnights=terms.midnights,
        leverage=terms.leverage,
        **costs,
        **swaps,
    )
    changed = {"broker": {"server_clock": rule, "stops_level": level}}
    for name, value in (settings or {}).items():
        changed[name] = {**changed.get(name, {}), **value} if isinstance(value, dict) else value
    changed["account"] = {"leverage": terms.leverage, **changed.get("account", {})}
    configured = settings_with(**changed)
    account = replace(account, stop_out=100.0 * terms.stop_out)
    server = TradeServer((feed, *others), account, terms.balance, store=store, identity="stage")
    if not server.begun:
        server.advance()
    faults = FaultPlan()
    names = tuple(server.feeds) if selected else ()
    mt5 = Counted(server, faults, replace(installation or Installation(), selected=names))
    clock, timing = TerminalClock(server), timing or Timing()
    broker = Mt5Broker(mt5, configured, clock, access, timing=timing)
    if connect:
        broker.connect()
        mt5.calls.clear()
    return Mt5Stage(server, faults, mt5, broker, clock, configured, access, timing)


def held(play: Mt5Stage) -> tuple[OpenPosition, ...]:
    """Return what the broker really holds, whatever the terminal says."""
    return tuple(play.server.book.positions.values())


class Watching(TerminalClock):
    """Does something whenever somebody waits.

    Parameters
    ----------
    server : TradeServer
    meanwhile : callable
        Called with the seconds before they pass.
    """

    def __init__(self, server: TradeServer, meanwhile: Callable[[float], None]) -> None:
        super().__init__(server)
        self._meanwhile = meanwhile

    def sleep(self, seconds: float) -> None:
        """Let something happen, then time pass."""
        self._meanwhile(seconds)
        super().sleep(seconds)
