"""Random accounts on random markets, and the strategies that draw them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from engine.records import Params, to_bytes
from tests.engine.market import Market, Play, play, realistic_params
from tests.engine.random_market import fixed_answers, random_market

seeds = st.integers(0, 2**32 - 1)
balances = st.sampled_from([0.0, 3.0, 60.0, 500.0, 10_000.0, 1e6])
on_random_markets = settings(
    max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)


def random_params(seed: int, **overrides: Any) -> Params:
    """Return the realistic parameters with limits drawn so that each of them matters on some seed."""
    rng = np.random.default_rng(seed)
    drawn = {
        "risk_fraction": rng.uniform(0.005, 0.06),
        "max_risk_fraction": rng.uniform(0.02, 0.08),
        "leverage": rng.choice([3.0, 20.0, 500.0]),
        "stop_out_level": rng.choice([0.0, 0.5, 1.5]),
        "max_consecutive_losses": int(rng.integers(1, 8)),
        "max_daily_loss": rng.uniform(0.01, 0.15),
        "max_weekly_drawdown": rng.uniform(0.03, 0.3),
        "max_total_drawdown": rng.uniform(0.05, 0.5),
        "equity_curve": int(rng.integers(0, 2)),
        "equity_curve_trades": int(rng.integers(2, 12)),
        "half_kelly": int(rng.integers(0, 2)),
        "position_model": int(rng.integers(0, 2)),
        "risk_model": int(rng.integers(0, 2)),
    }
    return realistic_params(**{**drawn, **overrides})


def random_play(seed: int, balance: float = 10_000.0, **overrides: Any) -> tuple[Play, Market]:
    market = random_market(seed)
    params = random_params(seed, **{"starting_balance": balance, **overrides})
    return play(params, market, balance, fixed_answers(seed)), market


def state_of(done: Play) -> tuple[bytes, ...]:
    """Return the bytes of everything but the place in the loop."""
    return (to_bytes(done.account), to_bytes(done.guard), done.trades.tobytes(), done.blocks.tobytes())
