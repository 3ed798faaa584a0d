"""When the broker deals: weekly sessions on the server's clock.

Each weekday has `closed` or one or more sessions such as ``00:00-12:00, 13:00-22:00``. A session
that ends at or before its beginning, ``22:00-06:00``, goes over midnight and belongs to the day
it begins on, whatever the next day says of itself. Days left out are open all day.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from novosky.market.server_time import ServerClock
from novosky.market.timeframe import DAY_SECONDS, WEEK_SECONDS

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EXAMPLE = "for example '00:00-12:00, 13:00-22:00', or '22:00-06:00' over midnight"


class Session(NamedTuple):
    """Hours without a pause, in seconds since the day's midnight; `end` lies beyond the day when over midnight."""

    begin: int
    end: int


def parse_hours(text: str) -> tuple[Session, ...]:
    """Return a day's sessions, ascending; none for "closed".

    Parameters
    ----------
    text : str
        "closed" or "HH:MM-HH:MM", several with commas; "24:00" is the day's end.

    Raises
    ------
    ValueError
        Anything else, an empty session, or two that overlap; the text says what would be right.
    """
    if text == "closed":
        return ()
    sessions = sorted(_session(part.strip(" "), text) for part in text.split(","))
    for one, other in pairwise(sessions):
        if other.begin < one.end:
            raise ValueError(f"{text!r}: {_written(one)} and {_written(other)} overlap; {_EXAMPLE}")
    return tuple(sessions)


def _session(part: str, text: str) -> Session:
    match = re.fullmatch(r"(\d\d):(\d\d)-(\d\d):(\d\d)", part, re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is neither 'closed' nor 'HH:MM-HH:MM', several with commas; {_EXAMPLE}")
    hours = [int(number) for number in match.groups()]
    begin, end = hours[0] * 3600 + hours[1] * 60, hours[2] * 3600 + hours[3] * 60
    if hours[1] > 59 or hours[3] > 59 or begin >= DAY_SECONDS or end > DAY_SECONDS:
        raise ValueError(f"{text!r}: {part} holds no time of day; hours go from 00:00 to 24:00, {_EXAMPLE}")
    if begin == end:
        raise ValueError(f"{text!r}: {part} is empty; write 00:00-24:00 for a whole day, 'closed' for none, {_EXAMPLE}")
    return Session(begin, end if end > begin else end + DAY_SECONDS)


def _written(session: Session) -> str:
    begin, end = (f"{second // 3600:02}:{second % 3600 // 60:02}" for second in (session.begin, session.end))
    return f"{begin}-{end}" if session.end <= DAY_SECONDS else f"{begin}-{end} (over midnight)"


def check_week(hours: Mapping[Weekday, str]) -> None:
    """Refuse a week whose days cannot be read, or of which one's session over midnight meets the next day's own.

    Raises
    ------
    ValueError
    """
    days = {day: parse_hours(text) for day, text in hours.items()}
    for day, sessions in days.items():
        following = WEEKDAYS[(WEEKDAYS.index(day) + 1) % 7]
        beyond = max((session.end - DAY_SECONDS for session in sessions), default=0)
        for session in days.get(following, ()):
            if session.begin < beyond:
                raise ValueError(
                    f"{day} {hours[day]!r} goes on until {_written(Session(0, beyond))[6:]} of {following}, whose own "
                    f"{hours[following]!r} begins before that; end the one where the other begins"
                )


def week_sessions(hours: Mapping[Weekday, str]) -> tuple[Session, ...]:
    """Return the open times of a week in seconds since Monday 00:00, ascending and apart from one another."""
    found: list[Session] = []
    for index, day in enumerate(WEEKDAYS):
        for session in parse_hours(hours.get(day, "00:00-24:00")):
            begin, end = index * DAY_SECONDS + session.begin, index * DAY_SECONDS + session.end
            found.append(Session(begin, min(end, WEEK_SECONDS)))
            if end > WEEK_SECONDS:
                # Sunday's last session goes on into Monday.
                found.append(Session(0, end - WEEK_SECONDS))
    merged: list[Session] = []
    for session in sorted(found):
        if merged and session.begin <= merged[-1].end:
            merged[-1] = Session(merged[-1].begin, max(merged[-1].end, session.end))
        else:
            merged.append(session)
    return tuple(merged)


def open_at(times: npt.NDArray[np.int64], hours: Mapping[Weekday, str], clock: ServerClock) -> npt.NDArray[np.bool_]:
    """Tell for each moment whether the market deals.

    Parameters
    ----------
    times : ndarray of int64, shape (n,)
        UTC epoch seconds.
    hours : mapping
        Weekday name to hours; days left out are open all day.
    clock : ServerClock
        The rule of the server's clock.

    Returns
    -------
    ndarray of bool, shape (n,)
        A session's first second belongs to it, its last does not.
    """
    if not hours:
        return np.ones(len(times), dtype=bool)
    sessions = week_sessions(hours)
    begins = np.array([session.begin for session in sessions], dtype=np.int64)
    ends = np.array([-1, *(session.end for session in sessions)], dtype=np.int64)
    # 1970-01-01 was a Thursday.
    second = (clock.from_utc(times) + 3 * DAY_SECONDS) % WEEK_SECONDS
    return np.asarray(second < ends[np.searchsorted(begins, second, side="right")])
