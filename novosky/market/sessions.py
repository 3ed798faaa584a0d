"""Trading sessions in their city's own time zone, daylight saving included.

| session | bit | local hours | zone |
|---|---|---|---|
| London | 1 | 08:00-16:30 | Europe/London |
| New York | 2 | 09:30-16:00 | America/New_York |
| Asian | 4 | 09:00-18:00 | Asia/Tokyo |

Sessions are open Monday to Friday of the city's own calendar; exchange holidays are not
taken out. The opening minute belongs to a session, the closing minute does not.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

LONDON = 1
NEW_YORK = 2
ASIAN = 4

_DAY_SECONDS = 86_400
_SATURDAY = 5


@dataclass(frozen=True)
class Session:
    """One city's trading hours on its own clock.

    Attributes
    ----------
    name : str
    bit : int
        What the session adds to a `session_mask`.
    zone : str
        IANA time zone.
    opens, closes : datetime.time
        Local; the close is the first moment outside.
    """

    name: str
    bit: int
    zone: str
    opens: time
    closes: time


SESSIONS: tuple[Session, ...] = (
    Session("london", LONDON, "Europe/London", time(8, 0), time(16, 30)),
    Session("new_york", NEW_YORK, "America/New_York", time(9, 30), time(16, 0)),
    Session("asian", ASIAN, "Asia/Tokyo", time(9, 0), time(18, 0)),
)


def session_hours(session: Session, first: date, last: date) -> npt.NDArray[np.int64]:
    """Return the session's opening and closing moments on its weekdays from `first` to `last`.

    Parameters
    ----------
    session : Session
    first, last : datetime.date
        Local dates, both included.

    Returns
    -------
    ndarray of int64, shape (days, 2)
        Open and close in seconds since 1970-01-01 UTC, rising.
    """
    # Handed out as a copy: the remembered one must stay what it is.
    return _session_hours(session, first, last).copy()


@functools.lru_cache(maxsize=64)
def _session_hours(session: Session, first: date, last: date) -> npt.NDArray[np.int64]:
    """Compute `session_hours`; a bot asks for the same few days at every bar of a day."""
    zone = ZoneInfo(session.zone)
    dates = (first + timedelta(days=offset) for offset in range((last - first).days + 1))
    hours = [
        (
            int(datetime.combine(day, session.opens, zone).timestamp()),
            int(datetime.combine(day, session.closes, zone).timestamp()),
        )
        for day in dates
        if day.weekday() < _SATURDAY
    ]
    return np.array(hours, dtype=np.int64).reshape(-1, 2)


def session_mask(times: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Say which sessions are open at each moment.

    Parameters
    ----------
    times : ndarray of int64, shape (n,)
        Seconds since 1970-01-01 UTC, in any order.

    Returns
    -------
    ndarray of uint8, shape (n,)
        Sum of `LONDON` (1), `NEW_YORK` (2) and `ASIAN` (4).

    Examples
    --------
    >>> import numpy as np
    >>> session_mask(np.array([1_717_596_000]))  # Wednesday 2024-06-05 14:00 UTC
    array([3], dtype=uint8)
    """
    mask = np.zeros(times.shape, dtype=np.uint8)
    if times.size == 0:
        return mask
    for bit, hours in _hours_around(int(times.min()) // _DAY_SECONDS, int(times.max()) // _DAY_SECONDS):
        latest = hours[:, 0].searchsorted(times, side="right") - 1
        # Before the first opening the last row is compared: it opens later, and nothing is open.
        is_open = (latest >= 0) & (times < hours[latest, 1])
        mask |= is_open * bit
    return mask


@functools.lru_cache(maxsize=64)
def _hours_around(first: int, last: int) -> tuple[tuple[np.uint8, npt.NDArray[np.int64]], ...]:
    """Return the bit and the hours of each session that opens from the UTC day `first` to `last`, days since 1970."""
    # A day on either side: the local date of a moment may differ from its UTC date.
    begin, end = (datetime.fromtimestamp(day * _DAY_SECONDS, UTC).date() for day in (first - 1, last + 1))
    found = ((np.uint8(session.bit), _session_hours(session, begin, end)) for session in SESSIONS)
    return tuple((bit, hours) for bit, hours in found if len(hours))
