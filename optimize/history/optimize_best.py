"""`models/optimize_best.json`: the best score so far and the settings that earned it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, Field

from novosky.errors import StorageError
from novosky.files import write_json
from novosky.measures.score import EQUAL_RISK
from novosky.settings.base import Section
from optimize.history.json_files import read_json


class BestRun(Section):
    """A run whose score none before it reached."""

    score: float = Field(gt=0.0)
    """At equal risk."""
    risk_per_trade: float = EQUAL_RISK
    """Share of the equity at stake a trade at which the score was taken."""
    profile_name: str
    achieved_at: AwareDatetime
    """UTC."""
    run_id: str = Field(min_length=1)
    config: dict[str, Any]
    """The whole of `config.json`."""
    ml_config: dict[str, Any]
    """The whole of `ml_config.json`."""


def update_optimize_best(path: Path, run: BestRun) -> bool:
    """Put `run` into the file unless an earlier one scored as much; return whether it was put there.

    A record that does not say at which risk its score was taken compares with nothing and is replaced.

    Parameters
    ----------
    path : Path
        Usually `models/optimize_best.json`.
    run : BestRun

    Raises
    ------
    StorageError
        The file there has no readable score, or cannot be written. It is left as it is.
    """
    known = read_json(path)
    if known is not None and _score(path, known) >= run.score and known.get("risk_per_trade") == run.risk_per_trade:
        return False
    write_json(path, run.model_dump(mode="json"))
    return True


def _score(path: Path, known: Any) -> float:
    score = known.get("score") if isinstance(known, dict) else None
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise StorageError(
            f"{path} holds no score; it is left as it is. Restore it from git or a backup, or move it away"
        )
    return float(score)
