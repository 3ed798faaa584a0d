"""Putting the best settings of a search into ml_config.json, everything else as it was."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ml.tune.search_space import Values, place_values
from novosky.errors import SettingsError
from novosky.files import write_json
from novosky.guarded_json import parse_json
from novosky.settings import MlSettings, load_ml_settings
from novosky.settings.ml import TuningProvenance


@dataclass(frozen=True)
class SettingsFile:
    """An ml_config.json as it was when the search began.

    Attributes
    ----------
    path : Path
    content : bytes
    settings : MlSettings
    """

    path: Path
    content: bytes
    settings: MlSettings

    @classmethod
    def read(cls, path: Path) -> SettingsFile:
        """Load the settings and remember the file.

        Raises
        ------
        SettingsError
            The file is missing or wrong.
        """
        settings = load_ml_settings(path)
        return cls(path, path.read_bytes(), settings)


def adopt(file: SettingsFile, values: Values, search: Literal["signal", "position"], record: TuningProvenance) -> None:
    """Replace the searched settings, and the record of where they come from, in the file.

    Keys keep their order and all other values stay; the file is indented by two spaces. The
    new content is loaded as settings before it takes the old one's place.

    Raises
    ------
    SettingsError
        The file was changed during the search, or would not load any more.
    StorageError
        It could not be written; the old one is in place.
    """
    there = file.path.is_file()
    if not there or file.path.read_bytes() != file.content:
        raise SettingsError(
            f"{file.path} was {'changed' if there else 'taken away'} while the search ran, so the best settings were "
            "not written over it; run the command again: the study holds its trials, and only the changed settings "
            "are tried anew"
        )
    content: dict[str, Any] = parse_json(file.content, str(file.path))
    place_values(content, values)
    known = content.get("tuning") or {}
    content["tuning"] = {"signal": None, "position": None, **known, search: record.model_dump(mode="json")}
    MlSettings.model_validate_json(json.dumps(content), strict=True)
    write_json(file.path, content)
