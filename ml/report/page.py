"""The model report as one HTML file that loads nothing from anywhere."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml.report.figures import CLASSES, MODELS, CalibrationReport, ModelReport
from ml.report.findings import (
    BAND_NOTE,
    CALIBRATION_COLUMNS,
    CHANCE_NOTE,
    DRIFT_COLUMNS,
    PROTECTED_MARK,
    TRADED_COLUMNS,
    TRADED_NOTE,
    WINDOW_WORDS,
    WINDOWS,
    calibration_rows,
    drift_rows,
    findings,
    number,
    traded_rows,
    window_of,
)
from ml.report.reliability import ReliabilityBin
from ml.sets.shap_summary import PROTECTED_NOTE
from novosky.files import write_text
from novosky.pages.shell import COLOURS, document
from novosky.provenance import Provenance

Figure = dict[str, Any]
"""What `Plotly.newPlot` takes: {"data": [...], "layout": {...}}; colours are CSS variables."""

_STYLE = """
p{max-width:90ch}th.left,td.left{text-align:left}table{font-size:12.5px}
@media print{section{break-inside:avoid}table{font-size:8px}th,td{padding:2px 3px}}
"""
_SCRIPT = (
    """
(function(){
'use strict';
var figures=JSON.parse(document.getElementById('page').textContent).figures;
"""
    + COLOURS
    + """
var narrow=matchMedia('(max-width: 720px)');
function draw(){
  var css=getComputedStyle(document.documentElement);
  Object.keys(figures).forEach(function(id){
    var figure=resolve(figures[id],css);
    // Three panels side by side are thumbnails on a phone: there they stand one below the other.
    var layout=figure.narrow&&narrow.matches?Object.assign({},figure.layout,figure.narrow):figure.layout;
    Plotly.react(id,figure.data,layout,{responsive:true,displayModeBar:false,
      showSendToCloud:false,plotlyServerURL:''});
  });
}
draw();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change',draw);
narrow.addEventListener('change',draw);
window.addEventListener('beforeprint',function(){
  Object.keys(figures).forEach(function(id){Plotly.relayout(id,{width:660,autosize:false});});
});
window.addEventListener('afterprint',function(){
  Object.keys(figures).forEach(function(id){Plotly.relayout(id,{width:null,autosize:true});});
});
})();
"""
)


def write_model_page(path: Path, report: ModelReport, made: Provenance) -> None:
    """Write the page, atomically.

    Raises
    ------
    StorageError
        It cannot be written; an earlier page is unchanged.
    """
    write_text(path, model_page(report, made))


def model_page(report: ModelReport, made: Provenance) -> str:
    """Return the page: findings, reliability diagrams and tables of both windows, drift."""
    from plotly.offline import get_plotlyjs

    figures = {name: reliability_figure(window) for name, window in _measured(report)}
    if report.drift.measured:
        figures["psi"] = psi_figure(report)
    title = f"Model report: {report.symbol}"
    kind = report.synthetic
    banner = "" if kind is None else f'<section class="warning">SYNTHETIC DATA: {html.escape(kind)} market</section>'
    body = "\n".join(
        (
            f"<h1>{html.escape(title)}</h1>",
            f'<p class="muted">Models {html.escape(report.models[:12])}, trained on {report.train_start[:10]} to '
            f"{report.train_end[:10]}, labels known to {html.escape(report.train_cutoff)}</p>{made.html()}{banner}",
            _section("What it says", "".join(f"<p>{html.escape(line)}</p>" for line in findings(report))),
            *(_calibration_section(name, window_of(report, name)) for name in WINDOWS),
            _section("Calibration", _table(CALIBRATION_COLUMNS, calibration_rows(report), 2) + _note(CHANCE_NOTE)),
            _section(
                f"Rows that would be traded (confidence {report.confidence_threshold:g}, "
                f"gap {report.min_probability_diff:g})",
                _table(TRADED_COLUMNS, traded_rows(report), 2) + _note(TRADED_NOTE),
            ),
            _drift_section(report),
            _position_section(report),
            _section("To keep in mind", "".join(f"<p>{html.escape(line)}</p>" for line in report.notes)),
        )
    )
    return document(title, body, {"figures": figures}, get_plotlyjs(), _SCRIPT, _STYLE)


def _measured(report: ModelReport) -> list[tuple[str, CalibrationReport]]:
    return [(name, window_of(report, name)) for name in WINDOWS if window_of(report, name).measured]


def _section(heading: str, content: str) -> str:
    return f"<section><h2>{html.escape(heading)}</h2>{content}</section>"


def _note(text: str) -> str:
    return f'<p class="note">{html.escape(text)}</p>'


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    def cell(tag: str, at: int, text: str) -> str:
        return f"<{tag}{' class=left' if at < left else ''}>{html.escape(text)}</{tag}>"

    head = "".join(cell("th", at, name) for at, name in enumerate(columns))
    body = "".join(f"<tr>{''.join(cell('td', at, text) for at, text in enumerate(row))}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _calibration_section(name: str, window: CalibrationReport) -> str:
    heading = f"Reliability, {WINDOW_WORDS[name]}"
    if not window.measured:
        return _section(heading, f"<p>Not measured: {html.escape(window.reason or '')}.</p>")
    covered = f"{window.start} to {window.end}, {window.rows:,} labelled rows, {window.effective_rows:,.0f} effective"
    note = (
        "Each point is a bin of equal count; on the diagonal what is said is what comes. Whiskers are the ensemble's "
        "95 % intervals at the effective number of rows. Click a model to show it."
    )
    return _section(heading, f'<p class="muted">{html.escape(covered)}</p><div id="{name}"></div>{_note(note)}')


def _drift_section(report: ModelReport) -> str:
    drift = report.drift
    heading = "Drift: live against training"
    if not drift.measured:
        return _section(heading, f"<p>Not measured: {html.escape(drift.reason or '')}.</p>")
    covered = f"{drift.live_rows:,} live rows against {drift.training_rows:,} training rows"
    return _section(
        heading,
        f'<p class="muted">{covered}</p><div id="psi"></div>{_note(BAND_NOTE)}'
        f"<h2>Predictions</h2>{_table(DRIFT_COLUMNS, drift_rows(drift.predictions), 1)}"
        f"<h2>Features</h2>{_table(DRIFT_COLUMNS, drift_rows(drift.features), 1)}"
        f"{_note(f'{PROTECTED_MARK} {PROTECTED_NOTE}')}",
    )


def _position_section(report: ModelReport) -> str:
    position = report.position
    text = f"<p>{html.escape(position.reason.capitalize())}.</p>"
    if position.present:
        columns = ("model", "log loss", "of base rates", "Brier", "AUC EXIT/ADD")
        rows = [
            (name, *(number(value, 4) for value in figures.values())) for name, figures in position.training.items()
        ]
        text += _table(columns, rows, 1) + _note("Out of fold, as recorded at training; rows weighted.")
    return _section("Position models", text)


def reliability_figure(window: CalibrationReport) -> Figure:
    """Draw observed against predicted share, one panel per class, ensemble and members; `narrow` stacks them."""
    narrow: Figure = {"height": 3 * 330, "annotations": [], "legend": {"orientation": "h", "y": -0.06}}
    layout: Figure = {**_layout(380), "legend": {"orientation": "h", "y": -0.24}, "annotations": []}
    data: list[Figure] = []
    for at, label in enumerate(CLASSES):
        axis = "" if at == 0 else str(at + 1)
        tables = {model: window.models[model].classes[label].bins for model in MODELS}
        low, high = _reach([one for table in tables.values() for one in table])
        left = at * (1.0 + 0.07) / len(CLASSES)
        layout[f"xaxis{axis}"] = {
            **_axis("predicted"), "domain": [left, left + 0.26], "range": [low, high], "anchor": f"y{axis}",
        }  # fmt: skip
        layout[f"yaxis{axis}"] = {**_axis("came" if at == 0 else ""), "range": [low, high], "anchor": f"x{axis}"}
        layout["annotations"].append(
            {"text": label.upper(), "x": left + 0.13, "y": 1.08, "xref": "paper", "yref": "paper", "showarrow": False}
        )
        top = 1.0 - at * (1.0 + 0.1) / len(CLASSES)
        narrow[f"xaxis{axis}"] = {**layout[f"xaxis{axis}"], "domain": [0.0, 1.0]}
        narrow[f"yaxis{axis}"] = {**layout[f"yaxis{axis}"], "domain": [max(top - 0.23, 0.0), top]}
        narrow["annotations"].append({**layout["annotations"][-1], "x": 0.5, "y": top + 0.02})
        place = {"xaxis": f"x{axis}", "yaxis": f"y{axis}"}
        data.append(
            {**_line("calibrated", [low, high], [low, high], "var(--faint)"), **place, "mode": "lines",
             "showlegend": False, "hoverinfo": "skip"}
        )  # fmt: skip
        data += [{**_points(model, table, at == 0), **place} for model, table in tables.items()]
    return {"data": data, "layout": layout, "narrow": narrow}


def _reach(table: Sequence[ReliabilityBin]) -> tuple[float, float]:
    """Return the range of a panel: what is said and what came, with a margin, within 0 to 1."""
    values = [
        value for one in table for value in (one.predicted, one.observed.share, one.observed.low, one.observed.high)
    ]
    known = [value for value in values if value is not None]
    return max(min(known) - 0.02, 0.0), min(max(known) + 0.02, 1.0)


def _points(model: str, table: Sequence[ReliabilityBin], legend: bool) -> Figure:
    shares = [one.observed.share or 0.0 for one in table]
    drawn = {
        **_line(model, [one.predicted for one in table], shares, f"var(--{model})"),
        "mode": "lines+markers",
        "legendgroup": model,
        "showlegend": legend,
        "customdata": [one.observed.rows for one in table],
        "hovertemplate": f"{model}: predicted %{{x:.1%}}, came %{{y:.1%}} of %{{customdata:,}} rows<extra></extra>",
    }
    if model != "ensemble":
        return {**drawn, "visible": "legendonly"}
    reach = [(one.observed.low, one.observed.high) for one in table]
    drawn["error_y"] = {
        "type": "data",
        "symmetric": False,
        "array": [(high or 0.0) - share for (_, high), share in zip(reach, shares, strict=True)],
        "arrayminus": [share - (low or 0.0) for (low, _), share in zip(reach, shares, strict=True)],
        "color": "var(--faint)",
        "thickness": 1,
    }
    return drawn


def psi_figure(report: ModelReport) -> Figure:
    """Draw the PSI of every feature, the most drifted on top, with the largest of training beside it."""
    drifts = report.drift.features[::-1]
    names = [f"{drift.feature} {PROTECTED_MARK}" if drift.protected else drift.feature for drift in drifts]
    data: list[Figure] = [
        {
            "type": "bar",
            "orientation": "h",
            "name": "live against training",
            "x": [drift.psi for drift in drifts],
            "y": names,
            "marker": {"color": [f"var(--{drift.band})" for drift in drifts]},
            "hovertemplate": "%{y}: PSI %{x:.3f}<extra></extra>",
        }
    ]
    known = [(name, drift.psi_largest) for name, drift in zip(names, drifts, strict=True) if drift.stretches]
    if known:
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "largest of a stretch within training",
                "x": [largest for _, largest in known],
                "y": [name for name, _ in known],
                "marker": {"color": "var(--text)", "symbol": "line-ns-open", "size": 11},
                "hovertemplate": "%{y}: within training up to %{x:.3f}<extra></extra>",
            }
        )
    layout = {
        **_layout(60 + 19 * len(names)),
        "xaxis": {**_axis("PSI"), "side": "top", "rangemode": "tozero"},
        "yaxis": {**_axis(""), "automargin": True, "dtick": 1},
        "legend": {"orientation": "h", "y": -0.02},
    }
    return {"data": data, "layout": layout}


def _line(name: str, x: list[float], y: list[float], colour: str) -> Figure:
    return {"type": "scatter", "name": name, "x": x, "y": y, "line": {"color": colour, "width": 1.5}}


def _axis(title: str) -> Figure:
    return {"title": {"text": title}, "gridcolor": "var(--line)", "linecolor": "var(--line)", "zeroline": False}


def _layout(height: int) -> Figure:
    return {
        "height": height,
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "var(--muted)"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 56, "r": 12, "t": 44, "b": 76},
    }
