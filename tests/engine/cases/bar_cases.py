"""The table of hand-made bars, one for every implementation of the fills.

The compiled loop, the uncompiled loop and the simulated terminal must all book `trades` and
give `blocks`. See `case.BarCase` for the defaults that a case departs from.
"""

from __future__ import annotations

from tests.engine.cases.account_cases import COSTS, MARGIN_CASES
from tests.engine.cases.case import BarCase, Booked, Signal, case_answers, case_market, case_params
from tests.engine.cases.fill_cases import ENTRIES, MINUTE_CASES, TOUCHES
from tests.engine.cases.live_cases import LIVE_CLOSES
from tests.engine.cases.order_cases import DECISIONS, REFUSALS
from tests.engine.market import Play, begin

CASES: tuple[BarCase, ...] = (
    *ENTRIES,
    *TOUCHES,
    *MINUTE_CASES,
    *COSTS,
    *MARGIN_CASES,
    *REFUSALS,
    *DECISIONS,
    *LIVE_CLOSES,
)

__all__ = ["CASES", "BarCase", "Booked", "Signal", "case_answers", "case_market", "case_params", "play_case"]


def play_case(case: BarCase) -> Play:
    """Play a case with the engine's own loop."""
    started = begin(case_params(case), case_market(case), case.balance)
    for seen in case.seen:
        started.go_through(case_market(case), seen, case_answers(case))
    started.go(case_market(case), case_answers(case))
    return started
