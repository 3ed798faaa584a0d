"""Why a candidate was not traded, with the number that failed and the limit it failed at.

`engine.outputs.reasons` has the words of a gate as such; this says what stood against what at one bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.gates import GATE_OF
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


def refusal_text(failing: Sequence[str], refusal: Refusal) -> str:
    """Return the first failing gate with its number and limit, and how many more failed.

    Parameters
    ----------
    failing : sequence of str
        Names of the failing gates, the block reason first; at least one.
    refusal : Refusal

    Returns
    -------
    str
        For example "confidence 0.58 < 0.62 (+2)".
    """
    first, *more = failing
    gate = GATE_OF.get(first)
    # A journal may name a gate that this program no longer has.
    text = first if gate is None else gate.told(refusal.candidate, refusal.guard, refusal.params, refusal.spread)
    return f"{text} (+{len(more)})" if more else text
