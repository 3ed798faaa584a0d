"""When the live loop looks: at a bar's close, not up to a poll later."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.helpers.live_runs import LiveDesk, bot_of
from tests.helpers.paper_runs import Scenario, planted_bars
from trading.cycle.switches import Switches
from trading.live.loop import Rhythm
from trading.live.parts import LiveParts
from trading.live.session import live_session


@dataclass
class Waiting:
    """Lets the market go on for as long as the loop waits, and keeps how long that was."""

    parts: LiveParts
    waits: list[float] = field(default_factory=list)

    def __call__(self, seconds: float, switches: Switches) -> None:
        self.waits.append(seconds)
        self.parts.clock.sleep(seconds)


def test_a_poll_that_does_not_divide_the_bar_still_meets_every_close(tmp_path: Path) -> None:
    desk = LiveDesk(Scenario(planted_bars(20)), tmp_path, rhythm=Rhythm(poll=700.0, reconcile=900.0))
    acted: list[tuple[int, float]] = []
    parts = desk.parts()

    def note(session: object) -> bool:
        status = bot_of(session).status if session.bot else None  # type: ignore[attr-defined,arg-type]
        if status is not None and (not acted or acted[-1][0] != status.last_bar):
            acted.append((status.last_bar, parts.clock.now()))
        return False

    desk.run(until=note)
    assert len(acted) >= 18
    assert all(moment == close for close, moment in acted[1:])


def test_a_bar_that_is_late_is_looked_for_often_at_first_and_then_at_the_usual_pace(tmp_path: Path) -> None:
    desk = LiveDesk(Scenario(planted_bars(5)), tmp_path)
    waiting = Waiting(desk.parts())
    desk.server.advance()
    most = 5 * 900 // 5 + 100
    with live_session(desk.parts(rhythm=Rhythm(poll=5.0, eager=1.0, reconcile=60.0), wait=waiting)) as session:
        session.run(lambda: len(waiting.waits) >= most)
    # After the last close of this market no bar ever comes.
    assert 1.0 in waiting.waits
    first = waiting.waits.index(1.0)
    assert set(waiting.waits[:first]) == {5.0}
    assert waiting.waits[first : first + 10] == [1.0] * 5 + [5.0] * 5
