"""Models loaded in a process of their own are the same models, without the libraries that made them."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ml.arrays import MEMBERS
from ml.load_models import load_models, load_models_apart
from ml.sets.ensemble_files import member_file
from novosky.errors import ModelError
from tests.helpers.sets.position_sets import PositionSet
from tests.helpers.sets.sltp_sets import train_sltp_set

LIBRARIES = ("sklearn", "xgboost", "lightgbm", "onnxruntime")
_CHILD = f"""
import json, pickle, sys
from ml.load_models import load_models_apart
models = load_models_apart(*pickle.loads(sys.stdin.buffer.read()))
print(json.dumps([models.fingerprint, [name for name in {LIBRARIES} if name in sys.modules]]))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, root: Path) -> PositionSet:
    return train_sltp_set(root, tmp_path_factory.mktemp("sets") / "models")


def test_models_loaded_apart_answer_with_the_same_bytes(
    trained: PositionSet, caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A folder in which somebody keeps a package called like ours.
    (tmp_path / "ml").mkdir()
    (tmp_path / "ml" / "__init__.py").write_text("raise SystemExit('the wrong ml')")
    monkeypatch.chdir(tmp_path)
    told = (trained.models_dir, trained.settings, trained.ml_settings)
    here = load_models(*told)
    with caplog.at_level(logging.INFO):
        apart = load_models_apart(*told)
    assert "signal models from" in caplog.text, "what the other process logged is logged here"
    assert apart.fingerprint == here.fingerprint
    assert apart.description == here.description
    rows = np.random.default_rng(5).standard_normal((500, len(trained.ml_settings.features)))
    assert apart.signal.predict_proba(rows).tobytes() == here.signal.predict_proba(rows).tobytes()
    side = np.ones(len(rows), dtype=np.int8)
    assert apart.sltp is not None
    assert here.sltp is not None
    assert apart.sltp.distances(rows, side).tobytes() == here.sltp.distances(rows, side).tobytes()


def test_the_libraries_that_made_the_models_do_not_stay_in_memory(trained: PositionSet, root: Path) -> None:
    told = pickle.dumps((trained.models_dir, trained.settings, trained.ml_settings))
    ended = subprocess.run([sys.executable, "-c", _CHILD], input=told, stdout=subprocess.PIPE, cwd=root, check=True)
    fingerprint, loaded = json.loads(ended.stdout)
    assert fingerprint == load_models(trained.models_dir, trained.settings, trained.ml_settings).fingerprint
    assert loaded == []


@pytest.fixture
def spoilt(trained: PositionSet, tmp_path: Path) -> Path:
    """The set with its calibrated pickles gone."""
    models = Path(shutil.copytree(trained.models_dir, tmp_path / "models"))
    for name in MEMBERS:
        (models / member_file(name, "calibrated")).unlink()
    return models


def test_members_that_cannot_travel_are_loaded_here(trained: PositionSet, spoilt: Path) -> None:
    models = load_models_apart(spoilt, trained.settings, trained.ml_settings)
    assert models.signal.sources["rf"] == member_file("rf", "onnx")
    assert models.fingerprint == load_models(spoilt, trained.settings, trained.ml_settings).fingerprint


def test_a_set_that_cannot_be_loaded_says_so_here(trained: PositionSet, spoilt: Path) -> None:
    for kind in ("onnx", "raw"):
        (spoilt / member_file("rf", kind)).unlink()
    with pytest.raises(ModelError, match="no file of member rf"):
        load_models_apart(spoilt, trained.settings, trained.ml_settings)
