"""What goes wrong between a bot and its broker, on demand: scripted, or drawn from a seeded generator.

A fault belongs to a call of the package's functions. It can keep the call from arriving,
lose the reply of a call that was carried out, or let the trade server answer something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from trading.brokers.mt5_package.constants import ModuleConstants as C
from trading.brokers.mt5_package.errors import CALL_FAILED, NO_CONNECTION, RECEIVE_FAILED, SEND_FAILED, TIMEOUT, Failure

ANY = "*"
SEND = "order_send"


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Attributes
    ----------
    function : str
        Name of the function it befalls; ``"*"`` for all.
    skip, times : int
        Calls of that function spared first, and struck then.
    failure : Failure or None
        The call answers None or False, and `last_error` this.
    retcode : int
        The trade server answers an order with this code; 0 leaves its answer.
    executes : bool
        The request is carried out although the answer does not say so.
    shows_order : bool
        The answer carries the order's ticket all the same.
    seconds : float
        Simulated time that the call takes.
    closes_pipe : bool
        The connection to the terminal is gone afterwards.
    restarts : bool
        The terminal itself starts again: its selected symbols are gone too.
    empty : bool
        A query answers that there is nothing.
    volume : float
        Lots that the market has to give; 0.0 for enough.
    delay : float
        Seconds after which a new position is listed.
    comment : callable or None
        What the broker makes of the comment.
    block : callable or None
        Called in place of waiting: a hang of the calling thread, for real.
    error : BaseException or None
        Raised in the caller, after the execution if `executes`: the death of its process.
    """

    function: str = SEND
    skip: int = 0
    times: int = 1
    failure: Failure | None = None
    retcode: int = 0
    executes: bool = False
    shows_order: bool = False
    seconds: float = 0.0
    closes_pipe: bool = False
    restarts: bool = False
    empty: bool = False
    volume: float = 0.0
    delay: float = 0.0
    comment: Callable[[str], str] | None = None
    block: Callable[[], None] | None = None
    error: BaseException | None = None

    def on(self, function: str, *, skip: int = 0, times: int = 1) -> Fault:
        """Return this fault at another function, or later, or more often."""
        return replace(self, function=function, skip=skip, times=times)


@dataclass
class FaultPlan:
    """Faults in the order in which they were planned; the first that fits a call strikes.

    Attributes
    ----------
    struck : list of (str, Fault)
        What has happened so far.
    """

    faults: Sequence[Fault] = ()
    struck: list[tuple[str, Fault]] = field(default_factory=list)
    _pending: list[Fault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._pending.extend(self.faults)

    def plan(self, *faults: Fault) -> None:
        """Add faults to those still to come."""
        self._pending.extend(faults)

    def draw(self, function: str) -> Fault | None:
        """Return the fault that strikes this call, and use it up."""
        for place, fault in enumerate(self._pending):
            if fault.function not in (ANY, function):
                continue
            if fault.skip:
                self._pending[place] = replace(fault, skip=fault.skip - 1)
                continue
            self._use(place, fault)
            self.struck.append((function, fault))
            return fault
        return None

    def _use(self, place: int, fault: Fault) -> None:
        if fault.times > 1:
            self._pending[place] = replace(fault, times=fault.times - 1)
        else:
            del self._pending[place]


@dataclass
class SeededFaults(FaultPlan):
    """Planned faults first; then, with a probability per call, one of a list.

    Attributes
    ----------
    generator : numpy.random.Generator
    rate : float
        Probability that a call to which a fault of the list belongs is struck.
    choices : sequence of Fault
    """

    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    rate: float = 0.0
    choices: Sequence[Fault] = ()

    def draw(self, function: str) -> Fault | None:
        """Return the fault that strikes this call."""
        planned = super().draw(function)
        fitting = [fault for fault in self.choices if fault.function in (ANY, function)]
        if planned is not None or not fitting or self.generator.random() >= self.rate:
            return planned
        fault = fitting[int(self.generator.integers(len(fitting)))]
        self.struck.append((function, fault))
        return fault


def answers(retcode: int, *, executes: bool = False, seconds: float = 0.0) -> Fault:
    """Return: the trade server answers this code, having executed the order or not."""
    return Fault(retcode=retcode, executes=executes, shows_order=executes, seconds=seconds)


def requote() -> Fault:
    """Return: the price has moved on (10004)."""
    return answers(C.TRADE_RETCODE_REQUOTE)


def server_timeout(*, filled: bool) -> Fault:
    """Return: the trade server does not answer in time (10012)."""
    return answers(C.TRADE_RETCODE_TIMEOUT, executes=filled, seconds=30.0)


def ipc_timeout(*, filled: bool = False, seconds: float = 60.0) -> Fault:
    """Return: the terminal does not answer in time (None, -10005)."""
    return Fault(failure=TIMEOUT, executes=filled, seconds=seconds)


def pipe_cut_before() -> Fault:
    """Return: the pipe breaks before the request is through (None, -10001)."""
    return Fault(failure=SEND_FAILED, closes_pipe=True)


def pipe_cut_after() -> Fault:
    """Return: the pipe breaks between the request and its reply (None, -10002), the order is executed."""
    return Fault(failure=RECEIVE_FAILED, closes_pipe=True, executes=True)


def disconnected(function: str = ANY) -> Fault:
    """Return: the terminal is gone (None, -10004)."""
    return Fault(function, failure=NO_CONNECTION, closes_pipe=True)


def terminal_restart(function: str = ANY) -> Fault:
    """Return: the terminal updates itself and starts again."""
    return Fault(function, failure=NO_CONNECTION, closes_pipe=True, restarts=True)


def call_failed(function: str) -> Fault:
    """Return: the terminal gives up on a call (None, -1), as on a history it has yet to download."""
    return Fault(function, failure=CALL_FAILED)


def nothing_yet(function: str) -> Fault:
    """Return: a query answers with nothing, as the history does right after a login."""
    return Fault(function, empty=True)


def partial_fill(volume: float) -> Fault:
    """Return: the market has only so many lots."""
    return Fault(volume=volume)


def late_position(seconds: float) -> Fault:
    """Return: the position appears in the terminal's list only after a while."""
    return Fault(delay=seconds)


def truncated_comment(length: int) -> Fault:
    """Return: the broker keeps only the beginning of the comment."""
    return Fault(comment=lambda text: text[:length])


def overwritten_comment(text: str) -> Fault:
    """Return: the broker writes its own comment."""
    return Fault(comment=lambda _: text)


def hang(block: Callable[[], None], function: str = SEND) -> Fault:
    """Return: the call does not return before `block` does."""
    return Fault(function, block=block)


def process_death(error: BaseException, *, filled: bool) -> Fault:
    """Return: the calling process dies before the request is sent, or after it was executed."""
    return Fault(error=error, executes=filled)
