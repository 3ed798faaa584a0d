"""With all four models on the backtest is still the bot, and each model changes only what is its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtest.run import prepare, simulate
from engine.inputs.brackets import bracket_multiples
from novosky.errors import UsageError
from novosky.settings import MlSettings, Settings
from tests.helpers.bridge_module import bridged
from tests.helpers.kills import Reaching, in_process, live_through
from tests.helpers.mt5.runs import mt5_outcome, with_clock
from tests.helpers.paper_runs import (
    Outcome,
    Scenario,
    backtest_outcome,
    finish,
    open_scenario,
    planted_bars,
    replay_outcome,
    scattered_ml_settings,
    settings_with,
)
from tests.helpers.sets.signal_models import ScatteredPositionModel, ScatteredRiskModel, ScatteredSltpModel
from trading.brokers.bridge.client import BridgeModule
from trading.brokers.simulated.functions.terminal import SimulatedTerminal

BARS = 500
RANGE = {"least": 1.0, "most": 3.0}
BRACKET = {"sl_atr_mult": 2.0, "tp_atr_mult": 2.0, "atr_mult_range": RANGE}
TIME, SIDE, VOLUME, ENTRY, SL, TP = range(6)
EXIT_TIME, EXIT_PRICE, REASON = 6, 7, 8


def settings_on(risk: bool, **sections: Any) -> Settings:
    return settings_with(
        costs={"commission_per_lot": 2.0},
        risk_management=BRACKET,
        risk_model={"enabled": risk},
        # Sizes must not reach limits of the account, or they would change more than themselves.
        risk_profile={"starting_balance_usd": 50_000.0},
        max_consecutive_losses=10_000,
        **sections,
    )


def ml_settings_on(position: bool, sltp: bool) -> MlSettings:
    base = scattered_ml_settings().model_dump(mode="json", exclude={"schema_reference"})
    return MlSettings.model_validate(base | {"position_model": {"enabled": position}, "ml_sltp": {"enabled": sltp}})


def scenario_on(*, position: bool = False, sltp: bool = False, risk: bool = False, bars: int = BARS) -> Scenario:
    return Scenario(
        planted_bars(bars),
        settings=settings_on(risk),
        ml_settings=ml_settings_on(position, sltp),
        position_model=ScatteredPositionModel() if position else None,
        sltp_model=ScatteredSltpModel() if sltp else None,
        risk_model=ScatteredRiskModel() if risk else None,
    )


def all_on(bars: int = BARS) -> Scenario:
    return scenario_on(position=True, sltp=True, risk=True, bars=bars)


def test_backtest_and_bot_leave_the_same_bytes(tmp_path: Path) -> None:
    expected = backtest_outcome(all_on(), tmp_path)
    assert replay_outcome(all_on(), tmp_path) == expected
    rows = expected.trade_rows
    assert {"model", "sl", "tp"} <= {row[REASON] for row in rows}
    assert len({row[VOLUME] for row in rows}) > 10, "the risk model sizes"
    assert len({stop_in_atr(row) for row in rows}) > 10, "the SLTP model brackets"


def stop_in_atr(row: list[str]) -> float:
    """The ratio of target to stop distance stands for the bracket: ATR cancels out."""
    return round(abs(float(row[TP]) - float(row[ENTRY])) / abs(float(row[SL]) - float(row[ENTRY])), 3)


@contextmanager
def over_a_bridge(terminal: SimulatedTerminal) -> Iterator[BridgeModule]:
    """Reach the terminal through a server beside it and a client here."""
    with bridged(terminal, any_terminal=True) as module:
        yield module


@pytest.mark.parametrize("reach", [in_process, over_a_bridge], ids=["in process", "over a bridge"])
def test_it_holds_when_the_bot_is_killed(tmp_path: Path, mortal: Callable[[int], None], reach: Reaching) -> None:
    scenario = all_on(bars=150)
    expected = backtest_outcome(scenario, tmp_path)
    assert len(expected.trade_rows) > 5
    mortal(7)
    assert live_through(scenario, tmp_path, reach) == expected


def test_it_holds_behind_a_thread_and_a_clock_of_another_zone(tmp_path: Path) -> None:
    """As on a real terminal: stamps of the server's clock, calls watched by a thread of their own."""
    scenario = with_clock(all_on(bars=150), "NewYork+7")
    expected = backtest_outcome(scenario, tmp_path)
    assert mt5_outcome(scenario, tmp_path) == expected
    assert len(expected.trade_rows) > 5


def test_the_risk_model_only_sizes(tmp_path: Path) -> None:
    on, off = (backtest_outcome(scenario_on(risk=risk, bars=1_200), tmp_path) for risk in (True, False))
    assert without_money(on) == without_money(off)
    assert on.blocked == off.blocked, "it never blocks and never changes a signal"
    scaled = [float(a[VOLUME]) / float(b[VOLUME]) for a, b in zip(on.trade_rows, off.trade_rows, strict=True)]
    assert len(scaled) > 30
    assert min(scaled) < 0.5 < 1.0 < max(scaled)


def test_the_journal_keeps_what_the_risk_model_said(tmp_path: Path) -> None:
    session = open_scenario(scenario_on(risk=True), tmp_path / "journal.sqlite")
    finish(session)
    with sqlite3.connect(tmp_path / "journal.sqlite") as connection:
        said = connection.execute("SELECT action, multiplier FROM decisions").fetchall()
    assert len({multiplier for action, multiplier in said if action == "entry"}) > 10
    assert {multiplier for action, multiplier in said if action == "none"} == {1.0}
    session.close()


def without_money(outcome: Outcome) -> list[list[str]]:
    return [[row[TIME], row[SIDE], *row[ENTRY : REASON + 1]] for row in outcome.trade_rows]


def test_a_risk_model_that_is_missing_leaves_every_size_as_it_is(tmp_path: Path) -> None:
    missing = replace(scenario_on(risk=True), risk_model=None)
    expected = backtest_outcome(scenario_on(), tmp_path)
    assert backtest_outcome(missing, tmp_path) == expected
    assert replay_outcome(missing, tmp_path) == expected


def test_the_sltp_model_only_brackets() -> None:
    on, off = (simulated(scenario_on(sltp=sltp)) for sltp in (True, False))
    shared = [name for name in on.dtype.names if name not in ("sl_mult", "tp_mult")]
    assert (on[shared] == off[shared]).all(), "the candidates are the same"
    assert set(off["sl_mult"]) == {2.0}
    for name in ("sl_mult", "tp_mult"):
        assert on[name].min() == RANGE["least"]
        assert on[name].max() == RANGE["most"]
        assert len(np.unique(on[name])) > 20


def simulated(scenario: Scenario) -> np.ndarray:
    prepared = prepare(
        scenario.bars,
        scenario.settings,
        scenario.ml_settings,
        scenario.model,
        start=scenario.bars["time"].iloc[scenario.first],
        sltp=scenario.sltp_model,
    )
    return simulate(prepared, scenario.settings, scenario.ml_settings).candidates


def test_the_first_trade_with_the_sltp_model_is_entered_alike(tmp_path: Path) -> None:
    on, off = (backtest_outcome(scenario_on(sltp=sltp), tmp_path).trade_rows[0] for sltp in (True, False))
    assert (on[TIME], on[SIDE], on[ENTRY]) == (off[TIME], off[SIDE], off[ENTRY])
    assert (on[SL], on[TP]) != (off[SL], off[TP])


@pytest.mark.parametrize(
    ("scale", "stated", "stops", "targets"),
    [
        ("absolute", None, (0.8, 1.3), (0.8, 1.3)),
        ("selectivity", None, (2.0, 4.0), (1.0, 2.0)),
        ("selectivity", {"least": 2.5, "most": 3.0}, (2.5, 3.0), (2.5, 3.0)),
    ],
)
def test_the_profiles_range_bounds_the_distances_unless_another_is_stated(
    scale: str, stated: dict[str, float] | None, stops: tuple[float, float], targets: tuple[float, float]
) -> None:
    profile = {"name": "growth", "scale": scale}
    settings = settings_with(risk_management={"atr_mult_range": stated}, risk_profile=profile)
    content = {"features": ["a"], "labeling": {"atr_sl_mult": 3, "atr_tp_mult": 1.5}, "ml_sltp": {"enabled": True}}
    far = np.array([[0.1, 0.1], [9.0, 9.0]])
    clamped = bracket_multiples(far, settings, MlSettings.model_validate(content))
    assert [tuple(np.asarray(each)) for each in clamped] == [stops, targets]


def test_the_sltp_model_switched_on_and_not_there_is_refused(tmp_path: Path) -> None:
    scenario = replace(scenario_on(sltp=True), sltp_model=None)
    with pytest.raises(UsageError, match="ml_sltp"):
        backtest_outcome(scenario, tmp_path)
    with pytest.raises(UsageError, match="ml_sltp"):
        open_scenario(scenario, tmp_path / "journal.sqlite")


def test_models_that_are_given_but_switched_off_change_nothing(tmp_path: Path) -> None:
    given = replace(
        scenario_on(),
        position_model=ScatteredPositionModel(),
        sltp_model=ScatteredSltpModel(),
        risk_model=ScatteredRiskModel(),
    )
    expected = backtest_outcome(scenario_on(), tmp_path)
    assert backtest_outcome(given, tmp_path) == expected
    assert replay_outcome(given, tmp_path) == expected
