"""The check of the news calendar: whether the running bot knows what is scheduled."""

from __future__ import annotations

from pathlib import Path

from novosky.data.calendar.download import CACHE_NAME
from novosky.settings.runtime import News
from trading.cycle.news import stored_state
from trading.doctor.finding import Finding, ok, warn


def check_calendar(folder: Path, news: News, now: float) -> Finding:
    """Tell how old the stored calendar is and what a missing one means.

    Parameters
    ----------
    folder : Path
        Where the bot keeps its calendar.
    news : News
    now : float
        UTC epoch seconds.
    """
    means = "entries are blocked until it is known" if news.missing == "block" else "the bot trades without it"
    if not (folder / CACHE_NAME).exists():
        return ok("news calendar", f"none stored yet, the bot fetches it; while it is missing {means} (news.missing)")
    state = stored_state(folder, news, now)
    if state.freshness == "fresh":
        return ok("news calendar", str(state))
    mend = "start the bot or run `novosky calendar`; it needs the network"
    return warn("news calendar", f"{state}; {means} (news.missing)", mend)
