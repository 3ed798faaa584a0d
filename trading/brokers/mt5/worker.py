"""One call into the module at a time, its error read in the same turn, and none waited for forever.

The package is global, blocking and not thread-safe: concurrent calls answer None, mix up
`last_error`, or hang. A call into it cannot be interrupted either, so one thread owns the
module, and if it hangs it is given up together with the connection it holds. A module that
cannot hang, because it is a simulation in this very process, needs no such thread.
"""

from __future__ import annotations

import heapq
import itertools
import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from novosky.errors import BrokerError
from trading.brokers.mt5.module import TerminalModule

EXIT, READ, ENTRY = 0, 1, 2
"""Priorities of queued calls: whatever closes or protects a position goes first."""
SUCCESS_CODE = 1
SEND_FAILED_CODE = -10001


class LinkWedged(BrokerError):
    """A call into the module never came back; its thread and the module with it are given up."""


@dataclass(frozen=True)
class Answer:
    """What a call returned, and what `last_error` said in the same turn."""

    value: Any
    code: int
    text: str

    @property
    def failed(self) -> bool:
        """True when there is no value and the terminal says why; an empty result is none."""
        return (self.value is None or self.value is False) and self.code != SUCCESS_CODE


class Caller(Protocol):
    """Makes calls into one module.

    Attributes
    ----------
    wedged : bool
        True once a call has hung; every later call raises `LinkWedged` at once.
    """

    wedged: bool

    def call(self, name: str, *args: Any, priority: int = READ, timeout: float | None = None, **kwargs: Any) -> Answer:
        """Call a function of the module; a module's broken connection is a failed answer, not an exception.

        Raises
        ------
        LinkWedged
            It took longer than allowed, or an earlier call did.
        """

    def order_send(self, request: dict[str, Any], *, priority: int) -> Answer:
        """Send a request; see `call`."""

    def order_check(self, request: dict[str, Any], *, priority: int) -> Answer:
        """Check a request; see `call`."""

    def stop(self) -> None:
        """End once there is nothing to do."""


def caller_of(module: TerminalModule, timeout: float) -> Caller:
    """Return what makes the calls into a module: a thread of its own, unless there is no limit to wait for."""
    return Worker(module, timeout) if math.isfinite(timeout) else Direct(module)


@dataclass(eq=False)
class _Job:
    """A call; `pending` is a lock held until it is done, the cheapest thing there is to wait for."""

    action: Callable[[], Any]
    pending: threading.Lock = field(default_factory=threading.Lock)
    started: float | None = None
    answer: Answer | None = None
    raised: BaseException | None = None

    def __post_init__(self) -> None:
        self.pending.acquire()


class Worker:
    """Makes all calls into one module, one after the other.

    Parameters
    ----------
    module : TerminalModule
    timeout : float
        Real seconds a call may take once it has begun, unless the call says otherwise.

    Attributes
    ----------
    wedged : bool
        True once a call has hung; every later call raises `LinkWedged` at once.
    """

    def __init__(self, module: TerminalModule, timeout: float) -> None:
        self._module, self._timeout = module, timeout
        self._waiting: list[tuple[int, int, _Job]] = []
        self._waiting_lock = threading.Lock()
        # One token per waiting job: the thread sleeps on these, and takes the most urgent job for each.
        self._tokens: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._numbers = itertools.count()
        self.wedged = False
        # A daemon: a call that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="mt5-worker", daemon=True)
        self._thread.start()

    def call(self, name: str, *args: Any, priority: int = READ, timeout: float | None = None, **kwargs: Any) -> Answer:
        """Call a function of the module; a module's broken connection is a failed answer, not an exception.

        Raises
        ------
        LinkWedged
            It took longer than allowed, or an earlier call did.
        """
        function = getattr(self._module, name)
        if kwargs:
            return self._perform(lambda: function(*args, **kwargs), priority, timeout)
        # The package tells no keywords from an empty mapping of them, and refuses the latter.
        return self._perform(lambda: function(*args), priority, timeout)

    def order_send(self, request: dict[str, Any], *, priority: int) -> Answer:
        """Send a request; see `call`."""
        return self._perform(lambda: self._module.order_send(request), priority, None)

    def order_check(self, request: dict[str, Any], *, priority: int) -> Answer:
        """Check a request; see `call`."""
        return self._perform(lambda: self._module.order_check(request), priority, None)

    def stop(self) -> None:
        """Let the thread end once it has nothing to do."""
        self._enqueue(_Job(_end), ENTRY + 1)

    def _perform(self, action: Callable[[], Any], priority: int, timeout: float | None) -> Answer:
        if self.wedged:
            raise LinkWedged("a call into MetaTrader 5 hung and the connection was given up; restart the bot")
        allowed = self._timeout if timeout is None else timeout
        job = _Job(action)
        self._enqueue(job, priority)
        self._wait(job, allowed)
        if job.raised is not None:
            raise job.raised
        assert job.answer is not None, "a job that is done has an answer"
        return job.answer

    def _enqueue(self, job: _Job, priority: int) -> None:
        with self._waiting_lock:
            heapq.heappush(self._waiting, (priority, next(self._numbers), job))
        self._tokens.put(None)

    def _take(self) -> _Job | None:
        with self._waiting_lock:
            return heapq.heappop(self._waiting)[2] if self._waiting else None

    def _wait(self, job: _Job, allowed: float) -> None:
        remaining = allowed
        while not job.pending.acquire(timeout=remaining):
            # Time spent behind other calls is not the call's own; whoever hangs there is found by its caller.
            started = job.started
            spent = 0.0 if started is None else time.monotonic() - started
            if self.wedged or spent >= allowed:
                self._give_up()
                raise LinkWedged(f"MetaTrader 5 has not answered for {allowed:g} s; restart the terminal and the bot")
            remaining = allowed - spent

    def _give_up(self) -> None:
        self.wedged = True
        while (waiting := self._take()) is not None:
            self._refuse(waiting)

    def _refuse(self, job: _Job) -> None:
        job.raised = LinkWedged("an earlier call into MetaTrader 5 hung; this one was never made")
        job.pending.release()

    def _run(self) -> None:
        while True:
            self._tokens.get()
            job = self._take()
            if job is None or job.action is _end:
                return
            if self.wedged:
                self._refuse(job)
                return
            job.started = time.monotonic()
            try:
                job.answer = _answered(self._module, job.action)
            except BaseException as error:
                job.raised = error
            job.pending.release()


def _answered(module: TerminalModule, action: Callable[[], Any]) -> Answer:
    try:
        value = action()
        code, text = module.last_error()
    except (OSError, EOFError) as error:
        # A remote module's own connection broke: the caller learns no more than from a broken pipe.
        return Answer(None, SEND_FAILED_CODE, f"{type(error).__name__}: {error}")
    return Answer(value, code, text)


class Direct:
    """Makes every call where it is asked for; whoever asks meanwhile waits. Nothing watches over the time it takes.

    Parameters
    ----------
    module : TerminalModule
        One that cannot hang.
    """

    def __init__(self, module: TerminalModule) -> None:
        self._module = module
        self._turn = threading.Lock()
        self.wedged = False

    def call(self, name: str, *args: Any, priority: int = READ, timeout: float | None = None, **kwargs: Any) -> Answer:
        """Call a function of the module; see `Caller.call`."""
        function = getattr(self._module, name)
        with self._turn:
            return _answered(self._module, lambda: function(*args, **kwargs))

    def order_send(self, request: dict[str, Any], *, priority: int) -> Answer:
        """Send a request; see `Caller.call`."""
        with self._turn:
            return _answered(self._module, lambda: self._module.order_send(request))

    def order_check(self, request: dict[str, Any], *, priority: int) -> Answer:
        """Check a request; see `Caller.call`."""
        with self._turn:
            return _answered(self._module, lambda: self._module.order_check(request))

    def stop(self) -> None:
        """Nothing runs."""


def _end() -> None:
    """Mark the last job of a worker."""
