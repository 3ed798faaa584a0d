"""The steps that choose settings for trained models: sweep the first part of the window, apply inside the limits."""

from __future__ import annotations

import json
from typing import Any

from novosky.files import write_json
from novosky.settings import MlSettings, Settings
from novosky.settings.profile_application import apply_confidence, apply_profile
from novosky.settings.profiles import profile_named
from optimize.run import OptimizeRun

SWEEP = "sweep.json"
SWEEP_FOLDER = "sweep"


def apply_best(run: OptimizeRun) -> str:
    """Put the sweep's choice into the settings, and every safety limit of the profile over it."""
    source, target = run.workspace.trained, run.workspace.challenger
    chosen: dict[str, Any] = run.read(SWEEP)["values"]
    contents = {
        "config": json.loads(source.config.read_text(encoding="utf-8-sig")),
        "ml_config": json.loads(source.ml_config.read_text(encoding="utf-8-sig")),
    }
    for dotted, value in chosen.items():
        _place(contents, dotted, value)
    config, ml_config = contents["config"], contents["ml_config"]
    if run.plan.command == "weekly_optimize":
        profile = profile_named(run.plan.profile)
        config, ml_config = apply_profile(config, profile), apply_confidence(ml_config, profile)
    Settings.model_validate_json(json.dumps(config), strict=True)
    MlSettings.model_validate_json(json.dumps(ml_config), strict=True)
    write_json(target.config, config)
    write_json(target.ml_config, ml_config)
    if not chosen:
        return "settings stay as searched"
    return ", ".join(f"{dotted.split('.', 1)[1]} {value}" for dotted, value in sorted(chosen.items()))


def _place(contents: dict[str, Any], dotted: str, value: Any) -> None:
    file, *path, key = dotted.split(".")
    place = contents[file]
    for part in path:
        place = place.setdefault(part, {})
    place[key] = value
