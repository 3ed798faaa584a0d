"""Asking the calendar's host: politely, remembered across restarts, and never twice in a row.

The host refuses those who ask too often, so every request is written down before it is made:
a bot that is restarted in a loop still asks no more than a healthy one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from random import Random

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from novosky import __version__
from novosky.data.calendar.forex_factory import WEEK_FILE, Week, parse_week
from novosky.errors import DataError, StorageError
from novosky.files import write_text

CACHE_NAME = "thisweek.json"
LARGEST_BODY = 2 * 1024 * 1024
"""Bytes after decompression; a week is about 20 kB."""
FIRST_WAIT, LONGEST_WAIT = 300.0, 6 * 3600.0
"""Seconds until a failed request is repeated; doubled by every further failure."""
JITTER = 0.25
"""Waits are lengthened by up to this share, so that many bots do not come back together."""
LONGEST_ASKED_WAIT = 24 * 3600.0
"""A host's own Retry-After is believed up to this."""


@dataclass(frozen=True)
class Patience:
    """How the host is asked.

    Attributes
    ----------
    interval : float
        Seconds from an answer to the next request; after a failure `FIRST_WAIT` and more.
    timeout : float
        Seconds until a request is given up, headers, body and all.
    monotonic : callable
        Measures `timeout`.
    """

    interval: float = 3600.0
    timeout: float = 10.0
    monotonic: Callable[[], float] = time.monotonic


class CachedWeek(BaseModel):
    """What is kept on disk between requests. Times are UTC epoch seconds, 0 for never."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    url: str
    body: str = ""
    etag: str = ""
    last_modified: str = ""
    fetched_at: float = 0.0
    """When `body` was received."""
    confirmed_at: float = 0.0
    """When the host last said that `body` is current."""
    asked_at: float = 0.0
    next_ask: float = 0.0
    failures: int = 0
    """Requests in a row without an answer."""
    failure: str = ""
    """Why the last of them had none."""


class _NoAnswerError(Exception):
    """A request without a usable answer; `wait` is what the host asked for, if it did."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class WeekDownload:
    """The weekly export of one host with its cache file.

    Parameters
    ----------
    base_url : str
    cache : Path
        JSON file, replaced atomically; a damaged one is forgotten and said so in `damage`.
    patience : Patience
    rng : random.Random
        Draws the jitter.
    """

    def __init__(self, base_url: str, cache: Path, patience: Patience, rng: Random) -> None:
        self._url = f"{base_url.rstrip('/')}/{WEEK_FILE}"
        self._cache, self._patience, self._rng = cache, patience, rng
        self.damage = ""
        self.unwritten = ""
        """Why the cache is older than what is known; the week and the waits hold all the same."""
        self.week: Week | None = None
        self.state = self._read()

    def _read(self) -> CachedWeek:
        fresh = CachedWeek(url=self._url)
        try:
            stored = CachedWeek.model_validate_json(self._cache.read_bytes())
            # Another host's answer and its ETag say nothing about this one's.
            if stored.url != self._url:
                return fresh
            self.week = parse_week(stored.body.encode()) if stored.body else None
        except FileNotFoundError:
            return fresh
        except (OSError, ValidationError, DataError) as error:
            self.damage = f"{self._cache} was unreadable and is fetched anew ({str(error).splitlines()[0]})"
            return fresh
        return stored

    def due(self, now: float) -> bool:
        """Tell whether the host may be asked at `now`, UTC epoch seconds."""
        # A clock that was set back must not silence the bot for as long as it ran ahead.
        return now >= self.state.next_ask or now < self.state.asked_at

    def ask(self, now: float) -> bool:
        """Ask once if it is due; True when the host sent another week than the cached one.

        A failure is no exception: it is in `state.failure`, and the next request waits longer. Nor
        is a cache that cannot be written: see `unwritten`.
        """
        if not self.due(now):
            return False
        self._keep(asked_at=now, next_ask=now + self._wait(self.state.failures + 1))
        try:
            response, body = self._get()
            if response.status_code == 304:
                self._confirm(now)
                return False
            week = parse_week(body)
        except (_NoAnswerError, DataError) as error:
            failures = self.state.failures + 1
            asked = min(error.wait, LONGEST_ASKED_WAIT) if isinstance(error, _NoAnswerError) else 0.0
            self._keep(failures=failures, failure=str(error), next_ask=now + max(asked, self._wait(failures)))
            return False
        self.week = week
        headers = {"etag": response.headers.get("ETag", ""), "last_modified": response.headers.get("Last-Modified", "")}
        self._keep(body=body.decode("utf-8-sig"), fetched_at=now, **headers)
        self._confirm(now)
        return True

    def _confirm(self, now: float) -> None:
        self._keep(confirmed_at=now, next_ask=now + self._patience.interval, failures=0, failure="")

    def _keep(self, **changes: str | float) -> None:
        self.state = self.state.model_copy(update=changes)
        try:
            write_text(self._cache, self.state.model_dump_json(indent=1) + "\n")
            self.unwritten = ""
        except StorageError as error:
            self.unwritten = str(error)

    def _wait(self, failures: int) -> float:
        wait: float = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** min(failures - 1, 16))
        return wait * (1 + JITTER * self._rng.random())

    def _get(self) -> tuple[httpx.Response, bytes]:
        headers = {"User-Agent": f"novosky/{__version__}", "Accept": "application/json"}
        if self.week is not None:
            headers |= {"If-None-Match": self.state.etag} if self.state.etag else {}
            headers |= {"If-Modified-Since": self.state.last_modified} if self.state.last_modified else {}
        deadline = self._patience.monotonic() + self._patience.timeout
        try:
            with (
                httpx.Client(timeout=self._patience.timeout, follow_redirects=True) as client,
                client.stream("GET", self._url, headers=headers) as response,
            ):
                self._check_status(response)
                pieces, size = [], 0
                for piece in response.iter_bytes():
                    pieces.append(piece)
                    size += len(piece)
                    if size > LARGEST_BODY:
                        raise _NoAnswerError(f"{self._url} sends more than {LARGEST_BODY:,} bytes")
                    # Every piece may come in time and the whole never.
                    if self._patience.monotonic() > deadline:
                        raise _NoAnswerError(f"{self._url} did not finish within {self._patience.timeout:g} s")
                return response, b"".join(pieces)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _NoAnswerError(f"{self._url}: {type(error).__name__} {error}".rstrip()) from error

    def _check_status(self, response: httpx.Response) -> None:
        if response.status_code == 200 or (response.status_code == 304 and self.week is not None):
            return
        status = f"HTTP {response.status_code} {response.reason_phrase}".strip()
        raise _NoAnswerError(f"{self._url} answered {status}", _retry_after(response))


def _retry_after(response: httpx.Response) -> float:
    """Return the seconds asked for, in either form of the header (RFC 9110, 10.2.3), else 0."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(response.headers["Date"])
    except (ValueError, TypeError, KeyError):
        return 0.0
    return max(0.0, wait.total_seconds())
