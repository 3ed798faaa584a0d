"""Where stop and target of a candidate come from: the SLTP model within the profile's range, or fixed multiples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from engine.candidates import likeliest_sides
from engine.inputs.models import SltpModel
from novosky.errors import UsageError
from novosky.settings import MlSettings, Settings
from novosky.settings.brackets import bracket_ranges

FloatArray = npt.NDArray[np.float64]


def side_distances(model: SltpModel, features: FloatArray, probabilities: FloatArray) -> FloatArray:
    """Return stop and target in ATR, not clamped, for the likeliest side of each row.

    Parameters
    ----------
    model : SltpModel
    features : ndarray, shape (n, k)
    probabilities : ndarray, shape (n, members, 3)

    Returns
    -------
    ndarray, shape (n, 2)
        NaN where the likeliest class is HOLD.
    """
    sides = likeliest_sides(probabilities)
    # NaN where no side is likeliest: there is no bracket, and one read by mistake would size to no lots.
    distances = np.full((len(sides), 2), np.nan)
    asked = np.flatnonzero(sides != 0)
    if len(asked):
        distances[asked] = model.distances(features[asked], sides[asked])
    return distances


def bracket_multiples(
    distances: FloatArray | None, settings: Settings, ml_settings: MlSettings
) -> tuple[float | FloatArray, float | FloatArray]:
    """Return stop and target multiples as `find_candidates` takes them.

    Parameters
    ----------
    distances : ndarray, shape (n, 2), or None
        From `side_distances`; needed when `ml_sltp.enabled`, ignored otherwise.
    settings : Settings
    ml_settings : MlSettings

    Raises
    ------
    UsageError
        The SLTP model is on and there are no distances.
    """
    if not ml_settings.ml_sltp.enabled:
        return settings.risk_management.sl_atr_mult, settings.risk_management.tp_atr_mult
    if distances is None:
        raise UsageError("ml_sltp.enabled is true in ml_config.json, but the model was not given")
    stops, targets = bracket_ranges(settings, ml_settings)
    return np.clip(distances[:, 0], *stops), np.clip(distances[:, 1], *targets)
