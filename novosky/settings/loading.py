"""Reading settings files: all mistakes at once, each with its path and, for a misspelt key, a suggestion."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from novosky.errors import SettingsError
from novosky.settings.base import Section
from novosky.settings.ml import MlSettings
from novosky.settings.runtime import Settings

S = TypeVar("S", bound=Section)


def load_settings(path: Path) -> Settings:
    """Read `config.json`.

    Raises
    ------
    SettingsError
        File missing, not JSON, or with unknown, missing or out-of-range keys; every
        mistake is listed.
    """
    return _load(path, Settings)


def load_ml_settings(path: Path) -> MlSettings:
    """Read `ml_config.json`; raises `SettingsError` like `load_settings`."""
    return _load(path, MlSettings)


def schema_of(model: type[Section]) -> str:
    """Return the JSON Schema text of a settings file, as it is stored beside the code."""
    schema = model.model_json_schema(by_alias=True)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(schema, indent=2) + "\n"


def _load(path: Path, model: type[S]) -> S:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SettingsError(
            f"{path} does not exist; run from the checkout or name the file with --config/--ml-config"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    try:
        content = json.loads(text, object_pairs_hook=_no_duplicate_keys)
    except ValueError as error:
        raise SettingsError(f"{path} is not valid JSON: {error}") from error
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [f"  {_explain(detail, model)}" for detail in error.errors()]
        raise SettingsError(f"{path} has {len(lines)} mistake(s):\n" + "\n".join(lines)) from error


def _no_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"key {key!r} is written twice")
    return dict(pairs)


def _explain(detail: ErrorDetails, model: type[BaseModel]) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or "file"
    if detail["type"] == "extra_forbidden":
        known = _keys_at(model, detail["loc"][:-1])
        near = difflib.get_close_matches(str(detail["loc"][-1]), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}"
        return f"{place}: unknown key; {hint}"
    if detail["type"] == "missing":
        return f"{place}: missing; write it down"
    return f"{place}: {detail['msg']} (found {detail['input']!r})"


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        field = next((f for name, f in model.model_fields.items() if (f.alias or name) == part), None)
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return [field.alias or name for name, field in model.model_fields.items()]
