"""What a measure is: figures with their spread, the figure that is required, and the clocks."""

from __future__ import annotations

import operator
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Scalar = float | int | str | bool | None
Clock = Callable[[], float]

WALL: Clock = time.perf_counter
CPU: Clock = time.process_time
"""Seconds of this process on any core: on a shared machine the figure to compare."""


@dataclass(frozen=True)
class Required:
    """The figure a measure has to reach.

    Attributes
    ----------
    kind : {"at least", "at most", "below"}
    figure : float
        In the unit of the result.
    """

    kind: Literal["at least", "at most", "below"]
    figure: float

    def met_by(self, value: float) -> bool:
        """Tell whether `value` reaches the figure."""
        compare = {"at least": operator.ge, "at most": operator.le, "below": operator.lt}[self.kind]
        return bool(compare(value, self.figure))

    def __str__(self) -> str:
        return f"{self.kind} {self.figure:,.10g}"


@dataclass(frozen=True)
class Result:
    """One figure of the benchmark.

    Attributes
    ----------
    name, unit : str
    value : float or None
        The median of the runs; None when it could not be measured.
    low, high : float or None
        The lowest and highest run.
    runs : int
    required : Required or None
        None when nothing is promised, or when `--quick` ran at another size than the promise.
    details : mapping
        Whatever helps to read the figure.
    """

    name: str
    unit: str
    value: float | None
    low: float | None
    high: float | None
    runs: int
    required: Required | None = None
    details: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def ok(self) -> bool | None:
        """Whether the required figure is met; None when there is none or nothing was measured."""
        if self.required is None or self.value is None:
            return None
        return self.required.met_by(self.value)

    def as_dict(self) -> dict[str, object]:
        """Return the result as a JSON object."""
        return {
            "unit": self.unit,
            "median": self.value,
            "low": self.low,
            "high": self.high,
            "runs": self.runs,
            "required": None if self.required is None else str(self.required),
            "ok": self.ok,
            **({"details": dict(self.details)} if self.details else {}),
        }


def result_of(
    name: str,
    unit: str,
    runs: Sequence[float],
    required: Required | None = None,
    **details: Scalar,
) -> Result:
    """Return the median of `runs` with its spread."""
    return Result(name, unit, statistics.median(runs), min(runs), max(runs), len(runs), required, details)


def not_measured(name: str, unit: str, why: str, required: Required | None = None) -> Result:
    """Return a result without a figure, with the reason in its details."""
    return Result(name, unit, None, None, None, 0, required, {"not_measured": why})


def seconds_of(work: Callable[[], object], clock: Clock = WALL) -> float:
    """Return the seconds `work` takes on `clock`."""
    began = clock()
    work()
    return clock() - began


def repeated(work: Callable[[], object], runs: int, clock: Clock = WALL) -> list[float]:
    """Return the seconds of `runs` calls of `work`."""
    return [seconds_of(work, clock) for _ in range(runs)]
