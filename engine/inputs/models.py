"""What the execution rules ask of the models, whoever serves them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from engine.inputs.selectivity import Selectivity, decided
from novosky.errors import UsageError
from novosky.market.same_market import ModelMarket
from novosky.settings import MlSettings

FloatArray = npt.NDArray[np.float64]


class Served(Protocol):
    """A model that says where it comes from."""

    @property
    def sources(self) -> dict[str, str]:
        """Which artifact serves each part."""

    @property
    def fingerprint(self) -> str:
        """Identifies its predictions."""


class SignalModel(Protocol):
    """Whatever names sides: the signal ensemble, or what it is compared to."""

    @property
    def train_cutoff(self) -> pd.Timestamp:
        """The last bar whose information entered training, UTC."""

    def predict_proba(self, features: FloatArray) -> FloatArray:
        """Return calibrated probabilities of HOLD, BUY, SELL, shape (n, members, 3), for features of shape (n, 55)."""


class ServedSignalModel(SignalModel, Served, Protocol):
    """The signal ensemble of a model set."""


class PositionModel(Served, Protocol):
    """The position ensemble."""

    def predict_proba(self, features: FloatArray) -> FloatArray:
        """Return calibrated probabilities of HOLD, EXIT, ADD, shape (n, members, 3), for rows of shape (n, 55 + 4)."""


class SltpModel(Served, Protocol):
    """The two regressors of stop and target."""

    def distances(self, features: FloatArray, side: npt.NDArray[np.int8]) -> FloatArray:
        """Return stop and target in ATR, shape (n, 2), not clamped, for features (n, 55) and sides (n,)."""


class RiskModel(Served, Protocol):
    """The regressor of the size multiplier."""

    def multiplier(self, state: tuple[float, ...]) -> float:
        """Return the multiplier for an account state, see `engine.equity.equity_state`."""


@dataclass(frozen=True)
class Models:
    """The models a run trades with.

    Attributes
    ----------
    signal : ServedSignalModel
    position : PositionModel or None
        Needed when `position_model.enabled`.
    sltp : SltpModel or None
        Needed when `ml_sltp.enabled`.
    risk : RiskModel or None
        Without it every trade keeps its size.
    market : ModelMarket
        What they were trained on.
    selectivity : Selectivity or None
        Needed when `prediction.confidence_share` is stated.
    """

    signal: ServedSignalModel
    position: PositionModel | None = None
    sltp: SltpModel | None = None
    risk: RiskModel | None = None
    market: ModelMarket = field(default_factory=ModelMarket)
    selectivity: Selectivity | None = None

    @property
    def synthetic(self) -> str | None:
        """The kind of invented market that the models learned on; None for real prices."""
        return self.market.synthetic

    def decided(self, ml_settings: MlSettings) -> MlSettings:
        """Return the settings with these models' threshold in the place of a share of bars; raises `SettingsError`."""
        return decided(ml_settings, self.selectivity)

    def require(self, ml_settings: MlSettings) -> None:
        """Check that every model that is switched on is there.

        Raises
        ------
        UsageError
            Names the switch whose model is missing.
        """
        for switch, enabled, model in (
            ("position_model", ml_settings.position_model.enabled, self.position),
            ("ml_sltp", ml_settings.ml_sltp.enabled, self.sltp),
        ):
            if enabled and model is None:
                raise UsageError(f"{switch}.enabled is true in ml_config.json, but the model was not given")

    @property
    def fingerprint(self) -> str:
        """Identifies everything these models say."""
        return " ".join(f"{name}:{model.fingerprint}" for name, model in self._served())

    @property
    def description(self) -> str:
        """Which artifact serves each part of each model, for people; what learned on invented prices says so."""
        return self._origin + ", ".join(
            f"{name} {part}={source}" if name != "signal" else f"{part}={source}"
            for name, model in self._served()
            for part, source in model.sources.items()
        )

    @property
    def summary(self) -> str:
        """Which models these are, until when the signal model has learned and, if invented, on which prices."""
        names = [name for name, _ in self._served()]
        origin = "" if self.synthetic is None else f" on the SYNTHETIC {self.synthetic} market"
        names[0] += f" (trained{origin} to {self.signal.train_cutoff:%Y-%m-%d})"
        return ", ".join(names)

    @property
    def _origin(self) -> str:
        return "" if self.synthetic is None else f"SYNTHETIC ({self.synthetic} market): "

    def _served(self) -> list[tuple[str, Any]]:
        models = {"signal": self.signal, "position": self.position, "sltp": self.sltp, "risk": self.risk}
        return [(name, model) for name, model in models.items() if model is not None]
