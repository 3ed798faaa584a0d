"""Loading from a model set that a training run may replace at any moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ml.sets.companions import MANIFEST_NAME
from ml.sets.compat import Manifest, read_artifact, read_metadata, verify_compat
from ml.sets.model_set import recover_model_set
from novosky.errors import ModelError
from novosky.files import sha256_of
from novosky.settings.ml import MlSettings

Loaded = TypeVar("Loaded")

# How often loading starts over when a training run swaps the set in the middle of it.
_LOAD_ATTEMPTS = 3


@dataclass(frozen=True)
class OpenedSet:
    """A set that has been recovered and whose manifest has been verified: all its models are built from this one.

    Attributes
    ----------
    models_dir : Path
    ml_settings : MlSettings
        The configuration it was found to fit.
    manifest : Manifest
    manifest_hash : str
        SHA-256 of the manifest's file.
    """

    models_dir: Path
    ml_settings: MlSettings
    manifest: Manifest
    manifest_hash: str

    @property
    def features(self) -> tuple[str, ...]:
        """The features the models were trained on, in order."""
        return self.manifest.features

    def read(self, name: str, mend: str) -> bytes:
        """Return the bytes of a file, having checked their hash; raises as `read_artifact`."""
        return read_artifact(self.models_dir, self.manifest, name, mend)

    def metadata(self, name: str, texts: Sequence[str], mend: str) -> dict[str, Any]:
        """Return a metadata file, its hash checked; raises as `read_metadata`."""
        return read_metadata(self.models_dir, self.manifest, name, texts, mend)


def load_undisturbed(models_dir: Path, ml_settings: MlSettings, load: Callable[[OpenedSet], Loaded]) -> Loaded:
    """Open the set and load from it; start over when the whole set was replaced meanwhile.

    Parameters
    ----------
    models_dir : Path
        A set that a killed run left moved aside is put back first.
    ml_settings : MlSettings
    load : callable
        Given the opened set: a predictor's class, or what builds several from one set.

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
            loaded = load(OpenedSet(models_dir, ml_settings, verify_compat(models_dir, ml_settings), before))
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
