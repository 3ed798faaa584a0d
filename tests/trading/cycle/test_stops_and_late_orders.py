"""A stop that a person takes away is back within a pass of the loop; an order carried out late is no refused one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from novosky.market.instrument import BOT_MAGIC as MAGIC
from tests.helpers.live_runs import LiveDesk
from tests.helpers.mt5.runs import Mt5Session, open_mt5, trade_server
from tests.helpers.paper_runs import Scenario, backtest_outcome, planted_bars
from trading.bot import REPAIRS
from trading.brokers.simulated.book import OpenPosition
from trading.brokers.simulated.faults import Fault, answers, overwritten_comment
from trading.brokers.simulated.server import TradeServer
from trading.brokers.simulated.store import MemoryStore
from trading.cycle.notes import STOP_REPAIRED
from trading.cycle.switches import Switches
from trading.live.loop import Rhythm
from trading.live.parts import LiveParts

RHYTHM = Rhythm(poll=15.0, reconcile=60.0)
"""Several passes between two reconciliations: a level is back at a pass."""


@dataclass
class Stripping:
    """Lets time pass, and takes the levels of each of the bot's positions away once, in the middle of a bar."""

    parts: LiveParts
    server: TradeServer
    what: str
    taken: dict[int, tuple[int, float]] = field(default_factory=dict)
    back: dict[int, tuple[int, float]] = field(default_factory=dict)

    def __call__(self, seconds: float, switches: Switches) -> None:
        for held in self.server.book.positions.values():
            bare = abs(held.account.sl) == float("inf") or abs(held.account.tp) == float("inf")
            if held.ticket in self.taken and held.ticket not in self.back and not bare:
                self.back[held.ticket] = self.server.bar, self.parts.clock.now()
            if held.ticket not in self.taken and self.parts.clock.now() % 900 > 300:
                self.strip(held)
                self.taken[held.ticket] = self.server.bar, self.parts.clock.now()
        self.parts.clock.sleep(seconds)

    def strip(self, held: OpenPosition) -> None:
        if self.what in ("stop", "both"):
            held.account.sl = -held.side * float("inf")
        if self.what in ("target", "both"):
            held.account.tp = held.side * float("inf")


@pytest.mark.parametrize("what", ["stop", "target", "both"])
def test_levels_taken_away_are_back_within_a_pass(tmp_path: Path, what: str) -> None:
    scenario = Scenario(planted_bars(60))
    desk = LiveDesk(scenario, tmp_path, rhythm=RHYTHM)
    stripping = Stripping(desk.parts(), desk.server, what)
    events = desk.run(
        wait=stripping,
        look=lambda session: [
            event.ticket for event in session.journal.position_events() if event.kind == STOP_REPAIRED
        ],
    )
    assert len(stripping.taken) > 3
    for ticket, (bar, moment) in stripping.taken.items():
        again, later = stripping.back[ticket]
        assert (again, later - moment) == (bar, RHYTHM.poll)
    assert sorted(events) == sorted(stripping.taken)


def test_levels_taken_away_leave_the_trades_of_the_backtest(tmp_path: Path) -> None:
    scenario = Scenario(planted_bars(60))
    desk = LiveDesk(scenario, tmp_path, rhythm=RHYTHM)
    stripping = Stripping(desk.parts(), desk.server, "both")
    trades = desk.run(wait=stripping, look=lambda session: len(session.journal.trades()))
    assert trades == len(backtest_outcome(scenario, tmp_path).trade_rows)


def own(session: Mt5Session) -> list[int]:
    return [ticket for ticket, held in session.server.book.positions.items() if held.magic == MAGIC]


class Messages:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def send(self, message: str) -> None:
        self.texts.append(message)


@pytest.fixture
def messages() -> Messages:
    return Messages()


@pytest.fixture
def session(tmp_path: Path, messages: Messages) -> Mt5Session:
    scenario = Scenario(planted_bars(150))
    server = trade_server(scenario, MemoryStore())
    return open_mt5(scenario, tmp_path / "journal.sqlite", server, notifier=messages)


def test_it_is_said_and_tried_a_few_times_only_until_the_close(session: Mt5Session, messages: Messages) -> None:
    session.go_on_until(lambda: bool(own(session)))
    (ticket,) = own(session)
    account = session.server.book.positions[ticket].account
    kept = float(account.sl), float(account.tp)
    account.sl = -session.server.book.positions[ticket].side * float("inf")
    session.bot.guard_stops()
    assert (float(account.sl), float(account.tp)) == kept
    assert any(f"position {ticket} had lost its stop or target; set again" in text for text in messages.texts)
    account.sl = -session.server.book.positions[ticket].side * float("inf")
    # The next answers refuse the change, as of a price that is beyond the stop already.
    session.faults.plan(answers(10016).on("order_send", times=99))
    before = len(session.faults.struck)
    for _ in range(10):
        session.bot.guard_stops()
    assert len(session.faults.struck) - before == REPAIRS - 1
    session.close()


def test_a_flat_bot_and_others_positions_are_left_alone(session: Mt5Session) -> None:
    session.go_on(2)
    session.bot.guard_stops()
    assert not session.faults.struck
    session.close()


@pytest.mark.parametrize("code", [10006, 10013, 10018])
@pytest.mark.parametrize("renamed", [False, True], ids=["with its comment", "with the comment written over"])
def test_an_order_answered_as_refused_but_carried_out_is_no_refused_one(
    session: Mt5Session, messages: Messages, code: int, renamed: bool
) -> None:
    comment = overwritten_comment("dealer").comment if renamed else None
    session.faults.plan(Fault(retcode=code, executes=True, comment=comment))
    session.go_on_until(lambda: bool(own(session)))
    (ticket,) = own(session)
    (refused,) = [row for row in session.journal.intents() if row["state"] == "rejected"]
    session.go_on(1)
    row = session.journal.intent(refused["id"])
    assert row is not None
    assert (row["state"], row["order"], row["outcome"]) == ("filled", ticket, "filled")
    decision = session.journal.decision(refused["bar"])
    assert decision is not None
    assert (decision["action"], decision["gates"]) == ("entry", "")
    assert [row for row in session.journal.blocks() if row["bar"] == refused["bar"]] == []
    assert any("was taken for refused and was carried out" in text for text in messages.texts)
    session.finish()
    assert len(session.journal.trades()) > 3
    assert all(row["state"] != "rejected" or row["order"] == 0 for row in session.journal.intents())
    session.close()


def test_so_is_an_exit(session: Mt5Session) -> None:
    session.go_on_until(lambda: bool(own(session)))
    session.faults.plan(Fault(retcode=10006, executes=True))
    session.bot.close_position()
    (refused,) = [row for row in session.journal.intents() if row["state"] == "rejected"]
    assert own(session) == []
    session.go_on(1)
    row = session.journal.intent(refused["id"])
    assert row is not None and row["state"] == "filled"
    session.close()


def test_a_journal_that_has_booked_it_says_it_once(session: Mt5Session, messages: Messages) -> None:
    session.faults.plan(Fault(retcode=10006, executes=True))
    session.go_on_until(lambda: bool(own(session)))
    session.go_on(3)
    assert sum("taken for refused" in text for text in messages.texts) == 1
    session.close()
