"""Blocking calls over asynchronous clients: every call bounded as a whole, and ended from another thread.

A client's own timeouts bound each step of a call; a host that sends one byte a second passes all
of them. Here the whole call has a limit. An instance owns an event loop and belongs to one thread
at a time; only `interrupt` may be called from another.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from alerts.failures import InterruptedCallError, UnreachableError

R = TypeVar("R")


class BoundedCalls:
    """Runs one call at a time to its end, its limit, or its interruption."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._lock = threading.Lock()
        self._task: asyncio.Task[Any] | None = None
        self._interrupted = False
        self._closed = False

    def run(self, work: Coroutine[Any, Any, R], limit: float) -> R:
        """Return what a call returns.

        Parameters
        ----------
        work : coroutine
        limit : float
            Seconds for all of it.

        Raises
        ------
        UnreachableError
            It did not end in time.
        InterruptedCallError
            `interrupt` was called.
        """
        try:
            return self._runner.run(self._tracked(work, limit))
        except asyncio.CancelledError:
            raise InterruptedCallError from None
        except TimeoutError:
            raise UnreachableError("the answer did not end in time") from None

    def interrupt(self) -> None:
        """End the call under way, and every later one."""
        with self._lock:
            self._interrupted = True
            if self._task is not None:
                self._runner.get_loop().call_soon_threadsafe(self._task.cancel)

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """Run a last coroutine, which releases connections, and end the event loop."""
        if self._closed:
            last.close()
            return
        self._closed = True
        self._runner.run(last)
        self._runner.close()

    async def _tracked(self, work: Coroutine[Any, Any, R], limit: float) -> R:
        with self._lock:
            if self._interrupted:
                work.close()
                raise asyncio.CancelledError
            self._task = asyncio.current_task()
        try:
            async with asyncio.timeout(limit):
                return await work
        finally:
            with self._lock:
                self._task = None
