"""Training and serving of the risk model: learned from what followed, measured on later trades, refused if foreign."""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from backtest.risk_history import CompletedTrades, out_of_fold_sequences, replay_trades, resampled_sequences, unhindered
from engine.inputs.parameters import build_params
from ml.feature_engineering import add_all_features
from ml.labels.multipliers import label_multipliers
from ml.labels.out_of_fold import OutOfFold, OutOfFoldDistances
from ml.risk_predictor import RiskPredictor, load_risk_model
from ml.risk_trainer import RISK_FEATURES, build_risk_dataset, later_metrics, train_risk
from ml.sets.compat import Manifest, feature_hash, hash_bars, library_versions, read_manifest, write_manifest
from ml.sets.loading import load_undisturbed
from ml.sets.stage_files import (
    OUT_OF_FOLD_NAME,
    RISK_METADATA,
    RISK_MODEL,
    RISK_SCALER,
    SLTP_OUT_OF_FOLD,
    STAGE_FILES,
    STAGE_ORDER,
)
from ml.stages.report import TrainingReport
from ml.stages.run import TradeSequence
from ml.train import train
from novosky.data.synthetic import synthetic_bars
from novosky.errors import DataError, ModelCompatibilityError, ModelError, UsageError
from novosky.files import sha256_of
from novosky.market.bars import epoch_seconds
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings, Settings
from novosky.settings.equity_state import LEAST_MULTIPLIER, MOST_MULTIPLIER
from tests.helpers.paper_runs import WARM_UP, scattered_ml_settings, settings_with
from tests.helpers.sets.signal_models import ScatteredModel

HOUR = 3_600
MONDAY = 1_704_672_000
FILES = STAGE_FILES["risk"]
LOSING = (8.0, 0.95, 0.2, 6.0, 0.0, 6.0, -0.6)
WINNING = (0.0, 1.4, 0.85, 0.0, 6.0, 0.0, 0.6)


def small_ml_settings(**risk: Any) -> MlSettings:
    content = scattered_ml_settings().model_dump(mode="json", exclude={"schema_reference"})
    lgb = {"n_estimators": 40, "num_leaves": 6, "learning_rate": 0.1, "min_child_samples": 100}
    return MlSettings.model_validate(content | {"risk_model": {"lgb": lgb, "samples": 5_000, **risk}})


def streaky_trades(count: int, seed: int = 1, length: int = 40) -> CompletedTrades:
    """Trades that mostly win for a while and then mostly lose for a while, an hour after one another."""
    rng = np.random.default_rng(seed)
    good = (np.arange(count) // length) % 2 == 0
    won = rng.random(count) < np.where(good, 0.8, 0.2)
    returns = np.where(won, 0.01, -0.01) * rng.uniform(0.8, 1.2, count)
    return CompletedTrades(
        start=MONDAY,
        states=np.zeros((count, len(RISK_FEATURES))),
        returns=returns,
        waits=np.full(count, HOUR),
        first=np.arange(count + 1),
        seconds=np.full(count, 900),
        equity=1.0 + returns,
    )


def sequences_of(trades: CompletedTrades, ml_settings: MlSettings, seed: int = 1) -> list[TradeSequence]:
    """The trades as they were made, then resampled, all through the guard that trades."""
    params = build_params(*unhindered(settings_with(), ml_settings))
    original = replay_trades(trades, np.arange(len(trades.returns)), params)
    return [original, *resampled_sequences(trades, params, ml_settings, np.random.default_rng(seed))]


@dataclass(frozen=True, eq=False)
class RiskSet:
    """A set with a trained risk model, and the market it was trained on."""

    models_dir: Path
    ml_settings: MlSettings
    settings: Settings
    bars: pd.DataFrame

    def train(self, models_dir: Path, ml_settings: MlSettings | None = None, seed: int | None = None) -> TrainingReport:
        """Train the risk stage again."""
        return train(
            self.bars,
            ml_settings or self.ml_settings,
            self.settings,
            models_dir,
            ("risk",),
            seed=seed,
            trade_history=out_of_fold_sequences,
        )


def lay_out_predecessors(models_dir: Path, bars: pd.DataFrame, ml_settings: MlSettings) -> None:
    """Put a set in place that is whole but for the risk model: what it is built on is real, the rest only hashed."""
    models_dir.mkdir()
    features = add_all_features(bars)[list(ml_settings.features)].to_numpy()[WARM_UP:]
    times = epoch_seconds(bars)[WARM_UP:]
    distances = np.random.default_rng(4).uniform(0.6, 1.6, size=(len(times), 2, 2))
    for stage in STAGE_ORDER[:-1]:
        for name in STAGE_FILES[stage]:
            (models_dir / name).write_bytes(name.encode())
    with (models_dir / OUT_OF_FOLD_NAME).open("wb") as stream:
        np.savez(stream, time=times, probabilities=ScatteredModel().predict_proba(features))
    (models_dir / SLTP_OUT_OF_FOLD).write_bytes(OutOfFoldDistances(times, distances).to_bytes())
    first, last = (bars["time"].iloc[at].strftime("%Y-%m-%dT%H:%M:%SZ") for at in (0, -1))
    manifest = Manifest(
        features=ml_settings.features,
        feature_hash=feature_hash(ml_settings.features),
        feature_count=len(ml_settings.features),
        artifacts={path.name: sha256_of(path) for path in sorted(models_dir.iterdir())},
        versions=library_versions(),
        train_start=first,
        train_end=last,
        train_cutoff_date=first,
        data_hash=hash_bars(bars),
        config_hash="",
    )
    write_manifest(models_dir, manifest)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RiskSet:
    models_dir = tmp_path_factory.mktemp("risk") / "models"
    bars = synthetic_bars("planted", WARM_UP + 2_500, seed=11)
    ml_settings, settings = small_ml_settings(), settings_with()
    lay_out_predecessors(models_dir, bars, ml_settings)
    trained = RiskSet(models_dir, ml_settings, settings, bars)
    trained.train(models_dir)
    return trained


@pytest.fixture
def models(trained: RiskSet, tmp_path: Path) -> Path:
    """A copy of the set to be spoilt."""
    return Path(shutil.copytree(trained.models_dir, tmp_path / "models"))


@pytest.fixture(scope="module")
def states(trained: RiskSet) -> npt.NDArray[np.float64]:
    """States of the kind the model is asked about."""
    return np.concatenate([s.states for s in sequences_of(streaky_trades(300), trained.ml_settings)])[:3_000]


def vouch_for(models_dir: Path, name: str, content: bytes) -> None:
    """Write a file and its hash into the manifest, as whoever makes a set would."""
    (models_dir / name).write_bytes(content)
    manifest = read_manifest(models_dir)
    digest = hashlib.sha256(content).hexdigest()
    write_manifest(models_dir, replace(manifest, artifacts={**manifest.artifacts, name: digest}))


def test_labels_are_paired_with_the_states_they_followed() -> None:
    ml_settings = small_ml_settings()
    sequences = sequences_of(streaky_trades(100), ml_settings)
    dataset = build_risk_dataset(sequences, ml_settings)
    count = 100 - ml_settings.risk_model.horizon_trades + 1
    assert dataset.states.shape == (count * len(sequences), 7)
    for at, sequence in enumerate(sequences):
        mine = slice(at * count, (at + 1) * count)
        assert dataset.states[mine].tobytes() == sequence.states[:count].tobytes()
        assert dataset.labels[mine].tolist() == label_multipliers(sequence.returns, 20).tolist()
    assert len(dataset.labels) >= ml_settings.risk_model.samples


def test_where_streaks_last_losing_ones_are_sized_down() -> None:
    ml_settings = small_ml_settings(block_trades=40)
    trades = streaky_trades(600)
    trained = train_risk(build_risk_dataset(sequences_of(trades, ml_settings), ml_settings), ml_settings, seed=1)
    losing, winning = trained.regressor.multipliers(np.array([LOSING, WINNING]))
    assert losing < winning - 0.3


def test_what_it_learned_of_lasting_streaks_holds_for_later_trades() -> None:
    ml_settings = small_ml_settings(block_trades=40)
    whole = sequences_of(streaky_trades(1_500), ml_settings)[0]
    early = sequences_of(streaky_trades(1_500), ml_settings)[0].returns[:1_000]
    begun = replace(streaky_trades(1_000), returns=early, equity=1.0 + early)
    measured = later_metrics(sequences_of(begun, ml_settings), whole, ml_settings, seed=1)
    assert measured["held_out"] == 500 - ml_settings.risk_model.horizon_trades + 1
    assert measured["mae"] < 0.85 * measured["mae_of_constant"]  # type: ignore[operator]
    assert measured["growth"] > measured["growth_of_constant"]  # type: ignore[operator]


def test_where_there_is_nothing_to_learn_nothing_is_claimed() -> None:
    ml_settings = small_ml_settings()
    # Every trade a streak of its own: wins and losses alternate, whatever came before.
    whole = sequences_of(streaky_trades(1_500, length=1), ml_settings)[0]
    begun = replace(streaky_trades(1_000, length=1), returns=whole.returns[:1_000], equity=1.0 + whole.returns[:1_000])
    measured = later_metrics(sequences_of(begun, ml_settings), whole, ml_settings, seed=1)
    assert measured["mae"] > 0.85 * measured["mae_of_constant"]  # type: ignore[operator]


def test_the_later_trades_never_reach_the_measured_model() -> None:
    ml_settings = small_ml_settings()
    early = sequences_of(streaky_trades(200), ml_settings)
    whole = sequences_of(streaky_trades(300), ml_settings)[0]
    turned = TradeSequence(whole.states, np.concatenate((whole.returns[:200], -whole.returns[200:])))
    one, other = (later_metrics(early, sequence, ml_settings, seed=1) for sequence in (whole, turned))
    assert one["held_out"] == other["held_out"] == 81
    assert one["mae"] != other["mae"]
    # Labels turned round, answers as before: what one account gains the other loses, to first order.
    assert one["growth"] == pytest.approx(-other["growth"], abs=2e-4)  # type: ignore[operator]


def test_without_enough_trades_around_the_cut_nothing_is_measured() -> None:
    ml_settings = small_ml_settings()
    early, whole = (sequences_of(streaky_trades(count), ml_settings) for count in (90, 100))
    measured = later_metrics(early, whole[0], ml_settings, seed=1)
    assert measured == dict.fromkeys(("mae", "mae_of_constant", "growth", "growth_of_constant")) | {"held_out": 0}


def test_the_same_seed_gives_the_same_model() -> None:
    ml_settings = small_ml_settings()
    dataset = build_risk_dataset(sequences_of(streaky_trades(200), ml_settings), ml_settings)
    one, again, other = (train_risk(dataset, ml_settings, seed=seed).booster.model_to_string() for seed in (1, 1, 2))
    assert one == again != other


@pytest.mark.parametrize(("risk", "needed"), [({}, 60), ({"horizon_trades": 75}, 75)])
def test_too_few_trades_are_counted(risk: dict[str, int], needed: int) -> None:
    ml_settings = small_ml_settings(**risk)
    sequences = sequences_of(streaky_trades(59), ml_settings)
    with pytest.raises(DataError, match=f"gives 59 trades, but the risk model needs {needed} .*train on more bars"):
        build_risk_dataset(sequences, ml_settings)


def test_the_stage_leaves_the_set_in_place_when_trades_are_few(trained: RiskSet, models: Path) -> None:
    before = read_manifest(models)
    with pytest.raises(DataError, match=r"gives \d+ trades, but the risk model needs 5000"):
        trained.train(models, small_ml_settings(min_trades=5_000))
    assert read_manifest(models) == before
    load_undisturbed(models, trained.ml_settings, RiskPredictor)


def test_without_a_backtest_there_is_no_risk_model(trained: RiskSet, models: Path) -> None:
    with pytest.raises(UsageError, match="no trade history"):
        train(trained.bars, trained.ml_settings, trained.settings, models, ("risk",))


@pytest.mark.parametrize(("name", "flag"), [(OUT_OF_FOLD_NAME, "--ensemble"), (SLTP_OUT_OF_FOLD, "--sltp")])
def test_a_missing_predecessor_is_named_with_its_command(trained: RiskSet, models: Path, name: str, flag: str) -> None:
    (models / name).unlink()
    with pytest.raises(ModelError, match=flag) as caught:
        trained.train(models)
    assert name in str(caught.value)


def test_every_file_is_hashed_and_the_rest_of_the_set_kept(trained: RiskSet) -> None:
    artifacts = read_manifest(trained.models_dir).artifacts
    assert set(artifacts) == {name for stage in STAGE_ORDER for name in STAGE_FILES[stage]}
    for name in FILES:
        assert artifacts[name] == sha256_of(trained.models_dir / name)


def test_the_metadata_tells_what_was_done(trained: RiskSet) -> None:
    metadata = json.loads((trained.models_dir / RISK_METADATA).read_text())
    assert metadata["features"] == list(RISK_FEATURES)
    assert metadata["bounds"] == {"least": LEAST_MULTIPLIER, "most": MOST_MULTIPLIER}
    assert metadata["samples"] >= 5_000
    assert metadata["trades"] > 60
    assert metadata["risk_percent"] == trained.settings.dynamic_position_sizing.risk_percent
    assert metadata["risk_model"] == trained.ml_settings.risk_model.model_dump(mode="json")
    assert metadata["seed"] == trained.ml_settings.risk_model.seed
    measured = metadata["metrics"]["multiplier"]
    assert LEAST_MULTIPLIER <= measured["least"] <= measured["mean"] <= measured["most"] <= MOST_MULTIPLIER
    assert measured["mae"] > 0.0
    assert measured["held_out"] > 0
    assert "resampled sequences" in metadata["notes"][0]


def test_the_report_tells_the_same(trained: RiskSet, models: Path) -> None:
    report = trained.train(models)
    metadata = json.loads((models / RISK_METADATA).read_text())
    assert report.stages == ("risk",)
    assert (report.rows, dict(report.trees)) == (metadata["samples"], metadata["trees"])
    assert report.metrics == metadata["metrics"]
    assert report.notes == tuple(metadata["notes"])


def test_the_cutoff_covers_every_bar_of_the_backtest(trained: RiskSet) -> None:
    assert read_manifest(trained.models_dir).train_cutoff == trained.bars["time"].iloc[-1]


def test_the_measured_model_is_given_the_beginning_of_the_window(trained: RiskSet, models: Path) -> None:
    windows: list[tuple[pd.Timestamp, int]] = []

    def noting(
        bars: pd.DataFrame,
        signal: OutOfFold,
        distances: OutOfFoldDistances,
        settings: Settings,
        ml_settings: MlSettings,
        news: NewsCalendar | None,
        seed: int,
    ) -> Sequence[TradeSequence]:
        windows.append((bars["time"].iloc[-1], len(signal.times)))
        assert signal.times[-1] <= epoch_seconds(bars)[-1]
        return out_of_fold_sequences(bars, signal, distances, settings, ml_settings, news, seed)

    train(trained.bars, trained.ml_settings, trained.settings, models, ("risk",), trade_history=noting)
    (last, answers), (early_last, early_answers) = windows
    assert last == trained.bars["time"].iloc[-1]
    assert early_answers == int(0.7 * answers)
    assert early_last < last


def test_training_again_gives_the_same_files(trained: RiskSet, models: Path) -> None:
    trained.train(models)
    for name in (RISK_MODEL, RISK_SCALER):
        assert sha256_of(models / name) == sha256_of(trained.models_dir / name)
    trained.train(models, seed=99)
    assert sha256_of(models / RISK_MODEL) != sha256_of(trained.models_dir / RISK_MODEL)


def test_a_state_alone_gives_the_same_bytes_as_among_others(trained: RiskSet, states: npt.NDArray[np.float64]) -> None:
    predictor = load_undisturbed(trained.models_dir, trained.ml_settings, RiskPredictor)
    many = predictor.multipliers(states)
    alone = np.array([predictor.multiplier(tuple(state)) for state in states])
    assert alone.tobytes() == many.tobytes()
    assert len(np.unique(many)) > 10


def test_no_answer_leaves_the_bounds(trained: RiskSet, states: npt.NDArray[np.float64]) -> None:
    predictor = load_undisturbed(trained.models_dir, trained.ml_settings, RiskPredictor)
    strange = np.random.default_rng(3).normal(0.0, 1e6, size=(500, 7))
    answers = predictor.multipliers(np.concatenate((states, strange)))
    assert answers.min() >= LEAST_MULTIPLIER
    assert answers.max() <= MOST_MULTIPLIER
    assert predictor.multipliers(np.empty((0, 7))).shape == (0,)


def test_a_regressor_that_overshoots_is_clamped(trained: RiskSet, models: Path) -> None:
    text = (models / RISK_MODEL).read_text()
    for factor, bound in ((1e3, MOST_MULTIPLIER), (-1e3, LEAST_MULTIPLIER)):
        lines = [
            "leaf_value=" + " ".join(str(factor * abs(float(v))) for v in line.split("=")[1].split())
            if line.startswith("leaf_value=")
            else line
            for line in text.split("\n")
            if not line.startswith("tree_sizes=")
        ]
        vouch_for(models, RISK_MODEL, "\n".join(lines).encode())
        assert load_undisturbed(models, trained.ml_settings, RiskPredictor).multiplier(WINNING) == bound


def median_of(answer: Callable[[], object]) -> float:
    """Return the middle of 100 times, seconds."""
    taken = []
    for _ in range(100):
        began = time.perf_counter()
        answer()
        taken.append(time.perf_counter() - began)
    return float(np.median(taken))


def test_one_answer_takes_little_more_than_its_trees(trained: RiskSet) -> None:
    """Against the library's own answer in the same rounds: a frame built or a file read at each is many times that."""
    predictor = load_undisturbed(trained.models_dir, trained.ml_settings, RiskPredictor)
    booster = lightgbm.Booster(model_file=str(trained.models_dir / RISK_MODEL))
    row = np.array([LOSING])
    rounds = [
        (median_of(lambda: predictor.multiplier(LOSING)), median_of(lambda: booster.predict(row, num_threads=1)))
        for _ in range(5)
    ]
    ours, bare = (min(each) for each in zip(*rounds, strict=True))
    assert ours <= 3.0 * bare


@pytest.mark.parametrize(
    ("state", "said"), [((1.0,) * 6, r"shape \(n, 7\)"), ((0.0, float("nan"), *(0.0,) * 5), "equity_ratio")]
)
def test_a_state_that_is_none_is_refused(trained: RiskSet, state: tuple[float, ...], said: str) -> None:
    with pytest.raises(DataError, match=said):
        load_undisturbed(trained.models_dir, trained.ml_settings, RiskPredictor).multiplier(state)


def test_the_fingerprint_names_the_answers(trained: RiskSet, models: Path) -> None:
    first = load_undisturbed(trained.models_dir, trained.ml_settings, RiskPredictor)
    trained.train(models)
    assert load_undisturbed(models, trained.ml_settings, RiskPredictor).fingerprint == first.fingerprint
    trained.train(models, seed=99)
    assert load_undisturbed(models, trained.ml_settings, RiskPredictor).fingerprint != first.fingerprint
    assert first.sources == {"model": RISK_MODEL, "scaler": RISK_SCALER}


def load_risk_model_of(models: Path, ml_settings: MlSettings, *, enabled: bool) -> RiskPredictor | None:
    return load_undisturbed(models, ml_settings, lambda opened: load_risk_model(opened, enabled))


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused_and_never_neutral(trained: RiskSet, models: Path, name: str) -> None:
    content = (models / name).read_bytes()
    (models / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelError, match=f"{name} is damaged or foreign") as caught:
        load_risk_model_of(models, trained.ml_settings, enabled=True)
    assert "--risk" in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_named_but_gone_is_refused(trained: RiskSet, models: Path, name: str) -> None:
    (models / name).unlink()
    with pytest.raises(ModelError, match=f"{name} does not exist"):
        load_risk_model_of(models, trained.ml_settings, enabled=True)


def test_files_the_manifest_does_not_name_are_refused(trained: RiskSet, models: Path) -> None:
    manifest = read_manifest(models)
    write_manifest(models, replace(manifest, artifacts={n: h for n, h in manifest.artifacts.items() if n not in FILES}))
    with pytest.raises(ModelError, match="is not listed"):
        load_risk_model_of(models, trained.ml_settings, enabled=True)


class Planted:
    """A pickle that creates a file when it is decoded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_foreign_scaler_is_not_decoded(trained: RiskSet, models: Path, tmp_path: Path) -> None:
    trap = tmp_path / "it ran"
    (models / RISK_SCALER).write_bytes(pickle.dumps(Planted(trap)))
    with pytest.raises(ModelError, match="SHA-256"):
        load_undisturbed(models, trained.ml_settings, RiskPredictor)
    assert not trap.exists()
    pickle.loads((models / RISK_SCALER).read_bytes())
    assert trap.exists(), "the trap is a real one"


def test_a_scaler_of_something_else_is_refused(trained: RiskSet, models: Path) -> None:
    vouch_for(models, RISK_SCALER, pickle.dumps({"mean_": 1.0}))
    with pytest.raises(ModelError, match="does not hold the scaling of 7 inputs"):
        load_undisturbed(models, trained.ml_settings, RiskPredictor)


def test_a_model_that_is_none_is_refused(trained: RiskSet, models: Path) -> None:
    vouch_for(models, RISK_MODEL, b"tree\nversion=v4\nnothing of the kind")
    with pytest.raises(ModelError, match=f"{RISK_MODEL} is not a LightGBM model"):
        load_undisturbed(models, trained.ml_settings, RiskPredictor)


@pytest.mark.parametrize("change", ["dropped", "swapped"])
def test_a_model_of_another_account_state_is_refused(trained: RiskSet, models: Path, change: str) -> None:
    metadata = json.loads((models / RISK_METADATA).read_text())
    names = metadata["features"]
    metadata["features"] = names[:-1] if change == "dropped" else [names[1], names[0], *names[2:]]
    vouch_for(models, RISK_METADATA, json.dumps(metadata).encode())
    with pytest.raises(ModelCompatibilityError, match="the risk model was trained on"):
        load_risk_model_of(models, trained.ml_settings, enabled=True)


def test_a_booster_of_another_account_state_is_refused(trained: RiskSet, models: Path) -> None:
    text = (models / RISK_MODEL).read_text().replace("drawdown_pct equity_ratio", "equity_ratio drawdown_pct", 1)
    vouch_for(models, RISK_MODEL, text.encode())
    with pytest.raises(ModelCompatibilityError, match="was trained on equity_ratio, drawdown_pct"):
        load_undisturbed(models, trained.ml_settings, RiskPredictor)


def test_switched_off_means_neutral_and_is_said_once(trained: RiskSet, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert load_risk_model_of(trained.models_dir, trained.ml_settings, enabled=False) is None
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert "multiplier 1.0" in record.getMessage()


def test_no_model_means_neutral_and_is_warned_of_once(
    trained: RiskSet, models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    manifest = read_manifest(models)
    write_manifest(models, replace(manifest, artifacts={n: h for n, h in manifest.artifacts.items() if n not in FILES}))
    for name in FILES:
        (models / name).unlink()
    with caplog.at_level(logging.INFO):
        assert load_risk_model_of(models, trained.ml_settings, enabled=True) is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "train_ml_model.py --risk" in record.getMessage()


def test_a_set_for_other_features_is_not_neutral(trained: RiskSet, models: Path) -> None:
    for name in FILES:
        (models / name).unlink()
    fewer = trained.ml_settings.model_copy(update={"features": trained.ml_settings.features[:-1]})
    with pytest.raises(ModelCompatibilityError):
        load_risk_model_of(models, fewer, enabled=True)


def test_without_any_set_there_is_no_risk_model_either(trained: RiskSet, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model set"):
        load_risk_model_of(tmp_path / "nowhere", trained.ml_settings, enabled=True)


def test_a_model_in_place_is_served(trained: RiskSet) -> None:
    served = load_risk_model_of(trained.models_dir, trained.ml_settings, enabled=True)
    assert served is not None
    assert LEAST_MULTIPLIER <= served.multiplier(LOSING) <= MOST_MULTIPLIER


def test_other_training_settings_are_warned_of(trained: RiskSet, caplog: pytest.LogCaptureFixture) -> None:
    load_undisturbed(trained.models_dir, trained.ml_settings, RiskPredictor)
    assert "other risk_model settings" not in caplog.text
    load_undisturbed(trained.models_dir, small_ml_settings(horizon_trades=10), RiskPredictor)
    assert "other risk_model settings" in caplog.text
