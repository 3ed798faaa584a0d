"""The ensembles of a model set: what their files are called and what trains them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from engine.open_position import POSITION_INPUTS
from ml.arrays import CLASS_NAMES, MEMBERS
from ml.sets.compat import PULL_COMMAND, TRAIN_COMMAND
from novosky.market.instrument import USUAL_SYMBOL, instrument

SCALER_NAME = "ensemble_scaler.pkl"


def metadata_name(symbol: str) -> str:
    """Return the name of the file that says what a signal model's set was trained on.

    Examples
    --------
    >>> metadata_name("BTCUSD")
    'ensemble_btcusd-live_metadata.json'
    """
    return f"ensemble_{instrument(symbol).lower()}-live_metadata.json"


METADATA_NAME = metadata_name(USUAL_SYMBOL)
"""Of every set so far, whatever it is of: a set lies in a folder of its own and says inside which symbol it is."""

FileKind = Literal["calibrated", "onnx", "raw"]


def member_file(name: str, kind: FileKind, prefix: str = "ensemble") -> str:
    """Return the file name of a member's calibrated pickle, ONNX model or raw pickle."""
    return f"{prefix}_{name}" + {"calibrated": "_calibrated.pkl", "onnx": ".onnx", "raw": ".pkl"}[kind]


@dataclass(frozen=True)
class EnsembleFiles:
    """What one ensemble of a model set is called and made of.

    Attributes
    ----------
    title : str
        Its name in messages.
    prefix : str
        Of its members' files.
    scaler, metadata : str
        File names.
    class_names : tuple of str
    inputs : tuple of str
        What its members are told after the features.
    command : str
        Trains it.
    """

    title: str
    prefix: str
    scaler: str
    metadata: str
    class_names: tuple[str, str, str]
    inputs: tuple[str, ...]
    command: str

    def member(self, name: str, kind: FileKind) -> str:
        """Return the file name of a member's calibrated pickle, ONNX model or raw pickle."""
        return member_file(name, kind, self.prefix)

    @property
    def names(self) -> tuple[str, ...]:
        """Every file of the ensemble."""
        kinds: tuple[FileKind, ...] = ("calibrated", "onnx", "raw")
        return (self.scaler, self.metadata, *(self.member(name, kind) for name in MEMBERS for kind in kinds))

    @property
    def required(self) -> tuple[str, ...]:
        """The files a whole set has; the ONNX copies may be left out where the exporters are not installed."""
        optional = {self.member(name, "onnx") for name in MEMBERS}
        return tuple(name for name in self.names if name not in optional)

    @property
    def mend(self) -> str:
        """What to do about a file that is missing or damaged."""
        return f"train a set with `{self.command}` or pull one with `{PULL_COMMAND}`"


SIGNAL_FILES = EnsembleFiles(
    "signal",
    "ensemble",
    SCALER_NAME,
    METADATA_NAME,
    CLASS_NAMES,
    (),
    TRAIN_COMMAND,
)
POSITION_FILES = EnsembleFiles(
    "position",
    "position",
    "position_scaler.pkl",
    "position_metadata.json",
    ("HOLD", "EXIT", "ADD"),
    POSITION_INPUTS,
    "python train_ml_model.py --position",
)
