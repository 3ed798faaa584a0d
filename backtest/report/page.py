"""A backtest as one HTML file that opens anywhere, offline included."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from backtest.benchmarks import BuyAndHold, RandomEntry
from backtest.excursions import excursions
from backtest.metrics import Metrics
from backtest.report.order import sections_of
from backtest.report.script import SCRIPT
from backtest.report.section import Reported
from backtest.result import BacktestResult
from novosky.files import write_text
from novosky.pages.shell import document
from novosky.provenance import Provenance


def write_report(
    path: Path,
    result: BacktestResult,
    metrics: Metrics,
    random_entry: RandomEntry | None,
    buy_hold: BuyAndHold | None,
    *,
    made: Provenance,
    title: str = "NOVOSKY backtest",
    details: Mapping[str, str] | None = None,
) -> None:
    """Write the report; the previous file stays until the new one is whole.

    Parameters
    ----------
    path : Path
    result, metrics, random_entry, buy_hold
        What was run and how it measured; benchmarks that are None are left out.
    made : Provenance
    title : str
    details : mapping of str to str or None
        Further lines for the assumptions, such as the data file and the model revision.

    Raises
    ------
    StorageError
        When the file cannot be written.
    """
    write_text(path, report_html(result, metrics, random_entry, buy_hold, made=made, title=title, details=details))


def report_html(
    result: BacktestResult,
    metrics: Metrics,
    random_entry: RandomEntry | None,
    buy_hold: BuyAndHold | None,
    *,
    made: Provenance,
    title: str,
    details: Mapping[str, str] | None = None,
) -> str:
    """Return the page that `write_report` writes."""
    told = Reported(result, metrics, random_entry, buy_hold, excursions(result), made, title, details or {})
    sections = sections_of(told)
    data: dict[str, Any] = {"figures": {}}
    for section in sections:
        data["figures"] |= section.figures
        data |= section.data
    body = "\n".join(section.html for section in sections)
    return document(title, body, data, get_plotlyjs(), SCRIPT)
