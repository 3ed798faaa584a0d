"""Report calibration and drift of the models."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.shared.options import FILE, UtcDate, data_option, file_options, refuse_collisions
from commands.shared.provenance import provenance

if TYPE_CHECKING:
    import pandas as pd

    from ml.report.figures import ModelReport

_MOST_SHOWN = 12
EPILOG = """\b
Examples:
  python scripts/model_report.py --data data/BTCUSD_M15.parquet --json model.json
  python scripts/model_report.py --start 2024-01-01 --end 2024-04-01 --report reports/q1.html
  python scripts/model_report.py --training-only --no-chart

--data must hold the bars of the training and the newer ones. The report judges nothing: it
exits 0 whenever it was made.
"""


@click.command(epilog=EPILOG)
@data_option()
@click.option("--start", type=UtcDate(), help="First bar's open of the live window, UTC; never before the cutoff.")
@click.option("--end", type=UtcDate(), help="End of the live window, UTC, exclusive.")
@click.option("--training-only", is_flag=True, help="Leave the live window and drift out.")
@file_options
@click.option("--json", "json_file", type=FILE, help="Write every number as JSON.")
@click.option(
    "--report",
    "report_file",
    type=FILE,
    default=Path("reports/model_report.html"),
    show_default=True,
    help="HTML report.",
)
@click.option("--no-chart", is_flag=True, help="Print and write numbers only, no HTML report.")
def model_report(
    data: Path,
    start: datetime | None,
    end: datetime | None,
    training_only: bool,
    config: Path,
    ml_config: Path,
    models: Path,
    calendar: Path | None,
    json_file: Path | None,
    report_file: Path,
    no_chart: bool,
) -> None:
    """Measure how far the models' probabilities can be believed, and how far the market has moved.

    Calibration of the signal models in the training window (out of fold) and after its cutoff
    (live), and the drift of every feature between the two.
    """
    from ml.report.measure import build_report
    from ml.report.page import write_model_page
    from novosky.data.market_bars import load_market_bars
    from novosky.files import write_json
    from novosky.market.news import load_calendar
    from novosky.settings import load_ml_settings, load_settings

    _check_window(start, end, training_only)
    page = None if no_chart else report_file
    refuse_collisions(
        {"--json": json_file, "--report": page},
        {"--data": data, "--config": config, "--ml-config": ml_config, "--calendar": calendar, "--models": models},
    )
    settings = load_settings(config)
    report = build_report(
        models,
        settings,
        load_ml_settings(ml_config),
        load_market_bars(data, settings),
        load_calendar(calendar) if calendar else None,
        start=_timestamp(start),
        end=_timestamp(end),
        training_only=training_only,
    )
    print_report(report)
    if json_file is not None:
        write_json(json_file, report.as_dict())
    if page is not None:
        write_model_page(page, report, provenance(settings))
        click.echo(f"report: {page}")


def _check_window(start: datetime | None, end: datetime | None, training_only: bool) -> None:
    from novosky.errors import UsageError

    if training_only and (start is not None or end is not None):
        raise UsageError(
            "--start and --end narrow the live window, which --training-only leaves out; give one or other"
        )
    if start is not None and end is not None and end <= start:
        raise UsageError(f"--end {end:%Y-%m-%dT%H:%M} is not after --start {start:%Y-%m-%dT%H:%M}")


def _timestamp(moment: datetime | None) -> pd.Timestamp | None:
    import pandas as pd

    return None if moment is None else pd.Timestamp(moment)


def print_report(report: ModelReport) -> None:
    """Print the tables, the findings and what to keep in mind."""
    from commands.shared.tables import print_table
    from ml.report.findings import (
        CALIBRATION_COLUMNS,
        DRIFT_COLUMNS,
        TRADED_COLUMNS,
        calibration_rows,
        drift_rows,
        findings,
        traded_rows,
    )

    if report.synthetic is not None:
        click.echo(f"SYNTHETIC DATA ({report.synthetic} market)")
    drifts = [*report.drift.predictions, *report.drift.features[:_MOST_SHOWN]]
    for title, columns, rows, left in (
        ("calibration", CALIBRATION_COLUMNS, calibration_rows(report), 2),
        ("rows that would be traded", TRADED_COLUMNS, traded_rows(report), 2),
        (f"drift, predictions and the {_MOST_SHOWN} most drifted features", DRIFT_COLUMNS, drift_rows(drifts), 1),
    ):
        if rows:
            print_table(title, columns, rows, names=left, left=left)
    for line in (*findings(report), *report.notes):
        click.echo(line)
