"""Which keys a sweep varies and how far, said at the key itself.

`Annotated[float, Swept(...)]` makes a key an axis; on a section it makes one axis of all its
keys, which move together then. Gates only become stricter than they are configured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from novosky.settings.profiles import Profile, Range

Value = float | int | bool | None
"""What a key of the settings files can hold on an axis."""
Values = tuple[Value, ...]
"""One for each key of an axis."""
CLOSED = 1.0
"""Confidence that no calibrated probability reaches: the session is not traded."""


@dataclass(frozen=True)
class Reach:
    """How far the axes may go.

    Attributes
    ----------
    profile : Profile
        In force.
    stops, targets : (float, float)
        Least and most distance in ATR.
    confidences : tuple of float
        Confidence thresholds, ascending.
    """

    profile: Profile
    stops: Range
    targets: Range
    confidences: tuple[float, ...]


Choices = Callable[[Values, Reach], tuple[Values, ...]]
"""From the present values to those of the axis."""


def level_text(values: Values) -> str:
    """Return the value of a single key in a few words."""
    (value,) = values
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else f"{value:g}"


@dataclass(frozen=True)
class Swept:
    """The axis of a key, or of the keys of a section.

    Attributes
    ----------
    names : tuple of str
        What the sweep's table calls each key.
    title : str
        The axis in short, in tables and pictures.
    choices : callable
    target : {"signal", "pos"}
        The sweep it belongs to.
    unless : str
        Dotted place, with its file, of a switch that makes the key unread.
    told : callable
        A choice in a few words.
    """

    names: tuple[str, ...]
    title: str
    choices: Choices
    target: Literal["signal", "pos"] = "signal"
    unless: str = ""
    told: Callable[[Values], str] = level_text


def within(limits: Callable[[Reach], Range], points: int) -> Choices:
    """Return evenly spaced values of a range, with the present one where the range allows it."""

    def choices(present: Values, reach: Reach) -> tuple[Values, ...]:
        # Reading settings must not cost the import of numpy.
        import numpy as np

        least, most = limits(reach)
        values = {round(float(value), 4) for value in np.linspace(least, most, points)}
        (now,) = present
        assert isinstance(now, float)
        if least <= now <= most:
            values.add(now)
        return tuple((value,) for value in sorted(values))

    return choices


def thresholds(present: Values, reach: Reach) -> tuple[Values, ...]:
    """Return the confidence thresholds within reach, with the present one where it lies among them."""
    (now,) = present
    assert isinstance(now, float)
    among = reach.confidences[0] <= now <= reach.confidences[-1]
    return tuple((value,) for value in sorted({*reach.confidences, *([now] if among else [])}))


def one_of(*values: float) -> Choices:
    """Return these values, the present one first."""
    return lambda present, _: with_present(present, [(value,) for value in values])


def sorted_with(*values: float) -> Choices:
    """Return these values and the present one in ascending order."""
    return lambda present, _: tuple((value,) for value in sorted({*values, *present}))  # type: ignore[type-var]


def or_times(factor: float) -> Choices:
    """Return the present value and a multiple of it."""

    def choices(present: Values, _: Reach) -> tuple[Values, ...]:
        (now,) = present
        assert isinstance(now, float)
        return with_present(present, [(factor * now,)])

    return choices


def at_most(value: float) -> Choices:
    """Return the present value and a narrower one."""

    def choices(present: Values, _: Reach) -> tuple[Values, ...]:
        (now,) = present
        assert isinstance(now, float)
        return with_present(present, [(share,) for share in sorted({now, min(now, value)}, reverse=True)])

    return choices


def switched_on(present: Values, _: Reach) -> tuple[Values, ...]:
    """Return a switch as it is, and on."""
    return ((True,),) if present == (True,) else ((False,), (True,))


def filtered(least: float) -> Choices:
    """Return a filter with its switch and threshold: off where it is off, and on with at least this threshold."""

    def choices(present: Values, _: Reach) -> tuple[Values, ...]:
        enabled, now = present
        assert isinstance(now, float)
        on: Values = (True, max(now, least))
        return with_present(present, [on] if enabled else [(False, now), on])

    return choices


SESSION_KEYS = ("confidence_london", "confidence_new_york", "confidence_asian")
"""What the sweep's table calls the keys of `session_confidence`."""


def sessions(present: Values, reach: Reach) -> tuple[Values, ...]:
    """Return the sessions as configured, alike, with a stricter Asian one, and with one of each closed."""
    strict = reach.confidences[-1]
    others: list[Values] = [
        (None, None, None),
        (None, None, strict),
        (None, None, CLOSED),
        (CLOSED, None, None),
        (None, CLOSED, None),
    ]
    return with_present(present, others)


def sessions_told(values: Values) -> str:
    """Return the sessions that have a threshold of their own."""
    stated = [
        f"{name} {'closed' if value == CLOSED else format(value, 'g')}"
        for name, value in zip(("london", "new york", "asian"), values, strict=True)
        if value is not None
    ]
    return ", ".join(stated) or "alike"


def filter_told(values: Values) -> str:
    """Return a filter's threshold, or that it is off."""
    return f"at least {values[1]:g}" if values[0] else "off"


def with_present(present: Values, choices: Iterable[Values]) -> tuple[Values, ...]:
    """Return the choices, the present one first and none twice."""
    return tuple(dict.fromkeys((present, *choices)))
