"""What changed between two contents of a settings file, key by key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ABSENT = "(absent)"


@dataclass(frozen=True)
class Change:
    """One key whose value differs; values as JSON text, `ABSENT` where a side has none."""

    place: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.place}: {self.old} -> {self.new}"


def changes_between(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[Change]:
    """Return the keys that differ, dotted, in the order of `new` and then of what only `old` has."""
    changes: list[Change] = []
    for key in [*new, *(key for key in old if key not in new)]:
        place, before, after = prefix + key, old.get(key, ABSENT), new.get(key, ABSENT)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            changes += changes_between(before, after, place + ".")
        elif before != after or (before is ABSENT) != (after is ABSENT):
            changes.append(Change(place, _text(before), _text(after)))
    return changes


def _text(value: Any) -> str:
    return ABSENT if value is ABSENT else json.dumps(value, ensure_ascii=False)
