"""A stand-in for the signal ensemble: an input of the rules, cheap and exactly repeatable."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

RSI, MOMENTUM = 13, 25
"""Columns that vary at every bar."""
MEMBERS = 3


@dataclass(frozen=True)
class ScatteredModel:
    """Opinions scattered over the bars by their own features: sides of all confidences, members that disagree.

    Only additions, multiplications and floors: a row gives the same bytes alone and among others.

    Attributes
    ----------
    fingerprint : str
    hold : float
        Share of bars on which every member says HOLD.
    """

    fingerprint: str = "scattered"
    hold: float = 0.35
    sources: dict[str, str] = field(default_factory=lambda: {"rf": "scattered"})
    train_cutoff: pd.Timestamp = field(default_factory=lambda: pd.Timestamp("2010-01-01", tz="UTC"))

    def predict_proba(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return probabilities of HOLD, BUY, SELL, shape (n, 3 members, 3), for features of shape (n, 55)."""
        answer = np.empty((len(features), MEMBERS, 3))
        mixed = features[:, RSI] * 917.0 + features[:, MOMENTUM] * 383.0
        for member in range(MEMBERS):
            score = _fraction(mixed + 0.04 * member)
            trade = np.where(_fraction(mixed * 7.0) < self.hold, 0.2, 0.97)
            answer[:, member, 0] = 1.0 - trade
            answer[:, member, 1] = trade * score
            answer[:, member, 2] = trade * (1.0 - score)
        return answer


@dataclass(frozen=True)
class ScatteredPositionModel:
    """Opinions about the open trade scattered over its own inputs and the bar: some of them certain."""

    fingerprint: str = "scattered position"
    sources: dict[str, str] = field(default_factory=lambda: {"rf": "scattered"})

    def predict_proba(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return probabilities of HOLD, EXIT, ADD, shape (n, 3 members, 3), for rows of shape (n, 55 + 4)."""
        answer = np.empty((len(features), MEMBERS, 3))
        held, _, r_multiple, direction = features[:, -4:].T
        mixed = features[:, RSI] * 917.0 + held * 51.0 + r_multiple * 7.0 + direction * 0.3
        for member in range(MEMBERS):
            leave = _fraction(mixed + 0.02 * member)
            answer[:, member, 1] = leave
            answer[:, member, 0] = (1.0 - leave) * 0.25
            answer[:, member, 2] = (1.0 - leave) * 0.75
        return answer


@dataclass(frozen=True)
class ScatteredSltpModel:
    """Stops and targets scattered over the bars, some beyond any range."""

    fingerprint: str = "scattered sltp"
    sources: dict[str, str] = field(default_factory=lambda: {"stop": "scattered", "target": "scattered"})

    def distances(self, features: npt.NDArray[np.float64], side: npt.NDArray[np.int8]) -> npt.NDArray[np.float64]:
        """Return stop and target in ATR, shape (n, 2)."""
        mixed = features[:, RSI] * 311.0 + features[:, MOMENTUM] * 127.0 + side * 0.21
        return np.column_stack((0.4 + 4.0 * _fraction(mixed), 0.4 + 4.0 * _fraction(mixed * 3.0)))


@dataclass(frozen=True)
class ScatteredRiskModel:
    """Multipliers that jump with the state of the account."""

    fingerprint: str = "scattered risk"
    sources: dict[str, str] = field(default_factory=lambda: {"multiplier": "scattered"})

    def multiplier(self, state: tuple[float, ...]) -> float:
        """Return a multiplier between 0.10 and 1.25."""
        drawdown, ratio, rate, losses, wins, weekly, slope = state
        mixed = drawdown * 3.1 + ratio * 17.0 + rate * 5.0 + losses * 0.37 + wins * 0.23 + weekly * 1.7 + slope
        return float(0.10 + 1.15 * (mixed - np.floor(mixed)))


def _fraction(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return values - np.floor(values)
