"""Taking secrets out of text that leaves the program: their values, wherever they turn up."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

from novosky.environment import DATABASE, HUB_STORE, VARIABLES

REMOVED = "***"
"""Stands where a secret stood."""
SHORTEST = 4
"""Values shorter than this occur in ordinary words; they are looked for as whole words alone."""
LEAST = 2
"""Values shorter than this hide nothing and are not looked for at all."""
_ENDPOINT = HUB_STORE[0].name
_DECLARED = frozenset(variable.name for variable in VARIABLES if variable.secret) - {DATABASE.name}
"""A database's URL is shown in messages; of it the password is the secret."""
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", ""})
_NO_SECRETS = frozenset({"true", "false", "none", "null"})

SECRET_NAME = re.compile(
    r"(?:^|_)(?:SECRET|PASSWORD|PASSWD|TOKEN|KEY|CREDENTIALS?)(?:_ID)?$|_\w*TOKEN$|_(?:CHAT_IDS|WEBHOOK_URL)$|^R2_(?!BUCKET$)",
    re.IGNORECASE,
)
"""Names of variables whose value is a secret; a bucket's name is none and may be a common word.
What a chat or a receiver is reached by gives it away, so their names are here, too: alert channels
declare their variables above this package, and a test holds all of them against this pattern."""
_SECRET_FIELD = re.compile(
    r"secret|password|passwd|token|authorization|api_?key|private_?key|credential", re.IGNORECASE
)
_URL_PASSWORD = re.compile(r"(?P<before>[a-z][a-z0-9+.-]*://[^\s/:@'\"]*:)(?P<password>[^\s'\"]+)(?=@)", re.IGNORECASE)
_QUERY_PASSWORD = re.compile(r"[?&]\w*(?:password|passwd|secret|token)=(?P<password>[^&#\s]+)", re.IGNORECASE)
_LONG = 4 * SHORTEST
"""Parts of a secret from this length on are secrets themselves."""
_SHAPES = (
    # Headers, whatever their token: as a server sees them, and as a dictionary is printed.
    (re.compile(r"\b(authorization['\"]?\s*[:=]\s*['\"]?(?:\w+\s+)?)[^\s'\",}]+", re.IGNORECASE), rf"\1{REMOVED}"),
    (re.compile(r"\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1{REMOVED}"),
    (_URL_PASSWORD, rf"\g<before>{REMOVED}"),
    # A Telegram bot's token, which stands in the path of every request to its server.
    (re.compile(r"(?<!\d)\d{6,12}(?::|%3A)[A-Za-z0-9_-]{30,}", re.IGNORECASE), REMOVED),
)


def secret_values(environment: Mapping[str, str]) -> frozenset[str]:
    """Return the values to hide: of variables that are declared secret or named like one, and passwords in URLs.

    Parameters
    ----------
    environment : mapping of str
        Names and values, from `novosky.environment.read_environment`: what is used is what is hidden.
    """
    found: set[str] = set()
    for name, value in environment.items():
        if name in _DECLARED or SECRET_NAME.search(name):
            found |= _parts_of(name, value.strip())
        found |= _passwords_of(value)
    return frozenset(value for value in found if len(value) >= LEAST and value.lower() not in _NO_SECRETS)


def _parts_of(name: str, value: str) -> set[str]:
    """Return a secret and what else gives it away."""
    if name.upper().endswith("_IDS"):
        return set(re.split(r"[\s,;]+", value))
    if name.upper().endswith("_TOKEN") and re.match(r"\d+:", value):
        # As Telegram writes a bot's token: what stands before the colon is its public number.
        secret = value.partition(":")[2]
        return {value, secret} if len(secret) >= _LONG else {value}
    if name == _ENDPOINT:
        return {value} | {host for host in (_host_of(value),) if host not in _LOOPBACK}
    return {value}


def _host_of(address: str) -> str:
    try:
        return urlsplit(address if "//" in address else f"//{address}").hostname or ""
    except ValueError:
        return ""


def _passwords_of(value: str) -> set[str]:
    found = {match["password"] for match in _URL_PASSWORD.finditer(value)}
    if "://" in value:
        found |= {match["password"] for match in _QUERY_PASSWORD.finditer(value)}
    return found | {unquote(password) for password in found}


def _wherever(text: str) -> str:
    """Return the pattern that finds a secret: short ones only where they stand for themselves."""
    return re.escape(text) if len(text) >= SHORTEST else rf"(?<!\w){re.escape(text)}(?!\w)"


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
            for text in {secret, *(line for line in lines if len(line) >= _LONG)}:
                spellings |= {text, quote(text, safe=""), quote(text), quote_plus(text), repr(text)[1:-1]}
                spellings |= {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], html.escape(text)}
        # Longest first, in one pass: a secret may contain another.
        ordered = sorted((text for text in spellings if len(text) >= LEAST), key=lambda text: (-len(text), text))
        self._values = re.compile("|".join(map(_wherever, ordered))) if ordered else None

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
