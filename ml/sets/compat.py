"""`models/model_compat.json`: what a model set was made for, and the hash of every file in it.

The manifest is the only file of a set that is trusted as it stands. Every other file is read
whole, hashed, and only then decoded; a file whose hash differs is never decoded at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from ml.sets.companions import MANIFEST_NAME
from novosky.errors import ModelCompatibilityError, ModelError
from novosky.file_names import refusal_of_names
from novosky.files import write_json
from novosky.guarded_json import JsonError, parse_json, read_json_file
from novosky.market.timeframe import MOMENT_YEARS
from novosky.settings.base import Section
from novosky.settings.ml import MlSettings

TRAIN_COMMAND = "python train_ml_model.py --ensemble --no-warmstart"
PULL_COMMAND = "python ml/r2_hub.py --pull"
STARTER_COMMAND = "novosky models starter"
MEND = (
    f"pull a set with `{PULL_COMMAND}`, train one with `{TRAIN_COMMAND}`, or make one for practice with "
    f"`{STARTER_COMMAND}`"
)
LIBRARIES = ("numpy", "scikit-learn", "xgboost", "lightgbm", "onnxruntime")
_FORMAT = 1
# What decides trades at inference or only switches the model on; it changes no label and no tree.
_DECISION_KEYS = {"enabled", "exit_threshold", "min_prob_diff", "min_bars_held", "add_threshold"}


@dataclass(frozen=True)
class Manifest:
    """The contents of `model_compat.json`.

    Attributes
    ----------
    format : int
        Version of this layout.
    features : tuple of str
        The ordered feature list the models were trained on.
    feature_hash : str
        SHA-256 of that list (`feature_hash`).
    feature_count : int
    artifacts : mapping of str to str
        File name to SHA-256, for every file of the set but the manifest.
    versions : mapping of str to str
        Version of every library in `LIBRARIES` at training.
    train_start, train_end : str
        UTC opens of the first and the last bar given to training.
    train_cutoff_date : str
        UTC open of the last bar whose information entered the models; later bars are unseen.
    data_hash : str
        SHA-256 of the training bars (`hash_bars`).
    config_hash : str
        SHA-256 of the settings that shape the models (`hash_training_settings`).
    """

    features: tuple[str, ...]
    feature_hash: str
    feature_count: int
    artifacts: Mapping[str, str]
    versions: Mapping[str, str]
    train_start: str
    train_end: str
    train_cutoff_date: str
    data_hash: str
    config_hash: str
    format: int = _FORMAT

    @property
    def train_cutoff(self) -> pd.Timestamp:
        """`train_cutoff_date` as a UTC timestamp."""
        return pd.Timestamp(self.train_cutoff_date).tz_convert("UTC")


def feature_hash(names: Sequence[str]) -> str:
    """Return the hexadecimal SHA-256 of an ordered list of feature names."""
    return hashlib.sha256("\n".join(names).encode("utf-8")).hexdigest()


def hash_bars(bars: pd.DataFrame) -> str:
    """Return the hexadecimal SHA-256 of a bar frame's times, prices, volumes and other columns."""
    digest = hashlib.sha256()
    for name in bars.columns:
        values = bars[name]
        numbers = values.astype("int64") if name == "time" else values.astype("float64")
        digest.update(name.encode("utf-8") + b"\0" + numbers.to_numpy().tobytes())
    return digest.hexdigest()


def hash_training_settings(ml_settings: MlSettings) -> str:
    """Return the hexadecimal SHA-256 of what shapes the signal models: features, labels, members.

    Thresholds of the decision and the number of threads change no model and are left out.
    """
    sections: tuple[Section, ...] = (ml_settings.labeling, ml_settings.signal_model)
    content = [list(ml_settings.features), *(section.model_dump(mode="json") for section in sections)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()


def hash_position_settings(ml_settings: MlSettings) -> str:
    """Return the hexadecimal SHA-256 of the settings that shape the position models."""
    content = ml_settings.position_model.model_dump(mode="json", exclude=_DECISION_KEYS)
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("utf-8")).hexdigest()


def library_versions() -> dict[str, str]:
    """Return the installed version of every library a model file depends on.

    Raises
    ------
    ModelCompatibilityError
        When one of them is not installed.
    """
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError as error:
            raise ModelCompatibilityError(
                f"the library {name} is not installed; run `pip install -r requirements.txt`"
            ) from error
    return found


def write_manifest(models_dir: Path, manifest: Manifest) -> None:
    """Write `model_compat.json` into a model directory, atomically."""
    write_json(models_dir / MANIFEST_NAME, asdict(manifest), sort_keys=True)


def read_manifest(models_dir: Path) -> Manifest:
    """Read `model_compat.json`.

    Raises
    ------
    ModelError
        When it is missing, unreadable, incomplete or contradicts itself.
    """
    path = models_dir / MANIFEST_NAME
    try:
        content = read_json_file(path)
    except FileNotFoundError as error:
        raise ModelError(f"{path} does not exist, so there is no model set to use; {MEND}") from error
    except (OSError, JsonError) as error:
        raise ModelError(f"{path} cannot be read ({error}); {MEND}") from error
    return _parse(content, path)


def _is_text_map(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(entry, str) for entry in value.values())


def _is_moment(value: Any) -> bool:
    try:
        return isinstance(value, str) and pd.Timestamp(value).tz_convert("UTC").year in MOMENT_YEARS
    except (ValueError, TypeError, OverflowError):
        return False


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_ENTRY_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "features": lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
    "artifacts": _is_text_map,
    "versions": _is_text_map,
    "train_start": _is_moment,
    "train_end": _is_moment,
    "train_cutoff_date": _is_moment,
    "data_hash": _is_text,
    "config_hash": _is_text,
}
"""What each entry of a manifest must be, so that one edited by hand is refused when it is read."""


def _parse(content: Any, path: Path) -> Manifest:
    names = {field.name for field in fields(Manifest)}
    if not isinstance(content, dict) or set(content) != names or content["format"] != _FORMAT:
        raise ModelError(f"{path} is not a manifest of format {_FORMAT}; {MEND}")
    wrong = [name for name, fits in _ENTRY_KINDS.items() if not fits(content[name])]
    if wrong:
        raise ModelError(f"{path}: {wrong[0]} is {content[wrong[0]]!r}, which training never writes there; {MEND}")
    manifest = Manifest(**{**content, "features": tuple(content["features"])})
    if manifest.feature_count != len(manifest.features) or manifest.feature_hash != feature_hash(manifest.features):
        raise ModelError(
            f"{path} contradicts itself: its feature list does not have the count or hash it states; {MEND}"
        )
    refused = refusal_of_names(manifest.artifacts)
    if refused is not None:
        raise ModelError(f"{path} names what is no file of its directory ({refused}); {MEND}")
    return manifest


def verify_compat(models_dir: Path, ml_settings: MlSettings) -> Manifest:
    """Check that a model set fits the configuration and the installed libraries.

    File hashes are checked where the files are read (`read_artifact`), because a member has
    more than one file and the next one may do.

    Returns
    -------
    Manifest

    Raises
    ------
    ModelError
        No manifest, or one that cannot be read.
    ModelCompatibilityError
        Other features, another order, features the code does not compute, another major
        version of a library; the message names the difference and the command that mends it.
    """
    from ml.feature_engineering import get_feature_names

    check_known_features(ml_settings.features, get_feature_names())
    manifest = read_manifest(models_dir)
    differences = [
        *_feature_differences(manifest.features, ml_settings.features),
        *_version_differences(manifest.versions),
    ]
    if differences:
        raise ModelCompatibilityError(
            f"{models_dir / MANIFEST_NAME} does not fit: {'; '.join(differences)}. Mend: {MEND}"
        )
    return manifest


def check_known_features(configured: Sequence[str], known: Sequence[str]) -> None:
    """Raise `ModelCompatibilityError` when ml_config.json names a feature the code does not compute."""
    unknown = [name for name in configured if name not in set(known)]
    if unknown:
        raise ModelCompatibilityError(
            f"ml_config.json lists features that ml/feature_engineering.py does not compute: {', '.join(unknown)}; "
            "correct `features` in ml_config.json"
        )


def _feature_differences(trained: Sequence[str], configured: Sequence[str]) -> list[str]:
    if tuple(trained) == tuple(configured):
        return []
    found = []
    if len(trained) != len(configured):
        found.append(f"the models use {len(trained)} features, ml_config.json lists {len(configured)}")
    only_trained = [name for name in trained if name not in set(configured)]
    only_configured = [name for name in configured if name not in set(trained)]
    if only_trained:
        found.append(f"in the models only: {_some(only_trained)}")
    if only_configured:
        found.append(f"in ml_config.json only: {_some(only_configured)}")
    place = next((i for i, pair in enumerate(zip(trained, configured, strict=False)) if pair[0] != pair[1]), None)
    if place is not None:
        found.append(
            f"first difference at position {place + 1}: {trained[place]} in the models, {configured[place]} configured"
        )
    return found


def _version_differences(trained: Mapping[str, str]) -> list[str]:
    found = []
    for name, installed in library_versions().items():
        recorded = trained.get(name, "no recorded version")
        if recorded.split(".")[0] != installed.split(".")[0]:
            found.append(f"the models were made with {name} {recorded}, installed is {installed}")
    return found


def _some(names: Sequence[str], most: int = 5) -> str:
    listed = ", ".join(names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"


def read_artifact(models_dir: Path, manifest: Manifest, name: str, mend: str = MEND) -> bytes:
    """Return the bytes of a file of the set, having checked their SHA-256 against the manifest.

    The same bytes that were hashed are returned, so nothing can be exchanged in between.

    Raises
    ------
    ModelError
        File missing, unreadable, not listed in the manifest, or with another hash.
    """
    path = models_dir / name
    expected = manifest.artifacts.get(name)
    if expected is None:
        raise ModelError(f"{path} is not listed in {MANIFEST_NAME}; {mend}")
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(f"{path} does not exist; {mend}") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}); {mend}") from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise ModelError(f"{path} is damaged or foreign: its SHA-256 differs from {MANIFEST_NAME}; {mend}")
    return content


def read_metadata(models_dir: Path, manifest: Manifest, name: str, texts: Sequence[str], mend: str) -> dict[str, Any]:
    """Return a metadata file of the set, its SHA-256 checked.

    Parameters
    ----------
    models_dir : Path
    manifest : Manifest
    name : str
    texts : sequence of str
        Keys that must be there and hold text.
    mend : str
        What to do about a file that is wrong.

    Raises
    ------
    ModelError
        As in `read_artifact`; or no JSON object, or one of the keys is missing.
    """
    try:
        content = parse_json(read_artifact(models_dir, manifest, name, mend), name)
    except JsonError as error:
        raise ModelError(f"{models_dir / name} is not JSON ({error}); {mend}") from error
    if not isinstance(content, dict):
        raise ModelError(
            f"{models_dir / name} is no JSON object and does not say {', '.join(texts) or 'anything'}; {mend}"
        )
    for key in texts:
        if not isinstance(content.get(key), str):
            raise ModelError(f"{models_dir / name} does not say {key}, which training writes there; {mend}")
    return content


def damaged_artifacts(models_dir: Path, manifest: Manifest) -> dict[str, str]:
    """Return the files that are missing or have another hash, by name, with what is wrong."""
    found = {}
    for name in manifest.artifacts:
        try:
            read_artifact(models_dir, manifest, name)
        except ModelError as error:
            found[name] = str(error)
    return found
