"""Play the whole table and the random markets, and write what came of it.

``python -m tests.engine.outcomes FILE`` does so in a process of its own, where
``NUMBA_DISABLE_JIT=1`` makes every rule run as plain Python.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.history import advance
from tests.engine.cases.bar_cases import CASES, play_case
from tests.engine.market import Play, play, realistic_params
from tests.engine.random_market import fixed_answers, random_market

BARS = 3_000
RECKLESS = {
    "max_consecutive_losses": 4,
    "max_daily_loss": 0.12,
    "max_weekly_drawdown": 0.25,
    "max_total_drawdown": 0.4,
    "equity_curve_drawdown": 0.05,
    "equity_curve_trades": 3,
}
RANDOM_PLAYS: dict[str, tuple[int, dict[str, float]]] = {
    "models": (11, {"position_model": 1, "risk_model": 1, "half_kelly": 1, "max_total_drawdown": 0.6}),
    "reckless": (14, {**RECKLESS, "fixed_volume": 2.0, "leverage": 20.0}),
    "halted": (12, {**RECKLESS, "fixed_volume": 1.0, "leverage": 20.0}),
    "thin": (12, {**RECKLESS, "fixed_volume": 1.5, "leverage": 20.0, "stop_out_level": 2.0}),
}
"""Name to the seed of the market and what differs from the realistic parameters: together they meet every rule."""


def records_of(done: Play) -> dict[str, npt.NDArray[Any]]:
    """Return every record and row a play left behind."""
    return {
        "account": np.asarray(done.account).reshape(1),
        "guard": np.asarray(done.guard).reshape(1),
        "run": np.asarray(done.run).reshape(1),
        "trades": np.asarray(done.trades),
        "blocks": np.asarray(done.blocks),
        "equity": done.equity,
    }


def random_play(seed: int, settings: dict[str, float]) -> Play:
    """Play 3,000 random bars with every rule, cost and minute on."""
    return play(realistic_params(**settings), random_market(seed, BARS), answer=fixed_answers(seed))


def all_outcomes() -> dict[str, npt.NDArray[Any]]:
    """Return the records of every case and of the random plays, keyed `play.record`."""
    plays = {case.id: play_case(case) for case in CASES}
    plays.update({name: random_play(seed, settings) for name, (seed, settings) in RANDOM_PLAYS.items()})
    return {f"{name}.{key}": rows for name, done in plays.items() for key, rows in records_of(done).items()}


def main(file: Path) -> None:
    """Write `all_outcomes` to `file`, with a word on whether the rules were compiled."""
    outcomes = all_outcomes()
    outcomes["compiled"] = np.array(hasattr(advance, "py_func"))
    np.savez(file, allow_pickle=False, **outcomes)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
