"""A bot that dies at writes and orders, and is started again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.paper_runs import Outcome, Scenario, finish, open_scenario, session_outcome
from trading.brokers.mt5.broker import Mt5Broker
from trading.brokers.mt5.module import TerminalModule
from trading.brokers.simulated.functions.terminal import SimulatedTerminal
from trading.journal import Journal

Reaching = Callable[[SimulatedTerminal], AbstractContextManager[TerminalModule]]


class Death(BaseException):
    """The process died here."""


def mortality(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Kill the bot at every k-th write or order, after it for every other one."""
    calls = {"seen": 0}

    def arm(every: int) -> None:
        for owner, name in ((Journal, "record_bar"), (Journal, "close_intent"), (Mt5Broker, "send")):
            original = getattr(owner, name)

            def method(self: Any, *parts: Any, original: Any = original, **named: Any) -> Any:
                calls["seen"] += 1
                number = calls["seen"]
                if number % every == 0 and number // every % 2:
                    raise Death
                result = original(self, *parts, **named)
                if number % every == 0:
                    raise Death
                return result

            monkeypatch.setattr(owner, name, method)

    yield arm
    assert calls["seen"] > 100


@contextmanager
def in_process(terminal: SimulatedTerminal) -> Iterator[TerminalModule]:
    """Reach the terminal without anything between."""
    yield terminal


def live_through(scenario: Scenario, folder: Path, reach: Reaching = in_process) -> Outcome:
    """Start the bot again and again until it reaches the end of its market.

    Parameters
    ----------
    reach : callable
        Gives the module of a terminal for the life of one bot.
    """
    outcome = None
    while outcome is None:
        with ExitStack() as stack:
            outcome = live_once(scenario, folder, stack, reach)
    return outcome


def live_once(scenario: Scenario, folder: Path, stack: ExitStack, reach: Reaching) -> Outcome | None:
    """Start the bot and let it run to the end of its market, or to its death: then nothing is returned."""
    session = None
    try:
        session = open_scenario(
            scenario, folder / "journal.sqlite", reach=lambda terminal: stack.enter_context(reach(terminal))
        )
        finish(session)
        return session_outcome(session, scenario, folder)
    except Death:
        return None
    finally:
        if session is not None:
            session.close()
