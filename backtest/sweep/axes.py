"""What a sweep varies and how far: axes inside the profile's ranges, and the configurations drawn from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from engine.gates import GATES
from engine.inputs.selectivity import Selectivity
from novosky.errors import UsageError
from novosky.settings import MlSettings, Settings
from novosky.settings.base import Section
from novosky.settings.brackets import bracket_ranges
from novosky.settings.places import setting_at
from novosky.settings.profiles import Profile, profile_named
from novosky.settings.swept import Reach, Swept, Value, Values, level_text

Target = Literal["signal", "pos", "both"]
CONFIDENCES = 6
"""Thresholds of a sweep besides the present one."""
PRESENT = -1
"""In `Design.picks`: the axis stays as configured."""


@dataclass(frozen=True)
class Key:
    """One key of a settings file.

    Attributes
    ----------
    name : str
        As the sweep's table calls it.
    file : {"config", "ml_config"}
    path : tuple of str
        Sections and key.
    """

    name: str
    file: Literal["config", "ml_config"]
    path: tuple[str, ...]

    @property
    def dotted(self) -> str:
        """The key with its file: `ml_config.prediction.confidence_threshold`."""
        return ".".join((self.file, *self.path))

    def read(self, settings: Settings, ml_settings: MlSettings) -> Value:
        """Return what the settings say."""
        value: Value = setting_at(self.dotted, settings, ml_settings)
        return value


@dataclass(frozen=True)
class Axis:
    """Keys that move together, and the values they take.

    Attributes
    ----------
    keys : tuple of Key
    choices : tuple of tuple
        One value per key each.
    gates : bool
        Whether the gates that need no order size read these keys.
    title : str
        In tables and pictures.
    told : callable
        A choice in a few words.
    """

    keys: tuple[Key, ...]
    choices: tuple[tuple[Value, ...], ...]
    gates: bool = False
    title: str = ""
    told: Callable[[Values], str] = level_text

    def thinned(self) -> Axis:
        """Return the axis with its first, middle and last choice only."""
        if len(self.choices) <= 3:
            return self
        kept = (self.choices[0], self.choices[len(self.choices) // 2], self.choices[-1])
        return replace(self, choices=kept)


def _swept_keys() -> tuple[tuple[Swept, tuple[Key, ...]], ...]:
    """Return what the settings declare as swept, in the order of a grid.

    The grid is walked with the last axis fastest, and neighbours share their candidates when the
    gates' keys come first: those of the models before those of the account, by gate.
    """
    of_gates = [key for gate in GATES for key in gate.keys]

    def rank(found: tuple[Swept, tuple[Key, ...]]) -> tuple[bool, bool, bool, int]:
        swept, keys = found
        first = min((of_gates.index(key.dotted) for key in keys if key.dotted in of_gates), default=None)
        if first is None:
            return swept.target == "pos", True, False, 0
        return swept.target == "pos", False, keys[0].file == "config", first

    # What is equal stays in the order of its declaration.
    return tuple(sorted((*_declared(Settings, "config", ()), *_declared(MlSettings, "ml_config", ())), key=rank))


def _declared(
    section: type[Section], file: Literal["config", "ml_config"], path: tuple[str, ...]
) -> Iterator[tuple[Swept, tuple[Key, ...]]]:
    for name, field in section.model_fields.items():
        inner = field.annotation
        parts = inner.model_fields if isinstance(inner, type) and issubclass(inner, Section) else None
        for mark in field.metadata:
            if isinstance(mark, Swept):
                paths = [(*path, name)] if parts is None else [(*path, name, part) for part in parts]
                yield mark, tuple(Key(title, file, place) for title, place in zip(mark.names, paths, strict=True))
        if parts is not None:
            assert isinstance(inner, type) and issubclass(inner, Section)
            yield from _declared(inner, file, (*path, name))


SWEPT = _swept_keys()
"""Every axis there can be, in the order of a grid."""
KEYS = {key.name: key for _, keys in SWEPT for key in keys}
"""By the name in the sweep's table."""


def axes_for(
    target: Target, settings: Settings, ml_settings: MlSettings, selectivity: Selectivity | None = None
) -> tuple[Axis, ...]:
    """Return the axes of a sweep: confidence, risk and bracket never leave the profile's range.

    The bracket's range is `risk_management.atr_mult_range` where the settings state one. Gates
    only become stricter than they are. `both` keeps the ends and the middle of every axis.

    Parameters
    ----------
    selectivity : Selectivity or None
        Of the models that are asked: thresholds are those of the profile's shares of bars. None
        takes the profile's own probabilities.

    Raises
    ------
    UsageError
        The position model's rule is to be swept and the model is switched off.
    """
    if target != "signal" and not ml_settings.position_model.enabled:
        raise UsageError(
            f"--target {target} sweeps the position model's exit rule, but position_model.enabled is false in "
            "ml_config.json; switch it on or sweep --target signal"
        )
    profile = profile_named(settings.risk_profile.name)
    reach = Reach(profile, *bracket_ranges(settings, ml_settings), confidences(profile, selectivity))
    of_gates = {key for gate in GATES for key in gate.keys}
    axes = []
    for swept, keys in SWEPT:
        if target not in ("both", swept.target):
            continue
        if swept.unless and setting_at(swept.unless, settings, ml_settings):
            continue
        present = tuple(key.read(settings, ml_settings) for key in keys)
        gates = any(key.dotted in of_gates for key in keys)
        axes.append(Axis(keys, swept.choices(present, reach), gates, swept.title, swept.told))
    return tuple(axis.thinned() for axis in axes) if target == "both" else tuple(axes)


def confidences(profile: Profile, selectivity: Selectivity | None) -> tuple[float, ...]:
    """Return the thresholds of a sweep, ascending: of the profile's shares of bars, or its own probabilities."""
    if selectivity is None:
        return tuple(round(float(value), 4) for value in np.linspace(*profile.confidence, CONFIDENCES))
    return tuple(sorted({selectivity.confidence(float(share)) for share in np.linspace(*profile.shares, CONFIDENCES)}))


@dataclass(frozen=True, eq=False)
class Design:
    """The configurations of a sweep; row 0 is the present one.

    Attributes
    ----------
    axes : tuple of Axis
    picks : ndarray of int, shape (n, axes)
        Choice of each axis, or `PRESENT`.
    """

    axes: tuple[Axis, ...]
    picks: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.picks)

    def values(self, row: int) -> dict[Key, Value]:
        """Return what a row changes; nothing for the present configuration."""
        return {
            key: value
            for axis, pick in zip(self.axes, self.picks[row].tolist(), strict=True)
            if pick != PRESENT
            for key, value in zip(axis.keys, axis.choices[pick], strict=True)
        }


def grid_size(axes: tuple[Axis, ...]) -> int:
    """Return the configurations of the whole grid."""
    return math.prod(len(axis.choices) for axis in axes)


def design(
    axes: tuple[Axis, ...], settings: Settings, ml_settings: MlSettings, configurations: int | None, seed: int
) -> Design:
    """Return the present configuration and others of the grid, in the grid's order.

    Parameters
    ----------
    axes : tuple of Axis
    settings, ml_settings
        The present configuration; where it is a point of the grid, that point is left out.
    configurations : int or None
        How many in all, drawn without repetition; None takes the whole grid.
    seed : int
        Of the draw.
    """
    shape = [len(axis.choices) for axis in axes]
    points = np.arange(grid_size(axes), dtype=np.int64)
    present = [
        axis.choices.index(values) if (values := _present(axis, settings, ml_settings)) in axis.choices else PRESENT
        for axis in axes
    ]
    if PRESENT not in present:
        points = np.delete(points, int(np.ravel_multi_index(present, shape)))
    if configurations is not None and configurations - 1 < len(points):
        points = np.sort(np.random.default_rng(seed).choice(points, configurations - 1, replace=False))
    picks = np.stack(np.unravel_index(points, shape), axis=1).astype(np.int64)
    return Design(axes, np.concatenate((np.full((1, len(axes)), PRESENT, dtype=np.int64), picks)))


def _present(axis: Axis, settings: Settings, ml_settings: MlSettings) -> tuple[Value, ...]:
    return tuple(key.read(settings, ml_settings) for key in axis.keys)


def changed_settings(
    settings: Settings, ml_settings: MlSettings, values: dict[Key, Value]
) -> tuple[Settings, MlSettings]:
    """Return both settings with these values in place, validated as a file would be."""
    content = {
        "config": settings.model_dump(by_alias=True, exclude={"schema_reference"}),
        "ml_config": ml_settings.model_dump(by_alias=True, exclude={"schema_reference"}),
    }
    for key, value in values.items():
        set_key(content[key.file], key, value)
    return Settings.model_validate(content["config"]), MlSettings.model_validate(content["ml_config"])


def set_key(content: dict[str, Any], key: Key, value: Value) -> None:
    """Put a value into the JSON content of the key's file."""
    place = content
    for part in key.path[:-1]:
        place = place.setdefault(part, {})
    place[key.path[-1]] = value
