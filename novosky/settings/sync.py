"""Whether settings, code and models say the same: what can be found, and the rules on plain values.

What has to be read from disk first is done by `ml.config_sync`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from novosky.errors import SettingsError
from novosky.settings.brackets import profile_ranges
from novosky.settings.differences import changes_between
from novosky.settings.ml import MlSettings, Prediction
from novosky.settings.profile_application import apply_profile
from novosky.settings.profiles import Profile, profile_named
from novosky.settings.runtime import Settings

STRICT_VARIABLE = "NOVOSKY_STRICT_CONFIG_SYNC"
ONBOARDING = "python scripts/onboarding.py --profile {number}"
RETRAIN = "python train_ml_model.py --ensemble --position --sltp --risk --no-warmstart"

Grade = Literal["drift", "missing", "warning", "default"]


@dataclass(frozen=True)
class SyncFinding:
    """Something that does not agree.

    Attributes
    ----------
    code : str
        Names the rule, e.g. "features", for programs that treat one of them differently.
    grade : Grade
        `drift` and `missing` must be mended; a `warning` deserves a look; `default` is a key that
        is not written down and takes its default.
    text : str
    mend : str
        What to do about it.
    """

    code: str
    grade: Grade
    text: str
    mend: str

    @property
    def blocks(self) -> bool:
        """Whether it must be mended."""
        return self.grade in ("drift", "missing")


def is_strict(environment: Mapping[str, str]) -> bool:
    """Tell whether drift must stop an optimisation (`NOVOSKY_STRICT_CONFIG_SYNC=1`).

    Raises
    ------
    SettingsError
        The variable is neither 0 nor 1: whoever sets it means to be safe.
    """
    value = environment.get(STRICT_VARIABLE, "").strip()
    if value not in ("", "0", "1"):
        raise SettingsError(f"{STRICT_VARIABLE} must be 0 or 1, not {value!r}")
    return value == "1"


def refuse_drift(findings: Iterable[SyncFinding]) -> None:
    """Stop at what must be mended.

    Raises
    ------
    SettingsError
        Lists every such finding with its mend.
    """
    blocking = [finding for finding in findings if finding.blocks]
    if blocking:
        lines = [f"  {finding.code}: {finding.text}; mend: {finding.mend}" for finding in blocking]
        raise SettingsError(f"settings, code and models do not agree in {len(blocking)} place(s):\n" + "\n".join(lines))


def feature_findings(configured: Sequence[str], computed: Sequence[str], protected: Sequence[str]) -> list[SyncFinding]:
    """Compare the feature contract of ml_config.json with the code.

    Parameters
    ----------
    configured : sequence of str
        `features` of ml_config.json.
    computed : sequence of str
        What ml/feature_engineering.py computes, in its order.
    protected : sequence of str
        Features that may never be left out.
    """
    found = []
    unknown = [name for name in configured if name not in set(computed)]
    absent = [name for name in computed if name not in set(configured)]
    dropped = [name for name in protected if name in set(absent)]
    if unknown:
        text = f"ml_config.json lists {', '.join(unknown)}, which ml/feature_engineering.py does not compute"
        found.append(SyncFinding("features", "drift", text, "correct `features` in ml_config.json, or compute them"))
    if dropped:
        text = f"ml_config.json leaves out the protected {', '.join(dropped)}"
        found.append(SyncFinding("protected", "drift", text, f"put them back in their place, then `{RETRAIN}`"))
    others = [name for name in absent if name not in set(dropped)]
    if others:
        text = f"ml/feature_engineering.py computes {', '.join(others)}, which ml_config.json does not list"
        mend = f"append them to the end of `features` in ml_config.json, then `{RETRAIN}`"
        found.append(SyncFinding("features", "drift", text, mend))
    shared = [name for name in computed if name in set(configured)]
    ordered = [name for name in configured if name in set(computed)]
    if shared != ordered:
        place = next(i for i, pair in enumerate(zip(shared, ordered, strict=True)) if pair[0] != pair[1])
        text = f"ml_config.json has {ordered[place]} where the code has {shared[place]}; the order is a contract"
        found.append(SyncFinding("features", "drift", text, "put `features` into the order of the code"))
    return found


def risk_feature_findings(places: Mapping[str, Sequence[str] | None]) -> list[SyncFinding]:
    """Check that the risk model's inputs are the same in every place.

    Parameters
    ----------
    places : mapping of str to sequence of str or None
        The list of each place by its name, the first being what the others are held against;
        None where it is not written down.
    """
    (first, expected), *others = places.items()
    found = []
    for place, names in others:
        if names is None:
            text = f"{place} does not name the inputs of the risk model; {first} does"
            found.append(SyncFinding("risk_features", "default", text, "python scripts/config_sync.py"))
        elif list(names) != list(expected or ()):
            text = f"{place} is {', '.join(names)}; {first} is {', '.join(expected or ())}"
            mend = "make the three lists equal, in names and order, then `python train_ml_model.py --risk`"
            found.append(SyncFinding("risk_features", "drift", text, mend))
    return found


def profile_findings(settings: Settings, ml_settings: MlSettings) -> list[SyncFinding]:
    """Warn of settings that are laxer than the profile they name, or outside its ranges."""
    profile, scale = profile_named(settings.risk_profile.name), settings.risk_profile.scale
    content = json.loads(settings.model_dump_json(by_alias=True))
    found = [
        SyncFinding(
            "profile", "warning", f"config.json, {change} in profile {profile.name}",
            ONBOARDING.format(number=profile.number),
        )
        for change in changes_between(content, apply_profile(content, profile, ml_settings.labeling))
    ]  # fmt: skip
    stated = settings.risk_management.atr_mult_range
    ranges = profile_ranges(scale, profile, ml_settings.labeling)
    least, most = min(low for low, _ in ranges), max(high for _, high in ranges)
    if stated is not None and (stated.least < least or stated.most > most):
        text = (
            f"config.json, risk_management.atr_mult_range {stated.least:g} to {stated.most:g} replaces the range "
            f"{least:g} to {most:g} of profile {profile.name} ({scale})"
        )
        found.append(SyncFinding("profile", "warning", text, "take the key out, unless this is meant"))
    found += _confidence_findings(scale, profile, ml_settings.prediction)
    if settings.risk_profile.starting_balance_usd < profile.min_balance_usd:
        text = (
            f"starting balance {settings.risk_profile.starting_balance_usd:g} USD, at least {profile.min_balance_usd:g}"
        )
        found.append(SyncFinding("profile", "warning", f"{text} in profile {profile.name}", "take a lower profile"))
    return found


def _confidence_findings(scale: str, profile: Profile, prediction: Prediction) -> list[SyncFinding]:
    """Warn of a confidence outside of the profile's range, in the terms that `risk_profile.scale` reads it in."""
    key, value, (low, high) = "confidence_threshold", prediction.confidence_threshold, profile.confidence
    if scale != "absolute":
        if prediction.confidence_share is None:
            # A stated probability is the owner's choice: the table's say nothing of these models.
            return []
        key, value, (low, high) = "confidence_share", prediction.confidence_share, profile.shares
    elif prediction.confidence_share is not None:
        text = f"ml_config.json, prediction.confidence_share {prediction.confidence_share:g} is read, not the threshold"
        mend = "set it to null, or risk_profile.scale to selectivity"
        return [SyncFinding("profile", "warning", f"{text} of profile {profile.name} (absolute)", mend)]
    if low <= value <= high:
        return []
    text = f"ml_config.json, prediction.{key} {value:g} is not within {low:g} to {high:g} of profile {profile.name}"
    return [SyncFinding("profile", "warning", text, f"choose one of {low:g} to {high:g}")]


def label_findings(settings: Settings, ml_settings: MlSettings) -> list[SyncFinding]:
    """Warn where the labels' trades are not those that are made: another bracket, or cheaper costs."""
    labels, traded = ml_settings.labeling, settings.risk_management
    found = []
    brackets = (labels.atr_sl_mult, labels.atr_tp_mult), (traded.sl_atr_mult, traded.tp_atr_mult)
    if not ml_settings.ml_sltp.enabled and brackets[0] != brackets[1]:
        text = "labels learn a bracket of {:g} and {:g} ATR, trades get {:g} and {:g}".format(
            *brackets[0], *brackets[1]
        )
        mend = "set labeling.atr_sl_mult and atr_tp_mult as risk_management's, and retrain"
        found.append(SyncFinding("labels", "warning", text, mend))
    if labels.spread < settings.costs.spread:
        text = f"labels pay a spread of {labels.spread:g} USD, trades {settings.costs.spread:g}"
        found.append(SyncFinding("labels", "warning", text, "set labeling.spread to costs.spread, and retrain"))
    return found


def with_defaults(content: Mapping[str, Any], complete: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a settings file with every absent key of `complete` written down.

    Keys that are there keep their value and order; absent ones follow. What is absent as a
    whole and null by default (`$schema`, provenance) stays absent.
    """
    result = dict(content)
    for key, value in complete.items():
        if key not in result:
            if value is not None:
                result[key] = value
        elif isinstance(value, Mapping) and isinstance(result[key], Mapping):
            result[key] = with_defaults(result[key], value)
    return result
