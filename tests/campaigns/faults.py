"""What befalls a bot in a campaign: faults at every call, deaths at every boundary, weather and other hands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from novosky.market.instrument import BOT_MAGIC as MAGIC
from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.simulated.faults import (
    Fault,
    FaultPlan,
    answers,
    call_failed,
    disconnected,
    ipc_timeout,
    late_position,
    nothing_yet,
    overwritten_comment,
    partial_fill,
    pipe_cut_after,
    pipe_cut_before,
    requote,
    server_timeout,
    terminal_restart,
    truncated_comment,
)
from trading.brokers.simulated.functions.terminal import SimulatedTerminal
from trading.brokers.simulated.server import TradeServer

SEND = "order_send"
HAND = 4711
"""Magic of the person who trades by hand on the same account."""
HAND_VOLUME = 0.02

SEND_FAULTS: Mapping[str, Fault] = {
    "requote": requote(),
    "price changed": answers(C.TRADE_RETCODE_PRICE_CHANGED),
    "10012, filled": server_timeout(filled=True),
    "10012, not filled": server_timeout(filled=False),
    "10012 without a ticket, nameless, filled": Fault(retcode=10012, executes=True, comment=lambda _: ""),
    "10031, filled": answers(C.TRADE_RETCODE_CONNECTION, executes=True),
    "10031, not filled": answers(C.TRADE_RETCODE_CONNECTION),
    "-10005, filled": ipc_timeout(filled=True),
    "-10005, not filled": ipc_timeout(),
    "pipe cut before": pipe_cut_before(),
    "pipe cut after, filled": pipe_cut_after(),
    "reject": answers(C.TRADE_RETCODE_REJECT),
    "too many requests": answers(C.TRADE_RETCODE_TOO_MANY_REQUESTS),
    "too many requests, 4 times": replace(answers(C.TRADE_RETCODE_TOO_MANY_REQUESTS), times=4),
    "listed 3 s late": late_position(3.0),
    "listed 40 s late": late_position(40.0),
    "comment cut to 6": truncated_comment(6),
    "comment overwritten": overwritten_comment("broker"),
    "comment lost": truncated_comment(0),
    "partial fill": partial_fill(0.01),
    "terminal restart": terminal_restart(SEND),
    "terminal restart, filled": Fault(
        failure=terminal_restart().failure, closes_pipe=True, restarts=True, executes=True
    ),
}
READ_FAULTS: Mapping[str, Fault] = {
    "read fails": call_failed("*"),
    "read fails, 5 times": replace(call_failed("*"), times=5),
    "read -10005": ipc_timeout(seconds=5.0),
    "disconnected": disconnected(),
    "terminal restart at a read": terminal_restart(),
}
POSITION_FAULTS: Mapping[str, Fault] = {
    "positions_get None, 7 times": replace(call_failed("positions_get"), times=7),
    "positions_get empty": nothing_yet("positions_get"),
}
HISTORY_FAULTS: Mapping[str, Fault] = {"history empty": nothing_yet("history_deals_get")}
EXTRA: Mapping[str, Mapping[str, Fault]] = {"positions_get": POSITION_FAULTS, "history_deals_get": HISTORY_FAULTS}


class Death(BaseException):
    """The process died here."""


@dataclass
class Reaper:
    """Ends the process at a boundary it was told of.

    Attributes
    ----------
    deaths : Counter
        By boundary.
    """

    generator: np.random.Generator
    deaths: Counter[str] = field(default_factory=Counter)
    _wanted: str = ""
    _skip: int = 0

    PLACES = (
        "before record_bar",
        "inside record_bar",
        "after record_bar",
        "before close_intent",
        "inside close_intent",
        "after close_intent",
        "before order_send",
        "after order_send",
        "after order_send",
        "after positions_get",
        "after history_deals_get",
        "after initialize",
        "",
        "",
    )
    """An empty one fits any boundary."""

    def arm(self) -> None:
        """Choose where to strike next."""
        self._wanted = str(self.generator.choice(self.PLACES))
        self._skip = int(self.generator.integers(40 if not self._wanted else 2))
        self.armed = True

    armed: bool = False

    def strikes(self, place: str) -> bool:
        """Tell whether this is where it happens."""
        if not self.armed or (self._wanted and place != self._wanted):
            return False
        self._skip -= 1
        if self._skip >= 0:
            return False
        self.armed = False
        self.deaths[place] += 1
        return True

    def pass_by(self, place: str) -> None:
        """Die here if this is the place."""
        if self.strikes(place):
            raise Death(place)


@dataclass
class Storm(FaultPlan):
    """Faults at random at every call, counted by their names; and deaths around the calls.

    Attributes
    ----------
    send_rate, read_rate : float
        Probability that a call is struck.
    seen : callable
        Told of every call before it is carried out.
    """

    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    reaper: Reaper = field(default_factory=lambda: Reaper(np.random.default_rng(0)))
    send_rate: float = 0.0
    read_rate: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    seen: Callable[[str], None] = lambda _: None
    sends_struck: int = 0

    def draw(self, function: str) -> Fault | None:
        """Return the fault that strikes this call."""
        self.seen(function)
        self.reaper.pass_by(f"before {function}")
        if self.reaper.strikes(f"after {function}"):
            return Fault(function, error=Death(f"after {function}"), executes=True)
        planned = super().draw(function)
        rate = self.send_rate if function == SEND else self.read_rate
        if planned is not None or self.generator.random() >= rate:
            self.sends_struck += planned is not None and function == SEND
            return planned
        choices = SEND_FAULTS if function == SEND else {**READ_FAULTS, **EXTRA.get(function, {})}
        name = str(self.generator.choice(list(choices)))
        fault = choices[name]
        self.counts[name] += 1
        self.sends_struck += function == SEND
        if fault.times > 1:
            self.plan(replace(fault, function=function, times=fault.times - 1))
        return replace(fault, function=function, times=1)

    def calm(self) -> None:
        """Let nothing more go wrong."""
        self.send_rate = self.read_rate = 0.0
        self.reaper.armed = False
        self._pending.clear()


@dataclass
class Weather:
    """Switches that somebody turns for a while, and a person who trades on the same account.

    Attributes
    ----------
    counts : Counter
        What happened, by name.
    """

    server: TradeServer
    generator: np.random.Generator
    rate: float
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._until: dict[str, int] = {}
        self._hand = SimulatedTerminal(self.server)
        self._hand.initialize()
        self._hand.symbol_select(self._symbol, True)
        self._spells: dict[str, tuple[Callable[[], None], Callable[[], None], int]] = {
            "algo trading off": (lambda: self._switch(False), lambda: self._switch(True), 8),
            "line to the server lost": (self.server.lose_line, self.server.restore_line, 4),
            "quotes frozen": (self.server.freeze_quotes, self.server.thaw_quotes, 4),
            "close only": (lambda: self._mode(C.SYMBOL_TRADE_MODE_CLOSEONLY), lambda: self._mode(4), 6),
            "fills without price": (lambda: self._silent(True), lambda: self._silent(False), 12),
        }
        self._acts: dict[str, Callable[[], bool]] = {
            "foreign position": self._open_foreign,
            "foreign position closed": self._close_foreign,
            "stops taken off": self._take_stops,
            "closed by hand": self._close_own,
        }

    @property
    def _symbol(self) -> str:
        return self.server.main.spec.name

    @property
    def clear(self) -> bool:
        """True while every switch is as it should be."""
        return not self._until

    def _switch(self, on: bool) -> None:
        self.server.conditions.algo_trading = on

    def _silent(self, on: bool) -> None:
        self.server.conditions.silent_fills = on

    def _mode(self, mode: int) -> None:
        self.server.respecify(self._symbol, trade_mode=mode)

    def pass_bar(self) -> None:
        """Let a bar's worth of it happen."""
        for name in [name for name, left in self._until.items() if left <= 1]:
            del self._until[name]
            self._spells[name][1]()
        self._until = {name: left - 1 for name, left in self._until.items()}
        if self.generator.random() < self.rate and not self._until:
            name = str(self.generator.choice(list(self._spells)))
            begin, _, longest = self._spells[name]
            begin()
            self._until[name] = int(self.generator.integers(1, longest + 1))
            self.counts[name] += 1

    def act(self) -> None:
        """Let the person do something now and then."""
        if self.generator.random() < self.rate and self.clear:
            name = str(self.generator.choice(list(self._acts)))
            self.counts[name] += self._acts[name]()

    def clear_up(self) -> None:
        """End every spell."""
        for name in self._until:
            self._spells[name][1]()
        self._until = {}

    def _deal(self, kind: int, volume: float, **more: int) -> bool:
        fields = {"action": 1, "symbol": self._symbol, "volume": volume, "type": kind, "magic": HAND, "type_filling": 1}
        answer = self._hand.order_send({**fields, **more})
        return answer is not None and answer.retcode == C.TRADE_RETCODE_DONE

    def _positions(self, own: bool) -> list[int]:
        return [ticket for ticket, held in self.server.book.positions.items() if (held.magic == MAGIC) is own]

    def _open_foreign(self) -> bool:
        return len(self._positions(own=False)) < 2 and self._deal(int(self.generator.integers(2)), HAND_VOLUME)

    def _close(self, tickets: list[int]) -> bool:
        if not tickets:
            return False
        held = self.server.book.positions[tickets[0]]
        return self._deal(1 if held.side > 0 else 0, float(held.account.volume), position=tickets[0])

    def _close_foreign(self) -> bool:
        return self._close(self._positions(own=False))

    def _close_own(self) -> bool:
        return self._close(self._positions(own=True))

    def _take_stops(self) -> bool:
        tickets = self._positions(own=True)
        if not tickets:
            return False
        fields = {"action": C.TRADE_ACTION_SLTP, "symbol": self._symbol, "position": tickets[0], "sl": 0.0, "tp": 0.0}
        answer = self._hand.order_send(fields)
        return answer is not None and answer.retcode == C.TRADE_RETCODE_DONE
