"""`strategy_params.json`: the parameters now in force, since when, why, and on what evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, Field, ValidationError

from novosky.errors import StorageError
from novosky.files import write_json
from novosky.settings import MlSettings, Settings
from novosky.settings.base import Section
from novosky.settings.roles import Role, places_with
from optimize.history.evidence import Evidence

PARAMS_NAME = "strategy_params.json"
_IN_FORCE = (Role.STRATEGY, Role.LIMIT)
"""What the trades of a time depend on besides the world: account, broker and costs are not the strategy's."""


class StrategyParams(Section):
    """What is traded with from `applied_at` on."""

    run_id: str = Field(min_length=1)
    profile_name: str
    applied_at: AwareDatetime
    """UTC."""
    reason: str
    """Why these parameters, in words."""
    approved: bool
    """True when every gate the run required was passed."""
    score: float | None
    """Out of sample, None with too few trades."""
    parameters: dict[str, Any]
    """Dotted, see `parameters_in_force`."""
    models: str | None
    """Tag of the model set, or None while it is unpublished."""
    evidence: Evidence = Evidence()


@dataclass(frozen=True)
class ApprovedExpectancy:
    """What the set in use was approved with: mean R and its lower bound, trades, and since when (epoch seconds)."""

    mean: float | None
    low: float
    trades: int | None
    since: float


def approved_expectancy(path: Path) -> ApprovedExpectancy | None:
    """Return what a record says the set in use was approved with, None where it says nothing of it.

    Raises
    ------
    StorageError
        It is there and cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} cannot be read ({error}); mend its permissions") from error
    try:
        params = StrategyParams.model_validate_json(text)
    except ValidationError as error:
        raise StorageError(
            f"{path} is damaged ({error.error_count()} mistakes); put back a copy, or remove it"
        ) from error
    low = params.evidence.expectancy_r_low
    if low is None:
        return None
    return ApprovedExpectancy(params.evidence.expectancy_r, low, params.evidence.trades, params.applied_at.timestamp())


def parameters_in_force(settings: Settings, ml_settings: MlSettings) -> dict[str, Any]:
    """Return the strategy's parameters as dotted names, `config.` and `ml_config.` in front."""
    runtime = settings.model_dump(mode="json", by_alias=True)
    ml = ml_settings.model_dump(mode="json", by_alias=True)
    return {
        **dict(_stated(Settings, runtime, "config.")),
        **dict(_stated(MlSettings, ml, "ml_config.")),
    }


def write_strategy_params(path: Path, params: StrategyParams) -> None:
    """Replace the file with `params`.

    Parameters
    ----------
    path : Path
        Usually `strategy_params.json` beside `config.json`.
    params : StrategyParams

    Raises
    ------
    StorageError
        It cannot be written; the previous version is in place.
    """
    write_json(path, params.model_dump(mode="json"))


def _stated(kind: type[Section], content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for place in places_with(kind, *_IN_FORCE):
        value: Any = content
        for part in place.split("."):
            value = value[part]
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{place}.")
        else:
            yield prefix + place, value


def _dotted(content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
