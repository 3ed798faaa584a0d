"""When the broker deals: weekly hours on the server's clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from novosky.market.server_time import ServerClock

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[Weekday, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY_SECONDS = 86_400


def parse_hours(text: str) -> tuple[int, int]:
    """Return opening and closing second of the server day for "HH:MM-HH:MM" or "closed".

    Raises
    ------
    ValueError
        Anything else, or hours that do not end after they begin.
    """
    if text == "closed":
        return 0, 0
    match = re.fullmatch(r"(\d\d):(\d\d)-(\d\d):(\d\d)", text)
    if match is None:
        raise ValueError(f"{text!r} is neither 'closed' nor 'HH:MM-HH:MM'")
    hours = [int(part) for part in match.groups()]
    begin, end = hours[0] * 3600 + hours[1] * 60, hours[2] * 3600 + hours[3] * 60
    if not begin < end <= DAY_SECONDS or hours[1] > 59 or hours[3] > 59:
        raise ValueError(f"{text!r} does not end after it begins within one day")
    return begin, end


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
    """
    result = np.ones(len(times), dtype=bool)
    if not hours:
        return result
    local = clock.from_utc(times)
    weekday = (local // DAY_SECONDS + 3) % 7  # 1970-01-01 was a Thursday
    second = local % DAY_SECONDS
    for day, text in hours.items():
        begin, end = parse_hours(text)
        on_day = weekday == WEEKDAYS.index(day)
        result[on_day] = (second[on_day] >= begin) & (second[on_day] < end)
    return result
