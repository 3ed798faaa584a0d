"""Names that may become a file's: those that every system takes for the same plain file in its folder."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

LONGEST = 200
"""Bytes in UTF-8; systems take 255, and temporary names are made by adding to it."""
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\ud800-\udfff]')
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?:\s*\..*)?", re.IGNORECASE)


def refusal_of_name(name: str) -> str | None:
    """Say why a text must not become the name of a file; None for a good one.

    Examples
    --------
    >>> refusal_of_name("ensemble_rf.pkl") is None
    True
    >>> refusal_of_name("../config.json"), refusal_of_name("nul.txt")
    ('it leads outside its folder', 'it is a device on Windows')
    """
    if not name:
        return "it names no file"
    if name in (".", "..") or "/" in name or "\\" in name:
        return "it leads outside its folder"
    if _FORBIDDEN.search(name):
        return "it holds a character that no file name has"
    if name != name.strip() or name.endswith("."):
        return "it begins or ends with white space, or ends with a dot"
    if _DEVICE.fullmatch(name):
        return "it is a device on Windows"
    if len(name.encode("utf-8")) > LONGEST:
        return f"it is longer than {LONGEST} bytes"
    return None


def refusal_of_names(names: Iterable[str]) -> str | None:
    """Say which of several names must not become a file's, and why; None when all may.

    Two that differ only in case or in how an accent is written are one file on some systems.
    """
    seen: dict[str, str] = {}
    for name in names:
        reason = refusal_of_name(name)
        if reason is not None:
            return f"{name!r:.80}: {reason}"
        plain = unicodedata.normalize("NFC", name).casefold()
        if plain in seen:
            return f"{name!r:.80}: the same file as {seen[plain]!r:.80} on some systems"
        seen[plain] = name
    return None
