"""The one thread that owns the package's module, which stands no two callers at a time."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trading.brokers.bridge.refusal import Reason, Refusal

_log = logging.getLogger(__name__)

QUEUE_LIMIT = 32
"""Calls that may wait; one client has one at a time, so this is a crowd already."""


@dataclass(frozen=True)
class Outcome:
    """What a call returned or raised, and what `last_error()` said right after it."""

    value: Any
    raised: Exception | None
    error: tuple[int, str]


@dataclass
class _Job:
    function: str
    args: Sequence[Any]
    kwargs: Mapping[str, Any] | None
    done: threading.Event = field(default_factory=threading.Event)
    begun: bool = False
    outcome: Outcome | None = None


class ModuleWorker:
    """Executes calls one after the other, each with its own last error.

    Parameters
    ----------
    module
        The package, or anything with its functions.
    before : callable, optional
        Called on the worker's thread before each call; lets a simulated market's time pass.
    """

    def __init__(self, module: Any, before: Callable[[], None] | None = None) -> None:
        self._module = module
        self._before = before
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._begun_at: float | None = None
        # A hung call cannot be interrupted; a daemon thread at least lets the process end.
        self._thread = threading.Thread(target=self._run, name="terminal", daemon=True)
        self._thread.start()

    def call(self, function: str, args: Sequence[Any], kwargs: Mapping[str, Any] | None, patience: float) -> Outcome:
        """Execute one call and wait for its outcome.

        Parameters
        ----------
        function : str
            Name of one of the module's functions; the caller has checked it.
        args, kwargs
            Its arguments; `kwargs` is None where the call was written without any.
        patience : float
            Seconds to wait. What has not begun by then never will.

        Raises
        ------
        Refusal
            BUSY, STOPPING or TIMEOUT.
        """
        job = _Job(function, args, kwargs)
        with self._changed:
            if self._stopping:
                raise Refusal(Reason.STOPPING, "the server is stopping")
            if len(self._jobs) >= QUEUE_LIMIT:
                raise Refusal(Reason.BUSY, f"{QUEUE_LIMIT} calls are waiting already")
            self._jobs.append(job)
            self._changed.notify_all()
        job.done.wait(patience)
        with self._changed:
            if job.outcome is not None:
                return job.outcome
            if job.begun:
                raise Refusal(Reason.TIMEOUT, f"{function} has not returned within {patience:g} s; it may yet")
            # Nobody waits for it any more, so it must never run.
            if job in self._jobs:
                self._jobs.remove(job)
        if self._stopping:
            raise Refusal(Reason.STOPPING, "the server is stopping")
        raise Refusal(Reason.TIMEOUT, f"the terminal was busy for {patience:g} s; {function} was not executed")

    @property
    def alive(self) -> bool:
        """Whether calls are still being executed."""
        return self._thread.is_alive()

    def busy_seconds(self) -> float:
        """Return how long the running call has taken so far; 0.0 without one."""
        begun_at = self._begun_at
        return 0.0 if begun_at is None else time.monotonic() - begun_at

    def close(self, patience: float) -> bool:
        """Refuse the waiting calls, let the running one end, then tell whether it did within `patience` seconds."""
        with self._changed:
            self._stopping = True
            for job in self._jobs:
                job.done.set()
            self._jobs.clear()
            self._changed.notify_all()
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._stopping)
                if self._stopping:
                    break
                job = self._jobs.popleft()
                job.begun = True
                self._begun_at = time.monotonic()
            outcome = self._execute(job)
            with self._changed:
                job.outcome = outcome
                self._begun_at = None
            job.done.set()
        # Closes the pipe to the terminal; the terminal itself keeps running.
        self._module.shutdown()

    def _execute(self, job: _Job) -> Outcome:
        value, raised = None, None
        try:
            if self._before is not None:
                self._before()
            function = getattr(self._module, job.function)
            # Two ways to write it, because the package refuses a request next to an empty mapping.
            value = function(*job.args) if job.kwargs is None else function(*job.args, **job.kwargs)
        except Exception as error:
            # It belongs to the caller, who is on another machine: the answer carries it there.
            raised = error
        code, text = self._module.last_error()
        return Outcome(value, raised, (int(code), str(text)))
