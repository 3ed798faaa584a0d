"""Position settings, judged by what leaving early adds to the bracket, trade by trade.

The trades are the signal set's own out-of-fold entries. A fold's members learn from trades
that ended before the fold began; its test trades are those that an account holding one
position would take. Each is counted twice, left by the exit rule and held to its bracket,
and the difference is what the model earned or cost.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from engine.candidates import mean_of_members
from ml.arrays import MEMBERS, Float64Array
from ml.ensemble.device import Devices
from ml.ensemble.members import Scaling
from ml.ensemble.trainer import Progress
from ml.labels.out_of_fold import OutOfFold
from ml.labels.position import EXIT, HOLD, IntArray, PositionLabels
from ml.position.trainer import (
    PositionDataset,
    bracket_of,
    close_features,
    describe_closes,
    follow_entries,
    train_position,
)
from ml.sets.compat import hash_bars
from ml.tune.objective import check_past, fixed_settings
from ml.tune.scoring import FoldResult, one_at_a_time
from ml.tune.search_space import POSITION_SPACE, Parameter
from novosky.errors import DataError
from novosky.market.news import NewsCalendar
from novosky.settings import MlSettings, Settings
from novosky.settings.ml import PositionModel


@dataclass(frozen=True, eq=False)
class PositionObjective:
    """All trades of the window, their folds, and every close of those an account would hold.

    Attributes
    ----------
    dataset : PositionDataset
        What the members learn from: all trades, overlapping ones included.
    closes : PositionLabels
        Every close of the trades, whether or not the members learn from it.
    frame : pandas.DataFrame
        Features, one row per bar.
    taken : ndarray of int64
        The trades an account holding one position takes.
    folds : list of (training trades, test trades)
        The test trades are among `taken`.
    horizon_bars : int
        Bars after which a trade is valued at the close.
    comparable : mapping
    devices : Devices
    threads : int
    """

    dataset: PositionDataset
    closes: PositionLabels
    frame: pd.DataFrame
    taken: IntArray
    folds: list[tuple[IntArray, IntArray]]
    horizon_bars: int
    comparable: Mapping[str, Any]
    devices: Devices
    threads: int

    @classmethod
    def prepare(
        cls,
        bars: pd.DataFrame,
        out_of_fold: OutOfFold,
        settings: Settings,
        ml_settings: MlSettings,
        *,
        folds: int,
        devices: Devices,
        threads: int,
        news: NewsCalendar | None = None,
    ) -> Self:
        """Follow the entries and cut them into folds once for all trials.

        Raises
        ------
        UsageError
            More folds than trades.
        DataError
            Too few entries, too few closes of a class, or a fold without a past or a trade.
        """
        frame, closes = follow_entries(bars, out_of_fold, settings, ml_settings, news)
        dataset = describe_closes(bars, frame, closes, ml_settings)
        model = ml_settings.position_model
        taken = one_at_a_time(closes.first, closes.last)
        walk = walk_trades(dataset, taken, folds, model.embargo_bars)
        for fold, (past, _) in enumerate(walk):
            check_past(dataset.labels[np.isin(dataset.trade, past)], fold, model.calibration_folds)
        fixed = fixed_settings(model.model_dump(mode="json"), POSITION_SPACE, "position_model")
        return cls(
            dataset=dataset,
            closes=closes,
            frame=frame,
            taken=taken,
            folds=walk,
            horizon_bars=ml_settings.labeling.horizon_bars,
            comparable={
                "search": "position",
                "bars": hash_bars(bars),
                "features": list(ml_settings.features),
                "news_events": None if news is None else len(news.event_times),
                "entries": hashlib.sha256(
                    out_of_fold.times.tobytes() + out_of_fold.probabilities.tobytes()
                ).hexdigest(),
                # Neither the switch nor the threshold that is only logged moves a result.
                "position_model": {key: fixed[key] for key in fixed if key not in ("enabled", "add_threshold")},
                "bracket": vars(bracket_of(settings, ml_settings)),
                "folds": folds,
                "devices": [devices.xgb, devices.lgb],
            },
            devices=devices,
            threads=threads,
        )

    @property
    def space(self) -> tuple[Parameter, ...]:
        """What may be turned."""
        return POSITION_SPACE

    def run_fold(self, ml_settings: MlSettings, fold: int, progress: Progress) -> FoldResult:
        """Train on the fold's past and follow its test trades by the exit rule.

        Raises
        ------
        DataError
            The past is too short to hold every class in every calibration fold.
        """
        past, test = self.folds[fold]
        trained = train_position(
            select_trades(self.dataset, past),
            ml_settings,
            devices=self.devices,
            threads=self.threads,
            seed=ml_settings.position_model.seed,
            progress=progress,
        )
        closes = closes_of(self.closes, test)
        rows = close_features(self.frame, closes, ml_settings)
        scaled = Scaling(trained.scaler.mean_, trained.scaler.scale_).apply(rows)
        answers = np.stack([trained.members[name].predict_proba(scaled) for name in MEMBERS], axis=1)
        said = mean_of_members(answers)
        followed, left = follow_exit_rule(closes, said, ml_settings.position_model, self.horizon_bars)
        return FoldResult(gains=followed - closes.final_r, results=followed, acted=left)


def walk_trades(
    dataset: PositionDataset, taken: IntArray, n_splits: int, embargo: int
) -> list[tuple[IntArray, IntArray]]:
    """Return training and test trades of every fold, earliest test first.

    A training trade ended more than `embargo` bars before the first test trade was entered.

    Parameters
    ----------
    dataset : PositionDataset
    taken : ndarray of int64
        Trades that may be tested.
    n_splits : int
    embargo : int
        Bars.

    Raises
    ------
    UsageError
        More folds than trades.
    DataError
        A fold without a past, or without a trade to test.
    """
    from ml.labels.splits import PurgedWalkForward

    # The last trade that began before this one was over and its embargo past.
    reach = np.searchsorted(dataset.first, dataset.last + embargo, side="right") - 1
    splitter = PurgedWalkForward(n_splits, label_end=reach, embargo=0)
    folds = [(train, test[np.isin(test, taken)]) for train, test in splitter.split(dataset.first)]
    empty = [fold for fold, (_, test) in enumerate(folds) if len(test) == 0]
    if empty:
        raise DataError(f"fold {empty[0]} has no trade to test; use fewer folds or more bars")
    return folds


def select_trades(dataset: PositionDataset, trades: IntArray) -> PositionDataset:
    """Return the rows of some trades as a dataset of their own, weights scaled to mean 1 again."""
    rows = np.flatnonzero(np.isin(dataset.trade, trades))
    weights = dataset.weights[rows]
    return replace(
        dataset,
        features=dataset.features[rows],
        labels=dataset.labels[rows],
        weights=weights / weights.mean(),
        times=dataset.times[rows],
        trade=np.searchsorted(trades, dataset.trade[rows]),
        first=dataset.first[trades],
        last=dataset.last[trades],
    )


def closes_of(closes: PositionLabels, trades: IntArray) -> PositionLabels:
    """Return the closes of some trades, the trades counted anew from 0."""
    rows = np.flatnonzero(np.isin(closes.trade, trades))
    return PositionLabels(
        first=closes.first[trades],
        last=closes.last[trades],
        final_r=closes.final_r[trades],
        trade=np.searchsorted(trades, closes.trade[rows]),
        bar=closes.bar[rows],
        inputs=closes.inputs[rows],
        leave_r=closes.leave_r[rows],
        labels=closes.labels[rows],
    )


def follow_exit_rule(
    closes: PositionLabels, probabilities: Float64Array, model: PositionModel, horizon_bars: int
) -> tuple[Float64Array, int]:
    """Leave every trade at the first close at which the exit rule is met.

    Parameters
    ----------
    closes : PositionLabels
        Every close of the trades.
    probabilities : ndarray, shape (n, 3)
        Mean of the members, of HOLD, EXIT and ADD at each close.
    model : PositionModel
        Threshold, lead over HOLD, and least bars held.
    horizon_bars : int
        Unit of the share of the horizon held, the first of a close's inputs.

    Returns
    -------
    (ndarray, shape (m,), int)
        Result of each trade in R, and how many were left early.
    """
    held = np.rint(closes.inputs[:, 0] * horizon_bars)
    leaves = (
        (probabilities[:, EXIT] >= model.exit_threshold)
        & (probabilities[:, EXIT] - probabilities[:, HOLD] >= model.min_prob_diff)
        & (held >= model.min_bars_held)
    )
    rows = np.flatnonzero(leaves)
    left, earliest = np.unique(closes.trade[rows], return_index=True)
    results = closes.final_r.copy()
    results[left] = closes.leave_r[rows[earliest]]
    return results, len(left)
