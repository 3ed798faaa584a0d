"""Reading settings files: all mistakes at once, each with its path and, for a misspelt key, a suggestion."""

from __future__ import annotations

import difflib
import json
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from novosky.errors import SettingsError
from novosky.guarded_json import JsonError, read_json_file
from novosky.settings.base import Section
from novosky.settings.ml import MlSettings
from novosky.settings.runtime import Settings

S = TypeVar("S", bound=Section)
MOST_BYTES = 1 << 20
"""Settings are a few kilobytes."""


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
        content = read_json_file(path, max_bytes=MOST_BYTES)
    except FileNotFoundError as error:
        raise SettingsError(
            f"{path} does not exist; run from the checkout or name the file with --config/--ml-config"
        ) from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    except JsonError as error:
        wrong = "cannot be read" if isinstance(error.__cause__, UnicodeDecodeError) else "is not valid JSON"
        raise SettingsError(f"{path} {wrong}: {str(error).removeprefix(f'{path}: ')}") from error
    try:
        # Strict: "5", true or 5.5 where a whole number belongs is a slip, not a spelling of it.
        return model.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        lines = [f"  {_explain(detail, model)}" for detail in error.errors()]
        raise SettingsError(f"{path} has {len(lines)} mistake(s):\n" + "\n".join(lines)) from error


def _explain(detail: ErrorDetails, model: type[BaseModel]) -> str:
    place = ".".join(str(part) for part in detail["loc"]) or "file"
    if detail["type"] == "extra_forbidden":
        return f"{place}: unknown key; {_hint(model, detail['loc'])}"
    if detail["type"] == "missing":
        return f"{place}: missing; write it down"
    return f"{place}: {detail['msg']} (found {reprlib.repr(detail['input'])})"


def _hint(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """Say what may have been meant: the most similar key, in this section or another."""
    known = _keys_at(model, location[:-1])
    places = list(_places(model))
    names = {*known, *(place.rpartition(".")[2] for place in places)}
    near = difflib.get_close_matches(str(location[-1]).lower(), sorted(names), n=1)
    if not near:
        return f"known keys: {', '.join(sorted(known))}"
    homes = near if near[0] in known else [place for place in places if place.rpartition(".")[2] == near[0]]
    return f"did you mean {' or '.join(repr(home) for home in homes)}?"


def _places(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted path of every key of a settings file."""
    for name, field in model.model_fields.items():
        place = prefix + (field.alias or name)
        yield place
        section = _section(field.annotation)
        if section is not None:
            yield from _places(section, place + ".")


def _section(annotation: Any) -> type[BaseModel] | None:
    """Return the section a key holds, also where it may be null instead."""
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location:
        field = next((f for name, f in model.model_fields.items() if (f.alias or name) == part), None)
        inner = _section(field.annotation) if field else None
        if inner is None:
            return []
        model = inner
    return [field.alias or name for name, field in model.model_fields.items()]
