"""The manifest of a revision: a model set, `ml_config.json` and the strategy it was approved with.

A manifest is read strictly: whatever it may not say is refused, signed or not. It can name
only files that a set consists of, so nothing of it ever becomes a path of anybody's choosing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from ml.sets.companions import DESCRIPTIONS, MANIFEST_NAME
from ml.sets.stage_files import STAGE_FILES
from novosky.choices import PROFILE_NAMES, ProfileName
from novosky.errors import ModelError, UsageError
from novosky.guarded_json import parse_json
from novosky.settings.profiles import PROFILES, Profile

MODELS = "models/"
ML_CONFIG = "ml_config.json"
STRATEGY = "strategy.json"
MOST_FILE_BYTES = 512 << 20
MOST_TOTAL_BYTES = 2 << 30
MOST_MANIFEST_BYTES = 1 << 20
_FORMAT = 1
_TAG = re.compile(r"v(?P<day>\d{8})-p(?P<profile>[1-5])(?:\.(?P<more>[1-9]\d{0,2}))?", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MODEL_FILES = {MANIFEST_NAME, *DESCRIPTIONS, *(name for names in STAGE_FILES.values() for name in names)}
_ALLOWED = {ML_CONFIG, STRATEGY, *(MODELS + name for name in _MODEL_FILES)}
_REQUIRED = {ML_CONFIG, STRATEGY, MODELS + MANIFEST_NAME}


@dataclass(frozen=True)
class Blob:
    """A file of a revision: its hexadecimal SHA-256 and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Revision:
    """What a publisher signs.

    Attributes
    ----------
    tag : str
        `vYYYYMMDD-pN`, N the profile; `.2` and so on for more of the same day.
    sequence : int
        Higher than that of every revision published before; never goes back.
    created : str
        UTC, ISO 8601.
    profile : str
    approved : bool
        Whether a pull without a tag may choose it.
    symbol, timeframe : str
    train_cutoff_date : str
        The newest bar the models know, UTC.
    feature_hash : str
    files : mapping of str to Blob
        `ml_config.json`, `strategy.json` and `models/NAME`.
    format : int
        Version of this layout.
    """

    tag: str
    sequence: int
    created: str
    profile: ProfileName
    approved: bool
    symbol: str
    timeframe: str
    train_cutoff_date: str
    feature_hash: str
    files: Mapping[str, Blob]
    format: int = _FORMAT

    @property
    def order(self) -> tuple[int, datetime, str, int, int]:
        """Revisions are newer in this order.

        The number decides. Two publishers that did not see each other give the same one; then the
        moment at which they were made decides, whatever its time zone, and of two of one moment
        the day in the tag, the profile, and which of the day it is. Only one revision has a tag,
        so no two differ in nothing.
        """
        match = _TAG.fullmatch(self.tag)
        assert match is not None, "a revision has a tag"
        moment = datetime.fromisoformat(self.created)
        return self.sequence, moment, match["day"], int(match["profile"]), int(match["more"] or 1)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(blob.size for blob in self.files.values())

    def text(self) -> str:
        """Return the canonical JSON text, which is what gets signed."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def default_tag(created: datetime, profile: Profile) -> str:
    """Return the tag of a profile's revision of a day."""
    return f"v{created:%Y%m%d}-p{profile.number}"


def parse_tag(tag: str) -> Profile:
    """Return the profile a tag names.

    Raises
    ------
    UsageError
        Not of the form `vYYYYMMDD-pN`.
    """
    match = _TAG.fullmatch(tag)
    try:
        if match is None:
            raise ValueError
        datetime.strptime(match["day"] + "+0000", "%Y%m%d%z")
    except ValueError:
        raise UsageError(f"{tag!r} is no tag of a revision; tags look like v20260104-p3 or v20260104-p3.2") from None
    return next(profile for profile in PROFILES if profile.number == int(match["profile"]))


def is_tag(text: str) -> bool:
    """Tell whether a text is a tag."""
    try:
        parse_tag(text)
    except UsageError:
        return False
    return True


def parse_revision(text: str, source: str) -> Revision:
    """Read a manifest whose signature has been checked.

    Parameters
    ----------
    text : str
    source : str
        Where it comes from, for messages.

    Raises
    ------
    ModelError
        It says something that no revision of this version says.
    """
    try:
        content = parse_json(text, "manifest", max_bytes=MOST_MANIFEST_BYTES)
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            raise _Refused(f"its format is not {_FORMAT}; update the program")
        files = content.pop("files", None)
        revision = Revision(files=_files(files), **_entries(content))
    except (ValueError, TypeError, OverflowError) as error:
        raise ModelError(f"{source} is no manifest of a revision ({error}); it was not used") from error
    return revision


class _Refused(ValueError):
    """What a manifest may not say."""


_KINDS: Mapping[str, type] = {
    "tag": str,
    "sequence": int,
    "created": str,
    "profile": str,
    "approved": bool,
    "symbol": str,
    "timeframe": str,
    "train_cutoff_date": str,
    "feature_hash": str,
    "format": int,
}


def _entries(content: dict[str, Any]) -> dict[str, Any]:
    if set(content) != {field.name for field in fields(Revision)} - {"files"}:
        raise _Refused("entries are missing or unknown")
    wrong = [name for name, kind in _KINDS.items() if type(content[name]) is not kind]
    if wrong:
        raise _Refused(f"{wrong[0]} is no {_KINDS[wrong[0]].__name__}")
    if not is_tag(content["tag"]) or content["profile"] not in PROFILE_NAMES:
        raise _Refused("tag or profile is not one of ours")
    if parse_tag(content["tag"]).name != content["profile"]:
        raise _Refused("the tag names another profile")
    if not 1 <= content["sequence"] < 1 << 53:
        raise _Refused("the sequence number is out of range")
    for name in ("created", "train_cutoff_date"):
        if datetime.fromisoformat(content[name]).tzinfo is None:
            raise _Refused(f"{name} has no time zone")
    if _DIGEST.fullmatch(content["feature_hash"]) is None:
        raise _Refused("feature_hash is no SHA-256")
    return content


def _files(content: Any) -> dict[str, Blob]:
    if not isinstance(content, dict) or not set(content) >= _REQUIRED:
        raise _Refused(f"it does not list {', '.join(sorted(_REQUIRED))}")
    unknown = sorted(set(content) - _ALLOWED)
    if unknown:
        raise _Refused(f"it lists {unknown[0]!r}, which is no file of a set")
    files = {name: _blob(name, entry) for name, entry in content.items()}
    if sum(blob.size for blob in files.values()) > MOST_TOTAL_BYTES:
        raise _Refused(f"its files are larger than {MOST_TOTAL_BYTES:,} bytes")
    return files


def _blob(name: str, entry: Any) -> Blob:
    if not isinstance(entry, dict) or set(entry) != {"sha256", "size"}:
        raise _Refused(f"{name} has no hash and size")
    digest, size = entry["sha256"], entry["size"]
    if not isinstance(digest, str) or _DIGEST.fullmatch(digest) is None:
        raise _Refused(f"{name} has no SHA-256")
    if type(size) is not int or not 0 <= size <= MOST_FILE_BYTES:
        raise _Refused(f"{name} has a size out of range")
    return Blob(digest, size)
