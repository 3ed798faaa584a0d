"""`models/optimize_log.json`: every iteration of every run, in the order they ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, Field

from novosky.errors import StorageError
from novosky.files import write_json
from novosky.settings.base import Section
from optimize.history.evidence import Decision, Evidence
from optimize.history.json_files import read_json

Record = dict[str, Any]


class OptimizeEntry(Section):
    """One iteration; scores are at equal risk, None where too few trades were made to speak of one."""

    run_id: str = Field(min_length=1)
    """Names the run; one run may hold several iterations."""
    iteration: int = Field(ge=1)
    """Counted within the run."""
    finished_at: AwareDatetime
    """UTC."""
    command: str
    """The program that ran, such as `weekly_optimize`."""
    profile_name: str
    decision: Decision
    reason: str
    """Why, in words."""
    baseline_score: float | None
    final_score: float | None
    improvement_pct: float | None
    """See `improvement_pct`."""
    params: dict[str, Any]
    """Dotted settings that were tried in this iteration."""
    evidence: Evidence = Evidence()


def improvement_pct(baseline: float | None, final: float | None) -> float | None:
    """Return how much `final` lies above `baseline`, percent rounded to 0.01.

    None where either has no score or the baseline is not above zero, of which no percentage
    can be taken.
    """
    if baseline is None or final is None or baseline <= 0.0:
        return None
    return round((final / baseline - 1.0) * 100.0, 2)


def with_entry(entries: Sequence[Record], entry: OptimizeEntry) -> list[Record]:
    """Return the log with `entry` at its end; what is there stays byte for byte what it was.

    The same entry again changes nothing, so a resumed run may repeat the call.

    Raises
    ------
    StorageError
        Another entry has the same run and iteration.
    """
    record: Record = entry.model_dump(mode="json")
    for known in entries:
        if (known.get("run_id"), known.get("iteration")) == (entry.run_id, entry.iteration):
            if known == record:
                return list(entries)
            raise StorageError(
                f"the log already holds iteration {entry.iteration} of run {entry.run_id} with other content; "
                "give the new run its own id"
            )
    return [*entries, record]


def append_optimize_log(path: Path, entry: OptimizeEntry) -> None:
    """Add one iteration to the log, creating the file when missing.

    Parameters
    ----------
    path : Path
        Usually `models/optimize_log.json`.
    entry : OptimizeEntry

    Raises
    ------
    StorageError
        The file there is not a list of entries, holds this iteration with other content, or
        cannot be written. It is left as it is.
    """
    known = read_json(path)
    if known is None:
        known = []
    if not isinstance(known, list) or not all(isinstance(record, dict) for record in known):
        raise StorageError(
            f"{path} is not a list of iterations; it is left as it is. Restore it from git or a backup, or move it away"
        )
    entries = with_entry(known, entry)
    if len(entries) > len(known):
        write_json(path, entries)


LOG_NAME = "optimize_log.json"


def tried_before(log: Path) -> int:
    """Return how many configurations earlier runs have tried, from the log they keep beside the models."""
    entries: list[dict[str, Any]] = read_json(log) or []
    return sum(entry.get("evidence", {}).get("configurations_tried") or 0 for entry in entries)
