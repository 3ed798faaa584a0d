"""What a sweep varies and how far: axes inside the profile's ranges, and the configurations drawn from them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from novosky.errors import UsageError
from novosky.settings import MlSettings, Settings
from novosky.settings.brackets import bracket_ranges
from novosky.settings.profiles import Range, profile_named

Target = Literal["signal", "pos", "both"]
Value = float | int | bool | None
"""What a key of the settings files can hold on an axis."""
PRESENT = -1
"""In `Design.picks`: the axis stays as configured."""

_CONFIDENCE_POINTS = 6
_RISK_POINTS = 3
_BRACKET_POINTS = 5
_GAPS = (0.05, 0.10, 0.15)
CLOSED = 1.0
"""Confidence that no calibrated probability reaches: the session is not traded."""
_CALM_FACTOR = 8.0
_NARROW_SPREAD = 0.15
_TREND_ADX = 20.0
_EXIT_THRESHOLDS = (0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90)
_EXIT_GAPS = (0.10, 0.15, 0.20, 0.25, 0.30, 0.40)
_BARS_HELD = (1, 2, 4, 8, 16)


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
        place: Any = settings if self.file == "config" else ml_settings
        for part in self.path:
            place = getattr(place, part)
        value: Value = place
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
    """

    keys: tuple[Key, ...]
    choices: tuple[tuple[Value, ...], ...]
    gates: bool = False

    def thinned(self) -> Axis:
        """Return the axis with its first, middle and last choice only."""
        if len(self.choices) <= 3:
            return self
        kept = (self.choices[0], self.choices[len(self.choices) // 2], self.choices[-1])
        return Axis(self.keys, kept, self.gates)


CONFIDENCE = Key("confidence_threshold", "ml_config", ("prediction", "confidence_threshold"))
GAP = Key("min_probability_diff", "ml_config", ("prediction", "min_probability_diff"))
SESSIONS = (
    Key("confidence_london", "config", ("session_confidence", "london")),
    Key("confidence_new_york", "config", ("session_confidence", "new_york")),
    Key("confidence_asian", "config", ("session_confidence", "asian")),
)
MIN_ATR = Key("min_atr_threshold", "config", ("risk_management", "min_atr_threshold"))
SPREAD = Key("max_spread_atr", "config", ("risk_management", "max_spread_atr"))
EMA = Key("ema_trend_filter", "config", ("enable_ema_trend_filter",))
ADX = (
    Key("adx_filter", "config", ("adx_filter", "enabled")),
    Key("min_adx", "config", ("adx_filter", "min_adx")),
)
RISK = Key("risk_percent", "config", ("dynamic_position_sizing", "risk_percent"))
STOP = Key("sl_atr_mult", "config", ("risk_management", "sl_atr_mult"))
TAKE = Key("tp_atr_mult", "config", ("risk_management", "tp_atr_mult"))
EXIT = Key("exit_threshold", "ml_config", ("position_model", "exit_threshold"))
EXIT_GAP = Key("exit_min_prob_diff", "ml_config", ("position_model", "min_prob_diff"))
HELD = Key("min_bars_held", "ml_config", ("position_model", "min_bars_held"))


def axes_for(target: Target, settings: Settings, ml_settings: MlSettings) -> tuple[Axis, ...]:
    """Return the axes of a sweep: confidence, risk and bracket never leave the profile's range.

    The bracket's range is `risk_management.atr_mult_range` where the settings state one. Gates
    only become stricter than they are. `both` keeps the ends and the middle of every axis.

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
    if target == "pos":
        return _position_axes(settings, ml_settings)
    signal = _signal_axes(settings, ml_settings)
    if target == "signal":
        return signal
    return tuple(axis.thinned() for axis in (*signal, *_position_axes(settings, ml_settings)))


def _signal_axes(settings: Settings, ml_settings: MlSettings) -> tuple[Axis, ...]:
    profile = profile_named(settings.risk_profile.name)
    strict = profile.confidence[1]
    sessions: tuple[tuple[Value, ...], ...] = (
        (None, None, None),
        (None, None, strict),
        (None, None, CLOSED),
        (CLOSED, None, None),
        (None, CLOSED, None),
    )
    management, adx = settings.risk_management, settings.adx_filter

    def axis(keys: tuple[Key, ...], choices: Iterable[tuple[Value, ...]], *, gates: bool = True) -> Axis:
        present = tuple(key.read(settings, ml_settings) for key in keys)
        return Axis(keys, _with_present(present, choices), gates)

    def ranged(key: Key, limits: Range, points: int, *, gates: bool = False) -> Axis:
        values = _points(limits, points)
        present = key.read(settings, ml_settings)
        assert isinstance(present, float)
        if limits[0] <= present <= limits[1]:
            values = sorted({*values, present})
        return Axis((key,), tuple((value,) for value in values), gates)

    spreads = {management.max_spread_atr, min(management.max_spread_atr, _NARROW_SPREAD)}
    filters = ((False, adx.min_adx), (True, max(adx.min_adx, _TREND_ADX)))
    # Gates first: the grid is walked with the last axis fastest, and neighbours share their candidates.
    gates = (
        ranged(CONFIDENCE, profile.confidence, _CONFIDENCE_POINTS, gates=True),
        axis((GAP,), ((gap,) for gap in _GAPS)),
        axis(SESSIONS, sessions),
        axis((MIN_ATR,), ((management.min_atr_threshold,), (_CALM_FACTOR * management.min_atr_threshold,))),
        axis((SPREAD,), ((share,) for share in sorted(spreads, reverse=True))),
        axis((EMA,), ((True,),) if settings.enable_ema_trend_filter else ((False,), (True,))),
        axis(ADX, filters[1:] if adx.enabled else filters),
    )
    sizing = (ranged(RISK, profile.risk_percent, _RISK_POINTS),)
    if ml_settings.ml_sltp.enabled:
        # The SLTP model names the distances; the fixed ones are not read.
        return (*gates, *sizing)
    stops, targets = bracket_ranges(settings, ml_settings)
    brackets = (ranged(STOP, stops, _BRACKET_POINTS), ranged(TAKE, targets, _BRACKET_POINTS))
    return (*gates, *sizing, *brackets)


def _position_axes(settings: Settings, ml_settings: MlSettings) -> tuple[Axis, ...]:
    axes = ((EXIT, _EXIT_THRESHOLDS), (EXIT_GAP, _EXIT_GAPS), (HELD, _BARS_HELD))
    return tuple(
        Axis((key,), tuple((value,) for value in sorted({*values, key.read(settings, ml_settings)})))
        for key, values in axes
    )


def _points(limits: Range, points: int) -> list[float]:
    least, most = limits
    return sorted({round(float(value), 4) for value in np.linspace(least, most, points)})


def _with_present(present: tuple[Value, ...], choices: Iterable[tuple[Value, ...]]) -> tuple[tuple[Value, ...], ...]:
    return tuple(dict.fromkeys((present, *choices)))


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
