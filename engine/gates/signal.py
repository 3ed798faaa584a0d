"""Gates on what the signal model says of a bar."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt

from engine.gates.definition import Gate, Limit, Side, below, same
from engine.layouts import F8, I1, I8
from engine.state import Guard
from novosky.compiled import compiled

SESSIONS = 8
"""Combinations of the London, New York and Asian session bits."""
LONDON, NEW_YORK, ASIAN = 1, 2, 4
MIN_VOTES = 2
"""Members of the ensemble that must name the side."""


class Inputs(Side):
    """What these gates read of a candidate."""

    votes: I1
    """Models whose own first choice is this side."""
    session: I1
    """Session bits: 1 London, 2 New York, 4 Asian."""
    confidence: F8
    gap: F8
    """Confidence minus the probability of the next class."""


class Limits:
    """What these gates read of the settings."""

    min_votes: I8
    confidence: Annotated[npt.NDArray[np.float64], "f8", SESSIONS]
    """Confidence threshold for each combination of sessions."""
    min_gap: F8


@compiled
def _agreed(candidate: Inputs, guard: Guard, params: Limits, spread: float, frozen: int) -> bool:
    return candidate.votes >= params.min_votes


@compiled
def _confident(candidate: Inputs, guard: Guard, params: Limits, spread: float, frozen: int) -> bool:
    return bool(candidate.confidence >= params.confidence[candidate.session])


@compiled
def _clear(candidate: Inputs, guard: Guard, params: Limits, spread: float, frozen: int) -> bool:
    return candidate.gap >= params.min_gap


def session_thresholds(
    threshold: float, share: float | None, london: float | None, new_york: float | None, asian: float | None
) -> npt.NDArray[np.float64]:
    """Return the confidence threshold of each combination of session bits, shape (8,).

    A share of bars is no threshold before a model set has made it one (`engine.inputs.selectivity.decided`):
    until then nothing is sure enough.

    Sessions without an override use `threshold`; where sessions with overrides overlap, the
    highest of them applies.
    """
    if share is not None:
        # Who only keeps an account needs no threshold; whoever forgot to ask the models trades nothing.
        return np.full(SESSIONS, np.inf)
    by_bit = ((LONDON, london), (NEW_YORK, new_york), (ASIAN, asian))
    thresholds = np.full(SESSIONS, threshold)
    for sessions in range(SESSIONS):
        overrides = [value for bit, value in by_bit if value is not None and sessions & bit]
        if overrides:
            thresholds[sessions] = max(overrides)
    return thresholds


def _confidence_told(candidate: Inputs, guard: Guard, params: Limits, spread: float) -> str:
    return below("confidence", candidate.confidence, params.confidence[candidate.session], 2)


_THRESHOLDS = (
    "ml_config.prediction.confidence_threshold",
    "ml_config.prediction.confidence_share",
    "config.session_confidence.london",
    "config.session_confidence.new_york",
    "config.session_confidence.asian",
)

GATES = (
    Gate(
        name="model_agreement",
        words="fewer than two of three models agree",
        told=lambda candidate, guard, params, spread: f"models agreed {int(candidate.votes)} < {int(params.min_votes)}",
        rule=_agreed,
        limits=(Limit("min_votes", (), lambda: MIN_VOTES),),
    ),
    Gate(
        name="session_conf",
        words="confidence below threshold",
        told=_confidence_told,
        rule=_confident,
        limits=(Limit("confidence", _THRESHOLDS, session_thresholds),),
    ),
    Gate(
        name="probability_gap",
        words="too close to the next class",
        told=lambda candidate, guard, params, spread: below("lead", candidate.gap, params.min_gap, 2),
        rule=_clear,
        limits=(Limit("min_gap", ("ml_config.prediction.min_probability_diff",), same),),
    ),
)
