"""With the position model on, the backtest is still the bot, and only exits change."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from backtest.model_answers import ModelAnswers
from backtest.position_opinions import PositionOpinions
from backtest.run import prepare, simulate
from engine.inputs.parameters import build_params
from ml.ensemble.predictor import EnsemblePredictor
from ml.position.predictor import PositionPredictor
from ml.sets.loading import load_undisturbed
from novosky.errors import UsageError
from novosky.settings import MlSettings
from tests.helpers.kills import live_through
from tests.helpers.paper_runs import (
    WARM_UP,
    Scenario,
    backtest_outcome,
    finish,
    open_scenario,
    planted_bars,
    replay_outcome,
    scattered_ml_settings,
    session_outcome,
    settings_with,
)
from tests.helpers.sets.position_sets import PositionSet
from tests.helpers.sets.signal_models import ScatteredPositionModel

BARS = 400
WIDE = {"sl_atr_mult": 2.5, "tp_atr_mult": 3.0}


def ml_settings_on(**position: Any) -> MlSettings:
    base = scattered_ml_settings().model_dump(mode="json", exclude={"schema_reference"})
    return MlSettings.model_validate(base | {"position_model": {"enabled": True, **position}})


def scenario_on(bars: int = BARS, **position: Any) -> Scenario:
    settings = settings_with(costs={"commission_per_lot": 2.0}, risk_management=WIDE)
    return Scenario(
        planted_bars(bars),
        settings=settings,
        ml_settings=ml_settings_on(**position),
        position_model=ScatteredPositionModel(),
    )


def switched_off(scenario: Scenario) -> Scenario:
    return replace(scenario, ml_settings=scattered_ml_settings(), position_model=None)


def test_backtest_and_bot_leave_the_same_bytes(tmp_path: Path) -> None:
    scenario = scenario_on(bars=700)
    expected = backtest_outcome(scenario, tmp_path)
    assert replay_outcome(scenario, tmp_path) == expected
    reasons = [row[8] for row in expected.trade_rows]
    assert {"model", "sl"} <= set(reasons)
    assert reasons.count("model") > 10


def test_bars_with_gaps_and_their_own_spread(tmp_path: Path) -> None:
    bars = planted_bars(BARS)
    absent = np.zeros(len(bars), dtype=bool)
    absent[WARM_UP + 4 :: 17] = True
    bars["spread"] = np.random.default_rng(2).integers(300, 4_000, len(bars)).astype(float)
    scenario = replace(scenario_on(), bars=bars[~absent].reset_index(drop=True))
    expected = backtest_outcome(scenario, tmp_path)
    assert replay_outcome(scenario, tmp_path) == expected
    assert "model" in {row[8] for row in expected.trade_rows}


@pytest.fixture(scope="module")
def trained(position_set: PositionSet) -> PositionSet:
    return position_set


def test_backtest_and_bot_agree_with_trained_models(trained: PositionSet, tmp_path: Path) -> None:
    scenario = Scenario(
        planted_bars(BARS),
        settings=settings_with(risk_management=WIDE),
        ml_settings=trained.ml_settings,
        model=load_undisturbed(trained.models_dir, trained.ml_settings, EnsemblePredictor),  # type: ignore[arg-type]
        position_model=load_undisturbed(trained.models_dir, trained.ml_settings, PositionPredictor),
    )
    expected = backtest_outcome(scenario, tmp_path)
    assert replay_outcome(scenario, tmp_path) == expected
    assert "model" in {row[8] for row in expected.trade_rows}


def key_of(row: list[str]) -> tuple[str, ...]:
    """Return entry time, side, entry price, stop and target of a trade."""
    return (row[0], row[1], row[3], row[4], row[5])


def test_only_exits_change_and_only_to_earlier_ones(tmp_path: Path) -> None:
    scenario = scenario_on(bars=1_200)
    on = backtest_outcome(scenario, tmp_path).trade_rows
    off = backtest_outcome(switched_off(scenario), tmp_path).trade_rows
    assert key_of(on[0]) == key_of(off[0])
    held = {key_of(row): row for row in off}
    shared = [(row, held[key_of(row)]) for row in on if key_of(row) in held]
    changed = [(left, kept) for left, kept in shared if (left[6], left[8]) != (kept[6], kept[8])]
    assert len(shared) > 20
    assert changed
    for left, kept in changed:
        assert left[8] == "model"
        assert left[6] <= kept[6]
    assert {row[8] for row in off} == {"sl", "tp"}


def test_a_model_that_is_never_followed_changes_nothing(tmp_path: Path) -> None:
    never = scenario_on(exit_threshold=1.0, min_prob_diff=1.0)
    assert backtest_outcome(never, tmp_path) == backtest_outcome(switched_off(never), tmp_path)


def test_positions_are_held_for_the_least_number_of_bars(tmp_path: Path) -> None:
    rows = backtest_outcome(scenario_on(min_bars_held=7), tmp_path).trade_rows
    held = [pd.Timestamp(row[6]) - pd.Timestamp(row[0]) for row in rows if row[8] == "model"]
    assert held
    assert min(held) == pd.Timedelta(minutes=7 * 15)


class CountingModel:
    """Notes the number of rows of every question."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def predict_proba(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        self.asked.append(len(features))
        return ScatteredPositionModel().predict_proba(features)


def test_the_backtest_asks_once_per_trade_and_remembers() -> None:
    scenario = scenario_on()
    model = CountingModel()
    prepared = prepare(
        scenario.bars,
        scenario.settings,
        scenario.ml_settings,
        scenario.model,
        start=scenario.bars["time"].iloc[scenario.first],
    )
    opinions = PositionOpinions(model, prepared)
    params = build_params(scenario.settings, scenario.ml_settings)
    answers = ModelAnswers(params, opinions, None)
    first = simulate(prepared, scenario.settings, scenario.ml_settings, answers=answers)
    assert 0 < len(model.asked) <= len(first.trades) + 1
    assert max(model.asked) > 5
    questions = len(model.asked)
    # Another run over the same window, as a sweep makes them.
    others = ModelAnswers(params, opinions, None)
    again = simulate(prepared, scenario.settings, scenario.ml_settings, answers=others)
    assert again.trades.tobytes() == first.trades.tobytes()
    assert len(model.asked) == questions


def test_switched_on_without_a_model_is_refused(tmp_path: Path) -> None:
    scenario = replace(scenario_on(), position_model=None)
    with pytest.raises(UsageError, match="position"):
        backtest_outcome(scenario, tmp_path)
    with pytest.raises(UsageError, match="position"):
        open_scenario(scenario, tmp_path / "journal.sqlite")


def test_add_is_logged_and_never_executed(tmp_path: Path) -> None:
    scenario = scenario_on(exit_threshold=1.0, min_prob_diff=1.0, add_threshold=0.5)
    journal = tmp_path / "journal.sqlite"
    session = open_scenario(scenario, journal)
    finish(session)
    outcome = session_outcome(session, scenario, tmp_path)
    session.close()
    assert "add" in actions(journal)
    assert outcome == backtest_outcome(switched_off(scenario), tmp_path)


def actions(journal: Path) -> set[str]:
    with sqlite3.connect(journal) as connection:
        return {action for (action,) in connection.execute("SELECT DISTINCT action FROM decisions")}


def test_it_holds_when_the_bot_is_killed(tmp_path: Path, mortal: Callable[[int], None]) -> None:
    scenario = scenario_on(bars=120)
    expected = backtest_outcome(scenario, tmp_path)
    assert "model" in {row[8] for row in expected.trade_rows}
    mortal(7)
    assert live_through(scenario, tmp_path) == expected
