"""`models/shap_summary.json` and its page: how much each feature moves the signal models.

The summary describes one set of models and says which; `read_shap_summary` refuses it beside
any other. It is a report, not part of the set: the manifest does not list it.
"""

from __future__ import annotations

import hashlib
import html
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ml.arrays import CLASS_NAMES, MEMBERS
from ml.sets.compat import MANIFEST_NAME, MEND, Manifest, read_manifest
from ml.sets.ensemble_files import SCALER_NAME, member_file
from ml.sets.model_set import lock_model_set
from novosky.errors import ModelError
from novosky.files import sha256_of, write_json, write_text
from novosky.guarded_json import read_json_file
from novosky.provenance import Provenance

SUMMARY_NAME = "shap_summary.json"
PROTECTED_NOTE = (
    "A low value is no reason to drop a protected feature: news and sessions are rare or constant in the history "
    "the models were trained on, and their live values are injected at inference."
)
UNIT_NOTE = (
    "mean_abs_shap is the mean over rf, xgb and lgb of the feature's share in that model's mean |SHAP|, averaged over "
    "the classes; the shares of a model sum to 1. total is that sum before the division: probability for rf, log-odds "
    "for xgb and lgb."
)
_SHAP_COMMAND = "python train_ml_model.py --shap-only"


@dataclass(frozen=True)
class FeatureImportance:
    """One feature's place in the ranking; all numbers are shares of a model's mean |SHAP|.

    Attributes
    ----------
    feature : str
    mean_abs_shap : float
        Mean of `rf`, `xgb` and `lgb`.
    rf, xgb, lgb : float
        Share in that model, mean over the classes.
    protected : bool
        Never to be dropped for a low value.
    by_class : mapping of str to mapping of str to float
        Model, then class; the mean over the classes is the model's share.
    """

    feature: str
    mean_abs_shap: float
    rf: float
    xgb: float
    lgb: float
    protected: bool
    by_class: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class ShapSummary:
    """The contents of `shap_summary.json`.

    Attributes
    ----------
    ranked_features : tuple of FeatureImportance
        Descending by `mean_abs_shap`.
    rows : int
        Rows explained.
    seed : int
        Of the sample.
    model_fingerprint : str
        `signal_fingerprint` of the models described.
    window : mapping of str to str
        UTC opens of the first (`start`) and last (`end`) bar of the training window.
    created_from : str
        SHA-256 of `model_compat.json` at the time.
    total : mapping of str to float
        Mean |SHAP| summed over the features, by model, in probability (rf) or log-odds (xgb, lgb).
    synthetic : str or None
        Kind of the embedded market, None for real bars.
    """

    ranked_features: tuple[FeatureImportance, ...]
    rows: int
    seed: int
    model_fingerprint: str
    window: Mapping[str, str]
    created_from: str
    total: Mapping[str, float]
    synthetic: str | None
    note: str = PROTECTED_NOTE
    unit: str = UNIT_NOTE


def signal_fingerprint(manifest: Manifest) -> str:
    """Return the SHA-256 that names the signal models of a set: scaler, members, ordered features.

    Unlike the hash of the manifest it stays when only models of other stages are trained.

    Raises
    ------
    ModelError
        The manifest lists no signal models.
    """
    names = (SCALER_NAME, *(member_file(name, "calibrated") for name in MEMBERS))
    missing = [name for name in names if name not in manifest.artifacts]
    if missing:
        raise ModelError(f"{MANIFEST_NAME} does not list {', '.join(missing)}; {MEND}")
    lines = [manifest.feature_hash, *(f"{name} {manifest.artifacts[name]}" for name in names)]
    return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()


def write_shap_summary(models_dir: Path, summary: ShapSummary) -> Path:
    """Write `shap_summary.json` beside the models it describes, atomically.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ModelError
        Another set was put in place since the models were explained.
    LockedError
        A training run is replacing the set.
    StorageError
        It cannot be written; an earlier summary is unchanged.
    """
    path = models_dir / SUMMARY_NAME
    with lock_model_set(models_dir):
        manifest = models_dir / MANIFEST_NAME
        if not manifest.exists() or sha256_of(manifest) != summary.created_from:
            raise ModelError(
                f"the models in {models_dir} were replaced while they were explained; run `{_SHAP_COMMAND}` again"
            )
        write_json(path, asdict(summary))
    return path


def read_shap_summary(models_dir: Path) -> ShapSummary:
    """Read `shap_summary.json` and check that it describes the models beside it.

    Raises
    ------
    ModelError
        No models, no summary, one that cannot be read, or one of other models.
    """
    fingerprint = signal_fingerprint(read_manifest(models_dir))
    path = models_dir / SUMMARY_NAME
    try:
        summary = _parse(read_json_file(path))
    except FileNotFoundError as error:
        raise ModelError(f"{path} does not exist; run `{_SHAP_COMMAND}`") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{path} cannot be read ({error}); run `{_SHAP_COMMAND}`") from error
    if summary.model_fingerprint != fingerprint:
        raise ModelError(
            f"{path} describes other models than those in {models_dir}: the set was replaced since. "
            f"Run `{_SHAP_COMMAND}`"
        )
    return summary


def _parse(content: Any) -> ShapSummary:
    if not isinstance(content, dict) or set(content) != {field.name for field in fields(ShapSummary)}:
        raise ValueError("its keys are not those of a SHAP summary")
    return ShapSummary(
        **{**content, "ranked_features": tuple(FeatureImportance(**entry) for entry in content["ranked_features"])}
    )


_BAR_WIDTH = 420.0
_LABEL_WIDTH = 190.0
_ROW_HEIGHT = 20
_STYLE = """
:root{--ground:#f6f7f9;--card:#fff;--text:#1b222c;--muted:#5b6675;--line:#e3e7ec;--warn:#8a5a00;--warn-soft:#fff4d6;
--rf:#0b8a6a;--xgb:#2563c9;--lgb:#b7791f}
@media(prefers-color-scheme:dark){:root{--ground:#101419;--card:#181e25;--text:#e4e9ef;--muted:#98a4b3;--line:#2a323c;
--warn:#ffcf6b;--warn-soft:#33290f;--rf:#35c49b;--xgb:#6ea8ff;--lgb:#e0b050}}
body{margin:0;background:var(--ground);color:var(--text);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1160px;margin:0 auto;padding:32px 20px 64px}
h1{font-size:26px;line-height:1.2;margin:0 0 4px}h2{font-size:17px;margin:0 0 12px}p{margin:0 0 10px;max-width:75ch}
.muted,.made{color:var(--muted)}.made{font-size:13px}.made code{font-size:12px;overflow-wrap:anywhere}
section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:20px 22px;margin-top:18px}
.warning{background:var(--warn-soft);border-color:var(--warn);color:var(--warn)}
.scroll{overflow-x:auto}
svg{display:block;width:100%;min-width:600px;height:auto}
svg text{font-size:12.5px;fill:var(--text)}svg text.value{fill:var(--muted)}
.rf{fill:var(--rf);background:var(--rf)}.xgb{fill:var(--xgb);background:var(--xgb)}
.lgb{fill:var(--lgb);background:var(--lgb)}
.key span{display:inline-block;width:11px;height:11px;border-radius:3px;margin:0 6px 0 14px}
table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:4px 6px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--muted);font-weight:600}th:first-child,td:first-child{text-align:left}
@page{size:A4;margin:12mm}
@media print{*{-webkit-print-color-adjust:exact;print-color-adjust:exact}body{background:#fff}
main{max-width:none;padding:0}.scroll{overflow:visible}table{font-size:7px}th,td{padding:2px}svg{min-width:0}}
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
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Feature importance of the signal models</title><style>{_STYLE}</style></head><body><main>
<h1>What the signal models listen to</h1>
<p class="muted">Mean |SHAP| over {summary.rows:,} rows of the training window {html.escape(window)},
seed {summary.seed}, models {html.escape(summary.model_fingerprint[:12])}</p>{made.html()}{warning}
<section><p>&#9670; {html.escape(PROTECTED_NOTE)}</p>
<p class="muted">A bar is the feature's share in what moves the models, a third from each. Large means influential
in the training window, not profitable.</p>
<p class="key muted">{key}</p><div class="scroll">{_bars(summary.ranked_features)}</div></section>
<section><h2>By model and class, in percent</h2><div class="scroll">{_table(summary.ranked_features)}</div></section>
</main></body></html>
"""


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
