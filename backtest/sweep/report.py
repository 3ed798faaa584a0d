"""A sweep for people: its best rows, heatmaps of the score over two axes at a time, and one JSON object."""

from __future__ import annotations

import html
import itertools
import math
from dataclasses import asdict
from typing import Any

import numpy as np

from backtest.report.figure_formats import percent
from backtest.sweep.axes import Axis
from backtest.sweep.run import COMPARED, SweepOutcome, ranking, unusable_rows
from novosky.measures.statistics import Floats
from novosky.pages.shell import document
from novosky.provenance import Provenance
from novosky.settings.swept import Value

TOP_ROWS = 15
"""Rows in the console's and the page's table, the present configuration aside."""
_HEATMAP_AXES = 4
"""The axes that move the score most are drawn against each other: six heatmaps."""
_SHOWN_FIGURES = {
    COMPARED: "score",
    "trades": "trades",
    "win_rate": "WR",
    "profit_factor": "PF",
    "expectancy_r": "R",
    "max_drawdown": "max DD",
    "total_return": "return",
    "sharpe": "Sharpe",
}
_SCALE = [[0.0, "#e4edfb"], [1.0, "#1d4fa8"]]
"""One hue from low to high: red and green would call the lower of two equal scores bad."""

_SCRIPT = """
(function(){
'use strict';
var figures=JSON.parse(document.getElementById('page').textContent).figures;
function draw(){
  var css=getComputedStyle(document.documentElement);
  function colour(name){return css.getPropertyValue(name).trim();}
  Object.keys(figures).forEach(function(id){
    var figure=JSON.parse(JSON.stringify(figures[id])),layout=figure.layout;
    layout.font={family:'system-ui, sans-serif',size:12,color:colour('--muted')};
    layout.paper_bgcolor=layout.plot_bgcolor='rgba(0,0,0,0)';
    layout.margin={l:70,r:10,t:20,b:60};
    layout.hoverlabel={bgcolor:colour('--card'),font:{color:colour('--text')}};
    Plotly.react(id,figure.data,layout,{responsive:true,displaylogo:false,displayModeBar:false});
  });
}
draw();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change',draw);
window.addEventListener('beforeprint',function(){
  Object.keys(figures).forEach(function(id){Plotly.relayout(id,{width:320,autosize:false});});
});
window.addEventListener('afterprint',function(){
  Object.keys(figures).forEach(function(id){Plotly.relayout(id,{width:null,autosize:true});});
});
})();
"""


def level(axis: Axis, values: tuple[Value, ...]) -> str:
    """Return a choice of an axis in a few words."""
    return axis.told(values)


def axis_title(axis: Axis) -> str:
    """Return what an axis is called in tables and pictures."""
    return axis.title


def shown_axes(outcome: SweepOutcome) -> list[int]:
    """Return the axes with more than one choice."""
    return [at for at, axis in enumerate(outcome.design.axes) if len(axis.choices) > 1]


def table_columns(outcome: SweepOutcome) -> list[str]:
    """Return the headings of `table_row`."""
    return ["row", *(axis_title(outcome.design.axes[at]) for at in shown_axes(outcome)), *_SHOWN_FIGURES.values()]


def table_row(outcome: SweepOutcome, row: int) -> list[str]:
    """Return one row of the table for people."""
    line = outcome.table.iloc[row]
    cells = ["present" if row == 0 else str(row)]
    for at in shown_axes(outcome):
        axis = outcome.design.axes[at]
        cells.append(level(axis, tuple(_plain(line[key.name]) for key in axis.keys)))
    for name in _SHOWN_FIGURES:
        value = float(line[name])
        if math.isnan(value):
            cells.append("n/a")
        elif name == "trades":
            cells.append(f"{value:,.0f}")
        elif name in ("win_rate", "max_drawdown", "total_return"):
            cells.append(percent(value))
        else:
            cells.append(f"{value:.3f}" if name == "expectancy_r" else f"{value:.2f}")
    return cells


def _plain(value: Any) -> Value:
    """Return a cell of the table as the settings files hold it; pandas writes None as NaN."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    plain: Value = value.item() if hasattr(value, "item") else value
    return plain


def evidence_lines(outcome: SweepOutcome) -> list[tuple[str, str]]:
    """Return what is to be known about the choice, as pairs of a heading and a sentence."""
    first = outcome.start[:10], outcome.end[:10]
    lines = [
        ("window", f"{first[0]} to {first[1]}, profile {outcome.profile}, target {outcome.target}"),
        ("tried", f"{len(outcome.table):,} configurations, {outcome.trials:,} trials with those before"),
    ]
    unusable = unusable_rows(outcome.table)
    if unusable:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in unusable.items())
        lines.append(("unusable", f"{sum(unusable.values()):,} of {len(outcome.table):,} configurations: {reasons}"))
    if outcome.best_row is None:
        lines.append(("best", outcome.note or ""))
    else:
        score = float(outcome.table[COMPARED].iloc[outcome.best_row])
        which = "the present configuration" if outcome.best_row == 0 else f"row {outcome.best_row}"
        lines.append(("best", f"{which}, score {score:.2f} at 1 % risk a trade"))
    over = outcome.overfitting
    lines.append(
        (
            "overfitting",
            "n/a: too few rows or too few days"
            if over is None
            else f"PBO {over.probability:.2f} over {over.configurations:,} rows: the best of one half of the days is "
            f"below the median in the other that often; loses there in {100.0 * over.probability_of_loss:.0f} %",
        )
    )
    if outcome.deflated is not None:
        kept = outcome.deflated
        lines.append(
            (
                "deflated",
                f"daily Sharpe {kept.sharpe:.3f}, the best of {kept.trials:,} worthless trials shows "
                f"{kept.expected_maximum:.3f}; probability of being above that {kept.deflated:.3f} (0.95 is the bar)",
            )
        )
    against = outcome.against_present
    if against is not None:
        lines.append(
            (
                "against present",
                f"daily Sharpe {against.difference:+.3f} (95 % {against.low:+.3f} to {against.high:+.3f}), "
                f"better in {100.0 * against.probability:.0f} % of the resampled histories",
            )
        )
    return lines


def sweep_dict(outcome: SweepOutcome) -> dict[str, Any]:
    """Return the sweep as one JSON object: figures flat, the best settings and rows nested, unknown as null."""

    def figures(row: int) -> dict[str, Any]:
        line = outcome.table.iloc[row]
        return {name: _plain(line[name]) for name in outcome.table.columns}

    flat: dict[str, Any] = {
        "target": outcome.target,
        "profile": outcome.profile,
        "start": outcome.start,
        "end": outcome.end,
        "configurations": len(outcome.table),
        "trials": outcome.trials,
        "best_row": outcome.best_row,
        "note": outcome.note,
        "unusable": unusable_rows(outcome.table),
        "best": outcome.best,
        "labels": "; ".join(outcome.labels),
        "seconds": outcome.seconds,
        "present_figures": figures(0),
        "best_figures": None if outcome.best_row is None else figures(outcome.best_row),
        "top": [figures(int(row)) for row in ranking(outcome.table)[:TOP_ROWS]],
    }
    for name in ("overfitting", "deflated", "against_present"):
        evidence = getattr(outcome, name)
        flat[name] = None if evidence is None else asdict(evidence)
    return flat


def heatmaps(outcome: SweepOutcome) -> dict[str, dict[str, Any]]:
    """Return a heatmap for each two of the axes that move the score most, all in one scale of colours."""
    pairs = list(itertools.combinations(telling_axes(outcome), 2))
    maps = {f"map{number}": heatmap(outcome, across, up) for number, (across, up) in enumerate(pairs)}
    known = [value for each in maps.values() for line in each["data"][0]["z"] for value in line if value is not None]
    for each in maps.values():
        each["data"][0] |= {"zmin": min(known, default=0.0), "zmax": max(known, default=1.0)}
    return maps


def heatmap(outcome: SweepOutcome, across: int, up: int) -> dict[str, Any]:
    """Return the median score over two axes, the others being whatever they are, as a plotly figure.

    Empty fields have no row with a score.
    """
    axes, picks = outcome.design.axes, outcome.design.picks
    scores = outcome.table[COMPARED].to_numpy(dtype=np.float64)
    field: list[list[float | None]] = []
    for y in range(len(axes[up].choices)):
        line = []
        for x in range(len(axes[across].choices)):
            line.append(_median(scores[(picks[:, across] == x) & (picks[:, up] == y)]))
        field.append(line)

    def words(axis: Axis) -> list[str]:
        return [level(axis, values) for values in axis.choices]

    titles = axis_title(axes[across]), axis_title(axes[up])
    return {
        "data": [
            {
                "type": "heatmap",
                "x": words(axes[across]),
                "y": words(axes[up]),
                "z": field,
                "colorscale": _SCALE,
                "hovertemplate": f"{titles[0]} %{{x}}<br>{titles[1]} %{{y}}<br>median score %{{z:.2f}}<extra></extra>",
                "texttemplate": "%{z:.1f}",
                "colorbar": {"thickness": 10, "outlinewidth": 0},
            }
        ],
        "layout": {
            "height": 330,
            "xaxis": {"type": "category", "title": {"text": titles[0]}, "automargin": True},
            "yaxis": {"type": "category", "title": {"text": titles[1]}, "automargin": True},
        },
    }


def _median(scores: Floats) -> float | None:
    known = scores[np.isfinite(scores)]
    return round(float(np.median(known)), 4) if len(known) else None


def telling_axes(outcome: SweepOutcome) -> list[int]:
    """Return the axes whose choices move the median score most, in their own order."""
    scores = outcome.table[COMPARED].to_numpy(dtype=np.float64)

    def spread(at: int) -> float:
        picks = outcome.design.picks[:, at]
        medians = [_median(scores[picks == choice]) for choice in range(len(outcome.design.axes[at].choices))]
        known = [value for value in medians if value is not None]
        return max(known) - min(known) if known else 0.0

    ranked = sorted(shown_axes(outcome), key=lambda at: (-spread(at), at))
    return sorted(ranked[:_HEATMAP_AXES])


def sweep_html(outcome: SweepOutcome, made: Provenance) -> str:
    """Return the sweep as one HTML text that needs no network."""
    from plotly.offline import get_plotlyjs

    figures = heatmaps(outcome)
    title = "NOVOSKY sweep"
    marks = "".join(f"<p>{html.escape(label)}</p>" for label in outcome.labels)
    banner = f'<section class="warning" role="alert">{marks}</section>' if marks else ""
    rows = [0, *(row for row in ranking(outcome.table)[:TOP_ROWS].tolist() if row != 0)]
    facts = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(text)}</td></tr>" for name, text in evidence_lines(outcome)
    )
    maps = "".join(f'<div id="{name}"></div>' for name in figures)
    body = (
        f"<h1>{title}</h1>{made.html()}"
        f"{banner}"
        f'<section><h2>The choice</h2><table class="pairs"><tbody>{facts}</tbody></table></section>'
        f"<section><h2>Best rows</h2>{_html_table(outcome, rows)}"
        '<p class="note">Score = win rate &times; profit factor / &radic;max drawdown. Every row saw the same bars; '
        "the first is the present configuration.</p></section>"
        f'<section><h2>Median score over two axes</h2><div class="cols">{maps}</div>'
        '<p class="note">Medians over all other axes, of the axes that move the score most. Where a field is empty, no '
        "configuration closed enough trades for a score.</p></section>"
    )
    return document(title, body, {"figures": figures}, get_plotlyjs(), _SCRIPT)


def _html_table(outcome: SweepOutcome, rows: list[int]) -> str:
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in table_columns(outcome))
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in table_row(outcome, row))}</tr>" for row in rows
    )
    return f'<div class="scroll"><table class="dense"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def sweep_csv(outcome: SweepOutcome) -> str:
    """Return every row as CSV, each number with all its digits; unknown figures are empty."""
    text: str = outcome.table.to_csv(index=False, lineterminator="\n")
    return text
