"""The table of hand-made bars, one for every implementation of the fills.

The compiled loop, the uncompiled loop and the simulated terminal must all book `trades` and
give `blocks`. See `case.BarCase` for the defaults that a case departs from.
"""

from __future__ import annotations

from .account_cases import COSTS, MARGIN_CASES
from .case import BarCase, Booked, Signal, case_answers, case_market, case_params
from .fill_cases import ENTRIES, MINUTE_CASES, TOUCHES
from .order_cases import DECISIONS, REFUSALS

CASES: tuple[BarCase, ...] = (
    *ENTRIES,
    *TOUCHES,
    *MINUTE_CASES,
    *COSTS,
    *MARGIN_CASES,
    *REFUSALS,
    *DECISIONS,
)

__all__ = ["CASES", "BarCase", "Booked", "Signal", "case_answers", "case_market", "case_params"]
