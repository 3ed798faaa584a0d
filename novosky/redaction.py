"""Taking secrets out of text that leaves the program: their values, wherever they turn up."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

REMOVED = "***"
"""Stands where a secret stood."""
SHORTEST = 4
"""Values shorter than this are not looked for: they occur in ordinary words and hide nothing."""
_NO_SECRETS = frozenset({"true", "false", "none", "null"})

SECRET_NAME = re.compile(
    r"(?:^|_)(?:SECRET|PASSWORD|PASSWD|TOKEN|KEY|CREDENTIALS?)(?:_ID)?$|^(?:TELEGRAM|NOVOSKY)_\w*TOKEN$|^R2_(?!BUCKET$)",
    re.IGNORECASE,
)
"""Names of variables whose value is a secret; a bucket's name is none and may be a common word."""
_SECRET_FIELD = re.compile(
    r"secret|password|passwd|token|authorization|api_?key|private_?key|credential", re.IGNORECASE
)
_URL_PASSWORD = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^\s/:@'\"]*:)(?P<password>[^\s'\"]+)(?=@)", re.IGNORECASE)
_SHAPES = (
    # Headers, whatever their token: as a server sees them, and as a dictionary is printed.
    (re.compile(r"\b(authorization['\"]?\s*[:=]\s*['\"]?(?:\w+\s+)?)[^\s'\",}]+", re.IGNORECASE), rf"\1{REMOVED}"),
    (re.compile(r"\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1{REMOVED}"),
    (_URL_PASSWORD, rf"\g<before>{REMOVED}"),
    # A Telegram bot's token, which stands in the path of every request to its server.
    (re.compile(r"(?<!\d)\d{6,12}(?::|%3A)[A-Za-z0-9_-]{30,}", re.IGNORECASE), REMOVED),
)


def secret_values(environment: Mapping[str, str]) -> frozenset[str]:
    """Return the values to hide: of variables with a secret's name, and passwords in URLs.

    Parameters
    ----------
    environment : mapping of str
        Names and values, e.g. ``os.environ``.
    """
    found: set[str] = set()
    for name, value in environment.items():
        if SECRET_NAME.search(name):
            found.add(value.strip())
        for match in _URL_PASSWORD.finditer(value):
            found |= {match["password"], unquote(match["password"])}
    return frozenset(value for value in found if len(value) >= SHORTEST and value.lower() not in _NO_SECRETS)


class Redactor:
    """Replaces secrets in text and in values built of it.

    Parameters
    ----------
    secrets : iterable of str
        The values. They are found as they are, percent-encoded, and as `repr` and JSON write
        them; of a secret of several lines also each long line.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        spellings: set[str] = set()
        for secret in secrets:
            lines = [line.strip() for line in secret.splitlines()]
            for text in {secret, *(line for line in lines if len(line) >= 4 * SHORTEST)}:
                spellings |= {text, quote(text, safe=""), quote(text), quote_plus(text), repr(text)[1:-1]}
                spellings |= {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
        # Longest first, in one pass: a secret may contain another.
        ordered = sorted((text for text in spellings if len(text) >= SHORTEST), key=lambda text: (-len(text), text))
        self._values = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, text: str) -> str:
        """Return `text` without secrets."""
        if self._values is not None:
            text = self._values.sub(REMOVED, text)
        for shape, replacement in _SHAPES:
            text = shape.sub(replacement, text)
        return text

    def value(self, value: Any, name: str = "") -> Any:
        """Return a value without secrets; what holds none comes back as it is.

        Parameters
        ----------
        value : object
            Text, number, container of such, or anything with a `str`.
        name : str
            What the value is called; under the name of a secret it is removed, whatever it is.
        """
        if name and value is not None and _SECRET_FIELD.search(name):
            return REMOVED
        if isinstance(value, str):
            return self.text(value)
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item, str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(item) for item in value]
        written = str(value)
        cleaned = self.text(written)
        return value if cleaned == written else cleaned
