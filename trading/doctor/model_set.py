"""Checks of the model set on disk."""

from __future__ import annotations

from pathlib import Path

from ml.load_models import load_models
from ml.sets.compat import MEND, PULL_COMMAND, Manifest, damaged_artifacts, read_manifest, verify_compat
from ml.sets.stage_files import STAGE_COMMANDS
from novosky.errors import ModelError
from novosky.market.timeframe import DAY_SECONDS
from novosky.settings import MlSettings, Settings
from trading.doctor.finding import Finding, fail, ok, warn
from trading.live.practice import PRACTICE_NOTE
from trading.reports.expectation import expectation_lines, expectation_of

MOST_AGE_DAYS = 45
"""Models are retrained every week; after several missed weeks somebody should ask why."""


def check_models(models: Path, settings: Settings | None, ml_settings: MlSettings | None, now: float) -> list[Finding]:
    """Check a model set as far as the settings that loaded allow; without a manifest there is one thing to say."""
    try:
        manifest = read_manifest(models)
    except ModelError as error:
        return [_refused("model set", error)]
    findings = [check_model_files(models, manifest), check_model_age(manifest.train_cutoff.timestamp(), now)]
    if ml_settings is not None:
        findings.append(check_model_set(models, ml_settings))
    if settings is not None and ml_settings is not None:
        findings.append(check_models_served(models, settings, ml_settings))
    if settings is not None:
        findings.append(check_expectation(models, settings))
    return findings


def check_model_set(models: Path, ml_settings: MlSettings) -> Finding:
    """Compare the set to the configured features and the installed libraries."""
    try:
        manifest = verify_compat(models, ml_settings)
    except ModelError as error:
        return _refused("model set", error)
    return ok("model set", f"{manifest.feature_count} features and libraries as here")


def check_model_files(models: Path, manifest: Manifest) -> Finding:
    """Hash every file of the set."""
    damaged = damaged_artifacts(models, manifest)
    if damaged:
        return fail("model files", f"missing, damaged or foreign: {', '.join(sorted(damaged))}", MEND)
    return ok("model files", f"all {len(manifest.artifacts)} have their recorded SHA-256")


def check_models_served(models: Path, settings: Settings, ml_settings: MlSettings) -> Finding:
    """Load what the bot would load and say which artifact serves."""
    try:
        loaded = load_models(models, settings, ml_settings)
    except ModelError as error:
        return _refused("models served", error)
    if settings.risk_model.enabled and loaded.risk is None:
        mend = f"{STAGE_COMMANDS['risk']}, or risk_model.enabled=false in config.json"
        return warn("models served", f"{loaded.description}; no risk model, so the multiplier is 1.0", mend)
    if loaded.synthetic is not None:
        return warn("models served", f"{loaded.description}; {PRACTICE_NOTE}", f"`{PULL_COMMAND}` before real money")
    return ok("models served", loaded.description)


def check_expectation(models: Path, settings: Settings) -> Finding:
    """Say what a month and a year may look like, and warn where that may be worth nothing."""
    try:
        found = expectation_of(models, settings)
    except ModelError as error:
        return _refused("expectation", error)
    text = "; ".join(expectation_lines(found))
    if found is None or found.may_be_worthless:
        return warn("expectation", text, "trade on paper first, with a risk you can lose")
    return ok("expectation", text)


def _refused(name: str, error: ModelError) -> Finding:
    """Split a model error, which ends with its mend, into both."""
    for separator in (". Mend: ", "; "):
        text, found, mend = str(error).rpartition(separator)
        if found:
            return fail(name, text, mend)
    return fail(name, str(error), MEND)


def check_model_age(cutoff: float, now: float) -> Finding:
    """Tell how long ago the newest bar closed that the models know.

    Parameters
    ----------
    cutoff, now : float
        UTC epoch seconds.
    """
    days = (now - cutoff) / DAY_SECONDS
    text = f"trained on bars up to {days:.0f} days ago"
    if days > MOST_AGE_DAYS:
        return warn("model age", text, "pull a newer revision or retrain")
    return ok("model age", text)
