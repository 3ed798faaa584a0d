"""Settings that the search may change, and their bounds.

Bounds keep trees shallow and few enough that a trial stays affordable and a leaf holds more
than an accident. A present setting beyond its bound widens the bound: it has to be a trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ml.arrays import MEMBERS
from novosky.settings.ml import MOST_SHARE, MlSettings
from novosky.settings.profiles import THIRD

if TYPE_CHECKING:
    from optuna.trial import Trial

Values = Mapping[str, float]
"""Settings by their dotted path in ml_config.json."""

_DIGITS = 6


@dataclass(frozen=True)
class Parameter:
    """One setting to search.

    Attributes
    ----------
    path : str
        Dotted path in ml_config.json.
    low, high : float
        Bounds, inclusive.
    reach : float or None
        Searched no further than this from the present value, where set.
    whole : bool
        Whole numbers only.
    log : bool
        Sampled by its logarithm; such a setting is never 0.
    """

    path: str
    low: float
    high: float
    whole: bool = False
    log: bool = False
    reach: float | None = None

    def suggest(self, trial: Trial, present: float) -> float:
        """Let a trial choose a value within the bounds, widened to the present one."""
        low, high = self.low, self.high
        if self.reach is not None:
            low, high = max(low, present - self.reach), min(high, present + self.reach)
        low, high = min(low, present), max(high, present)
        if self.whole:
            return trial.suggest_int(self.path, int(low), int(high), log=self.log)
        return trial.suggest_float(self.path, low, high, log=self.log)


def _members(section: str) -> tuple[Parameter, ...]:
    rf, xgb, lgb = (f"{section}.{name}" for name in MEMBERS)
    return (
        Parameter(f"{rf}.n_estimators", 50, 300, whole=True, log=True),
        Parameter(f"{rf}.max_depth", 3, 12, whole=True),
        Parameter(f"{rf}.min_samples_leaf", 20, 500, whole=True, log=True),
        Parameter(f"{rf}.max_features", 0.1, 0.6),
        Parameter(f"{rf}.max_samples", 0.05, 0.5, log=True),
        Parameter(f"{xgb}.n_estimators", 100, 600, whole=True, log=True),
        Parameter(f"{xgb}.max_depth", 2, 6, whole=True),
        Parameter(f"{xgb}.learning_rate", 0.01, 0.1, log=True),
        Parameter(f"{xgb}.subsample", 0.5, 1.0),
        Parameter(f"{xgb}.colsample_bytree", 0.15, 0.8),
        Parameter(f"{xgb}.min_child_weight", 20.0, 1000.0),
        Parameter(f"{xgb}.reg_lambda", 0.0, 50.0),
        Parameter(f"{lgb}.n_estimators", 100, 600, whole=True, log=True),
        Parameter(f"{lgb}.num_leaves", 4, 32, whole=True, log=True),
        Parameter(f"{lgb}.learning_rate", 0.01, 0.1, log=True),
        Parameter(f"{lgb}.subsample", 0.5, 1.0),
        Parameter(f"{lgb}.colsample_bytree", 0.15, 0.8),
        Parameter(f"{lgb}.min_child_samples", 100, 3000, whole=True, log=True),
        Parameter(f"{lgb}.reg_lambda", 0.0, 50.0),
    )


CONFIDENCE = Parameter("prediction.confidence_threshold", 0.34, 0.90, reach=0.05)
SIGNAL_SPACE = (
    *_members("signal_model"),
    # How sure models can be depends on the labels; far from the present threshold nothing, or everything, is traded.
    CONFIDENCE,
    Parameter("prediction.min_probability_diff", 0.0, 0.60, reach=0.05),
)
POSITION_SPACE = (
    *_members("position_model"),
    Parameter("position_model.exit_threshold", 0.34, 0.80),
    Parameter("position_model.min_prob_diff", 0.0, 0.30),
    Parameter("position_model.min_bars_held", 0, 24, whole=True),
)


def signal_space(ml_settings: MlSettings) -> tuple[Parameter, ...]:
    """Return what the search of the signal settings turns: the share of bars in the threshold's place, where stated."""
    share = ml_settings.prediction.confidence_share
    if share is None:
        return SIGNAL_SPACE
    of_share = Parameter("prediction.confidence_share", 0.1, MOST_SHARE, reach=share * THIRD)
    return tuple(of_share if parameter is CONFIDENCE else parameter for parameter in SIGNAL_SPACE)


def present_values(ml_settings: MlSettings, space: tuple[Parameter, ...]) -> dict[str, float]:
    """Return the settings of a space as they stand now."""
    return {parameter.path: _at(ml_settings, parameter.path) for parameter in space}


def _at(ml_settings: MlSettings, path: str) -> float:
    found: Any = ml_settings
    for name in path.split("."):
        found = getattr(found, name)
    number: float = found
    return number


def rounded(values: Values) -> dict[str, float]:
    """Return the values as they are tried and written: six significant digits, whole numbers as they are."""
    return {path: value if isinstance(value, int) else float(f"{value:.{_DIGITS}g}") for path, value in values.items()}


def place_values(content: dict[str, Any], values: Values) -> None:
    """Set values by their dotted paths in the content of an ml_config.json; missing sections are added."""
    for path, value in values.items():
        *sections, key = path.split(".")
        place = content
        for name in sections:
            place = place.setdefault(name, {})
        place[key] = value


def settings_with(ml_settings: MlSettings, values: Values) -> MlSettings:
    """Return the settings with other values."""
    content = ml_settings.model_dump(mode="json", by_alias=True)
    place_values(content, values)
    return MlSettings.model_validate(content)
