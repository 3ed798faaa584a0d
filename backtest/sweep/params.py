"""From configurations to the engine's parameters, in bulk.

`engine.inputs.parameters.build_params` stays the only mapping: it is called once for each value of an
axis, and the fields it changes are copied into the rows. Axes that change the same field (both
confidence keys do) are built for each of their combinations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from backtest.sweep.axes import PRESENT, Design, Key, changed_settings
from engine.inputs.brackets import bracket_multiples
from engine.inputs.parameters import build_params
from engine.records import Params, dtype_of
from novosky.measures.statistics import Floats, Ints
from novosky.settings import MlSettings, Settings
from novosky.settings.swept import Value

_STOP, _TAKE = "sl_mult", "tp_mult"
_ROW = np.dtype([*dtype_of(Params).descr, (_STOP, "f8"), (_TAKE, "f8")])


@dataclass(frozen=True, eq=False)
class ParamRows:
    """The parameters of n configurations.

    Attributes
    ----------
    params : recarray of Params, shape (n,)
    brackets : ndarray, shape (n, 2)
        Stop and target in ATR; NaN where the candidates carry their own.
    gates : ndarray of int, shape (n,)
        Configurations of one number pass the same candidates through the gates that need no size.
    """

    params: npt.NDArray[Any]
    brackets: Floats
    gates: Ints


def param_rows(design: Design, settings: Settings, ml_settings: MlSettings) -> ParamRows:
    """Return the engine's parameters for every row of a design."""
    base = _row_of(settings, ml_settings, {})
    rows = np.repeat(base, len(design))
    for group, fields in _groups(design, settings, ml_settings, base):
        combinations, owner = np.unique(design.picks[:, group], axis=0, return_inverse=True)
        built = np.concatenate([_combined(design, settings, ml_settings, group, picks) for picks in combinations])
        for field in fields:
            rows[field] = built[field][owner.ravel()]
    params = np.empty(len(rows), dtype=dtype_of(Params))
    for name in dtype_of(Params).names or ():
        params[name] = rows[name]
    # A constant column keeps the count right where no axis is read by the gates.
    gating = [np.zeros(len(design), dtype=np.int64)]
    gating += [design.picks[:, at] for at, axis in enumerate(design.axes) if axis.gates]
    _, gates = np.unique(np.stack(gating, axis=1), axis=0, return_inverse=True)
    return ParamRows(
        params=params.view(np.recarray),
        brackets=np.stack((rows[_STOP], rows[_TAKE]), axis=1),
        gates=gates.ravel().astype(np.int64),
    )


def _row_of(settings: Settings, ml_settings: MlSettings, values: dict[Key, Value]) -> npt.NDArray[Any]:
    changed, ml_changed = changed_settings(settings, ml_settings, values) if values else (settings, ml_settings)
    params = np.asarray(build_params(changed, ml_changed))
    row = np.zeros(1, dtype=_ROW)
    for name in dtype_of(Params).names or ():
        row[name] = params[name]
    fixed = not ml_changed.ml_sltp.enabled
    row[_STOP], row[_TAKE] = bracket_multiples(None, changed, ml_changed) if fixed else (np.nan, np.nan)
    return row


def _combined(
    design: Design, settings: Settings, ml_settings: MlSettings, group: list[int], picks: Ints
) -> npt.NDArray[Any]:
    values: dict[Key, Value] = {}
    for at, pick in zip(group, picks.tolist(), strict=True):
        if pick != PRESENT:
            values.update(zip(design.axes[at].keys, design.axes[at].choices[pick], strict=True))
    return _row_of(settings, ml_settings, values)


def _groups(
    design: Design, settings: Settings, ml_settings: MlSettings, base: npt.NDArray[Any]
) -> list[tuple[list[int], set[str]]]:
    """Return the axes that share fields, each group with all fields its axes change."""
    groups: list[tuple[list[int], set[str]]] = []
    for at, axis in enumerate(design.axes):
        changed: set[str] = set()
        for pick in range(len(axis.choices)):
            row = _combined(design, settings, ml_settings, [at], np.array([pick]))
            changed |= {name for name in _ROW.names or () if row[name].tobytes() != base[name].tobytes()}
        members = [at]
        for group, fields in [entry for entry in groups if entry[1] & changed]:
            members, changed = group + members, changed | fields
            groups.remove((group, fields))
        groups.append((members, changed))
    return groups
