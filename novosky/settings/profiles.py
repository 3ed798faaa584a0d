"""The profiles: how much each dares, as a table."""

from __future__ import annotations

from dataclasses import dataclass

from novosky.choices import ProfileName

Range = tuple[float, float]
THIRD = 1.0 / 3.0
"""How far `selectivity` goes to either side of a profile's share of bars and of the labels' multiples."""


@dataclass(frozen=True)
class Profile:
    """One row of the table; ranges are (least, most).

    Attributes
    ----------
    number : int
        1 to 5, as `--profile N` takes it.
    name : str
    risk_percent : (float, float)
        Percent of equity risked by a trade.
    confidence : (float, float)
        Confidence threshold of the signal; of models with labels of about 1 ATR.
    selectivity : float
        Percent of all bars at which the signal model may be sure enough to trade.
    atr_mult : (float, float)
        Distance of stop and target in ATR.
    max_weekly_drawdown_pct, max_total_drawdown_pct : float
        Percent at which trading pauses for the week, and for good.
    min_balance_usd : float
    """

    number: int
    name: ProfileName
    risk_percent: Range
    confidence: Range
    selectivity: float
    atr_mult: Range
    max_weekly_drawdown_pct: float
    max_total_drawdown_pct: float
    min_balance_usd: float

    @property
    def shares(self) -> Range:
        """Least and most percent of bars: a third to either side of `selectivity`."""
        return round(self.selectivity * (1.0 - THIRD), 4), round(self.selectivity * (1.0 + THIRD), 4)


PROFILES = (
    Profile(1, "steady_income", (0.5, 1.0), (0.65, 0.70), 1.0, (0.7, 0.9), 8.0, 20.0, 500.0),
    Profile(2, "conservative", (1.0, 1.5), (0.62, 0.68), 1.5, (0.8, 1.0), 10.0, 25.0, 500.0),
    Profile(3, "balanced", (1.5, 2.0), (0.60, 0.65), 3.0, (0.8, 1.2), 12.0, 30.0, 500.0),
    Profile(4, "growth", (2.0, 3.0), (0.58, 0.64), 4.0, (0.8, 1.3), 15.0, 40.0, 1000.0),
    Profile(5, "aggressive", (3.0, 4.0), (0.55, 0.62), 6.0, (0.9, 1.5), 20.0, 50.0, 1000.0),
)


def profile_named(name: ProfileName) -> Profile:
    """Return the profile of this name."""
    return next(profile for profile in PROFILES if profile.name == name)
