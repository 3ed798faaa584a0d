"""What answers for a member: its flat trees where they give its library's own bytes, else the library."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ml.arrays import N_CLASSES, Float32Matrix, Float64Array
from ml.ensemble.members import CalibratedMember, Calibrator, calibrated, predict_base
from ml.trees.classifier import flat_classifier
from ml.trees.proof import proved
from ml.trees.readers import UnreadableTreesError

_LOG = logging.getLogger(__name__)

ProbabilityFunction = Callable[[Float32Matrix], Float64Array]
"""From scaled float32 features without NaN, shape (n, k), to probabilities of the classes, shape (n, 3)."""


@dataclass(frozen=True, eq=False)
class ServedMember:
    """A member of an ensemble as it is asked.

    Attributes
    ----------
    probabilities : callable
        Raw ones; calibrated ones already where there is no calibrator.
    calibrator : Calibrator or None
    """

    probabilities: ProbabilityFunction
    calibrator: Calibrator | None


def served_member(member: CalibratedMember, width: int, file: str) -> ServedMember:
    """Return how a fitted member is asked.

    Parameters
    ----------
    member : CalibratedMember
    width : int
        Its inputs.
    file : str
        Named in the log when the library has to go on answering.
    """
    library = partial(predict_base, member.name, member.base)
    try:
        flat = proved(lambda: flat_classifier(member.name, member.base, N_CLASSES, width), library)
    except UnreadableTreesError as reason:
        _LOG.warning("%s: its library itself answers, which takes longer (%s)", file, reason)
        return ServedMember(library, member.calibrator)
    return ServedMember(flat, member.calibrator)


class ServedMembers:
    """Members asked together: their calibrators take one step for all of them, with the bytes of each alone.

    Parameters
    ----------
    members : sequence of ServedMember
    """

    def __init__(self, members: Sequence[ServedMember]) -> None:
        self._ask = [member.probabilities for member in members]
        self._raw = [at for at, member in enumerate(members) if member.calibrator is not None]
        numbers = [list(member.calibrator.as_dict().values()) for member in members if member.calibrator is not None]
        # One column per member with a calibrator, to stand beside its rows.
        self._numbers = np.array(numbers).reshape(-1, 4, 1).transpose(1, 0, 2)

    def probabilities(self, scaled: Float32Matrix) -> Float64Array:
        """Return calibrated probabilities, shape (n, members, 3), of scaled float32 features (n, k)."""
        by_class = np.empty((N_CLASSES, len(self._ask), len(scaled)))
        for at, ask in enumerate(self._ask):
            by_class[:, at] = ask(scaled).T
        if len(self._raw) == len(self._ask):
            by_class = calibrated(by_class, *self._numbers)
        elif self._raw:
            by_class[:, self._raw] = calibrated(by_class[:, self._raw], *self._numbers)
        return by_class.transpose(2, 1, 0)
