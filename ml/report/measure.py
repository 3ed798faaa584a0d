"""The figures of the model report: calibration in and out of the training window, and drift.

Two questions. Can the probabilities be believed: in the training window only what members said
of rows they had not learned from, and out of sample what the served models say of bars after the
training cutoff, labelled by the same triple barrier once labels are decided. And does the market
still look like the one the models learned from: every feature and the predictions themselves,
live against training.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from engine.candidates import mean_of_members
from ml.arrays import MEMBERS, N_CLASSES, Float64Array
from ml.ensemble.predictor import EnsemblePredictor
from ml.feature_engineering import PROTECTED_FEATURES, add_all_features
from ml.labels.barrier import Labels, label_bars
from ml.labels.out_of_fold import IntArray, OutOfFold, find_entries
from ml.report.drift import measure_drift, rank_drifts
from ml.report.figures import (
    CLASSES,
    MODELS,
    SIDES,
    CalibrationReport,
    DriftReport,
    ModelReport,
    PositionReport,
    Traded,
)
from ml.report.reliability import BoolArray, Spans, measure, observed_share
from ml.sets.companions import MANIFEST_NAME
from ml.sets.compat import hash_training_settings, read_metadata
from ml.sets.ensemble_files import POSITION_FILES
from ml.sets.loading import load_undisturbed
from ml.sets.model_market import require_models_of
from ml.stages.report import iso_text
from ml.stages.window import TrainingRecord, check_calendar, check_training_bars, read_training_record
from novosky.errors import DataError, ModelError
from novosky.files import sha256_of
from novosky.market.bars import epoch_seconds, slice_bars
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings, Settings

MIN_ROWS = 500
"""Fewer live rows than this (about five days) are not measured: a bin would hold less than 50."""
_SIDE_NUMBERS = {"both": (1, -1), "buy": (1,), "sell": (-1,)}


@dataclass(frozen=True, eq=False)
class _Market:
    """Bars from the training window's start on, with features (n, 55) and labels."""

    bars: pd.DataFrame
    times: IntArray
    features: Float64Array
    labels: Labels

    def spans(self, rows: IntArray) -> Spans:
        # The trade of a label is entered at the next open; its own bar decides nothing.
        return Spans(rows + 1, self.labels.end_index[rows])


@dataclass(frozen=True, eq=False)
class _Answers:
    """Rows of the market and what the members (n, 3, 3) say of them."""

    rows: IntArray
    probabilities: Float64Array


def build_report(
    models_dir: Path,
    settings: Settings,
    ml_settings: MlSettings,
    bars: pd.DataFrame,
    news: NewsCalendar | None = None,
    *,
    start: pd.Timestamp | None = None,
    end: pd.Timestamp | None = None,
    training_only: bool = False,
) -> ModelReport:
    """Measure the signal models of a set.

    Parameters
    ----------
    models_dir : Path
    settings : Settings
    ml_settings : MlSettings
    bars : pandas.DataFrame
        Bar frame that contains the training window and, unless `training_only`, later bars.
    news : NewsCalendar, optional
        Given exactly when training had one.
    start, end : pandas.Timestamp, optional
        Narrow the live window, UTC, end exclusive; it never begins before the cutoff has
        passed, and bars from `end` on are not looked at, by labels neither.
    training_only : bool
        Leave the live window out.

    Raises
    ------
    DataError
        The bars are not those of the training, or none is out of sample.
    UsageError
        A calendar where training had none or the other way round.
    ModelError
        No set, a damaged file, or a set that was replaced meanwhile.
    ModelCompatibilityError
        The set was made for other features or libraries.
    """
    record = read_training_record(models_dir, ml_settings)
    require_models_of(models_dir, record.manifest, settings)
    predictor = load_undisturbed(models_dir, ml_settings, EnsemblePredictor)
    position = _position_report(models_dir, record)
    if sha256_of(models_dir / MANIFEST_NAME) != record.manifest_hash:
        raise ModelError(f"the models in {models_dir} were replaced while they were read; run the command again")
    check_calendar(news, record.news_events, models_dir)
    check_training_bars(bars, record.manifest)
    bars = _needed_bars(bars, record, end, training_only)
    unseen = np.zeros(len(bars), dtype=np.bool_) if training_only else _unseen(bars, record, start, end)
    market = _market(bars, record, ml_settings, settings, news)
    training, live = _training_answers(market, record), _live_answers(market, predictor, unseen)
    rates = _rates(market, training.rows)
    reason = "left out by --training-only" if training_only else None
    return ModelReport(
        symbol=record.symbol,
        synthetic=bars.attrs.get("synthetic"),
        models=predictor.fingerprint,
        train_start=record.manifest.train_start,
        train_end=record.manifest.train_end,
        train_cutoff=record.manifest.train_cutoff_date,
        confidence_threshold=ml_settings.prediction.confidence_threshold,
        min_probability_diff=ml_settings.prediction.min_probability_diff,
        labeling=record.labeling.model_dump(mode="json"),
        training=_calibration(market, training, rates, ml_settings, None),
        live=_calibration(market, _labelled(market, live, end), rates, ml_settings, reason),
        drift=_drift(market, training, live, ml_settings, reason),
        position=position,
        notes=_notes(record, settings, ml_settings, news, market, live),
    )


def _needed_bars(
    bars: pd.DataFrame, record: TrainingRecord, end: pd.Timestamp | None, training_only: bool
) -> pd.DataFrame:
    """Return the training window and, unless it is all that is asked for, the bars from it to `end`."""
    first = pd.Timestamp(record.manifest.train_start)
    after = pd.Timestamp(record.manifest.train_end) + pd.Timedelta(seconds=1)
    if training_only:
        end = after
    elif end is not None:
        end = max(end, after)
    needed = slice_bars(bars, first, end, source="the training window of the models")
    needed.attrs.update(bars.attrs)
    return needed


def _unseen(
    bars: pd.DataFrame, record: TrainingRecord, start: pd.Timestamp | None, end: pd.Timestamp | None
) -> BoolArray:
    """Return which bars opened after the training cutoff and within the window."""
    cutoff = record.manifest.train_cutoff
    unseen = bars["time"] > cutoff
    if start is not None:
        unseen &= bars["time"] >= start
    if end is not None:
        unseen &= bars["time"] < end
    if not unseen.any():
        last = bars["time"].iloc[-1]
        raise DataError(
            f"no bar of the window is out of sample: the models know everything up to {cutoff:%Y-%m-%d %H:%M} UTC, the "
            f"bars given end at {last:%Y-%m-%d %H:%M}; download newer bars with `python scripts/download_data.py`, "
            "widen --start/--end, or look at the training window alone with --training-only"
        )
    return unseen.to_numpy(dtype=np.bool_)


def _market(
    bars: pd.DataFrame, record: TrainingRecord, ml_settings: MlSettings, settings: Settings, news: NewsCalendar | None
) -> _Market:
    """Compute features and labels once for both windows; labels by the rule the models were trained with."""
    frame, calendar = settings.frame, settings.instrument.calendar
    featured = add_all_features(bars, news, frame)
    labels = label_bars(bars, featured["atr"].to_numpy(dtype=np.float64), record.labeling, frame, calendar)
    features = featured[list(ml_settings.features)].to_numpy(dtype=np.float64)
    return _Market(bars, epoch_seconds(bars), features, labels)


def _training_answers(market: _Market, record: TrainingRecord) -> _Answers:
    """Return the rows the models learned from, with what members that had not learned from them said."""
    known = record.out_of_fold
    rows = np.minimum(np.searchsorted(market.times, known.times), len(market.times) - 1).astype(np.int64)
    fits = (market.times[rows] == known.times) & market.labels.valid[rows]
    if not (fits & np.isfinite(market.features[rows]).all(axis=1)).all():
        raise ModelError(
            "the set's out-of-fold rows have no features or labels on its own training bars: it was made by another "
            "version of the features or of the labelling; train again with `python train_ml_model.py --ensemble "
            "--no-warmstart`"
        )
    return _Answers(rows, known.probabilities)


def _live_answers(market: _Market, predictor: EnsemblePredictor, unseen: BoolArray) -> _Answers:
    rows = np.flatnonzero(unseen & np.isfinite(market.features).all(axis=1)).astype(np.int64)
    return _Answers(rows, predictor.predict_proba(market.features[rows]))


def _labelled(market: _Market, live: _Answers, end: pd.Timestamp | None) -> _Answers:
    """Return the live rows whose label is decided before the end of the window."""
    kept = market.labels.valid[live.rows]
    if end is not None:
        kept &= market.times[market.labels.end_index[live.rows]] < int(end.timestamp())
    return _Answers(live.rows[kept], live.probabilities[kept])


def _rates(market: _Market, rows: IntArray) -> Float64Array:
    counts = np.bincount(market.labels.side[rows], minlength=N_CLASSES)
    return np.asarray(counts / len(rows), dtype=np.float64)


def _calibration(
    market: _Market, answers: _Answers, training_rates: Float64Array, ml_settings: MlSettings, reason: str | None
) -> CalibrationReport:
    rows = answers.rows
    first, last = (iso_text(market.bars["time"].iloc[at]) for at in rows[[0, -1]]) if len(rows) else (None, None)
    if reason is None and len(rows) < MIN_ROWS:
        reason = f"{len(rows)} labelled rows are fewer than {MIN_ROWS}; wait for more bars or widen the window"
    if reason is not None:
        return CalibrationReport(False, reason, first, last, len(rows), None, {}, {}, {})
    labels, spans = market.labels.side[rows], market.spans(rows)
    views = {"ensemble": mean_of_members(answers.probabilities)}
    views |= {name: answers.probabilities[:, at] for at, name in enumerate(MEMBERS)}
    return CalibrationReport(
        measured=True,
        reason=None,
        start=first,
        end=last,
        rows=len(rows),
        effective_rows=spans.effective_rows(),
        base_rates=dict(zip(CLASSES, _rates(market, rows).tolist(), strict=True)),
        models={name: measure(view, labels, spans, training_rates, CLASSES) for name, view in views.items()},
        traded=_traded(market, answers, ml_settings),
    )


def _traded(market: _Market, answers: _Answers, ml_settings: MlSettings) -> dict[str, Traded]:
    decision = ml_settings.prediction
    said = OutOfFold(market.times[answers.rows], answers.probabilities)
    entries = find_entries(market.bars, said, decision.confidence_threshold, decision.min_probability_diff)
    place = np.searchsorted(answers.rows, entries.bar)
    side_class = np.where(entries.side > 0, 1, 2)
    confidence = mean_of_members(answers.probabilities[place])[np.arange(len(place)), side_class]
    outcome = np.where(entries.side > 0, market.labels.long_r[entries.bar], market.labels.short_r[entries.bar])
    came = market.labels.side[entries.bar] == side_class
    found = {}
    for name in SIDES:
        chosen = np.isin(entries.side, _SIDE_NUMBERS[name])
        spans = market.spans(entries.bar[chosen])
        found[name] = Traded(
            predicted=float(confidence[chosen].mean()) if chosen.any() else None,
            realised=observed_share(came[chosen], spans),
            won=observed_share(outcome[chosen] > 0.0, spans),
            mean_r=float(outcome[chosen].mean()) if chosen.any() else None,
        )
    return found


def _drift(
    market: _Market, training: _Answers, live: _Answers, ml_settings: MlSettings, reason: str | None
) -> DriftReport:
    before, now = len(training.rows), len(live.rows)
    if reason is None and now < MIN_ROWS:
        reason = f"{now} rows with features are fewer than {MIN_ROWS}; wait for more bars or widen the window"
    if reason is not None:
        return DriftReport(False, reason, before, now, (), ())
    old, new = (mean_of_members(answers.probabilities) for answers in (training, live))
    named = measure_drift(
        "most probable class",
        *(mean.argmax(axis=1).astype(np.float64) for mean in (old, new)),
        protected=False,
    )
    words = {f"{at:.6g}": name for at, name in enumerate(CLASSES)}
    return DriftReport(
        measured=True,
        reason=None,
        training_rows=before,
        live_rows=now,
        features=rank_drifts(
            ml_settings.features, market.features[training.rows], market.features[live.rows], PROTECTED_FEATURES
        ),
        predictions=(
            replace(named, bins=tuple(words.get(name, name) for name in named.bins)),
            *(
                measure_drift(f"probability of {name}", old[:, at], new[:, at], protected=False)
                for at, name in enumerate(CLASSES)
            ),
        ),
    )


def _position_report(models_dir: Path, record: TrainingRecord) -> PositionReport:
    if POSITION_FILES.metadata not in record.manifest.artifacts:
        return PositionReport(False, {}, False, "the set has no position models")
    name, mend = POSITION_FILES.metadata, POSITION_FILES.mend
    recorded = read_metadata(models_dir, record.manifest, name, (), mend)["out_of_fold"]
    keys = ("log_loss", "log_loss_of_base_rates", "brier", "auc_side")
    return PositionReport(
        present=True,
        training={name: {key: float(recorded[name][key]) for key in keys} for name in MODELS},
        live_measured=False,
        reason=(
            "not measured: they are asked only about open trades, whose labels need the trades that the execution "
            "rules would have made; compare backtests with and without them instead"
        ),
    )


def _notes(
    record: TrainingRecord,
    settings: Settings,
    ml_settings: MlSettings,
    news: NewsCalendar | None,
    market: _Market,
    live: _Answers,
) -> tuple[str, ...]:
    """Return what a reader must know beside the figures."""
    said = [
        "Bars are not independent: labels overlap and markets have long moods. Intervals are taken at the effective "
        "number of rows, which removes the overlap but not the moods.",
        "In the training window the probabilities are out of fold: of members fitted and calibrated on other folds. "
        "The served members were fitted on all rows, so a small difference between the windows is no drift.",
    ]
    rule = record.labeling
    if rule != ml_settings.labeling:
        said.append("ml_config.json has other labeling than the models were trained with; that of the models is used.")
    elif record.manifest.config_hash != hash_training_settings(ml_settings):
        said.append("ml_config.json has other signal_model settings than the models were trained with.")
    levels = settings.risk_management
    if (levels.sl_atr_mult, levels.tp_atr_mult) != (rule.atr_sl_mult, rule.atr_tp_mult):
        said.append(
            f"Labels have stop and target at {rule.atr_sl_mult:g} and {rule.atr_tp_mult:g} ATR, config.json trades "
            f"{levels.sl_atr_mult:g} and {levels.tp_atr_mult:g}: win rate and R here are of the labels' bracket."
        )
    own = [value for value in settings.session_confidence.model_dump().values() if value is not None]
    if own:
        said.append("config.json has thresholds for single sessions; the rows here pass the one of ml_config.json.")
    if news is not None and len(live.rows) and news.event_times[-1] < market.times[live.rows[-1]]:
        last = pd.Timestamp(int(news.event_times[-1]), unit="s", tz="UTC")
        said.append(
            f"The calendar ends at {last:%Y-%m-%d %H:%M} UTC, before the live window does: news drifts by that."
        )
    return tuple(said)
