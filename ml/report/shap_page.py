"""`models/shap_summary.json` and its page: how much each feature moves the signal models.

The summary describes one set of models and says which; `read_shap_summary` refuses it beside
any other. It is a report, not part of the set: the manifest does not list it.
"""

from __future__ import annotations

import html
from pathlib import Path

from ml.arrays import CLASS_NAMES, MEMBERS
from ml.sets.shap_summary import PROTECTED_NOTE, FeatureImportance, ShapSummary
from novosky.files import write_text
from novosky.pages.shell import plain_document
from novosky.provenance import Provenance

_BAR_WIDTH = 420.0
_LABEL_WIDTH = 190.0
_ROW_HEIGHT = 20
_STYLE = """
p{max-width:75ch}
svg{display:block;width:100%;min-width:600px;height:auto}
svg text{font-size:12.5px;fill:var(--text)}svg text.value{fill:var(--muted)}
.rf{fill:var(--rf);background:var(--rf)}.xgb{fill:var(--xgb);background:var(--xgb)}
.lgb{fill:var(--lgb);background:var(--lgb)}
.key span{display:inline-block;width:11px;height:11px;border-radius:3px;margin:0 6px 0 14px}
table{font-size:13px}th,td{padding:4px 6px}
@media print{table{font-size:7px}th,td{padding:2px}svg{min-width:0}}
"""


def write_shap_page(path: Path, summary: ShapSummary, made: Provenance) -> None:
    """Write the ranking as one HTML file that loads nothing from anywhere, atomically.

    Raises
    ------
    StorageError
        It cannot be written; an earlier page is unchanged.
    """
    write_text(path, shap_page(summary, made))


def shap_page(summary: ShapSummary, made: Provenance) -> str:
    """Return the page: a bar per feature, made of the three models' parts, and the table by class."""
    kind = summary.synthetic
    warning = "" if kind is None else f'<section class="warning">SYNTHETIC DATA: {html.escape(kind)} market</section>'
    key = "".join(f'<span class="{name}"></span>{name}' for name in MEMBERS)
    window = f"{summary.window['start'][:10]} to {summary.window['end'][:10]}"
    body = f"""<h1>What the signal models listen to</h1>
<p class="muted">Mean |SHAP| over {summary.rows:,} rows of the training window {html.escape(window)},
seed {summary.seed}, models {html.escape(summary.model_fingerprint[:12])}</p>{made.html()}{warning}
<section><p>&#9670; {html.escape(PROTECTED_NOTE)}</p>
<p class="muted">A bar is the feature's share in what moves the models, a third from each. Large means influential
in the training window, not profitable.</p>
<p class="key muted">{key}</p><div class="scroll">{_bars(summary.ranked_features)}</div></section>
<section><h2>By model and class, in percent</h2><div class="scroll">{_table(summary.ranked_features)}</div></section>"""
    return plain_document("Feature importance of the signal models", body, _STYLE)


def _label(entry: FeatureImportance) -> str:
    return html.escape(entry.feature) + (" &#9670;" if entry.protected else "")


def _bars(ranked: tuple[FeatureImportance, ...]) -> str:
    height = _ROW_HEIGHT * len(ranked)
    scale = _BAR_WIDTH / ranked[0].mean_abs_shap
    rows = []
    for at, entry in enumerate(ranked):
        top, left = _ROW_HEIGHT * at, _LABEL_WIDTH
        rows.append(f'<text x="{_LABEL_WIDTH - 10:.0f}" y="{top + 14}" text-anchor="end">{_label(entry)}</text>')
        for name in MEMBERS:
            share = getattr(entry, name)
            width = scale * share / len(MEMBERS)
            rows.append(
                f'<rect class="{name}" x="{left:.2f}" y="{top + 4}" width="{width:.2f}" height="12">'
                f"<title>{html.escape(entry.feature)}: {share:.2%} of {name}</title></rect>"
            )
            left += width
        rows.append(f'<text class="value" x="{left + 8:.2f}" y="{top + 14}">{entry.mean_abs_shap:.2%}</text>')
    width = _LABEL_WIDTH + _BAR_WIDTH + 70
    return (
        f'<svg viewBox="0 0 {width:.0f} {height}" role="img" aria-label="Features by mean |SHAP|">{"".join(rows)}</svg>'
    )


def _table(ranked: tuple[FeatureImportance, ...]) -> str:
    heads = "".join(
        f"<th>{name}</th>" + "".join(f"<th>{name} {label}</th>" for label in CLASS_NAMES) for name in MEMBERS
    )
    rows = []
    for entry in ranked:
        cells = "".join(
            f"<td>{value:.2f}</td>"
            for name in MEMBERS
            for value in (
                100 * getattr(entry, name),
                *(100 * entry.by_class[name][label] for label in CLASS_NAMES),
            )
        )
        rows.append(f"<tr><td>{_label(entry)}</td><td>{100 * entry.mean_abs_shap:.2f}</td>{cells}</tr>")
    return f"<table><thead><tr><th>feature</th><th>all</th>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
