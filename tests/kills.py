"""A bot that dies at writes and orders, and is started again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from paper_runs import Outcome, Scenario, finish, open_scenario, session_outcome

from trading.journal import Journal
from trading.mt5.broker import Mt5Broker


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


def live_through(scenario: Scenario, folder: Path) -> Outcome:
    """Start the bot again and again until it reaches the end of its market."""
    while True:
        session = None
        try:
            session = open_scenario(scenario, folder / "journal.sqlite")
            finish(session)
            return session_outcome(session, scenario, folder)
        except Death:
            continue
        finally:
            if session is not None:
                session.close()
