"""Putting a profile into the content of config.json: the same for a person who chooses one and for the optimiser."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from novosky.settings.brackets import profile_ranges
from novosky.settings.equity_state import MOST_MULTIPLIER
from novosky.settings.ml import Labeling, Prediction
from novosky.settings.profiles import Profile, Range
from novosky.settings.runtime import DynamicPositionSizing, RiskManagement, RiskProfile


def apply_profile(content: Mapping[str, Any], profile: Profile, labels: Labeling | None = None) -> dict[str, Any]:
    """Return settings that follow a profile, no safety limit laxer than the profile's.

    | key | becomes |
    |---|---|
    | `risk_profile.name` | the profile's |
    | `risk_percent` | as it is, or the nearest end of the profile's range |
    | `max_risk_per_trade_pct` | at most `most_risk_per_trade` |
    | `max_weekly_drawdown_pct`, `max_total_drawdown_pct` | the profile's; tighter ones stay while the profile stays |
    | `sl_atr_mult`, `tp_atr_mult` | inside the profile's range, unless `atr_mult_range` states another one; where
    `risk_profile.scale` is `selectivity` that range follows from `labels`, and without them they stay |

    Everything else, unknown keys included, is kept, in its order. Applying a profile twice
    changes nothing more.

    Parameters
    ----------
    content : mapping
        The JSON content of config.json; not changed.
    profile : Profile
    labels : Labeling, optional
        Of the models that will trade.

    Returns
    -------
    dict
        New content, to be validated as `Settings` before it is written.
    """
    result = copy.deepcopy(dict(content))
    sizing = _section(result, "dynamic_position_sizing")
    sizing["risk_percent"] = _within(
        sizing.get("risk_percent", DynamicPositionSizing().risk_percent), profile.risk_percent
    )
    sizing["max_risk_per_trade_pct"] = min(
        sizing.get("max_risk_per_trade_pct", DynamicPositionSizing().max_risk_per_trade_pct),
        most_risk_per_trade(profile),
    )
    chosen = _section(result, "risk_profile")
    stays = chosen.get("name", RiskProfile().name) == profile.name
    chosen["name"] = profile.name
    for key in ("max_weekly_drawdown_pct", "max_total_drawdown_pct"):
        limit: float = getattr(profile, key)
        # Another profile is another appetite, so its limits replace the old ones. Under the same
        # profile a limit that a person has tightened is a decision that no optimiser may undo.
        result[key] = min(result.get(key, limit), limit) if stays else limit
    _bracket(result, profile, chosen.get("scale", RiskProfile().scale), labels)
    return result


def apply_confidence(content: Mapping[str, Any], profile: Profile, scale: str) -> dict[str, Any]:
    """Return the content of ml_config.json with its confidence inside the profile's range.

    Onboarding leaves it alone, because it belongs to the models; the optimiser, which makes new
    ones for a profile, begins inside its range and stays there. Where `scale` is `selectivity` the
    range is one of shares of bars (`prediction.confidence_share`) and the probability in the file
    is not read; where it is `absolute` there is no share and the probability is brought into the range.
    """
    result = copy.deepcopy(dict(content))
    prediction = _section(result, "prediction")
    if scale != "absolute":
        share = prediction.get("confidence_share")
        prediction["confidence_share"] = profile.selectivity if share is None else _within(share, profile.shares)
        return result
    if prediction.get("confidence_share") is not None:
        prediction["confidence_share"] = None
    prediction["confidence_threshold"] = _within(
        prediction.get("confidence_threshold", Prediction().confidence_threshold), profile.confidence
    )
    return result


def labels_of(content: Mapping[str, Any]) -> Labeling:
    """Return the labelling that the content of an ml_config.json states, defaults in place."""
    return Labeling.model_validate(content.get("labeling", {}))


def most_risk_per_trade(profile: Profile) -> float:
    """Return the largest loss at the stop, percent of equity, that a profile allows.

    The upper end of its risk range, scaled by the risk model's largest multiplier: more than
    that no trade of this profile is ever sized for.
    """
    return round(profile.risk_percent[1] * MOST_MULTIPLIER, 6)


def _bracket(content: dict[str, Any], profile: Profile, scale: str, labels: Labeling | None) -> None:
    """Bring the fixed bracket into the profile's range; a range stated in the file overrides the profile's."""
    management = content.get("risk_management", {})
    if management.get("atr_mult_range") is not None:
        return
    if scale != "absolute" and labels is None:
        return
    ranges = profile_ranges(scale, profile, labels or Labeling())
    management = _section(content, "risk_management")
    defaults = RiskManagement()
    keys = (("sl_atr_mult", defaults.sl_atr_mult), ("tp_atr_mult", defaults.tp_atr_mult))
    for (key, default), limits in zip(keys, ranges, strict=True):
        management[key] = _within(management.get(key, default), limits)


def _section(content: dict[str, Any], name: str) -> dict[str, Any]:
    section: dict[str, Any] = content.setdefault(name, {})
    return section


def _within(value: float, limits: Range) -> float:
    least, most = limits
    return min(max(value, least), most)
