"""A live news source over a host of the tests' own, and the week it serves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random

import pandas as pd

from novosky.settings.runtime import News
from tests.contracts.news import NOW, OTHERS, PLACEHOLDER, RELEASES
from tests.hosts.calendar_host import CalendarHost, Row, row, rows_of
from trading.cycle.news import LiveNews, NewsSource

HOUR, DAY = 3600.0, 86_400.0


def week_rows() -> list[Row]:
    table = pd.DataFrame(
        [(text, "High", "USD", "Core CPI m/m") for text in RELEASES]
        + [(PLACEHOLDER, "High", "USD", "President Speaks")]
        + [(OTHERS[0], "Medium", "USD", "Claims"), (OTHERS[1], "High", "GBP", "Official Bank Rate")],
        columns=["time", "impact", "currency", "event"],
    )
    table["time"] = pd.to_datetime(table["time"], format="mixed", utc=True)
    return rows_of(table)


def next_week() -> list[Row]:
    return [row("2024-05-14T08:30:00-04:00", title="PPI m/m"), row("2024-05-15T08:30:00-04:00")]


@dataclass
class NewsDesk:
    """A live source that can be closed and opened again."""

    host: CalendarHost
    folder: Path
    history: Path | None = None

    def open(self, timeout: float = 5.0, seed: int = 1) -> LiveNews:
        return LiveNews(self.folder, News(base_url=self.host.url), Random(seed), history=self.history, timeout=timeout)


def known(source: NewsSource, now: float = NOW) -> list[int]:
    calendar = source.calendar(now)
    return [] if calendar is None else [int(time) for time in calendar.event_times]
