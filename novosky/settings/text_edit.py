"""Changing values in the text of a settings file: what does not change keeps its bytes, order and layout."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_BLANK = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_SCALAR = re.compile(r"[^\s,\]}]+")


@dataclass(frozen=True)
class _Member:
    """Where a key and its value stand in the text."""

    key_at: int
    begin: int
    end: int


def edited(text: str, content: Mapping[str, Any]) -> str:
    """Return the text with the values of `content`, everything else as it was.

    Parameters
    ----------
    text : str
        A JSON object, valid.
    content : mapping
        What the text shall mean. Values that differ are replaced where they stand, new keys
        follow the last one of their section; where a key is gone the text is written anew.
    """
    result = _edited_object(text, 0, content)
    if result is not None and json.loads(result) == content:
        return result
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _edited_object(text: str, at: int, content: Mapping[str, Any]) -> str | None:
    """Return the whole text with the object that begins at or behind `at` changed; None where keys are gone."""
    begin = _skip(text, at)
    members = _members(text, begin)
    if not set(members) <= set(content):
        return None
    present = json.loads(text[begin : _end_of(text, begin)])
    added = [key for key in content if key not in members]
    if added:
        text = _with_added(text, begin, members, {key: content[key] for key in added})
    # From the back, so that the places before stay where they are.
    for key, member in reversed(members.items()):
        old, new = present[key], content[key]
        if old == new and isinstance(old, bool) == isinstance(new, bool):
            continue
        if isinstance(old, dict) and isinstance(new, Mapping):
            inner = _edited_object(text, member.begin, new)
            if inner is None:
                return None
            text = inner
        else:
            text = text[: member.begin] + _written(new) + text[member.end :]
    return text


def _with_added(text: str, begin: int, members: Mapping[str, _Member], added: Mapping[str, Any]) -> str:
    """Put new keys behind the last one, laid out as that one is."""
    if not members:
        end = _end_of(text, begin)
        inside = ", ".join(f"{_written(key)}: {_written(value)}" for key, value in added.items())
        return f"{text[:begin]}{{{inside}}}{text[end:]}"
    first, last = next(iter(members.values())), list(members.values())[-1]
    lead = text[begin + 1 : first.key_at]
    gap = lead if "\n" in lead else " "
    indent = lead.rpartition("\n")[2] if "\n" in lead else ""
    lines = "".join(f",{gap}{_written(key)}: {_laid_out(value, indent)}" for key, value in added.items())
    return text[: last.end] + lines + text[last.end :]


def _laid_out(value: Any, indent: str) -> str:
    if isinstance(value, Mapping) and indent:
        return json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n" + indent)
    return _written(value)


def _written(value: Any) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        # 750 rather than 750.0: as a person would write it, and read back as the same number.
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    assert match is not None
    return match.end()


def _members(text: str, begin: int) -> dict[str, _Member]:
    """Return the keys of the object at `begin` with their places, in order."""
    found: dict[str, _Member] = {}
    at = _skip(text, begin + 1)
    while text[at] != "}":
        key_at = at
        at = _end_of(text, at)
        key = json.loads(text[key_at:at])
        at = _skip(text, _skip(text, at) + 1)
        end = _end_of(text, at)
        found[key] = _Member(key_at, at, end)
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return found


def _end_of(text: str, at: int) -> int:
    """Return the place behind the value that begins at `at`."""
    if text[at] not in "{[":
        match = (_STRING if text[at] == '"' else _SCALAR).match(text, at)
        assert match is not None
        return match.end()
    depth = 0
    while True:
        char = text[at]
        if char == '"':
            at = _end_of(text, at)
            continue
        depth += (char in "{[") - (char in "}]")
        at += 1
        if depth == 0:
            return at
