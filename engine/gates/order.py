"""Gates on the order itself: only its sizing (`engine.sizing.plan_order`) can judge them.

The sizing's verdict has a bit for each, in this order.
"""

from __future__ import annotations

from engine.gates.definition import Gate

GATES = (
    Gate(
        name="stops_level",
        words="stop or target too near for the broker",
        told=lambda candidate, guard, params, spread: "stop too near",
    ),
    Gate(
        name="volume",
        words="does not fit at the smallest volume",
        told=lambda candidate, guard, params, spread: f"too large at {params.volume_min:g} lots",
    ),
    Gate(
        name="margin",
        words="not enough free margin",
        told=lambda candidate, guard, params, spread: "too little margin",
    ),
)
