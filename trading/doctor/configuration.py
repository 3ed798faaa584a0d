"""Checks of config.json and ml_config.json."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from novosky.errors import SettingsError
from novosky.guarded_json import read_json_file
from novosky.market.server_time import ServerClock
from novosky.settings import MlSettings, Settings
from novosky.settings.differences import changes_between
from novosky.settings.loading import schema_of
from novosky.settings.profile_application import apply_profile
from novosky.settings.profiles import profile_named
from trading.doctor.finding import Finding, fail, ok, warn


def refused_settings(path: Path, error: SettingsError) -> Finding:
    """Report a settings file that does not load."""
    return fail(path.name, " ".join(str(error).split()), f"correct {path}")


def check_schemas(folder: Path) -> Finding:
    """Compare the stored JSON Schemas, which editors complete keys from, to the code."""
    stale = []
    for name, model in (("config.schema.json", Settings), ("ml_config.schema.json", MlSettings)):
        try:
            current = (folder / name).read_text(encoding="utf-8") == schema_of(model)
        except OSError:
            current = False
        if not current:
            stale.append(name)
    if stale:
        return fail("schemas", f"not what the code accepts: {', '.join(stale)}", "run `novosky schema`")
    return ok("schemas", "current")


def check_features(configured: tuple[str, ...], computed: list[str], path: Path) -> Finding:
    """Compare the feature contract to what the code computes, names and order."""
    if list(configured) == computed:
        return ok("features", f"{len(computed)}, {path} lists them as the code computes them")
    place = next(
        (i for i, pair in enumerate(zip(configured, computed, strict=False)) if pair[0] != pair[1]),
        min(len(configured), len(computed)),
    )
    text = (
        f"{path} lists {len(configured)}, the code computes {len(computed)}; they differ from position {place + 1} on"
    )
    return fail("features", text, f"put the list of ml/feature_engineering.py into {path} and retrain")


def check_profile(settings: Settings, path: Path) -> Finding:
    """Tell whether the settings are laxer than the profile they name."""
    profile = profile_named(settings.risk_profile.name)
    content = read_json_file(path)
    laxer = [str(change) for change in changes_between(content, apply_profile(content, profile))]
    balance = settings.risk_profile.starting_balance_usd
    if balance < profile.min_balance_usd:
        laxer.append(f"risk_profile.starting_balance_usd: {balance:g}, at least {profile.min_balance_usd:g}")
    if laxer:
        mend = f"run `python scripts/onboarding.py --profile {profile.number}`"
        return warn("profile", f"{profile.name} would change {'; '.join(laxer)}", mend)
    return ok("profile", f"{profile.number} {profile.name}, {balance:g} USD, {settings.account_type} account")


def check_server_clock(settings: Settings, now: float) -> Finding:
    """Resolve the rule of the server's clock and show what it gives today."""
    rule = settings.broker.server_clock
    hours = (int(ServerClock(rule).from_utc(np.array([int(now)]))[0]) - int(now)) / 3600
    return ok("server clock", f"{rule}, today UTC{hours:+g}")
