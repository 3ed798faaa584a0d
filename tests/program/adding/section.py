"""A section of the report with a chart: how many trades were bought and how many sold."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROW = "a chart or section of the report"
EDITS = {
    "backtest/report/sections/sides.py": [
        (
            "",
            '''"""Bought and sold."""

from __future__ import annotations

from backtest.report.charts import Figure
from backtest.report.section import Reported, Section, framed

ROW = 45


def section(told: Reported) -> Section:
    """Return how many trades were bought and how many sold; nothing where none was made."""
    if not told.traded:
        return Section("")
    sides = told.result.trades["side"]
    counts = [int((sides > 0).sum()), int((sides < 0).sum())]
    figure: Figure = {"data": [{"type": "bar", "x": ["bought", "sold"], "y": counts}], "layout": {}}
    return Section(framed("Bought and sold", '<div id="sides"></div>'), {"sides": figure})
''',
        )
    ],
}


def check(folder: Path) -> None:
    """The page shows it where it says, with its chart, and leaves it out where there is nothing to show."""
    import numpy as np

    from backtest.benchmarks import buy_and_hold
    from backtest.metrics import compute_metrics
    from backtest.report.page import report_html
    from tests.helpers.backtest_examples import coin_flips, written_down
    from tests.helpers.made_pages import MADE

    result = coin_flips(600)
    metrics = compute_metrics(result, np.random.default_rng(7), m1=False)
    page = report_html(result, metrics, None, buy_and_hold(result), title="Report", made=MADE)
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    assert 0 < headings.index("Bought and sold") < len(headings) - 1
    found = re.search(r'<script type="application/json" id="page">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    figure = json.loads(found[1])["figures"]["sides"]
    assert sum(figure["data"][0]["y"]) == len(result.trades) > 10
    silent = written_down(())
    metrics = compute_metrics(silent, np.random.default_rng(7), m1=False)
    assert "Bought and sold" not in report_html(silent, metrics, None, buy_and_hold(silent), title="None", made=MADE)
