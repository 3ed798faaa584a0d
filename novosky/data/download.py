"""Incremental, resumable download of candle histories over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pandas as pd
import tenacity

from novosky.data.candle_sources import CANDLES_PER_PAGE, CandleSource
from novosky.data.joining import Join
from novosky.data.store import load_bars, merge_bars, save_bars
from novosky.errors import NetworkError, UsageError
from novosky.guarded_json import parse_json
from novosky.market.bars import epoch_seconds, validate_bars
from novosky.market.instrument import instrument
from novosky.remote_text import clean_text

Progress = Callable[[int, int], None]
"""Called with (bars' worth of time asked for so far, all of it) after every page."""

SETTLE_SECONDS = 5
"""A candle counts as closed this long after its end: venues still book late trades at the turn."""

PAGES_PER_SAVE = 20
"""Pages between two saves; what a killed download can lose."""


@dataclass(frozen=True)
class RetryPolicy:
    """How patiently a venue is asked again.

    Attributes
    ----------
    attempts : int
        Requests for one page, the first included.
    first_wait, longest_wait : float
        Seconds; the wait doubles from the first to the longest. A venue that asks for more than
        `longest_wait` in ``Retry-After`` ends the download: it can be resumed later.
    timeout : float
        Seconds until an unanswered request counts as failed.
    sleep : callable
        How to wait.
    """

    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 120.0
    timeout: float = 20.0
    sleep: Callable[[float], None] = time.sleep


class _TryAgainError(Exception):
    """A failure that may pass; `wait` is what the venue asked for, if it did."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


def download_bars(
    source: CandleSource,
    path: Path,
    *,
    now: int,
    start: int | None = None,
    end: int | None = None,
    seconds: int,
    join: Set[Join] = frozenset(),
    retry: RetryPolicy | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Bring the store at `path` up to date with a venue.

    The last stored bar is asked for again: a venue that tells it differently is another
    venue, and the merge says so. Holes inside the stored bars are outages and stay.

    Parameters
    ----------
    source : CandleSource
    path : Path
        Parquet store; created when missing, otherwise extended at both ends as needed.
    now : int
        Current time, UTC epoch seconds. Candles not closed by then are left out.
    start, end : int, optional
        UTC epoch seconds, end exclusive. Default: what is stored already, or the venue's first
        day, up to now.
    seconds : int
        The timeframe.
    join : set of {"symbols", "sources"}
        What the stored bars may differ in, see `merge_bars`.
    retry : RetryPolicy, optional
    progress : callable, optional

    Returns
    -------
    pandas.DataFrame
        All stored bars.

    Raises
    ------
    NetworkError
        When the venue keeps failing or answers nonsense; everything received is stored.
    DataError
        When the store is damaged, or contradicts the venue.
    UsageError
        For a timeframe the venue does not have, or an empty window.
    """
    if seconds not in source.timeframes:
        known = ", ".join(str(each) for each in source.timeframes)
        raise UsageError(f"{source.label} has no {seconds}-second bars; choose one of {known} seconds")
    stored = load_bars(path, seconds=seconds) if path.exists() else None
    last_closed = (now - SETTLE_SECONDS) // seconds * seconds
    pages = list(_pages(source, stored, start, min(last_closed, end if end is not None else last_closed), seconds))
    if stored is None and not pages:
        raise UsageError(f"{source.label}: the window from {start} to {end} (UTC epoch seconds) holds no closed candle")
    total, done = sum(stop - begin for begin, stop in pages) // seconds, 0
    writer = _Writer(path, stored, seconds, join)
    policy = retry or RetryPolicy()
    with httpx.Client(base_url=source.base_url, timeout=policy.timeout, follow_redirects=True) as client:
        try:
            for begin, stop in pages:
                writer.add(_page(client, source, begin, stop, seconds, policy))
                done += (stop - begin) // seconds
                if progress is not None:
                    progress(done, total)
        finally:
            # Whatever ends the download, what was received is kept and the next run goes on from it.
            writer.save()
    if writer.bars is None:
        raise NetworkError(
            f"{source.label} at {source.base_url} has no candles in the window asked for; "
            "check --symbol, --start and --end"
        )
    return writer.bars


def _pages(
    source: CandleSource, stored: pd.DataFrame | None, start: int | None, end: int, seconds: int
) -> Iterator[tuple[int, int]]:
    """Yield [begin, stop) windows of one page each, always adjacent to what is stored by then.

    Earlier history is fetched backwards from the first stored bar, so that a killed download
    leaves no hole that the next one could not see.
    """
    width = CANDLES_PER_PAGE * seconds
    floor = max(source.first_open, start if start is not None else source.first_open)
    floor = -(-floor // seconds) * seconds
    end = -(-end // seconds) * seconds
    if stored is None:
        tail = floor
    else:
        stamps = epoch_seconds(stored)
        first, tail = int(stamps[0]), int(stamps[-1])
        if start is not None:
            for stop in range(first, floor, -width):
                yield max(floor, stop - width), stop
    if stored is not None and end <= tail + seconds:
        return
    for begin in range(tail, end, width):
        yield begin, min(end, begin + width)


class _Writer:
    """Collects pages and merges them into the store every `PAGES_PER_SAVE`.

    The first page is merged and saved at once, so that another venue's store or a full disk is
    noticed before anything else is fetched.
    """

    def __init__(self, path: Path, stored: pd.DataFrame | None, seconds: int, join: Set[Join]) -> None:
        self.bars = stored
        self._path, self._seconds, self._join = path, seconds, join
        self._received: list[pd.DataFrame] = []
        self._save_at = 1

    def add(self, page: pd.DataFrame | None) -> None:
        if page is not None:
            self._received.append(page)
        if len(self._received) >= self._save_at:
            self.save()
            self._save_at = PAGES_PER_SAVE

    def save(self) -> None:
        if not self._received:
            return
        received, self._received = self._received, []
        labels = dict(received[0].attrs)
        fresh = pd.concat(received).sort_values("time", kind="stable").reset_index(drop=True)
        fresh.attrs.update(labels)
        merged = fresh if self.bars is None else merge_bars(self.bars, fresh, join=self._join)
        save_bars(self._path, merged, seconds=self._seconds)
        self.bars = merged


def _page(
    client: httpx.Client, source: CandleSource, begin: int, stop: int, seconds: int, policy: RetryPolicy
) -> pd.DataFrame | None:
    """Fetch, check and cut one window; None when the venue has no candle there."""
    path, query = source.request(begin, stop, seconds)
    url = str(client.build_request("GET", path, params=query).url)
    response = _get(client, path, query, url, policy)
    try:
        page = source.parse(parse_json(response.content, "the answer", mend_text=True))
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise NetworkError(
            f"{url} answered {clean_text(response.text[:100])!r}, not the candles it documents "
            f"({type(error).__name__}: {error}); check --base-url, or try again later"
        ) from error
    # Venues may round the window outwards, and the newest candle is still open.
    opens = page["time"].astype("datetime64[s, UTC]").astype("int64")
    page = page.loc[(opens >= begin) & (opens < stop)]
    if page.empty:
        return None
    page = validate_bars(page, source=url, seconds=seconds)
    page.attrs.update(symbol=instrument(source.symbol), source=source.label)
    return page


def _get(client: httpx.Client, path: str, query: dict[str, str | int], url: str, policy: RetryPolicy) -> httpx.Response:
    backoff = tenacity.wait_exponential(multiplier=policy.first_wait, max=policy.longest_wait)

    def wait(state: tenacity.RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        asked = error.wait if isinstance(error, _TryAgainError) else None
        return backoff(state) if asked is None else asked

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(_TryAgainError),
        stop=tenacity.stop_after_attempt(policy.attempts),
        wait=wait,
        sleep=policy.sleep,
        reraise=True,
    )
    try:
        return retrying(_ask, client, path, query, url, policy.longest_wait)
    except _TryAgainError as error:
        raise NetworkError(
            f"{url} failed {policy.attempts} times, last with {error}; what was received is stored, "
            "run the same command later to go on"
        ) from error


def _ask(client: httpx.Client, path: str, query: dict[str, str | int], url: str, longest_wait: float) -> httpx.Response:
    try:
        response = client.get(path, params=query)
    except httpx.UnsupportedProtocol as error:
        raise NetworkError(f"{url} is no web address ({error}); correct --base-url") from error
    except httpx.TransportError as error:
        raise _TryAgainError(f"{type(error).__name__}: {error}") from error
    except httpx.HTTPError as error:
        raise NetworkError(f"{url} could not be fetched ({error}); check --base-url") from error
    status = f"HTTP {response.status_code} {response.reason_phrase}".strip()
    if response.status_code in (418, 429) or response.status_code >= 500:
        asked = _retry_after(response)
        if asked is not None and asked > longest_wait:
            raise NetworkError(
                f"{url} answered {status} and asks to wait {asked:.0f} s; what was received is stored, "
                "run the same command again after that"
            )
        raise _TryAgainError(status, asked)
    if not response.is_success:
        raise NetworkError(
            f"{url} answered {status}: {response.text[:200].strip()}; check --symbol and --base-url "
            "(some venues refuse some countries)"
        )
    return response


def _retry_after(response: httpx.Response) -> float | None:
    """Return the wait asked for in seconds; the header holds seconds or an HTTP date (RFC 9110, 10.2.3)."""
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        # The venue's own Date header spares a comparison of its clock with ours.
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(response.headers["Date"])
    except (ValueError, TypeError, KeyError):
        return None
    return max(0.0, wait.total_seconds())
