"""Whether config.json, ml_config.json, the code and the model set are in step.

One list of findings for `scripts/config_sync.py`, for the pre-flight of the optimisations, and
for whoever sets `NOVOSKY_STRICT_CONFIG_SYNC=1`. Three-file rules:

- a feature stands in `ml/feature_engineering.py`, in `ml_config.json`, and in the models that
  were retrained with it;
- the risk model's inputs are equal in `ml/risk_trainer.py`, `ml/risk_predictor.py` and
  `ml_config.json`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ml.feature_engineering import PROTECTED_FEATURES, get_feature_names
from ml.risk_predictor import RISK_FEATURES as SERVED_RISK_FEATURES
from ml.risk_predictor import hash_risk_settings
from ml.risk_trainer import RISK_FEATURES as TRAINED_RISK_FEATURES
from ml.sets.companions import MANIFEST_NAME
from ml.sets.compat import (
    PULL_COMMAND,
    Manifest,
    damaged_artifacts,
    hash_position_settings,
    hash_training_settings,
    read_artifact,
    read_manifest,
    verify_compat,
)
from ml.sets.ensemble_files import POSITION_FILES
from ml.sets.stage_files import RISK_METADATA, SLTP_METADATA, STAGE_FLAGS, STAGE_REQUIRED, Stage, mend_of
from ml.sltp.predictor import hash_sltp_settings
from novosky.errors import ModelError, SettingsError
from novosky.guarded_json import JsonError, parse_json, read_json_file
from novosky.settings import MlSettings, Settings, load_ml_settings, load_settings
from novosky.settings.differences import Change, changes_between
from novosky.settings.sync import (
    RETRAIN,
    Grade,
    SyncFinding,
    feature_findings,
    label_findings,
    profile_findings,
    risk_feature_findings,
    with_defaults,
)

_NEW_SET = f"`{RETRAIN}` or `{PULL_COMMAND}`"
S = TypeVar("S", Settings, MlSettings)


@dataclass(frozen=True)
class _Read:
    """A settings file: its JSON content as far as it is one, and the settings as far as they load."""

    content: dict[str, Any]
    settings: Any


def sync_findings(config: Path, ml_config: Path, models_dir: Path | None) -> list[SyncFinding]:
    """Return everything that does not agree, what must be mended first.

    Parameters
    ----------
    config, ml_config : Path
    models_dir : Path or None
        None leaves the models out, for a checkout that has none yet.

    Returns
    -------
    list of SyncFinding
        Empty when all agree and every key is written down.
    """
    found: list[SyncFinding] = []
    runtime, ml = _read(config, load_settings, "config", found), _read(ml_config, load_ml_settings, "ml_config", found)
    found += risk_feature_findings(
        {
            "ml/risk_trainer.py RISK_FEATURES": TRAINED_RISK_FEATURES,
            "ml/risk_predictor.py RISK_FEATURES": SERVED_RISK_FEATURES,
            f"{ml_config.name} risk_model.features": _stated_risk_features(ml.content),
        }
    )
    for path, read in ((config, runtime), (ml_config, ml)):
        if read.settings is not None:
            found += _default_findings(path, read)
    if ml.settings is not None:
        found += feature_findings(ml.settings.features, get_feature_names(), PROTECTED_FEATURES)
        if models_dir is not None:
            found += model_findings(models_dir, ml.settings, runtime.settings)
    if runtime.settings is not None and ml.settings is not None:
        found += profile_findings(runtime.settings, ml.settings)
        found += label_findings(runtime.settings, ml.settings)
    order = ("missing", "drift", "warning", "default")
    return sorted(found, key=lambda finding: order.index(finding.grade))


def missing_defaults(path: Path) -> tuple[dict[str, Any], list[Change]]:
    """Return a settings file's content with every default written down, and what that adds.

    Parameters
    ----------
    path : Path
        A config.json or an ml_config.json; which of them, its keys tell.

    Raises
    ------
    SettingsError
        The file does not load: what is wrong in it must be corrected by a person.
    """
    content = _content(path)
    settings = load_ml_settings(path) if "features" in content else load_settings(path)
    completed = with_defaults(content, settings.model_dump(mode="json", by_alias=True))
    return completed, changes_between(content, completed)


def model_findings(models_dir: Path, ml_settings: MlSettings, settings: Settings | None) -> list[SyncFinding]:
    """Compare a model set with the settings: features, libraries, files, and what each stage learned from.

    Parameters
    ----------
    models_dir : Path
    ml_settings : MlSettings
    settings : Settings or None
        None where config.json does not load; then its switch of the risk model is not looked at.
    """
    try:
        manifest = read_manifest(models_dir)
    except ModelError as error:
        return [SyncFinding("models", _absent(models_dir / MANIFEST_NAME), str(error), _NEW_SET)]
    found = []
    try:
        verify_compat(models_dir, ml_settings)
    except ModelError as error:
        found.append(SyncFinding("models", "drift", str(error), f"`{RETRAIN}`"))
    damaged = damaged_artifacts(models_dir, manifest)
    if damaged:
        text = f"{models_dir} lacks, or holds damaged: {', '.join(sorted(damaged))}"
        found.append(SyncFinding("models", "missing", text, _NEW_SET))
    found += _stage_findings(models_dir, manifest, ml_settings, settings)
    return found + _trained_findings(models_dir, manifest, ml_settings)


def _stage_findings(
    models_dir: Path, manifest: Manifest, ml_settings: MlSettings, settings: Settings | None
) -> list[SyncFinding]:
    switches: tuple[tuple[Stage, str, bool], ...] = (
        ("position", "position_model.enabled in ml_config.json", ml_settings.position_model.enabled),
        ("sltp", "ml_sltp.enabled in ml_config.json", ml_settings.ml_sltp.enabled),
        ("risk", "risk_model.enabled in config.json", settings is not None and settings.risk_model.enabled),
    )
    found = []
    for stage, switch, enabled in switches:
        if not enabled or all(name in manifest.artifacts for name in STAGE_REQUIRED[stage]):
            continue
        text = f"{switch} is true, but {models_dir} has no {stage} model"
        if stage == "risk":
            found.append(SyncFinding("models", "warning", f"{text}; sizes are not scaled", mend_of(stage)))
        else:
            found.append(SyncFinding("models", "missing", text, mend_of(stage)))
    return found


def _trained_findings(models_dir: Path, manifest: Manifest, ml_settings: MlSettings) -> list[SyncFinding]:
    """Compare the settings each stage was trained with to those of ml_config.json."""
    found = []
    if manifest.config_hash != hash_training_settings(ml_settings):
        text = (
            "the signal models learned with other features, labeling or signal_model settings than ml_config.json has"
        )
        found.append(SyncFinding("training_settings", "drift", text, f"`{RETRAIN}`"))
    stages: tuple[tuple[Stage, str, Callable[[MlSettings], str]], ...] = (
        ("position", POSITION_FILES.metadata, hash_position_settings),
        ("sltp", SLTP_METADATA, hash_sltp_settings),
        ("risk", RISK_METADATA, hash_risk_settings),
    )
    for stage, name, hash_of in stages:
        metadata = _metadata(models_dir, manifest, name)
        if metadata is None:
            continue
        if metadata.get("config_hash") != hash_of(ml_settings):
            text = f"the {stage} model learned with other settings than ml_config.json has"
            mend = f"`python train_ml_model.py {STAGE_FLAGS[stage]} --no-warmstart`"
            found.append(SyncFinding("training_settings", "drift", text, mend))
        if stage == "risk" and metadata.get("features") != list(TRAINED_RISK_FEATURES):
            text = f"{name} names other inputs than ml/risk_trainer.py RISK_FEATURES"
            found.append(SyncFinding("risk_features", "drift", text, "`python train_ml_model.py --risk`"))
    return found


def _metadata(models_dir: Path, manifest: Manifest, name: str) -> dict[str, Any] | None:
    """Return a stage's metadata; None without one, and where it is damaged, which is another finding's."""
    if name not in manifest.artifacts:
        return None
    try:
        content = parse_json(read_artifact(models_dir, manifest, name), name)
    except (ModelError, ValueError):
        return None
    return content if isinstance(content, dict) else {}


def _read(path: Path, load: Callable[[Path], S], code: str, found: list[SyncFinding]) -> _Read:
    try:
        return _Read(_content(path), load(path))
    except SettingsError as error:
        found.append(SyncFinding(code, _absent(path), str(error), f"correct {path}"))
    return _Read(_content(path, strict=False), None)


def _absent(path: Path) -> Grade:
    return "drift" if path.exists() else "missing"


def _content(path: Path, *, strict: bool = True) -> dict[str, Any]:
    try:
        content = read_json_file(path)
    except (OSError, JsonError) as error:
        if not strict:
            return {}
        raise SettingsError(f"{path} cannot be read: {error}") from error
    return content if isinstance(content, dict) else {}


def _stated_risk_features(content: dict[str, Any]) -> list[str] | None:
    section = content.get("risk_model")
    stated = section.get("features") if isinstance(section, dict) else None
    return [str(name) for name in stated] if isinstance(stated, list) else None


def _default_findings(path: Path, read: _Read) -> list[SyncFinding]:
    completed = with_defaults(read.content, read.settings.model_dump(mode="json", by_alias=True))
    absent = [change.place for change in changes_between(read.content, completed)]
    if not absent:
        return []
    text = f"{path} leaves {len(absent)} key(s) to their defaults: {', '.join(absent)}"
    return [SyncFinding("defaults", "default", text, "python scripts/config_sync.py writes them down")]
