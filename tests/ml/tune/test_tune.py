"""What a search judges by: trades out of sample, one at a time, costs paid; and its two commands."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import optuna
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from commands.tune import tune_position, tune_signal
from ml.ensemble.device import CPU
from ml.ensemble.trainer import Progress
from ml.labels.out_of_fold import OutOfFold
from ml.labels.position import PositionLabels
from ml.sets.stage_files import OUT_OF_FOLD_NAME
from ml.tune.position_objective import PositionObjective, follow_exit_rule
from ml.tune.scoring import summarise
from ml.tune.search_space import POSITION_SPACE, SIGNAL_SPACE, present_values, settings_with
from ml.tune.signal_objective import SignalObjective
from novosky.data.store import save_bars
from novosky.data.synthetic import synthetic_bars
from novosky.errors import DataError, ModelError, NovoskyError, UsageError
from novosky.settings import MlSettings, load_ml_settings
from novosky.settings.ml import PositionModel
from tests.helpers.sets.position_sets import PositionSet, position_ml_settings
from tests.helpers.sets.signal_sets import runtime_settings, small_ml_settings

BARS = 6_000
FOLDS = 2


def silent(step: str, done: int, total: int) -> None:
    """Take progress and show nothing."""


SILENT: Progress = silent


def eager_settings(**prediction: float) -> MlSettings:
    """Small models and thresholds that trade."""
    chosen = {"confidence_threshold": 0.38, "min_probability_diff": 0.0} | prediction
    return small_ml_settings(threads=1).model_copy(
        update={"prediction": MlSettings.model_validate({"features": ["x"], "prediction": chosen}).prediction}
    )


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    return synthetic_bars("planted", BARS, seed=3)


@pytest.fixture(scope="module")
def signal(market: pd.DataFrame, root: Path) -> SignalObjective:
    return SignalObjective.prepare(
        market, runtime_settings(root), eager_settings(), folds=FOLDS, devices=CPU, threads=1
    )


@pytest.fixture(scope="module")
def trained(position_set: PositionSet) -> PositionSet:
    return position_set


@pytest.fixture(scope="module")
def position(trained: PositionSet) -> PositionObjective:
    out_of_fold = OutOfFold.from_bytes((trained.models_dir / OUT_OF_FOLD_NAME).read_bytes())
    return PositionObjective.prepare(
        trained.bars, out_of_fold, trained.settings, trained.ml_settings, folds=FOLDS, devices=CPU, threads=1
    )


def test_every_training_row_of_a_fold_ends_before_its_test_begins(
    signal: SignalObjective, market: pd.DataFrame
) -> None:
    ends = signal.dataset.label_end
    embargo = eager_settings().signal_model.embargo_bars
    for train, test in signal.folds:
        assert ends[train].max() < test[0]
        assert train.max() < test[0] - embargo
    tests = np.concatenate([test for _, test in signal.folds])
    assert (np.diff(tests) == 1).all(), "every later row is tested once"


def test_what_lies_outside_a_folds_past_and_test_changes_nothing(signal: SignalObjective) -> None:
    train, test = signal.folds[0]
    before = signal.run_fold(eager_settings(), 0, SILENT)
    random = np.random.default_rng(1)
    data = signal.dataset
    features, labels, weights = data.features.copy(), data.labels.copy(), data.weights.copy()
    unseen = np.setdiff1d(np.arange(len(labels)), np.concatenate((train, test)))
    features[unseen] = random.normal(size=features[unseen].shape)
    weights[unseen] = 1e6
    # Neither the answers to the test rows may be known.
    others = np.setdiff1d(np.arange(len(labels)), train)
    labels[others] = random.integers(0, 3, len(others))
    weights[test] = 1e6
    noisy = replace(signal, dataset=replace(data, features=features, labels=labels, weights=weights))
    after = noisy.run_fold(eager_settings(), 0, SILENT)
    assert len(before.results) > 10
    assert after.results.tobytes() == before.results.tobytes()


def test_the_planted_edge_is_found_out_of_sample(signal: SignalObjective) -> None:
    found = summarise([signal.run_fold(eager_settings(), fold, SILENT) for fold in range(FOLDS)])
    assert found.trades > 60
    assert found.bound is not None
    assert found.bound > 0.0


def test_higher_thresholds_trade_less(signal: SignalObjective) -> None:
    eager, picky = (
        signal.run_fold(settings, 0, SILENT)
        for settings in (eager_settings(), eager_settings(confidence_threshold=0.5))
    )
    assert picky.acted < eager.acted


def test_a_fold_with_too_short_a_past_is_refused(market: pd.DataFrame, root: Path) -> None:
    with pytest.raises(DataError, match="the past of fold 1 holds"):
        SignalObjective.prepare(market, runtime_settings(root), eager_settings(), folds=20, devices=CPU, threads=1)


def test_too_few_bars_for_the_folds_are_refused(market: pd.DataFrame, root: Path) -> None:
    short = market.iloc[:700].reset_index(drop=True)
    with pytest.raises(NovoskyError, match=r"use fewer|train on more bars"):
        SignalObjective.prepare(short, runtime_settings(root), eager_settings(), folds=50, devices=CPU, threads=1)


def example_closes() -> PositionLabels:
    """Two trades: one of three closes that its stop ends, one of two that its target ends."""
    return PositionLabels(
        first=np.array([10, 20]),
        last=np.array([13, 22]),
        final_r=np.array([-1.0, 1.0]),
        trade=np.array([0, 0, 0, 1, 1]),
        bar=np.array([10, 11, 12, 20, 21]),
        inputs=np.array([[k / 96, 0.0, 0.0, 1.0] for k in (1, 2, 3, 1, 2)]),
        leave_r=np.array([-0.1, -0.2, -0.3, 0.4, 0.5]),
        labels=np.zeros(5, dtype=np.int8),
    )


def exit_answers(leave: list[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    chances = np.array(leave)
    return np.stack((1.0 - chances, chances, np.zeros(len(chances))), axis=1)


@pytest.mark.parametrize(
    ("leave", "rule", "results", "left"),
    [
        pytest.param([0.9] * 5, {}, [-0.1, 0.4], 2, id="leaves at the first close that says so"),
        pytest.param([0.1, 0.1, 0.9, 0.1, 0.1], {}, [-0.3, 1.0], 1, id="holds to the bracket otherwise"),
        pytest.param([0.9] * 5, {"min_bars_held": 2}, [-0.2, 0.5], 2, id="not before the bars it must hold"),
        pytest.param([0.7] * 5, {}, [-1.0, 1.0], 0, id="the threshold"),
        pytest.param([0.8] * 5, {"min_prob_diff": 0.61}, [-1.0, 1.0], 0, id="the lead over HOLD"),
    ],
)
def test_the_exit_rule(leave: list[float], rule: dict[str, float], results: list[float], left: int) -> None:
    model = PositionModel.model_validate({"exit_threshold": 0.75, "min_prob_diff": 0.25, "min_bars_held": 1} | rule)
    found = follow_exit_rule(example_closes(), exit_answers(leave), model, 96)
    assert found[0] == pytest.approx(results)
    assert found[1] == left


def test_training_trades_end_an_embargo_before_the_test_trades_begin(
    position: PositionObjective, trained: PositionSet
) -> None:
    embargo = trained.ml_settings.position_model.embargo_bars
    first, last = position.dataset.first, position.dataset.last
    for train, test in position.folds:
        assert last[train].max() + embargo < first[test].min()
        assert (first[test][1:] > last[test][:-1]).all(), "one at a time"


def test_a_gain_is_the_trade_left_early_less_the_trade_held(position: PositionObjective, trained: PositionSet) -> None:
    found = position.run_fold(trained.ml_settings, 0, SILENT)
    held = position.closes.final_r[position.folds[0][1]]
    assert found.gains == pytest.approx(found.results - held)
    assert 0 < found.acted == np.count_nonzero(found.results != held)


def test_a_rule_that_never_leaves_is_worth_nothing(position: PositionObjective, trained: PositionSet) -> None:
    never = settings_with(trained.ml_settings, {"position_model.exit_threshold": 1.0})
    found = position.run_fold(never, 0, SILENT)
    assert found.acted == 0
    assert not found.gains.any()


def test_the_position_folds_know_nothing_of_later_trades(position: PositionObjective, trained: PositionSet) -> None:
    before = position.run_fold(trained.ml_settings, 0, SILENT)
    train, _ = position.folds[0]
    later = ~np.isin(position.dataset.trade, train)
    labels, features = position.dataset.labels.copy(), position.dataset.features.copy()
    labels[later] = np.random.default_rng(1).integers(0, 3, int(later.sum()))
    features[later] = 0.0
    noisy = replace(position, dataset=replace(position.dataset, labels=labels, features=features))
    assert noisy.run_fold(trained.ml_settings, 0, SILENT).results.tobytes() == before.results.tobytes()


def test_more_folds_than_trades_are_refused(trained: PositionSet) -> None:
    out_of_fold = OutOfFold.from_bytes((trained.models_dir / OUT_OF_FOLD_NAME).read_bytes())
    with pytest.raises(NovoskyError, match="fewer folds"):
        PositionObjective.prepare(
            trained.bars, out_of_fold, trained.settings, trained.ml_settings, folds=5_000, devices=CPU, threads=1
        )


@pytest.mark.parametrize("space", [SIGNAL_SPACE, POSITION_SPACE], ids=["signal", "position"])
def test_both_ends_of_every_bound_are_settings(space: Any, root: Path) -> None:
    settings = load_ml_settings(root / "ml_config.json")
    present = present_values(settings, space)
    for end in ("low", "high"):
        values = {parameter.path: getattr(parameter, end) for parameter in space}
        changed = settings_with(settings, values)
        assert present_values(changed, space) == values
        assert settings_with(changed, present) == settings


def command_line(folder: Path, root: Path, bars: pd.DataFrame, settings: MlSettings, *flags: str) -> list[str]:
    save_bars(folder / "bars.parquet", bars)
    content = settings.model_dump(mode="json", exclude={"schema_reference", "tuning"})
    (folder / "ml_config.json").write_text(json.dumps(content, indent=2) + "\n")
    files = {
        "--data": folder / "bars.parquet",
        "--ml-config": folder / "ml_config.json",
        "--config": root / "config.json",
    }
    return [*(str(part) for pair in files.items() for part in pair), *flags]


def run(command: click.Command, arguments: list[str]) -> Result:
    return CliRunner().invoke(command, arguments)


def test_the_signal_command_prints_what_it_found_and_resumes(tmp_path: Path, root: Path, market: pd.DataFrame) -> None:
    line = command_line(tmp_path, root, market, eager_settings(), "--folds", "2", "--dry-run")
    before = (tmp_path / "ml_config.json").read_bytes()
    result = run(tune_signal, [*line, "--trials", "2"])
    assert result.exit_code == 0, result.output
    for words in (
        "best trials",
        "fold by fold",
        "present",
        "trials    2:",
        "deflated  Sharpe",
        "sqlite:///studies.sqlite",
    ):
        assert words in result.stdout
    assert str(tmp_path) not in result.stdout.replace(str(tmp_path / "ml_config.json"), "")
    assert "SYNTHETIC DATA" in result.stderr
    assert (tmp_path / "tuning" / "studies.sqlite").exists()
    again = run(tune_signal, [*line, "--trials", "3"])
    assert "trials    3, 2 of them from earlier runs" in again.stdout
    assert (tmp_path / "ml_config.json").read_bytes() == before


def test_the_search_never_sees_bars_from_the_end_on(tmp_path: Path, root: Path, market: pd.DataFrame) -> None:
    end = market["time"].iloc[5_000]
    line = command_line(tmp_path, root, market, eager_settings(), "--folds", "2", "--trials", "1")
    first = run(tune_signal, [*line, "--end", f"{end:%Y-%m-%dT%H:%M}"])
    assert first.exit_code == 0, first.output
    changed = market.copy()
    changed.loc[5_000:, ["open", "high", "low", "close"]] *= 1.5
    save_bars(tmp_path / "bars.parquet", changed)
    second = run(tune_signal, [*line, "--end", f"{end:%Y-%m-%dT%H:%M}"])
    assert "1, 1 of them from earlier runs" in second.stdout, "the same study, the same bars"
    assert second.stdout.partition("study")[0] == first.stdout.partition("study")[0]


def test_the_position_command_judges_the_set_in_models(tmp_path: Path, root: Path, trained: PositionSet) -> None:
    line = command_line(tmp_path, root, trained.bars, trained.ml_settings, "--models", str(trained.models_dir))
    result = run(tune_position, [*line, "--trials", "2", "--folds", "2", "--dry-run"])
    assert result.exit_code == 0, result.output
    assert "position-" in result.stdout
    assert "exits" in result.stdout


@pytest.mark.parametrize("missing", [OUT_OF_FOLD_NAME, "model_compat.json"])
def test_without_a_signal_set_the_missing_file_and_its_command_are_named(
    tmp_path: Path, root: Path, trained: PositionSet, missing: str
) -> None:
    import shutil

    models = Path(shutil.copytree(trained.models_dir, tmp_path / "models"))
    (models / missing).unlink()
    line = command_line(tmp_path, root, trained.bars, trained.ml_settings, "--models", str(models))
    result = run(tune_position, [*line, "--trials", "1"])
    assert isinstance(result.exception, ModelError)
    assert missing in str(result.exception)
    assert "train_ml_model.py --ensemble" in str(result.exception)
    assert not (tmp_path / "tuning").exists()


def test_bars_without_those_of_the_signal_set_are_refused(tmp_path: Path, root: Path, trained: PositionSet) -> None:
    line = command_line(tmp_path, root, trained.bars, position_ml_settings(), "--models", str(trained.models_dir))
    result = run(tune_position, [*line, "--trials", "1", "--start", "2022-01-20"])
    assert isinstance(result.exception, DataError)
    assert "trained on" in str(result.exception)


@pytest.mark.parametrize("command", [tune_signal, tune_position], ids=["signal", "position"])
@pytest.mark.parametrize("flags", [["--trials", "0"], ["--folds", "1"], ["--seed", "-1"], ["--end", "soon"]])
def test_numbers_out_of_range_exit_2(command: click.Command, flags: list[str]) -> None:
    result = run(command, flags)
    assert result.exit_code == 2
    assert flags[0] in result.output


def test_a_bad_storage_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    result = run(
        tune_signal, ["--storage", "nonsense://nadia:hunter42@host/db", "--data", str(tmp_path / "none.parquet")]
    )
    assert isinstance(result.exception, UsageError)
    assert "hunter42" not in result.output + str(result.exception)


def test_without_optuna_the_command_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    result = run(tune_signal, ["--trials", "1"])
    assert isinstance(result.exception, UsageError)
    assert "pip install 'optuna" in str(result.exception)


def test_too_few_bars_are_refused(tmp_path: Path, root: Path, market: pd.DataFrame) -> None:
    short = market.iloc[:400].reset_index(drop=True)
    result = run(tune_signal, command_line(tmp_path, root, short, eager_settings(), "--trials", "1"))
    assert isinstance(result.exception, DataError)


def test_an_interrupt_says_that_the_finished_trials_are_kept(
    tmp_path: Path, root: Path, market: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    # The outside world at its edge: the key is pressed while Optuna asks for the next trial.
    monkeypatch.setattr(optuna.study.Study, "ask", interrupt)
    result = run(tune_signal, command_line(tmp_path, root, market, eager_settings(), "--trials", "1", "--folds", "2"))
    assert result.exit_code != 0
    assert "the finished trials are kept" in result.stderr
