"""A clock that is off is said within a bar, with the number and what to do, once; a closed market is no wrong clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from novosky.clock import Clock
from novosky.database.place import sqlite_url
from tests.helpers.live_runs import LiveDesk, bot_of
from tests.helpers.paper_runs import Scenario, planted_bars
from trading.brokers.clock_watch import ClockWatch, Measured, clock_text
from trading.brokers.simulated.clock import TerminalClock
from trading.journal import BotStatus, Journal
from trading.live.loop import Rhythm
from trading.live.session import LiveSession
from trading.reports.health import judge_health, read_health

RULE = "NewYork+7"


@dataclass
class World:
    """A server, its quotes, and a machine whose clock is off by `fast` seconds; time is true time."""

    time: float = 1_000_000.0
    fast: float = 0.0
    server_fast: float = 0.0
    connected: bool = True
    newest: float = 1_000_000.0
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watch = ClockWatch(self.measure, self.now, RULE, 5.0)

    def now(self) -> float:
        return self.time + self.fast

    def measure(self) -> Measured | None:
        stamp = self.newest + self.server_fast
        return Measured(round(1000 * stamp), stamp - self.now(), self.connected)

    def go_on(self, seconds: float, *, quotes: bool = True) -> None:
        """Let time pass in looks of five seconds."""
        for _ in range(round(seconds / 5)):
            self.time += 5.0
            if quotes:
                self.newest = self.time - 0.3
            text = self.watch.look()
            self.said += [text] if text else []


@pytest.mark.parametrize(
    ("fast", "expected"),
    [
        (300.0, "300 s behind this machine's clock"),
        (-300.0, "300 s ahead of this machine's clock"),
        (45.0, "s behind this machine's clock"),
        (-45.0, "s ahead of this machine's clock"),
        (3600.0, "-1 h from what broker.server_clock = 'NewYork+7' says"),
        (-3600.0, "+1 h from what broker.server_clock = 'NewYork+7' says"),
    ],
)
def test_a_difference_is_said_once_with_its_number_and_what_to_do(fast: float, expected: str) -> None:
    world = World()
    world.go_on(900)
    world.fast = fast
    world.go_on(900)
    assert len(world.said) == 1
    numbers = [expected.replace("300", str(number)) for number in (295, 296, 300, 301)]
    assert any(number in world.said[0] for number in numbers)
    assert "NTP" in world.said[0] or "set the rule" in world.said[0]
    assert world.watch.problem == world.said[0]
    world.go_on(86_400)
    assert len(world.said) == 1, "the same at the next bar is no news"
    world.fast = 0.0
    world.go_on(60)
    assert world.said[1:] == ["the clocks of this machine and of the server agree again"]
    assert world.watch.problem == ""


def test_a_difference_that_grows_is_said_again() -> None:
    world = World(fast=60.0)
    world.go_on(60)
    world.fast = 400.0
    world.go_on(60)
    assert len(world.said) == 2


@pytest.mark.parametrize("hours", [1, 49])
def test_a_closed_market_is_no_wrong_clock(hours: int) -> None:
    world = World()
    world.go_on(600)
    world.go_on(3600 * hours, quotes=False)
    world.go_on(600)
    assert world.said == []


def test_an_old_quote_after_an_outage_is_no_wrong_clock() -> None:
    world = World()
    world.go_on(60)
    world.connected = False
    world.go_on(1800, quotes=False)
    # The line is back; the market had closed ten minutes after it was lost.
    world.newest += 600.0
    world.connected = True
    world.go_on(3600, quotes=False)
    assert world.said == []


def test_small_differences_and_slow_lines_are_tolerated() -> None:
    world = World(fast=8.0)
    world.go_on(3600)
    world.fast = -8.0
    world.go_on(3600)
    assert world.said == []


def test_a_difference_near_whole_quarters_is_the_rule_s_and_any_other_a_clock_s() -> None:
    assert "set the rule of this server" in clock_text(-3597.0, RULE)
    assert "+0.5 h" in clock_text(1803.0, RULE)
    assert clock_text(612.0, RULE).startswith("the newest quotes are 612 s ahead of this machine's clock")


@dataclass
class Skewed:
    """The machine's clock beside the market's, so many seconds fast."""

    clock: Clock
    fast: float = 0.0

    def now(self) -> float:
        return self.clock.now() + self.fast

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)


@pytest.mark.parametrize("fast", [300.0, -200.0])
def test_the_live_bot_says_within_a_bar_that_this_machine_s_clock_is_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, fast: float
) -> None:
    desk = LiveDesk(Scenario(planted_bars(12)), tmp_path, rhythm=Rhythm(poll=60.0, eager=60.0, reconcile=60.0))
    desk.server.advance()
    skewed = Skewed(TerminalClock(desk.server))
    turned: list[int] = []
    caplog.set_level("INFO")

    def turn(session: LiveSession) -> bool:
        if session.bot is not None and bot_of(session).status.bars_processed == 3 and not turned:
            skewed.fast = fast
            turned.append(desk.server.bar)
        return False

    def said(session: LiveSession) -> bool:
        turn(session)
        return bool(session.watch.clock_problem)

    desk.run(until=said, look=lambda session: None, clock=skewed)
    assert turned and desk.server.bar <= turned[0] + 1
    side = "behind" if fast > 0 else "ahead of"
    assert sum(side in message and "NTP" in message for message in caplog.messages if "clock" in message) == 2
    health = read_health(desk.logs / "health.json")
    assert health is not None and side in health.clock
    running = type(health)(**{**vars(health), "state": "running"})
    status = status_of(desk)
    verdict = judge_health(status, running, float(status.last_bar))
    assert not verdict.healthy and side in verdict.reason


def status_of(desk: LiveDesk) -> BotStatus:
    journal = Journal(sqlite_url(desk.logs / "novosky.sqlite"), symbol="BTCUSD", durable=False)
    try:
        status = journal.status()
        assert status is not None
        return status
    finally:
        journal.close()


def test_a_server_an_hour_behind_its_rule_is_said_within_a_bar(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = LiveDesk(Scenario(planted_bars(12)), tmp_path, rhythm=Rhythm(poll=60.0, eager=60.0, reconcile=60.0))
    desk.server.advance()
    turned: list[int] = []

    def said(session: LiveSession) -> bool:
        if session.bot is not None and bot_of(session).status.bars_processed == 3 and not turned:
            turned.append(desk.server.bar)
            stamps = desk.server.main.stamps
            shown = stamps.seconds
            stamps.seconds = lambda utc: shown(utc) - 3600  # type: ignore[method-assign]
        return bool(session.watch.clock_problem)

    desk.run(until=said)
    assert desk.server.bar <= turned[0] + 1
    assert any("stamped -1 h from what broker.server_clock" in message for message in caplog.messages)


def test_the_true_reason_why_a_decision_became_stale_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from tests.helpers.mt5.runs import open_mt5, trade_server
    from trading.brokers.simulated.store import MemoryStore

    scenario = Scenario(planted_bars(150))
    session = open_mt5(scenario, tmp_path / "journal.sqlite", trade_server(scenario, MemoryStore()))
    age = session.broker._desk.offset.age
    session.broker._desk.offset.age = lambda msc, now: age(msc, now) + 300.0  # type: ignore[method-assign]
    session.go_on(60)
    waits = [
        message for message in caplog.messages if "could not be sent yet: the newest quote is 300 s old" in message
    ]
    stale = [message for message in caplog.messages if "decision is stale, it could not be sent: the newest" in message]
    assert waits and len(stale) in (len(waits), len(waits) - 1)
