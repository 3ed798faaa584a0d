"""The stages of a model set in their order: their files, what trains them, what they build on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from ml.sets.companions import MANIFEST_NAME
from ml.sets.compat import PULL_COMMAND, Manifest, read_artifact
from ml.sets.ensemble_files import METADATA_NAME, POSITION_FILES, SIGNAL_FILES

Stage = Literal["signal", "position", "sltp", "risk"]
STAGE_ORDER: tuple[Stage, ...] = ("signal", "position", "sltp", "risk")

OUT_OF_FOLD_NAME = "oof_signal.npz"
"""The signal model's probabilities of rows it had not learned from: what the later stages learn from."""

SLTP_STOP = "sltp_sl.txt"
SLTP_TARGET = "sltp_tp.txt"
SLTP_METADATA = "sltp_metadata.json"
SLTP_OUT_OF_FOLD = "oof_sltp.npz"
"""The SLTP model's distances for trades it had not learned from: what the risk model's backtest uses."""

RISK_MODEL = "risk_lgb.txt"
RISK_SCALER = "risk_scaler.pkl"
RISK_METADATA = "risk_metadata.json"

STAGE_FILES: Mapping[Stage, tuple[str, ...]] = {
    "signal": (*SIGNAL_FILES.names, OUT_OF_FOLD_NAME),
    "position": POSITION_FILES.names,
    "sltp": (SLTP_STOP, SLTP_TARGET, SLTP_METADATA, SLTP_OUT_OF_FOLD),
    "risk": (RISK_MODEL, RISK_SCALER, RISK_METADATA),
}
COMMITTED_RECORDS = (MANIFEST_NAME, METADATA_NAME, RISK_METADATA)
"""Small records of an approved set that git keeps; all other files of a set travel by the hub."""
STAGE_REQUIRED: Mapping[Stage, tuple[str, ...]] = {
    **STAGE_FILES,
    "signal": (*SIGNAL_FILES.required, OUT_OF_FOLD_NAME),
    "position": POSITION_FILES.required,
}
"""Of those files, the ones without which a stage is not whole."""
STAGE_COMMANDS: Mapping[Stage, str] = {
    "signal": SIGNAL_FILES.command,
    "position": POSITION_FILES.command,
    "sltp": "python train_ml_model.py --sltp",
    "risk": "python train_ml_model.py --risk",
}
STAGE_FLAGS: Mapping[Stage, str] = {
    "signal": "--ensemble",
    "position": "--position",
    "sltp": "--sltp",
    "risk": "--risk",
}
_OUTDATES: Mapping[Stage, tuple[Stage, ...]] = {
    "signal": ("position", "sltp", "risk"),
    "position": (),
    # The risk model learned from a backtest with the distances that are being replaced.
    "sltp": ("risk",),
    "risk": (),
}


def mend_of(stage: Stage) -> str:
    """Return what to do about a file of this stage that is missing or damaged."""
    return f"train it with `{STAGE_COMMANDS[stage]}` or pull a set with `{PULL_COMMAND}`"


def require_stage(models_dir: Path, manifest: Manifest, stage: Stage) -> None:
    """Check that every file a stage cannot do without is there and is the one the manifest vouches for.

    Raises
    ------
    ModelError
        Names the first file that is not, and the command that makes it.
    """
    for name in STAGE_REQUIRED[stage]:
        read_artifact(models_dir, manifest, name, mend_of(stage))


def outdated_by(stages: tuple[Stage, ...]) -> tuple[str, ...]:
    """Return the files of stages that learned from what these stages replace and are not trained anew with them."""
    stale = {later for stage in stages for later in _OUTDATES[stage]} - set(stages)
    return tuple(name for stage in STAGE_ORDER if stage in stale for name in STAGE_FILES[stage])
