"""What a gate is: one definition from which bits, names, settings, reports and words follow.

A gate is added by writing one `Gate` into the tuple of its group (`signal`, `market`, `trend`,
`account`, `order`): its rule, what the rule reads of a candidate (the group's `Inputs`) and of
the settings (the group's `Limits`), and what a person is told. Nothing else lists gates. An
input that comes later declares the value it has in a journal that does not know it yet
(`hour: F8 = -1.0`). Its column is computed in `engine.inputs.context.market_context`, its key
stands in `novosky.settings`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.layouts import I1
from engine.state import Guard

Rule = Callable[[Any, Guard, Any, float, int], bool]
"""Compiled: (candidate, guard, params, spread in USD, frozen) -> True when the gate lets the candidate pass.

Written so that NaN, which is unknown, fails: `value >= limit`, never `not value < limit`."""
Told = Callable[[Any, Guard, Any, float], str]
"""(candidate, guard after the close, params in force, spread in USD) -> what stood against what."""
MOST_DECIMALS = 9


class Side:
    """What every candidate has."""

    side: I1


@dataclass(frozen=True)
class Limit:
    """How one field of the parameters follows from the settings.

    Attributes
    ----------
    field : str
        Of the gate's `Limits`.
    keys : tuple of str
        Dotted places in the settings with their file, e.g. "config.adx_filter.min_adx".
    value : callable
        From the values of those keys to the field's.
    """

    field: str
    keys: tuple[str, ...]
    value: Callable[..., Any]


@dataclass(frozen=True)
class Gate:
    """One reason not to trade a candidate.

    Attributes
    ----------
    name : str
        In journals, tables and JSON.
    words : str
        For people.
    told : callable
        The number that failed and the limit it failed at; short, because a bar's line has to fit.
    rule : callable or None
        None for a gate that only the sizing of the order can judge.
    limits : tuple of Limit
        What the gate's settings are.
    """

    name: str
    words: str
    told: Told
    rule: Rule | None = None
    limits: tuple[Limit, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The settings' keys that decide this gate."""
        return tuple(key for limit in self.limits for key in limit.keys)


def same(value: Any) -> Any:
    """Return the setting as it stands."""
    return value


def share(percent: float) -> float:
    """Return percent as a share."""
    return percent / 100.0


def below(name: str, value: float, limit: float, decimals: int) -> str:
    """Return "name value < limit" with as many decimals as it takes to see which is less."""
    while f"{value:.{decimals}f}" == f"{limit:.{decimals}f}" and value != limit and decimals < MOST_DECIMALS:
        decimals += 1
    sign = "<" if value < limit else ">"
    return f"{name} {value:.{decimals}f} {sign} {limit:.{decimals}f}"
