"""An exchange's costs end to end: the bot on the simulated broker books what the backtest books, to the byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.helpers.paper_runs import Scenario, backtest_outcome, planted_bars, replay_outcome, settings_with
from tests.novosky.settings.test_costs import EXCHANGE


def scenario(**costs: Any) -> Scenario:
    return Scenario(
        planted_bars(150),
        settings=settings_with(
            costs={**EXCHANGE, "funding_hours_utc": list(range(24)), **costs}, risk_management={"sl_atr_mult": 0.8}
        ),
    )


def test_bot_and_backtest_pay_the_same_fees_and_funding(tmp_path: Path) -> None:
    paid = backtest_outcome(scenario(), tmp_path)
    assert replay_outcome(scenario(), tmp_path) == paid
    free = {"maker_fee_pct": 0.0, "taker_fee_pct": 0.0, "min_fee": 0.0, "funding_rate_pct": 0.0}
    assert backtest_outcome(scenario(**free), tmp_path).trades != paid.trades
    unfunded = backtest_outcome(scenario(funding_rate_pct=0.0), tmp_path)
    assert unfunded.trades != paid.trades, "funding was charged"
