"""Why a candidate was not traded, with the number that failed and the limit it failed at.

`engine.outputs.reasons` has the words of a gate as such; this says what stood against what at one bar.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.gates import GATE_OF, gate_names
from engine.records import Candidate, Guard, Params


@dataclass(frozen=True)
class Refusal:
    """A candidate that was refused, with all that its gates looked at.

    Attributes
    ----------
    candidate : Candidate
    guard : Guard
        After the bar's close.
    params : Params
        In force at that close.
    spread : float
        USD at that close.
    """

    candidate: Candidate
    guard: Guard
    params: Params
    spread: float


def refusal_text(mask: int, refusal: Refusal) -> str:
    """Return the first failing gate of a mask with its number and limit, and how many more failed.

    Parameters
    ----------
    mask : int
        At least one bit over `engine.gates.GATE_NAMES`.
    refusal : Refusal

    Returns
    -------
    str
        For example "confidence 0.58 < 0.62 (+2)".
    """
    first, *more = gate_names(mask)
    text = GATE_OF[first].told(refusal.candidate, refusal.guard, refusal.params, refusal.spread)
    return f"{text} (+{len(more)})" if more else text
