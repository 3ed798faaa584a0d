"""The strategy: what the optimiser decides of `config.json`, and travels with the models.

All other keys are the owner's: the account, its costs and broker, and every limit that
protects it (daily loss, weekly pause, hard halt, consecutive losses, largest lot and risk).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from novosky.errors import ModelCompatibilityError, SettingsError
from novosky.guarded_json import parse_json
from novosky.settings.differences import changes_between
from novosky.settings.profile_application import apply_profile
from novosky.settings.profiles import profile_named
from novosky.settings.roles import Role, places_with
from novosky.settings.runtime import Settings
from novosky.settings.text_edit import edited

STRATEGY_KEYS = places_with(Settings, Role.STRATEGY, Role.LEARNED)
"""Dotted places; a section stands for all its keys. The news that count are those the models learned from."""


def strategy_of(settings: Settings) -> dict[str, Any]:
    """Return the strategy by dotted place, defaults written out."""
    content = settings.model_dump(mode="json", by_alias=True)
    found = {}
    for place in STRATEGY_KEYS:
        value: Any = content
        for part in place.split("."):
            value = value[part]
        found[place] = value
    return found


def put_strategy(original: bytes, strategy: Mapping[str, Any]) -> bytes:
    """Return the text of a `config.json` that follows a strategy within its own profile.

    Where nothing changes, the very bytes come back. Otherwise keys keep their order, all that
    is not strategy stays, and the profile's limits are applied (`apply_profile`).

    Parameters
    ----------
    original : bytes
        The owner's file, valid.
    strategy : mapping
        From `strategy_of`.

    Raises
    ------
    ModelCompatibilityError
        The strategy has other keys than this version knows, or values it does not allow.
    SettingsError
        The owner's file is not valid.
    """
    if set(strategy) != set(STRATEGY_KEYS):
        other = sorted(set(strategy) ^ set(STRATEGY_KEYS))
        raise ModelCompatibilityError(
            f"the strategy has other keys than this version knows ({', '.join(other)}); update the program"
        )
    present: dict[str, Any] = parse_json(original, "config.json")
    profile = profile_named(_validated(present).risk_profile.name)
    content = copy.deepcopy(present)
    for place, value in strategy.items():
        *sections, key = place.split(".")
        home = content
        for section in sections:
            home = home.setdefault(section, {})
        home[key] = copy.deepcopy(value)
    try:
        # Before the profile looks into it, too: what it expects there must be there.
        Settings.model_validate_json(json.dumps(content), strict=True)
        content = apply_profile(content, profile)
        text = edited(original.decode("utf-8-sig"), content)
        Settings.model_validate_json(text, strict=True)
    except ValidationError as error:
        detail = error.errors()[0]
        where = ".".join(map(str, detail["loc"]))
        raise ModelCompatibilityError(
            f"the strategy would not load with this config.json: {where}: {detail['msg']}; update the program"
        ) from error
    return original if not changes_between(present, content) else text.encode("utf-8")


def _validated(content: Mapping[str, Any]) -> Settings:
    try:
        return Settings.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        raise SettingsError(f"config.json is not valid: {error}; correct it first") from error
