"""Every row of a sweep is the backtest of its settings, figure for figure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from backtest.metrics import compute_metrics
from backtest.model_answers import model_answers
from backtest.run import Prepared, prepare, simulate
from backtest.sweep.axes import Design, axes_for, changed_settings, design
from backtest.sweep.inputs import SweepInputs
from backtest.sweep.params import param_rows
from backtest.sweep.risk import risk_trees, tree_multiplier
from backtest.sweep.rows import COLUMNS, FIGURES, RowRunner, run_rows
from backtest.sweep.run import SweepPlan, asked_inputs
from engine.inputs.brackets import bracket_multiples
from engine.inputs.models import Models
from engine.inputs.parameters import build_params
from engine.records import to_bytes
from ml.load_models import load_models
from ml.risk_predictor import RiskPredictor, RiskRegressor
from novosky.data.store import load_bars
from novosky.errors import ModelError
from novosky.measures.statistics import daily_returns
from novosky.settings import MlSettings, Settings, load_ml_settings, load_settings
from tests.helpers.desk import Desk
from tests.helpers.sets.signal_models import ScatteredModel, ScatteredPositionModel, ScatteredSltpModel
from tests.helpers.sets.signal_sets import TRAIN_BARS


@dataclass(frozen=True, eq=False)
class Stage:
    """Settings, models and the bars after their training."""

    settings: Settings
    ml_settings: MlSettings
    models: Models
    prepared: Prepared

    def plan(self, target: Any, configurations: int = 300) -> SweepPlan:
        return SweepPlan(target, self.settings, self.ml_settings, configurations)

    def drawn(self, target: Any, configurations: int = 300) -> Design:
        axes = axes_for(target, self.settings, self.ml_settings)
        return design(axes, self.settings, self.ml_settings, configurations, seed=7)

    def inputs(self, drawn: Design, target: Any) -> SweepInputs:
        return asked_inputs(self.plan(target), drawn, self.prepared, self.models)


def switched(stage: Stage, **ml: bool) -> Stage:
    """The stage with these ml_config sections on or off."""
    content = stage.ml_settings.model_dump(mode="json", exclude={"schema_reference"})
    for section, enabled in ml.items():
        content[section]["enabled"] = enabled
    return replace(stage, ml_settings=MlSettings.model_validate(content))


@pytest.fixture(scope="module")
def stage(desk: Desk) -> Stage:
    settings, ml_settings = load_settings(desk.config), load_ml_settings(desk.ml_config)
    bars = load_bars(desk.bars)
    # A risk model of trees, and beside it opinions certain enough for every threshold of the profile.
    models = Models(
        signal=ScatteredModel(),
        position=ScatteredPositionModel(),
        sltp=ScatteredSltpModel(),
        risk=load_models(desk.models, settings, ml_settings).risk,
    )
    start = bars["time"].iloc[TRAIN_BARS + 1]
    prepared = prepare(bars, settings, ml_settings, models.signal, start=start, sltp=models.sltp)
    return Stage(settings, ml_settings, models, prepared)


def figures_of_the_backtest(stage: Stage, drawn: Design, row: int) -> tuple[dict[str, float], np.ndarray]:
    settings, ml_settings = changed_settings(stage.settings, stage.ml_settings, drawn.values(row))
    answers = model_answers(stage.models, stage.prepared, settings, ml_settings)
    result = simulate(stage.prepared, settings, ml_settings, answers=answers)
    metrics = compute_metrics(result, np.random.default_rng(0), m1=False)
    flat = {name: getattr(metrics, name) for name in FIGURES}
    known = {name: np.nan if value is None else float(value) for name, value in flat.items()}
    return known, daily_returns(result.bars.time, result.equity, result.start_balance)


@pytest.mark.parametrize(
    ("target", "switches"),
    [
        ("both", {"position_model": True, "ml_sltp": True}),
        ("both", {"position_model": True, "ml_sltp": False}),
        ("signal", {"position_model": False, "ml_sltp": False}),
        ("pos", {"position_model": True, "ml_sltp": False}),
    ],
)
def test_a_row_is_the_backtest_of_its_settings(stage: Stage, target: Any, switches: dict[str, bool]) -> None:
    stage = switched(stage, **switches)
    drawn = stage.drawn(target, 400)
    inputs = stage.inputs(drawn, target)
    rows = np.concatenate(([0], np.random.default_rng(5).choice(np.arange(1, len(drawn)), 7, replace=False)))
    figures, daily = RowRunner(inputs).run(rows)
    traded = []
    for at, row in enumerate(rows.tolist()):
        expected, returns = figures_of_the_backtest(stage, drawn, row)
        assert dict(zip(FIGURES, figures[at].tolist(), strict=True)) == pytest.approx(
            expected, rel=0, abs=0, nan_ok=True
        )
        assert daily[at].tobytes() == returns.tobytes()
        traded.append(expected["trades"])
    assert np.median(traded) >= 20
    assert len(set(traded)) > 2


def test_a_row_does_not_depend_on_the_rows_beside_it(stage: Stage) -> None:
    drawn = stage.drawn("both", 60)
    inputs = stage.inputs(drawn, "both")
    together = run_rows(inputs, np.arange(60))
    assert together.shape == (60, COLUMNS)
    shuffled = np.random.default_rng(1).permutation(60)
    assert run_rows(inputs, shuffled).tobytes() == together[shuffled].tobytes()
    assert run_rows(inputs, np.array([17])).tobytes() == together[17:18].tobytes()


@pytest.mark.parametrize("target", ["signal", "both"])
def test_parameters_in_bulk_are_those_of_each_configuration(stage: Stage, target: Any) -> None:
    stage = switched(stage, ml_sltp=False)
    drawn = stage.drawn(target, 250)
    rows = param_rows(drawn, stage.settings, stage.ml_settings)
    for row in range(len(drawn)):
        settings, ml_settings = changed_settings(stage.settings, stage.ml_settings, drawn.values(row))
        assert to_bytes(rows.params[row]) == to_bytes(build_params(settings, ml_settings)), drawn.values(row)
        assert tuple(rows.brackets[row]) == bracket_multiples(None, settings, ml_settings)


def test_rows_with_one_gate_number_pass_the_same_candidates(stage: Stage) -> None:
    drawn = stage.drawn("both", 120)
    inputs = stage.inputs(drawn, "both")
    passed: dict[int, bytes] = {}
    for row in range(len(drawn)):
        runner = RowRunner(inputs)
        found = runner.passed(row).tobytes()
        assert passed.setdefault(int(inputs.gates[row]), found) == found
    assert len(set(passed.values())) > 5


def test_every_trade_the_rows_can_make_has_an_opinion_in_one_pass_over_the_model(stage: Stage) -> None:
    drawn = stage.drawn("both", 80)
    inputs = stage.inputs(drawn, "both")
    opinions = inputs.opinions
    asked = opinions.until > 0
    assert asked.any()
    # A trade can last from the bar after its candidate on; its opinion never begins before that.
    bars = inputs.candidates["bar"]
    for trade in np.argwhere(asked & (opinions.end > opinions.begin))[:50]:
        rows = opinions.rows[opinions.begin[tuple(trade)] : opinions.end[tuple(trade)]]
        assert rows[0] > bars[trade[1]]
        assert rows[-1] < opinions.until[tuple(trade)]
        assert (np.diff(rows) > 0).all()
    np.testing.assert_allclose(opinions.probabilities.sum(axis=1), 1.0)


def test_a_trade_nobody_was_asked_about_stops_the_row(stage: Stage) -> None:
    drawn = stage.drawn("both", 5)
    inputs = stage.inputs(drawn, "both")
    silent = inputs.opinions._replace(until=np.zeros_like(inputs.opinions.until))
    with pytest.raises(RuntimeError, match="no model was asked about"):
        run_rows(replace(inputs, opinions=silent), np.array([0]))


def states(count: int) -> np.ndarray:
    rng = np.random.default_rng(11)
    return np.column_stack(
        (
            rng.exponential(5.0, count),
            rng.uniform(0.3, 3.0, count),
            rng.integers(0, 21, count) / 20.0,
            rng.integers(0, 9, count),
            rng.integers(0, 9, count),
            rng.exponential(3.0, count),
            rng.normal(0.0, 1.0, count),
        )
    )


def test_the_trees_answer_with_the_bytes_of_the_model(stage: Stage) -> None:
    assert isinstance(stage.models.risk, RiskPredictor)
    trees = risk_trees(stage.models.risk.regressor)
    asked = states(3000)
    answers = np.array([tree_multiplier(tuple(state), trees) for state in asked.tolist()])
    assert answers.tobytes() == stage.models.risk.multipliers(asked).tobytes()
    assert len(np.unique(answers)) > 10


def fitted(**parameters: Any) -> RiskRegressor:
    """A regressor whose inputs are often exactly zero."""
    import lightgbm

    asked = np.where(np.random.default_rng(2).random((2000, 7)) < 0.3, 0.0, states(2000))
    target = np.where(asked[:, 0] == 0.0, 0.9, 0.4) + 0.1 * asked[:, 6]
    given = {"objective": "regression", "num_leaves": 8, "min_data_in_leaf": 20, "verbosity": -1, "num_threads": 1}
    booster = lightgbm.train(given | parameters, lightgbm.Dataset(asked, target), num_boost_round=20)
    return RiskRegressor.of(np.zeros(7), np.ones(7), booster)


@pytest.mark.parametrize("zeros_are_missing", [False, True])
def test_zeros_go_where_lightgbm_sends_them(zeros_are_missing: bool) -> None:
    regressor = fitted(zero_as_missing=zeros_are_missing)
    trees = risk_trees(regressor)
    assert (len(trees.zero) > 0) == zeros_are_missing
    asked = np.where(np.random.default_rng(3).random((1000, 7)) < 0.5, 0.0, states(1000))
    answers = np.array([tree_multiplier(tuple(state), trees) for state in asked.tolist()])
    assert answers.tobytes() == regressor.multipliers(asked).tobytes()


def test_a_model_that_is_more_than_its_trees_is_refused() -> None:
    # The logarithm of the mean is what the trees add up to; the model's answer is its exponential.
    with pytest.raises(ModelError, match="otherwise than LightGBM"):
        risk_trees(fitted(objective="poisson"))


def test_an_unknown_state_has_no_multiplier(stage: Stage) -> None:
    assert isinstance(stage.models.risk, RiskPredictor)
    trees = risk_trees(stage.models.risk.regressor)
    assert np.isnan(tree_multiplier((0.0, 1.0, 0.5, 0.0, 0.0, np.inf, 0.0), trees))
