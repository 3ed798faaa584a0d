"""Mishaps of training and serving: a set swapped in between, a manifest edited by hand, a fold too poor to learn."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backtest.walk_forward.run import fold_bars, run_fold
from ml.labels.splits import PurgedWalkForward
from ml.load_models import load_models
from ml.position.predictor import PositionPredictor
from ml.sets.companions import MANIFEST_NAME
from ml.sets.compat import read_manifest
from ml.sets.loading import load_undisturbed
from ml.sets.model_set import replace_model_set
from ml.sets.stage_files import SLTP_METADATA
from ml.sltp.predictor import SltpPredictor
from ml.train import train
from ml.tune.adoption import SettingsFile, adopt
from novosky.errors import DataError, ModelError, SettingsError
from novosky.files import sha256_of, write_json
from novosky.settings.ml import TuningProvenance
from tests.backtest.walk_forward.walk_examples import example_plan, example_windows
from tests.helpers.command_line import run_script
from tests.helpers.sets.position_sets import PositionSet

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def trained(sltp_set: PositionSet) -> PositionSet:
    """A set with signal, position and SLTP models, not to be changed."""
    return sltp_set


@pytest.fixture
def copied(trained: PositionSet, tmp_path: Path) -> PositionSet:
    """The same set in a folder of its own."""
    models = tmp_path / "models"
    put_in_place(trained.models_dir, models)
    return replace(trained, models_dir=models)


def put_in_place(source: Path, models: Path) -> None:
    """Let a set take the place of another in one step, as training does."""
    with replace_model_set(models) as staging:
        for file in source.iterdir():
            (staging / file.name).write_bytes(file.read_bytes())


def edit_manifest(models: Path, **entries: Any) -> None:
    """Overwrite entries of `model_compat.json`."""
    content = json.loads((models / MANIFEST_NAME).read_text())
    write_json(models / MANIFEST_NAME, content | entries)


def edit_metadata(models: Path, name: str, content: Any) -> None:
    """Replace a metadata file, the manifest vouching for the new one."""
    write_json(models / name, content)
    hashes = json.loads((models / MANIFEST_NAME).read_text())["artifacts"]
    edit_manifest(models, artifacts=hashes | {name: sha256_of(models / name)})


class _Swap(logging.Handler):
    """Swaps the set once, at the moment the signal models are said to be loaded."""

    def __init__(self, source: Path, models: Path) -> None:
        super().__init__()
        self._source, self._models, self.done = source, models, False

    def emit(self, record: logging.LogRecord) -> None:
        if not self.done and record.getMessage().startswith("signal models from"):
            self.done = True
            put_in_place(self._source, self._models)


@contextmanager
def swapped_after_the_signal(source: Path, models: Path) -> Iterator[_Swap]:
    """A training run ends between the loading of the signal models and that of the others."""
    logger, swap = logging.getLogger("ml.ensemble.predictor"), _Swap(source, models)
    level = logger.level
    logger.addHandler(swap)
    logger.setLevel(logging.INFO)
    try:
        yield swap
    finally:
        logger.removeHandler(swap)
        logger.setLevel(level)


def test_all_models_are_built_from_one_opened_set_whose_files_are_read_once(
    trained: PositionSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[str] = Counter()
    plain = Path.read_bytes

    def counted(path: Path) -> bytes:
        read[path.name] += path.parent == trained.models_dir
        return plain(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    models = load_models(trained.models_dir, trained.settings, trained.ml_settings)
    assert models.position is not None
    assert models.sltp is not None
    members = (*models.signal.sources.values(), *models.position.sources.values())
    assert {name: read[name] for name in (*members, *models.sltp.sources.values())} == dict.fromkeys(
        (*members, *models.sltp.sources.values()), 1
    )


def test_all_models_come_from_one_set_when_training_swaps_it_while_they_are_loaded(
    copied: PositionSet, tmp_path: Path
) -> None:
    newer = tmp_path / "newer"
    shorter = copied.bars.iloc[:-500].reset_index(drop=True)
    train(shorter, copied.ml_settings, copied.settings, newer, ("signal", "position", "sltp"), seed=11)
    with swapped_after_the_signal(newer, copied.models_dir) as swap:
        models = load_models(copied.models_dir, copied.settings, copied.ml_settings)
    assert swap.done
    assert models.position is not None
    assert models.signal.train_cutoff == read_manifest(copied.models_dir).train_cutoff
    assert models.fingerprint == load_models(newer, copied.settings, copied.ml_settings).fingerprint


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("features", 5),
        ("features", None),
        ("features", "rsi_14"),
        ("artifacts", ["ensemble_scaler.pkl"]),
        ("artifacts", {"ensemble_scaler.pkl": 3}),
        ("versions", None),
        ("versions", {"numpy": 2}),
        ("train_cutoff_date", "soon"),
        ("train_cutoff_date", None),
        ("train_cutoff_date", "2022-05-01"),
        ("train_start", 5),
        ("train_end", "NaT"),
        ("data_hash", None),
        ("config_hash", 1),
    ],
)
def test_a_manifest_with_an_entry_of_another_kind_is_refused_by_name(
    copied: PositionSet, entry: str, value: Any
) -> None:
    edit_manifest(copied.models_dir, **{entry: value})
    with pytest.raises(ModelError, match=rf"{MANIFEST_NAME}: {entry} .*train_ml_model"):
        read_manifest(copied.models_dir)


@pytest.mark.parametrize("content", [[1], {}, {"config_hash": None}])
def test_metadata_without_the_settings_hash_is_refused_by_name(copied: PositionSet, content: Any) -> None:
    edit_metadata(copied.models_dir, SLTP_METADATA, content)
    with pytest.raises(ModelError, match=rf"{SLTP_METADATA} .*config_hash.*--sltp"):
        load_undisturbed(copied.models_dir, copied.ml_settings, SltpPredictor)


def test_position_metadata_without_the_settings_hash_counts_as_other_settings(
    copied: PositionSet, caplog: pytest.LogCaptureFixture
) -> None:
    content = json.loads((copied.models_dir / "position_metadata.json").read_text())
    del content["config_hash"]
    edit_metadata(copied.models_dir, "position_metadata.json", content)
    with caplog.at_level(logging.WARNING):
        load_undisturbed(copied.models_dir, copied.ml_settings, PositionPredictor)
    assert "other position_model settings" in caplog.text


def test_position_models_are_served_without_metadata_that_is_no_object(
    copied: PositionSet, caplog: pytest.LogCaptureFixture
) -> None:
    edit_metadata(copied.models_dir, "position_metadata.json", [1])
    with caplog.at_level(logging.WARNING):
        load_undisturbed(copied.models_dir, copied.ml_settings, PositionPredictor)
    assert "position_metadata.json is no JSON object" in caplog.text


def test_a_fold_whose_signal_models_find_too_few_labels_is_named() -> None:
    plan, window = example_plan(ROOT, "planted"), example_windows()[1]
    short = replace(window, train_start=window.train_end - 3_600)
    plan = replace(plan, history=fold_bars(plan.history, short, plan.settings.frame))
    with pytest.raises(DataError, match=rf"^fold {window.number}, trained on "):
        run_fold(plan, short)


def test_an_embargo_that_leaves_nothing_to_train_on_is_named_as_a_cause() -> None:
    splitter = PurgedWalkForward(2, label_end=np.arange(12), embargo=6, min_train=4)
    with pytest.raises(DataError, match="embargo_bars"):
        list(splitter.split(np.empty((12, 1))))


@pytest.mark.parametrize(
    "script", ["train_ml_model.py", "scripts/walk_forward.py", "ml/tune/hyperparams.py", "ml/tune/position.py"]
)
def test_a_seed_the_libraries_cannot_take_is_a_wrong_argument(script: str, tmp_path: Path) -> None:
    answer = run_script(script, "--seed", 2**32, cwd=tmp_path)
    assert answer.code == 2
    assert "--seed" in answer.err


@pytest.mark.parametrize("section", ["signal_model", "position_model", "ml_sltp", "risk_model"])
def test_a_seed_the_libraries_cannot_take_is_a_mistake_in_the_settings(section: str, tmp_path: Path) -> None:
    content = json.loads((ROOT / "ml_config.json").read_text())
    content[section]["seed"] = 2**32
    write_json(tmp_path / "ml_config.json", content)
    answer = run_script(
        "train_ml_model.py",
        "--ensemble",
        "--config",
        ROOT / "config.json",
        "--ml-config",
        tmp_path / "ml_config.json",
        cwd=tmp_path,
    )
    assert answer.code == 3
    assert f"{section}.seed" in answer.err


def test_settings_taken_away_during_a_search_are_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "ml_config.json"
    path.write_bytes((ROOT / "ml_config.json").read_bytes())
    file = SettingsFile.read(path)
    path.unlink()
    with pytest.raises(SettingsError, match="was taken away while the search ran"):
        adopt(file, {"prediction.confidence_threshold": 0.5}, "signal", provenance())
    assert not path.exists()


def provenance() -> TuningProvenance:
    """Where some settings come from."""
    return TuningProvenance(
        study="s",
        storage="sqlite:///s",
        trials=1,
        best_value=0.1,
        baseline_value=None,
        trades=20,
        start="2022-01-01T00:00:00Z",
        end="2022-02-01T00:00:00Z",
        data_hash="0",
    )
