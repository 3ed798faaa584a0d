"""Loading from a model set that a training run may replace at any moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ml.sets.companions import MANIFEST_NAME
from ml.sets.compat import Manifest, verify_compat
from ml.sets.model_set import recover_model_set
from novosky.errors import ModelError
from novosky.files import sha256_of
from novosky.settings.ml import MlSettings

Loaded = TypeVar("Loaded")

# How often loading starts over when a training run swaps the set in the middle of it.
_LOAD_ATTEMPTS = 3


def load_undisturbed(models_dir: Path, ml_settings: MlSettings, load: Callable[[Manifest, str], Loaded]) -> Loaded:
    """Verify the set and load from it; start over when the whole set was replaced meanwhile.

    Parameters
    ----------
    models_dir : Path
        A set that a killed run left moved aside is put back first.
    ml_settings : MlSettings
    load : callable
        Given the manifest and the SHA-256 of its file.

    Raises
    ------
    ModelError
        No set, one that cannot be loaded, or one that is replaced again and again.
    ModelCompatibilityError
        The set was made for other features or libraries.
    """
    recover_model_set(models_dir)
    path = models_dir / MANIFEST_NAME
    for attempt in range(_LOAD_ATTEMPTS):
        before = _hash_of(path)
        try:
            loaded = load(verify_compat(models_dir, ml_settings), before)
        except ModelError:
            if attempt + 1 == _LOAD_ATTEMPTS or _hash_of(path) == before:
                raise
            continue
        if _hash_of(path) == before:
            return loaded
    raise ModelError(f"{models_dir} is replaced again and again while it is read; wait for the training runs to end")


def _hash_of(path: Path) -> str:
    """Return the SHA-256 of a file, empty when there is none: what is wrong then is said by whoever reads it."""
    try:
        return sha256_of(path)
    except FileNotFoundError:
        return ""
