"""Training and serving of the SLTP models: honest distances for every bar, one set of files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from ml.feature_engineering import add_all_features
from ml.labels.out_of_fold import OutOfFold, OutOfFoldDistances
from ml.sets.companions import MANIFEST_NAME
from ml.sets.compat import read_manifest, write_manifest
from ml.sets.loading import OpenedSet, load_undisturbed
from ml.sets.stage_files import (
    OUT_OF_FOLD_NAME,
    RISK_METADATA,
    RISK_MODEL,
    RISK_SCALER,
    SLTP_METADATA,
    SLTP_OUT_OF_FOLD,
    SLTP_STOP,
    SLTP_TARGET,
    STAGE_FILES,
)
from ml.sltp.predictor import DISTANCE_FLOOR, SltpPredictor
from ml.sltp.trainer import SltpDataset, TrainedSltp, build_sltp_dataset, distance_metrics, sltp_folds, train_sltp
from ml.train import train
from novosky.errors import DataError, ModelCompatibilityError, ModelError
from novosky.files import sha256_of
from novosky.settings.ml import MlSettings
from tests.helpers.sets.position_sets import PositionSet
from tests.helpers.sets.signal_sets import runtime_settings
from tests.helpers.sets.sltp_sets import loud_and_quiet_bars, sltp_ml_settings, sure_of_every_second_bar

HORIZON = 8
EMBARGO = 24
LONG = np.array([1], dtype=np.int8)


@pytest.fixture(scope="module")
def trained(sltp_set: PositionSet) -> PositionSet:
    return sltp_set


@pytest.fixture
def models(trained: PositionSet, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.models_dir, tmp_path / "models"))


@pytest.fixture(scope="module")
def features(trained: PositionSet) -> npt.NDArray[np.float64]:
    frame = add_all_features(trained.bars)[list(trained.ml_settings.features)]
    return frame.to_numpy(dtype=np.float64)[-400:]


@pytest.fixture(scope="module")
def loud_settings() -> MlSettings:
    return sltp_ml_settings(HORIZON, embargo_bars=EMBARGO)


@pytest.fixture(scope="module")
def loud(root: Path, loud_settings: MlSettings) -> SltpDataset:
    """Entries in a market whose hours tell how far it goes, in ATR."""
    bars = loud_and_quiet_bars(5_000, seed=1)
    picked = sure_of_every_second_bar(bars, seed=2)
    # A stretch without entries, whose bars still need distances.
    picked.probabilities[1_000:1_300] = [0.8, 0.1, 0.1]
    return build_sltp_dataset(bars, picked, runtime_settings(root), loud_settings)


def trained_on(dataset: SltpDataset, ml_settings: MlSettings, seed: int = 7) -> TrainedSltp:
    return train_sltp(dataset, ml_settings, seed=seed, progress=lambda step, done, total: None)


@pytest.fixture(scope="module")
def loud_models(loud: SltpDataset, loud_settings: MlSettings) -> TrainedSltp:
    return trained_on(loud, loud_settings)


def test_where_the_hour_tells_how_far_it_goes_the_distances_beat_the_best_constant(
    loud: SltpDataset, loud_models: TrainedSltp, loud_settings: MlSettings
) -> None:
    for measured in distance_metrics(loud, loud_models, loud_settings).values():
        assert measured["pinball"] < 0.95 * measured["pinball_of_constant"]


def test_the_distances_cover_the_share_that_was_asked_for(loud: SltpDataset) -> None:
    shares = {}
    for quantile in (0.3, 0.75):
        ml_settings = sltp_ml_settings(HORIZON, stop_quantile=quantile, target_quantile=quantile)
        measured = distance_metrics(loud, trained_on(loud, ml_settings), ml_settings)
        shares[quantile] = [measured["stop"]["covered"], measured["target"]["covered"]]
    assert shares[0.3] == pytest.approx([0.3, 0.3], abs=0.08)
    assert shares[0.75] == pytest.approx([0.75, 0.75], abs=0.08)


def test_where_labels_are_drawn_by_lot_no_distance_beats_the_constant(
    loud: SltpDataset, loud_settings: MlSettings
) -> None:
    order = np.random.default_rng(4).permutation(len(loud.entries.bar))
    drawn = replace(loud.entries, stop=loud.entries.stop[order], target=loud.entries.target[order])
    dataset = replace(loud, entries=drawn)
    for measured in distance_metrics(dataset, trained_on(dataset, loud_settings), loud_settings).values():
        assert measured["pinball"] > 0.99 * measured["pinball_of_constant"]


def test_loud_hours_to_come_ask_for_more_room(
    loud: SltpDataset, loud_models: TrainedSltp, loud_settings: MlSettings
) -> None:
    hour = loud.row_time // 3600 % 24
    quarter_past = loud.row_time % 3600 == 900
    growing_loud, growing_quiet = quarter_past & (hour == 6), quarter_past & (hour == 12)
    stops = loud_models.out_of_fold[:, :, 0].mean(axis=1)
    assert stops[growing_loud].mean() > 2.0 * stops[growing_quiet].mean()


def test_the_side_is_an_input(loud: SltpDataset, loud_settings: MlSettings) -> None:
    further_for_shorts = loud.entries.stop + np.where(loud.entries.side > 0, 0.0, 3.0)
    lopsided = replace(loud, entries=replace(loud.entries, stop=further_for_shorts))
    stops = trained_on(lopsided, loud_settings).out_of_fold[:, :, 0]
    assert (stops[:, 1] > stops[:, 0] + 0.5).all()


def test_entries_that_share_their_bars_weigh_less(loud: SltpDataset) -> None:
    assert loud.weights.mean() == pytest.approx(1.0)
    after_the_pause = int(np.argmax(np.diff(loud.entries.bar))) + 1
    assert loud.weights[after_the_pause] > 1.5 * np.median(loud.weights)


def test_every_answered_bar_and_every_entry_is_held_out_once(loud: SltpDataset) -> None:
    folds = sltp_folds(loud, 3, EMBARGO)
    rows = np.concatenate([fold.rows for fold in folds])
    tests = np.concatenate([fold.test for fold in folds])
    assert rows.tolist() == list(range(len(loud.row_bar)))
    assert tests.tolist() == list(range(len(loud.entries.bar)))
    for fold in folds:
        assert set(loud.entries.bar[fold.test]) <= set(loud.row_bar[fold.rows])


def test_light_entries_hardly_count(loud: SltpDataset, loud_settings: MlSettings) -> None:
    light = np.arange(len(loud.weights)) % 2 == 0
    misleading = replace(loud.entries, stop=np.where(light, 50.0, loud.entries.stop))
    dataset = replace(loud, entries=misleading, weights=np.where(light, 1e-6, 1.0))
    assert trained_on(dataset, loud_settings).out_of_fold[:, :, 0].max() < 10.0
    even = replace(dataset, weights=np.ones(len(light)))
    assert trained_on(even, loud_settings).out_of_fold[:, :, 0].max() > 10.0


@pytest.mark.parametrize("embargo", [0, 3, EMBARGO, 200])
def test_no_fold_learns_from_an_entry_that_overlaps_a_bar_it_answers_for(loud: SltpDataset, embargo: int) -> None:
    entries = loud.entries
    for fold in sltp_folds(loud, 4, embargo):
        first, last = entries.bar[fold.train], entries.last[fold.train]
        for row in loud.row_bar[fold.rows]:
            # What a trade decided on this bar would see, and the embargo after it.
            assert ((last < row) | (first > row + HORIZON + embargo)).all(), f"bar {row}"


@pytest.mark.parametrize("row", [0, 700, 995, 1_150, 1_299, 2_500, 2_983])
def test_what_becomes_of_the_trades_around_a_bar_leaves_its_distances_alone(
    loud: SltpDataset, loud_models: TrainedSltp, loud_settings: MlSettings, row: int
) -> None:
    entries, bar = loud.entries, loud.row_bar[row]
    near = (entries.last >= bar) & (entries.bar <= bar + HORIZON + EMBARGO)
    wild = replace(entries, stop=np.where(near, 50.0, entries.stop), target=np.where(near, 50.0, entries.target))
    changed = trained_on(replace(loud, entries=wild), loud_settings).out_of_fold
    assert changed[row].tobytes() == loud_models.out_of_fold[row].tobytes()
    if near.any():
        assert changed.tobytes() != loud_models.out_of_fold.tobytes(), "other bars do learn from those trades"


def test_the_file_holds_distances_for_every_bar_of_the_signal_model(trained: PositionSet) -> None:
    answered = OutOfFold.from_bytes((trained.models_dir / OUT_OF_FOLD_NAME).read_bytes())
    stored = OutOfFoldDistances.from_bytes((trained.models_dir / SLTP_OUT_OF_FOLD).read_bytes())
    assert stored.times.tolist() == answered.times.tolist()
    assert stored.distances.shape == (len(answered.times), 2, 2)
    assert np.isfinite(stored.distances).all()
    assert (stored.distances > 0).all()


def test_entries_too_close_together_for_the_embargo_are_refused(loud: SltpDataset) -> None:
    with pytest.raises(DataError):
        sltp_folds(loud, 3, embargo=10_000_000)


def test_the_stage_trains_after_the_others_and_says_what_it_measured(trained: PositionSet) -> None:
    position, sltp = trained.report.later
    assert (position.stages, sltp.stages) == (("position",), ("sltp",))
    assert set(sltp.metrics) == {"stop", "target"}
    for measured in sltp.metrics.values():
        assert set(measured) == {"pinball", "pinball_of_constant", "covered", "median"}
    assert sltp.trees == {"stop": 30, "target": 30}
    assert (sltp.warm_start, sltp.device, sltp.class_balance) == (False, "CPU", {})
    assert "out-of-fold entries" in sltp.notes[0]


def test_every_file_is_named_hashed_and_described(trained: PositionSet) -> None:
    artifacts = read_manifest(trained.models_dir).artifacts
    assert set(STAGE_FILES["sltp"]) <= set(artifacts)
    metadata = json.loads((trained.models_dir / SLTP_METADATA).read_text())
    assert metadata["features"] == [*trained.ml_settings.features, "side"]
    assert metadata["entries"] == trained.report.later[1].rows
    assert metadata["quantiles"] == {"stop": 0.75, "target": 0.5}
    traded = trained.settings.risk_management.sl_atr_mult
    assert metadata["excursions"] == {"stop_mult": traded, "horizon_bars": 96, "spread": 16.95}


def test_the_same_seed_gives_the_same_files(trained: PositionSet, models: Path) -> None:
    compared = (SLTP_STOP, SLTP_TARGET, SLTP_OUT_OF_FOLD)
    before = read_manifest(models).artifacts
    threads = trained.ml_settings.training.model_copy(update={"threads": 3})
    ml_settings = trained.ml_settings.model_copy(update={"training": threads})
    report = train(trained.bars, ml_settings, trained.settings, models, ("sltp",))
    assert report.stages == ("sltp",)
    again = read_manifest(models).artifacts
    assert [again[name] for name in compared] == [before[name] for name in compared]
    train(trained.bars, ml_settings, trained.settings, models, ("sltp",), seed=99)
    other = read_manifest(models).artifacts
    assert all(other[name] != before[name] for name in compared)


def test_the_stage_alone_builds_on_the_set_in_place(trained: PositionSet, models: Path) -> None:
    before = read_manifest(models)
    for name in STAGE_FILES["sltp"]:
        (models / name).unlink()
    train(trained.bars, trained.ml_settings, trained.settings, models, ("sltp",))
    after = read_manifest(models)
    same = set(before.artifacts) - {SLTP_METADATA}
    assert {name: after.artifacts[name] for name in same} == {name: before.artifacts[name] for name in same}
    assert after.train_cutoff == before.train_cutoff
    load_undisturbed(models, trained.ml_settings, SltpPredictor)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (MANIFEST_NAME, "--ensemble"),
        (OUT_OF_FOLD_NAME, "--ensemble"),
        ("ensemble_rf_calibrated.pkl", "--ensemble"),
        ("position_xgb_calibrated.pkl", "--position"),
    ],
)
def test_without_what_it_builds_on_the_missing_file_and_its_command_are_named(
    trained: PositionSet, models: Path, name: str, command: str
) -> None:
    (models / name).unlink()
    with pytest.raises(ModelError, match=rf"train_ml_model\.py {command}") as caught:
        train(trained.bars, trained.ml_settings, trained.settings, models, ("sltp",))
    assert name in str(caught.value)


def test_bars_the_signal_set_was_not_trained_on_are_refused(trained: PositionSet, models: Path) -> None:
    other = trained.bars.assign(close=trained.bars["close"] + 1.0, high=trained.bars["high"] + 1.0)
    with pytest.raises(DataError, match="not those the models were trained on"):
        train(other, trained.ml_settings, trained.settings, models, ("sltp",))


def test_too_few_entries_are_counted(trained: PositionSet, models: Path) -> None:
    before = read_manifest(models)
    picky = sltp_ml_settings(position={"entry_confidence": 0.99, "min_entries": 150})
    with pytest.raises(DataError, match=r"give \d+ entries with a whole horizon, but the sltp model needs 150"):
        train(trained.bars, picky, trained.settings, models, ("sltp",))
    assert read_manifest(models) == before


def test_answered_bars_that_lack_a_feature_are_refused(root: Path, loud_settings: MlSettings) -> None:
    bars = loud_and_quiet_bars(3_000, seed=1)
    picked = sure_of_every_second_bar(bars, seed=2)
    early = replace(picked, times=picked.times - 900)
    with pytest.raises(DataError, match="train every stage anew"):
        build_sltp_dataset(bars, early, runtime_settings(root), loud_settings)


def test_new_distances_leave_the_risk_model_behind(trained: PositionSet, models: Path) -> None:
    risk = (RISK_MODEL, RISK_SCALER, RISK_METADATA)
    for name in risk:
        (models / name).write_text("learned from the old distances")
    manifest = read_manifest(models)
    hashes = {name: sha256_of(models / name) for name in risk}
    write_manifest(models, replace(manifest, artifacts={**manifest.artifacts, **hashes}))
    train(trained.bars, trained.ml_settings, trained.settings, models, ("sltp",))
    assert not [name for name in risk if (models / name).exists()]
    assert set(read_manifest(models).artifacts) == set(manifest.artifacts)


def test_what_is_served_is_what_was_trained(trained: PositionSet, features: npt.NDArray[np.float64]) -> None:
    predictor = load_undisturbed(trained.models_dir, trained.ml_settings, SltpPredictor)
    answered = OutOfFold.from_bytes((trained.models_dir / OUT_OF_FOLD_NAME).read_bytes())
    dataset = build_sltp_dataset(trained.bars, answered, trained.settings, trained.ml_settings)
    made = trained_on(dataset, trained.ml_settings)
    sides = np.where(np.arange(len(features)) % 2, 1, -1).astype(np.int8)
    rows = np.column_stack((features, sides.astype(np.float64)))
    expected = np.column_stack((made.stop.predict(rows), made.target.predict(rows)))
    assert predictor.distances(features, sides).tobytes() == np.maximum(expected, DISTANCE_FLOOR).tobytes()
    assert predictor.train_cutoff == read_manifest(trained.models_dir).train_cutoff
    assert predictor.sources == {"stop": "sltp_sl.txt", "target": "sltp_tp.txt"}


def test_one_row_is_answered_as_among_many(trained: PositionSet, features: npt.NDArray[np.float64]) -> None:
    predictor = load_undisturbed(trained.models_dir, trained.ml_settings, SltpPredictor)
    # More rows than LightGBM is asked for at once.
    rows = np.tile(features, (21, 1))
    sides = np.where(np.arange(len(rows)) % 3, 1, -1).astype(np.int8)
    many = predictor.distances(rows, sides)
    assert many.shape == (8_400, 2)
    for at in (*range(0, 400, 7), 8_191, 8_192, 8_399):
        assert predictor.distances(rows[at : at + 1], sides[at : at + 1]).tobytes() == many[at : at + 1].tobytes()


def test_a_distance_is_never_nothing(trained: PositionSet, models: Path) -> None:
    # Most entries of the lowest quantile need no room at all.
    low = sltp_ml_settings(stop_quantile=0.001, target_quantile=0.001)
    train(trained.bars, low, trained.settings, models, ("sltp",))
    stored = OutOfFoldDistances.from_bytes((models / SLTP_OUT_OF_FOLD).read_bytes()).distances
    assert stored[:, :, 1].min() == pytest.approx(DISTANCE_FLOOR)
    frame = add_all_features(trained.bars)[list(low.features)].to_numpy(dtype=np.float64)[-300:]
    served = load_undisturbed(models, low, SltpPredictor).distances(frame, np.ones(300, dtype=np.int8))
    assert served[:, 1].min() == DISTANCE_FLOOR


def test_an_unknown_feature_is_named(trained: PositionSet, features: npt.NDArray[np.float64]) -> None:
    predictor = load_undisturbed(trained.models_dir, trained.ml_settings, SltpPredictor)
    for unknown in (np.nan, np.inf):
        rows = features[:5].copy()
        rows[3, 7] = unknown
        with pytest.raises(DataError, match=f"feature {trained.ml_settings.features[7]} of row 3"):
            predictor.distances(rows, np.ones(5, dtype=np.int8))


def test_rows_of_another_shape_and_sides_that_are_none_are_refused(
    trained: PositionSet, features: npt.NDArray[np.float64]
) -> None:
    predictor = load_undisturbed(trained.models_dir, trained.ml_settings, SltpPredictor)
    with pytest.raises(DataError, match="shape"):
        predictor.distances(features[:2, :-1], np.ones(2, dtype=np.int8))
    with pytest.raises(DataError, match="shape"):
        predictor.distances(features[:2], LONG)
    with pytest.raises(DataError, match="side of row 1 is 0"):
        predictor.distances(features[:2], np.array([1, 0], dtype=np.int8))


def test_the_fingerprint_names_the_models_and_nothing_else(trained: PositionSet, models: Path) -> None:
    before = load_undisturbed(models, trained.ml_settings, SltpPredictor).fingerprint
    assert len(before) == 64
    train(trained.bars, trained.ml_settings, trained.settings, models, ("sltp",))
    assert load_undisturbed(models, trained.ml_settings, SltpPredictor).fingerprint == before
    train(trained.bars, trained.ml_settings, trained.settings, models, ("sltp",), seed=99)
    assert load_undisturbed(models, trained.ml_settings, SltpPredictor).fingerprint != before


def damage(models: Path) -> None:
    path = models / SLTP_STOP
    path.write_bytes(path.read_bytes()[:-100])


def swap(models: Path) -> None:
    stop, target = (models / SLTP_STOP).read_bytes(), (models / SLTP_TARGET).read_bytes()
    (models / SLTP_STOP).write_bytes(target)
    (models / SLTP_TARGET).write_bytes(stop)


def replace_by_foreign(models: Path) -> None:
    (models / SLTP_TARGET).write_text("tree\nversion=v4\n")


def remove(models: Path) -> None:
    (models / SLTP_TARGET).unlink()


def damage_metadata(models: Path) -> None:
    (models / SLTP_METADATA).write_text("{}")


@pytest.mark.parametrize("spoil", [damage, swap, replace_by_foreign, remove, damage_metadata])
def test_a_file_that_is_not_the_one_vouched_for_is_refused(
    trained: PositionSet, models: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(models)
    with pytest.raises(ModelError, match=r"sltp_(sl|tp|metadata)\..*train_ml_model\.py --sltp"):
        load_undisturbed(models, trained.ml_settings, SltpPredictor)


def test_a_set_without_sltp_models_names_the_command(trained: PositionSet, models: Path) -> None:
    train(trained.bars, trained.ml_settings, trained.settings, models, ("signal",), warm_start=False)
    with pytest.raises(ModelError, match=r"sltp_sl\.txt is not listed.*train_ml_model\.py --sltp"):
        load_undisturbed(models, trained.ml_settings, SltpPredictor)


def vouch_for(models: Path, name: str, content: str) -> None:
    (models / name).write_text(content)
    manifest = read_manifest(models)
    write_manifest(models, replace(manifest, artifacts={**manifest.artifacts, name: sha256_of(models / name)}))


def test_a_file_that_is_no_model_is_named(trained: PositionSet, models: Path) -> None:
    vouch_for(models, SLTP_TARGET, "no model at all\n")
    with pytest.raises(ModelError, match=r"sltp_tp\.txt is not a LightGBM model"):
        load_undisturbed(models, trained.ml_settings, SltpPredictor)


def test_a_model_of_other_inputs_is_refused(trained: PositionSet, models: Path) -> None:
    text = (models / SLTP_STOP).read_text()
    vouch_for(models, SLTP_STOP, text.replace("feature_names=bb_upper bb_lower ", "feature_names=bb_lower bb_upper "))
    with pytest.raises(ModelError, match=r"sltp_sl\.txt was trained on other inputs"):
        load_undisturbed(models, trained.ml_settings, SltpPredictor)


def test_another_feature_list_does_not_fit(trained: PositionSet) -> None:
    shorter = trained.ml_settings.model_copy(update={"features": trained.ml_settings.features[:-1]})
    with pytest.raises(ModelCompatibilityError, match="features"):
        load_undisturbed(trained.models_dir, shorter, SltpPredictor)


def test_a_set_moved_aside_by_a_killed_run_is_put_back(trained: PositionSet, models: Path) -> None:
    models.rename(models.parent / ".models.retired-abc")
    assert load_undisturbed(models, trained.ml_settings, SltpPredictor).sources["stop"] == SLTP_STOP


def test_a_set_replaced_while_it_is_read_is_read_again(trained: PositionSet, models: Path, tmp_path: Path) -> None:
    newer = Path(shutil.copytree(models, tmp_path / "newer"))
    train(trained.bars, trained.ml_settings, trained.settings, newer, ("sltp",), seed=99)
    read: list[str] = []

    def read_stop(opened: OpenedSet) -> bytes:
        if not read:
            models.rename(tmp_path / "old")
            newer.rename(models)
        read.append(opened.manifest_hash)
        return opened.read(SLTP_STOP, "train one")

    assert load_undisturbed(models, trained.ml_settings, read_stop) == (models / SLTP_STOP).read_bytes()
    assert len(set(read)) == 2, "the first reading found files of another set"


def test_a_set_replaced_again_and_again_is_given_up(trained: PositionSet, models: Path) -> None:
    manifest = read_manifest(models)

    def disturbed(opened: OpenedSet) -> str:
        write_manifest(models, replace(manifest, data_hash=opened.manifest_hash))
        return opened.manifest_hash

    with pytest.raises(ModelError, match="again and again"):
        load_undisturbed(models, trained.ml_settings, disturbed)


def test_other_training_settings_are_warned_of(trained: PositionSet, caplog: pytest.LogCaptureFixture) -> None:
    for same in (trained.ml_settings, sltp_ml_settings(enabled=False, position={"exit_threshold": 0.9})):
        load_undisturbed(trained.models_dir, same, SltpPredictor)
    assert "other ml_sltp settings" not in caplog.text
    for other in (
        sltp_ml_settings(stop_quantile=0.6),
        sltp_ml_settings(horizon_bars=48),
        sltp_ml_settings(position={"entry_confidence": 0.4}),
    ):
        caplog.clear()
        load_undisturbed(trained.models_dir, other, SltpPredictor)
        assert "other ml_sltp settings" in caplog.text
