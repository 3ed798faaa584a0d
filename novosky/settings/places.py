"""A place in the settings files by its dotted name."""

from __future__ import annotations

from typing import Any

from novosky.settings.ml import MlSettings
from novosky.settings.runtime import Settings


def setting_at(place: str, settings: Settings, ml_settings: MlSettings) -> Any:
    """Return the value at a dotted place.

    Parameters
    ----------
    place : str
        With its file in front: "config.adx_filter.min_adx", "ml_config.prediction.min_probability_diff".
    settings, ml_settings
        What `config.json` and `ml_config.json` hold.

    Raises
    ------
    KeyError
        The file is neither of the two.
    AttributeError
        It has no such key.
    """
    file, *path = place.split(".")
    value: Any = {"config": settings, "ml_config": ml_settings}[file]
    for part in path:
        value = getattr(value, part)
    return value
