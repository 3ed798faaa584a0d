"""How far away stops and targets may lie: as stated, as the profile's table says, or as the labels taught."""

from __future__ import annotations

from novosky.settings.ml import Labeling, MlSettings
from novosky.settings.profiles import THIRD, Profile, Range, profile_named
from novosky.settings.runtime import Settings

MOST_MULTIPLE = 10.0
"""Largest distance of a stop or target that settings take, in ATR."""


def label_ranges(labels: Labeling) -> tuple[Range, Range]:
    """Return the ranges of stop and target around the labels' multiples, in ATR."""
    return _around(labels.atr_sl_mult), _around(labels.atr_tp_mult)


def profile_ranges(scale: str, profile: Profile, labels: Labeling) -> tuple[Range, Range]:
    """Return the ranges of stop and target that a profile means, in ATR.

    Parameters
    ----------
    scale : {"selectivity", "absolute"}
        `risk_profile.scale`: around the multiples the models' labels have, or the profile's own
        numbers, which belong to labels of about 1 ATR.
    profile : Profile
    labels : Labeling
    """
    if scale == "absolute":
        return profile.atr_mult, profile.atr_mult
    return label_ranges(labels)


def bracket_ranges(settings: Settings, ml_settings: MlSettings) -> tuple[Range, Range]:
    """Return the ranges within which stop and target lie, in ATR: as `atr_mult_range` states, else the profile's."""
    stated = settings.risk_management.atr_mult_range
    if stated is not None:
        return (stated.least, stated.most), (stated.least, stated.most)
    chosen = settings.risk_profile
    return profile_ranges(chosen.scale, profile_named(chosen.name), ml_settings.labeling)


def _around(multiple: float) -> Range:
    # Settings know no distance beyond ten ATR.
    return round(multiple * (1.0 - THIRD), 4), min(round(multiple * (1.0 + THIRD), 4), MOST_MULTIPLE)
