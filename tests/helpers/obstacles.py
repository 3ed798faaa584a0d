"""What can be wrong with the files a bot is started with: one way to break each, its exit code and its words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml.arrays import MEMBERS
from ml.sets.ensemble_files import member_file
from novosky.errors import ModelCompatibilityError, ModelError, SettingsError, StorageError, UsageError
from tests.helpers.desk import Desk


def change(source: Path, target: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    """Write an edited copy of a JSON file."""
    content = json.loads(source.read_text(encoding="utf-8"))
    edit(content)
    target.write_text(json.dumps(content))
    return target


def without_models(desk: Desk, folder: Path) -> list[object]:
    return ["--models", folder / "none"]


def with_half_a_set(desk: Desk, folder: Path) -> list[object]:
    models = folder / "models"
    shutil.copytree(desk.models, models)
    for kind in ("calibrated", "onnx", "raw"):
        (models / member_file(MEMBERS[0], kind)).unlink()
    return ["--models", models]


def with_a_swapped_pickle(desk: Desk, folder: Path) -> list[object]:
    models = folder / "models"
    shutil.copytree(desk.models, models)
    for name in MEMBERS:
        for kind in ("calibrated", "onnx", "raw"):
            (models / member_file(name, kind)).write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    return ["--models", models]


def with_other_libraries(desk: Desk, folder: Path) -> list[object]:
    models = folder / "models"
    shutil.copytree(desk.models, models)
    manifest = models / "model_compat.json"
    change(manifest, manifest, lambda content: content["versions"].update(lightgbm="1.0.0"))
    return ["--models", models]


def with_drifted_features(desk: Desk, folder: Path) -> list[object]:
    drifted = change(desk.ml_config, folder / "ml.json", lambda content: content["features"].reverse())
    return ["--ml-config", drifted]


def with_an_unknown_key(desk: Desk, folder: Path) -> list[object]:
    config = change(desk.config, folder / "config.json", lambda content: content.update(max_daily_los=5.0))
    return ["--config", config]


def with_broken_json(desk: Desk, folder: Path) -> list[object]:
    config = folder / "config.json"
    config.write_text(desk.config.read_text(encoding="utf-8")[:-20])
    return ["--config", config]


def without_a_config(desk: Desk, folder: Path) -> list[object]:
    return ["--config", folder / "none.json"]


def with_a_journal_that_is_none(desk: Desk, folder: Path) -> list[object]:
    (folder / "notes.txt").write_text("my notes\n" * 200)
    return ["--journal", folder / "notes.txt"]


def with_a_file_for_a_folder(desk: Desk, folder: Path) -> list[object]:
    (folder / "taken").write_text("a file")
    return ["--journal", folder / "taken" / "paper.sqlite"]


def with_the_config_as_journal(desk: Desk, folder: Path) -> list[object]:
    config = folder / "config.json"
    shutil.copy(desk.config, config)
    return ["--config", config, "--journal", config]


Obstacle = Callable[[Desk, Path], list[object]]
OBSTACLES: dict[str, tuple[Obstacle, int, str]] = {
    "no models": (without_models, ModelError.exit_code, "train_ml_model.py --ensemble"),
    "half a set": (with_half_a_set, ModelError.exit_code, "ensemble_rf"),
    "foreign pickles": (with_a_swapped_pickle, ModelError.exit_code, "SHA-256 differs"),
    "other libraries": (with_other_libraries, ModelCompatibilityError.exit_code, "lightgbm 1.0.0"),
    "drifted features": (with_drifted_features, ModelCompatibilityError.exit_code, "first difference at position 1"),
    "unknown key": (with_an_unknown_key, SettingsError.exit_code, "did you mean 'max_daily_loss'?"),
    "broken JSON": (with_broken_json, SettingsError.exit_code, "is not valid JSON"),
    "no config": (without_a_config, SettingsError.exit_code, "does not exist"),
    "not a journal": (with_a_journal_that_is_none, StorageError.exit_code, "is not a journal"),
    "no folder": (with_a_file_for_a_folder, StorageError.exit_code, "taken"),
    "config as journal": (with_the_config_as_journal, UsageError.exit_code, "name the same place"),
}
