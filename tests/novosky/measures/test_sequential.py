"""The monitor's test against what a set was approved with: few false alarms however often asked, and it finds decay."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from engine.outputs.tables import trade_row, write_trades
from engine.records import to_text
from novosky.measures.sequential import BREAKEVEN, FALSE_ALARMS, MOST_R, Reference, Trial, lower_bound, trial_of, wealth
from optimize.history import Evidence, StrategyParams, write_strategy_params
from tests.commands.test_monitor import HOUR, START, write_journal
from tests.engine.outputs.test_tables import trade_with
from tests.helpers.command_line import Answer, run_script
from trading.reports.performance import (
    APPROVING_TRADES,
    Limits,
    judge,
    measure,
    read_trades,
    reference_of_trades,
    trades_of_records,
)

RUNS, LENGTH = 1_000, 600


def bracket(rng: np.random.Generator, mean: float, won: float, lost: float, shape: tuple[int, int]) -> np.ndarray:
    """Draw R of a bracket that pays `won` or costs `lost`, with this mean."""
    chance = (mean + lost) / (won + lost)
    assert 0.0 < chance < 1.0
    return np.where(rng.random(shape) < chance, won, -lost)


def alarms(results: np.ndarray, least: float) -> float:
    return float(np.mean([wealth(row, least).max() >= 1.0 / FALSE_ALARMS for row in results]))


@pytest.mark.parametrize(("won", "lost"), [(1.0, 1.05), (2.5, 1.05), (0.4, 1.1)])
@pytest.mark.parametrize("least", [0.0, 0.05, -0.1])
def test_a_set_as_good_as_its_claim_is_rarely_called_degraded_however_often_it_is_asked(
    won: float, lost: float, least: float
) -> None:
    results = bracket(np.random.default_rng(1), least, won, lost, (RUNS, LENGTH))
    # Looked at after every one of 600 trades; three standard errors of the simulation.
    assert alarms(results, least) <= FALSE_ALARMS + 3.0 * np.sqrt(FALSE_ALARMS * (1.0 - FALSE_ALARMS) / RUNS)


def test_trades_that_follow_one_another_raise_no_more_false_alarms() -> None:
    """The size of what is risked by luck may depend on the past, the mean not."""
    rng, rows = np.random.default_rng(2), []
    for _ in range(400):
        row, scale = np.empty(LENGTH), 1.0
        for k in range(LENGTH):
            row[k] = scale * rng.choice((-1.0, 1.0))
            scale = 1.8 if row[k] < 0.0 else 0.6
        rows.append(row)
    assert alarms(np.array(rows), 0.0) <= FALSE_ALARMS + 3.0 * np.sqrt(FALSE_ALARMS * 0.95 / 400)


@pytest.mark.parametrize(("short", "trades", "power"), [(0.3, 200, 0.8), (0.2, 400, 0.8), (0.5, 100, 0.8)])
def test_a_set_that_has_become_worse_is_found(short: float, trades: int, power: float) -> None:
    least = 0.02
    results = bracket(np.random.default_rng(3), least - short, 1.2, 1.05, (RUNS, trades))
    assert alarms(results, least) >= power


def test_an_honest_set_that_fails_a_profit_factor_of_two_is_healthy() -> None:
    results = bracket(np.random.default_rng(4), 0.05, 1.1, 1.0, (RUNS, 300))
    assert alarms(results, 0.0) <= 0.02


def test_the_wealth_by_hand_and_its_bounds() -> None:
    largest = 0.99 / MOST_R
    stakes = np.geomspace(0.3 / MOST_R, largest, 4)
    assert wealth(np.array([-1.0, 2.0]), 0.0) == pytest.approx(
        [np.mean(1.0 + stakes), np.mean((1.0 + stakes) * (1.0 - 2.0 * stakes))]
    )
    assert (wealth(np.array([1e9, MOST_R, MOST_R]), 0.0) > 0.0).all(), "no gain ruins whoever bets"
    assert trial_of([], BREAKEVEN) == Trial(BREAKEVEN, 0, None, 1.0, 1.0)
    assert np.isfinite(wealth(np.full(50_000, -1.0), 0.0)).all()


def test_once_failed_a_set_stays_so_and_only_trades_since_its_approval_count() -> None:
    reference = Reference(0.05, 0.1, 50, 0.0, "record")
    lost = [-1.0] * 60
    assert trial_of(lost, reference).failed
    assert trial_of([*lost, *[1.0] * 500], reference).failed
    assert not trial_of([1.0] * 500, reference).failed


def test_the_lower_bound_covers_the_mean_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    covered = [lower_bound(row, resamples=300) <= 0.1 for row in bracket(rng, 0.1, 1.2, 1.0, (150, 120))]
    assert np.mean(covered) >= 0.88
    with pytest.raises(ValueError, match="needs trades"):
        lower_bound(np.empty(0))


def test_limits_asked_for_decide_instead_of_the_test() -> None:
    records = [
        trade_with(profit=value, commission=0.0, swap=0.0, exit_time=START + k)
        for k, value in enumerate([1.0, -1.0] * 20)
    ]
    figures = measure(trades_of_records(map(to_text, records)), 50)
    assert judge(figures, Limits()).verdict == "healthy"
    assert judge(figures, Limits(min_profit_factor=2.0)).verdict == "degraded"
    assert judge(figures, Limits(most_losses=0)).verdict == "degraded"
    assert not Limits().asked


def test_a_trades_file_gives_the_multiples_of_the_journal(tmp_path: Path) -> None:
    records = []
    for k, (entry, left, stop) in enumerate([(100.0, 104.0, 98.0), (100.0, 97.0, 97.0), (100.0, 100.0, 95.0)]):
        risk = (entry - stop) * 0.5
        records.append(
            trade_with(
                entry_price=entry, exit_price=left, sl=stop, volume=0.5, profit=(left - entry) * 0.5, commission=-0.1,
                swap=0.0, risk=risk, exit_time=START + k * HOUR,
            )
        )  # fmt: skip
    write_trades(tmp_path / "t.csv", (trade_row(record, 2) for record in records))
    from_file = [trade.r for trade in read_trades(tmp_path / "t.csv")]
    from_journal = [trade.r for trade in trades_of_records(map(to_text, records))]
    assert from_file == pytest.approx(from_journal)


# The command.


def run(cwd: Path, *arguments: object) -> Answer:
    return run_script("scripts/performance_monitor.py", *arguments, cwd=cwd)


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_IDS", "NOVOSKY_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


def approve(folder: Path, mean: float, low: float, applied: int) -> None:
    write_strategy_params(
        folder / "strategy_params.json",
        StrategyParams(
            run_id="r1",
            profile_name="balanced",
            applied_at=datetime.fromtimestamp(applied, tz=UTC),
            reason="better",
            approved=True,
            score=7.0,
            parameters={},
            models=None,
            evidence=Evidence(trades=80, expectancy_r=mean, expectancy_r_low=low),
        ),
    )


def risk_of_a_trade() -> float:
    return float(trade_with().risk)


def test_without_a_record_it_is_said_and_breakeven_is_the_claim(tmp_path: Path) -> None:
    risk = risk_of_a_trade()
    write_journal(tmp_path, [1.1 * risk, -risk] * 25)
    answer = run(tmp_path, "--json", "out.json")
    assert answer.code == 0, answer.out + answer.err
    assert "no record of what this set was approved with" in answer.out
    content = json.loads((tmp_path / "out.json").read_text())
    assert (content["claimed_r"], content["approved_by"], content["tested_trades"]) == (0.0, None, 50)


def test_a_set_that_only_loses_is_degraded_without_any_record(tmp_path: Path) -> None:
    risk = risk_of_a_trade()
    write_journal(tmp_path, [-risk, -risk, 0.5 * risk] * 30)
    answer = run(tmp_path)
    assert answer.code == 1
    assert "speak against no loss in the mean" in answer.out


def test_the_record_beside_the_configuration_is_the_claim_for_trades_since_then(tmp_path: Path) -> None:
    risk = risk_of_a_trade()
    # Bad ones of the set before, then good ones of this.
    write_journal(tmp_path, [-risk] * 60 + [1.2 * risk, -risk] * 30)
    approve(tmp_path, 0.2, 0.05, START + 60 * HOUR)
    answer = run(tmp_path, "--lookback", 40, "--json", "out.json")
    assert answer.code == 0, answer.out + answer.err
    assert "at least +0.050 R a trade (strategy_params.json, approved with +0.200 R in 80 trades)" in answer.out
    content = json.loads((tmp_path / "out.json").read_text())
    assert (content["claimed_r"], content["approved_r"], content["tested_trades"]) == (0.05, 0.2, 60)
    approve(tmp_path, 0.2, 0.05, START)
    assert run(tmp_path).code == 1, "held against all of them it has failed"


def test_an_older_record_without_the_figure_claims_breakeven_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    risk = risk_of_a_trade()
    write_journal(tmp_path, [1.1 * risk, -risk] * 25)
    approve(tmp_path, 0.2, 0.05, START)
    content = json.loads((tmp_path / "strategy_params.json").read_text())
    del content["evidence"]["expectancy_r_low"]
    (tmp_path / "strategy_params.json").write_text(json.dumps(content))
    assert "no record" in run(tmp_path).out
    (tmp_path / "strategy_params.json").write_text("{")
    answer = run(tmp_path)
    assert (answer.code, "strategy_params.json is damaged" in answer.err) == (7, True)


def test_the_trades_of_an_out_of_sample_backtest_can_be_the_claim(tmp_path: Path) -> None:
    risk = risk_of_a_trade()
    write_journal(tmp_path, [-risk, 0.2 * risk] * 60)
    records = [
        trade_with(
            entry_price=100.0, sl=99.0, exit_price=101.5 if k % 2 else 99.0, volume=1.0, profit=1.5 if k % 2 else -1.0,
            commission=0.0, swap=0.0, exit_time=START + k,
        )
        for k in range(APPROVING_TRADES * 4)
    ]  # fmt: skip
    write_trades(tmp_path / "oos.csv", (trade_row(record, 2) for record in records))
    answer = run(tmp_path, "--approved", "oos.csv")
    assert answer.code == 1
    assert "oos.csv, approved with +0.250 R in 80 trades" in answer.out
    write_trades(tmp_path / "few.csv", (trade_row(record, 2) for record in records[: APPROVING_TRADES - 1]))
    assert run(tmp_path, "--approved", "few.csv").code == 4
    assert reference_of_trades([], "x") is None
