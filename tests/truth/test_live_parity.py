"""The live bot trades as the paper replay does: the same bars, the same trades, to the byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers.bridge_module import TOKEN, serving
from tests.helpers.live_runs import LiveDesk, live_outcome
from tests.helpers.paper_runs import Scenario, planted_bars, replay_outcome
from trading.brokers.bridge.client import BridgeModule

BARS = 300


@pytest.fixture
def scenario() -> Scenario:
    return Scenario(planted_bars(BARS))


def test_trades_are_those_of_the_paper_replay(scenario: Scenario, tmp_path: Path) -> None:
    expected = replay_outcome(scenario, tmp_path)
    desk = LiveDesk(scenario, tmp_path)
    outcome = desk.run(look=lambda session: live_outcome(session, scenario, tmp_path))
    assert outcome == expected
    assert len(outcome.trade_rows) > 10


def test_restarts_in_between_change_nothing(scenario: Scenario, tmp_path: Path) -> None:
    expected = replay_outcome(scenario, tmp_path)
    desk = LiveDesk(scenario, tmp_path)
    for _ in range(4):
        desk.run(50)
    outcome = desk.run(look=lambda session: live_outcome(session, scenario, tmp_path))
    assert outcome.trades == expected.trades


def test_through_the_bridge_they_are_the_same(scenario: Scenario, tmp_path: Path) -> None:
    scenario = replace(scenario, bars=planted_bars(120))
    expected = replay_outcome(scenario, tmp_path)
    desk = LiveDesk(scenario, tmp_path)
    parts = desk.parts()
    with serving(parts.reach.connect(), any_terminal=True) as server:
        desk.module = lambda terminal: BridgeModule(server.url, TOKEN)
        outcome = desk.run(look=lambda session: live_outcome(session, scenario, tmp_path))
    assert outcome == expected
    assert len(outcome.trade_rows) > 3
