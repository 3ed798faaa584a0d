"""Training and serving of the position ensemble: honest entries, whole trades, one set of files."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from click.testing import CliRunner

from ml.arrays import MEMBERS
from ml.ensemble.predictor import EnsemblePredictor
from ml.labels.out_of_fold import OutOfFold, find_entries
from ml.labels.position import EXIT
from ml.labels.splits import PurgedSpanKFold
from ml.position.predictor import PositionPredictor
from ml.position.trainer import PositionDataset, build_position_dataset, trade_folds
from ml.sets.compat import read_manifest
from ml.sets.ensemble_files import POSITION_FILES, SIGNAL_FILES, FileKind
from ml.sets.loading import load_undisturbed
from ml.sets.stage_files import OUT_OF_FOLD_NAME
from ml.train import train
from novosky.data.store import save_bars
from novosky.errors import DataError, ModelError, UsageError
from tests.helpers.sets.position_sets import SMALL_POSITION, PositionSet, position_ml_settings

KINDS: tuple[FileKind, ...] = ("calibrated", "onnx", "raw")


@pytest.fixture(scope="module")
def trained(position_set: PositionSet) -> PositionSet:
    return position_set


@pytest.fixture(scope="module")
def out_of_fold(trained: PositionSet) -> OutOfFold:
    return OutOfFold.from_bytes((trained.models_dir / OUT_OF_FOLD_NAME).read_bytes())


@pytest.fixture(scope="module")
def dataset(trained: PositionSet, out_of_fold: OutOfFold) -> PositionDataset:
    return build_position_dataset(trained.bars, out_of_fold, trained.settings, trained.ml_settings)


@pytest.fixture
def models(trained: PositionSet, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.models_dir, tmp_path / "models"))


def test_entries_follow_the_signal_decision(trained: PositionSet) -> None:
    times = trained.bars["time"].astype("int64").to_numpy()[:4] // 10**9
    agreed = [[0.2, 0.6, 0.2], [0.3, 0.5, 0.2], [0.1, 0.2, 0.7]]
    split = [[0.0, 1.0, 0.0], [0.5, 0.4, 0.1], [0.45, 0.4, 0.15]]
    narrow = [[0.1, 0.46, 0.44]] * 3
    down = [[0.2, 0.1, 0.7]] * 3
    probabilities = np.array([agreed, split, narrow, down])
    entries = find_entries(trained.bars, OutOfFold(times, probabilities), 0.4, 0.05)
    assert entries.bar.tolist() == [0, 3], "one vote of three is not enough, nor a lead of 0.02"
    assert entries.side.tolist() == [1, -1]


def test_every_entry_is_a_bar_the_signal_model_had_not_learned_from(
    trained: PositionSet, dataset: PositionDataset, out_of_fold: OutOfFold
) -> None:
    opens = trained.bars["time"].astype("int64").to_numpy() // 10**9
    assert set(opens[dataset.first - 1]) <= set(out_of_fold.times)


def test_no_trade_is_on_both_sides_of_a_split(dataset: PositionDataset) -> None:
    held_out = np.zeros(len(dataset.labels), dtype=int)
    for training, test in trade_folds(dataset, 3, embargo=96):
        assert not set(dataset.trade[training]) & set(dataset.trade[test])
        first, last = dataset.first[dataset.trade[test]].min(), dataset.last[dataset.trade[test]].max()
        trained_first, trained_last = dataset.first[dataset.trade[training]], dataset.last[dataset.trade[training]]
        assert ((trained_last < first) | (trained_first > last + 96)).all()
        held_out[test] += 1
    assert (held_out == 1).all()


def test_spans_out_of_order_are_refused() -> None:
    with pytest.raises(DataError, match="ordered"):
        PurgedSpanKFold(2, first=np.array([3, 1]), last=np.array([4, 2]), embargo=0)
    with pytest.raises(UsageError, match="folds"):
        PurgedSpanKFold(3, first=np.array([1, 3]), last=np.array([2, 4]), embargo=0)


def test_it_tells_trades_to_leave_from_trades_to_hold(trained: PositionSet) -> None:
    (report,) = trained.report.later
    measured = report.metrics["ensemble"]
    assert measured["log_loss"] < 0.8 * measured["log_loss_of_base_rates"]
    assert measured["auc_side"] > 0.75
    assert set(report.class_balance) == {"HOLD", "EXIT", "ADD"}


def test_every_file_is_named_and_hashed(trained: PositionSet) -> None:
    artifacts = read_manifest(trained.models_dir).artifacts
    assert {"position_rf.pkl", "position_xgb_calibrated.pkl", "position_lgb.onnx"} <= set(artifacts)
    assert {*POSITION_FILES.names, *SIGNAL_FILES.names, OUT_OF_FOLD_NAME} == set(artifacts)
    metadata = json.loads((trained.models_dir / POSITION_FILES.metadata).read_text())
    assert metadata["features"][-4:] == ["bars_held_norm", "pnl_pct", "r_multiple", "pos_direction"]
    assert metadata["entries"] >= SMALL_POSITION["min_entries"]


def test_position_alone_builds_on_the_set_in_place(trained: PositionSet, models: Path) -> None:
    before = read_manifest(models)
    for name in POSITION_FILES.names:
        (models / name).unlink()
    report = train(trained.bars, trained.ml_settings, trained.settings, models, ("position",))
    assert report.stages == ("position",)
    after = read_manifest(models)
    same = set(before.artifacts) - {POSITION_FILES.metadata}
    assert {name: after.artifacts[name] for name in same} == {name: before.artifacts[name] for name in same}
    assert after.train_cutoff == before.train_cutoff


@pytest.mark.parametrize("name", [OUT_OF_FOLD_NAME, "ensemble_rf_calibrated.pkl", "model_compat.json"])
def test_without_the_signal_set_the_missing_file_and_its_command_are_named(
    trained: PositionSet, models: Path, name: str
) -> None:
    (models / name).unlink()
    with pytest.raises(ModelError, match=r"train_ml_model\.py --ensemble") as caught:
        train(trained.bars, trained.ml_settings, trained.settings, models, ("position",))
    assert name in str(caught.value)


def test_bars_the_signal_set_was_not_trained_on_are_refused(trained: PositionSet, models: Path) -> None:
    other = trained.bars.assign(close=trained.bars["close"] + 1.0, high=trained.bars["high"] + 1.0)
    with pytest.raises(DataError, match="not those the models were trained on"):
        train(other, trained.ml_settings, trained.settings, models, ("position",))


def test_too_few_entries_are_counted(trained: PositionSet, models: Path) -> None:
    before = read_manifest(models)
    picky = position_ml_settings(entry_confidence=0.99, min_entries=150)
    with pytest.raises(DataError, match=r"give \d+ entries, but the position model needs 150"):
        train(trained.bars, picky, trained.settings, models, ("position",))
    assert read_manifest(models) == before


def test_a_new_signal_set_makes_the_position_models_stale(trained: PositionSet, models: Path) -> None:
    train(trained.bars, trained.ml_settings, trained.settings, models, ("signal",), warm_start=False)
    assert not set(POSITION_FILES.names) & set(read_manifest(models).artifacts)
    load_undisturbed(models, trained.ml_settings, EnsemblePredictor)
    with pytest.raises(ModelError, match=r"train_ml_model\.py --position"):
        load_undisturbed(models, trained.ml_settings, PositionPredictor)


def served_by(kind: FileKind, trained: PositionSet, models: Path) -> PositionPredictor:
    for name in MEMBERS:
        for earlier in KINDS[: KINDS.index(kind)]:
            (models / POSITION_FILES.member(name, earlier)).unlink(missing_ok=True)
    predictor = load_undisturbed(models, trained.ml_settings, PositionPredictor)
    assert [predictor.sources[name] for name in MEMBERS] == [POSITION_FILES.member(name, kind) for name in MEMBERS]
    return predictor


def test_calibrated_onnx_and_raw_agree(trained: PositionSet, models: Path, dataset: PositionDataset) -> None:
    rows = dataset.features[::7]
    answers = {kind: served_by(kind, trained, models).predict_proba(rows) for kind in KINDS}
    assert np.abs(answers["onnx"] - answers["calibrated"]).max() <= 1e-4
    assert answers["raw"].tobytes() == answers["calibrated"].tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_one_row_is_answered_as_among_many(
    trained: PositionSet, models: Path, dataset: PositionDataset, kind: FileKind
) -> None:
    predictor = served_by(kind, trained, models)
    rows = dataset.features[:40]
    many = predictor.predict_proba(rows)
    for at, row in enumerate(rows):
        assert predictor.predict_proba(row[None, :]).tobytes() == many[at : at + 1].tobytes()


def test_a_foreign_file_is_never_decoded(trained: PositionSet, models: Path) -> None:
    for name in MEMBERS:
        for kind in KINDS:
            (models / POSITION_FILES.member(name, kind)).write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(ModelError, match="SHA-256"):
        load_undisturbed(models, trained.ml_settings, PositionPredictor)


def test_other_training_settings_are_warned_of(trained: PositionSet, caplog: pytest.LogCaptureFixture) -> None:
    load_undisturbed(trained.models_dir, position_ml_settings(exit_threshold=0.9), PositionPredictor)
    assert "other position_model settings" not in caplog.text
    load_undisturbed(trained.models_dir, position_ml_settings(exit_margin_r=0.5), PositionPredictor)
    assert "other position_model settings" in caplog.text


def test_a_losing_trade_is_less_worth_holding_than_a_winning_one(
    trained: PositionSet, dataset: PositionDataset
) -> None:
    mean = (
        load_undisturbed(trained.models_dir, trained.ml_settings, PositionPredictor)
        .predict_proba(dataset.features)
        .mean(axis=1)
    )
    r_multiple: npt.NDArray[np.float64] = dataset.features[:, -2]
    losing, winning = r_multiple < -0.6, r_multiple > 0.6
    assert mean[losing, EXIT].mean() > mean[winning, EXIT].mean() + 0.2


def test_the_same_seed_gives_the_same_files(trained: PositionSet, models: Path) -> None:
    before = read_manifest(models).artifacts
    settings = trained.ml_settings.model_copy(
        update={"training": trained.ml_settings.training.model_copy(update={"threads": 3})}
    )
    train(trained.bars, settings, trained.settings, models, ("position",))
    after = read_manifest(models).artifacts
    assert {n: h for n, h in after.items() if n != POSITION_FILES.metadata} == {
        n: h for n, h in before.items() if n != POSITION_FILES.metadata
    }
    train(trained.bars, settings, trained.settings, models, ("position",), seed=99)
    assert read_manifest(models).artifacts["position_rf.pkl"] != before["position_rf.pkl"]


def run_command(trained: PositionSet, models: Path, folder: Path, root: Path, *flags: str) -> Any:
    from commands.train import train as command

    save_bars(folder / "bars.parquet", trained.bars)
    content = trained.ml_settings.model_dump(mode="json", exclude={"schema_reference"})
    (folder / "ml_config.json").write_text(json.dumps(content))
    files = {"--data": "bars.parquet", "--ml-config": "ml_config.json"}
    given = [str(part) for flag, name in files.items() for part in (flag, folder / name)]
    return CliRunner().invoke(command, [*given, "--config", str(root / "config.json"), "--models", str(models), *flags])


def test_the_command_trains_in_order_and_prints_both_stages(trained: PositionSet, tmp_path: Path, root: Path) -> None:
    result = run_command(trained, tmp_path / "models", tmp_path, root, "--position", "--ensemble")
    assert result.exit_code == 0, result.output
    assert result.stdout.index("trained signal") < result.stdout.index("trained position")
    assert "trades from out-of-fold entries" in result.stdout


def test_the_command_without_a_signal_set_fails(trained: PositionSet, tmp_path: Path, root: Path) -> None:
    result = run_command(trained, tmp_path / "models", tmp_path, root, "--position")
    assert isinstance(result.exception, ModelError)
    assert not (tmp_path / "models").exists()


def test_out_of_fold_rows_without_a_bar_are_refused(trained: PositionSet, out_of_fold: OutOfFold) -> None:
    shifted = replace(out_of_fold, times=out_of_fold.times + 60)
    with pytest.raises(DataError, match="bars it was trained on"):
        find_entries(trained.bars, shifted, 0.4, 0.0)
