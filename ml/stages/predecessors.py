"""What a stage builds on: the stages before it, from this run or from the set in place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ml.labels.out_of_fold import OutOfFold, OutOfFoldDistances
from ml.sets.compat import Manifest, read_artifact, read_manifest, verify_compat
from ml.sets.stage_files import (
    OUT_OF_FOLD_NAME,
    SLTP_OUT_OF_FOLD,
    STAGE_FILES,
    STAGE_FLAGS,
    STAGE_ORDER,
    Stage,
    mend_of,
    require_stage,
)
from ml.stages.run import StageRun
from ml.stages.window import check_training_bars
from novosky.errors import ModelError
from novosky.settings import MlSettings


@dataclass(frozen=True, eq=False)
class Foundation:
    """The bars of the signal models and what those said of them out of fold."""

    bars: pd.DataFrame
    out_of_fold: OutOfFold


def require_predecessors(stages: tuple[Stage, ...], models_dir: Path, ml_settings: MlSettings) -> None:
    """Check, before anything is trained, that every stage finds what it builds on.

    Parameters
    ----------
    stages : tuple of str
        To be trained, in order.
    models_dir : Path
        The set in place.
    ml_settings : MlSettings

    Raises
    ------
    ModelError
        A stage before one of them is neither among them nor whole in the set in place;
        names the file and the command that makes it.
    ModelCompatibilityError
        The set in place was made for other features or libraries.
    """
    missing = [
        (stage, earlier)
        for stage in stages
        for earlier in STAGE_ORDER[: STAGE_ORDER.index(stage)]
        if earlier not in stages
    ]
    if not missing:
        return
    stage, earlier = missing[0]
    if "signal" in stages:
        first = STAGE_FILES[earlier][0]
        raise ModelError(
            f"the {stage} stage builds on the {earlier} models ({first} and others), and new signal models "
            f"outdate those in {models_dir}; train them in the same run: add {STAGE_FLAGS[earlier]}"
        )
    manifest = verify_compat(models_dir, ml_settings)
    for _, earlier in missing:
        require_stage(models_dir, manifest, earlier)


def foundation_of(run: StageRun) -> Foundation:
    """Return the bars of the signal models and their out-of-fold probabilities.

    Raises
    ------
    ModelError
        The probabilities are missing or damaged.
    DataError
        The bars are not those of the signal models.
    """
    if "signal" in run.trained:
        return Foundation(run.bars, OutOfFold.from_bytes((run.staging / OUT_OF_FOLD_NAME).read_bytes()))
    manifest = read_manifest(run.models_dir)
    content = read_artifact(run.models_dir, manifest, OUT_OF_FOLD_NAME, mend_of("signal"))
    return Foundation(_signal_bars(run.bars, manifest), OutOfFold.from_bytes(content))


def distances_of(run: StageRun) -> OutOfFoldDistances:
    """Return the SLTP models' out-of-fold distances, of this run or of the set in place.

    Raises
    ------
    ModelError
        They are missing or damaged.
    """
    if "sltp" in run.trained:
        return OutOfFoldDistances.from_bytes((run.staging / SLTP_OUT_OF_FOLD).read_bytes())
    manifest = read_manifest(run.models_dir)
    content = read_artifact(run.models_dir, manifest, SLTP_OUT_OF_FOLD, mend_of("sltp"))
    return OutOfFoldDistances.from_bytes(content)


def _signal_bars(bars: pd.DataFrame, manifest: Manifest) -> pd.DataFrame:
    """Return the bars the signal set was trained on, out of those given."""
    check_training_bars(bars, manifest)
    first, last = pd.Timestamp(manifest.train_start), pd.Timestamp(manifest.train_end)
    window = bars[(bars["time"] >= first) & (bars["time"] <= last)].reset_index(drop=True)
    window.attrs.update(bars.attrs)
    return window
