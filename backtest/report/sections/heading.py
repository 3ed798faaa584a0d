"""The title of the report and its warnings."""

from __future__ import annotations

import html

from backtest.report.section import Reported, Section
from backtest.report.summary import notices, window

ROW = 0


def section(told: Reported) -> Section:
    """Return the title, the window, where the figures come from, and what must not be missed."""
    banners = "".join(
        f'<section class="{"severe" if notice.severe else "warning"}" role="alert">{html.escape(notice.text)}</section>'
        for notice in notices(told.metrics)
    )
    title, covered = html.escape(told.title), html.escape(window(told.metrics))
    return Section(f'<h1>{title}</h1><p class="sub">{covered}</p>{told.made.html()}{banners}')
