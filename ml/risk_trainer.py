"""Training of the risk model: from the state of the account to the size that suits what follows.

Resampled sequences hold the trades of the completed backtest again and again, so rows held out
of them would have been seen. What the model is worth is measured on trades that none of its
sequences hold: a second model learns from a backtest of the earlier part of the window alone,
and answers for the trades of the whole backtest that came after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml.arrays import Float64Array
from ml.labels.multipliers import label_multipliers
from ml.risk_predictor import RiskRegressor
from ml.stages.run import TradeSequence
from novosky.errors import DataError
from novosky.settings import MlSettings
from novosky.settings.equity_state import EQUITY_STATE

RISK_FEATURES = EQUITY_STATE
"""The model's inputs, in order."""


@dataclass(frozen=True, eq=False)
class RiskDataset:
    """Labelled account states.

    Attributes
    ----------
    states : ndarray, shape (n, 7)
        In the order of `RISK_FEATURES`.
    labels : ndarray, shape (n,)
        Best multiplier for the trades that followed.
    """

    states: Float64Array
    labels: Float64Array


@dataclass(frozen=True, eq=False)
class TrainedRisk:
    """What training made.

    Attributes
    ----------
    scaler : sklearn.preprocessing.StandardScaler
    booster : lightgbm.Booster
        Fitted on scaled states.
    """

    scaler: Any
    booster: Any

    @property
    def regressor(self) -> RiskRegressor:
        """The model as it is served."""
        return RiskRegressor.of(self.scaler.mean_, self.scaler.scale_, self.booster)


def check_trades(found: int, ml_settings: MlSettings) -> None:
    """Raise `DataError` when a completed backtest has too few trades to learn from."""
    settings = ml_settings.risk_model
    needed = max(settings.min_trades, settings.horizon_trades)
    if found < needed:
        raise DataError(
            f"the completed backtest on out-of-fold probabilities gives {found} trades, but the risk model needs "
            f"{needed} (risk_model.min_trades {settings.min_trades}, horizon_trades {settings.horizon_trades}); train "
            "on more bars, or lower prediction.confidence_threshold, prediction.min_probability_diff or those two in "
            "ml_config.json"
        )


def label_sequence(sequence: TradeSequence, horizon_trades: int) -> RiskDataset:
    """Return the labelled states of a sequence: those with a whole horizon from them on."""
    labels = label_multipliers(sequence.returns, horizon_trades)
    return RiskDataset(sequence.states[: len(labels)], labels)


def build_risk_dataset(sequences: Sequence[TradeSequence], ml_settings: MlSettings) -> RiskDataset:
    """Label the states of all sequences.

    Parameters
    ----------
    sequences : sequence of TradeSequence
        The completed backtest first.
    ml_settings : MlSettings

    Raises
    ------
    DataError
        The completed backtest has too few trades; says how many there are and must be.
    """
    check_trades(len(sequences[0].returns), ml_settings)
    parts = [label_sequence(sequence, ml_settings.risk_model.horizon_trades) for sequence in sequences]
    return RiskDataset(np.concatenate([p.states for p in parts]), np.concatenate([p.labels for p in parts]))


def train_risk(dataset: RiskDataset, ml_settings: MlSettings, *, seed: int) -> TrainedRisk:
    """Fit scaler and regressor; one thread, so that same states and same seed give the same bytes."""
    import lightgbm
    from sklearn.preprocessing import StandardScaler

    settings = ml_settings.risk_model.lgb
    scaler = StandardScaler().fit(dataset.states)
    shared = {"num_threads": 1, "verbosity": -1, "deterministic": True, "force_row_wise": True, "seed": seed}
    parameters: dict[str, Any] = {
        "objective": "regression",
        "subsample_freq": 1,
        **settings.model_dump(exclude={"n_estimators"}),
        **shared,
    }
    data = lightgbm.Dataset(
        (dataset.states - scaler.mean_) / scaler.scale_,
        label=dataset.labels,
        feature_name=list(RISK_FEATURES),
        params=shared,
    )
    return TrainedRisk(scaler, lightgbm.train(parameters, data, settings.n_estimators))


def describe_multipliers(trained: TrainedRisk, states: Float64Array) -> dict[str, float | None]:
    """Return `mean`, `least` and `most` of the multipliers for some states, shape (n, 7)."""
    answers = trained.regressor.multipliers(states)
    return {"mean": float(answers.mean()), "least": float(answers.min()), "most": float(answers.max())}


def later_metrics(
    early: Sequence[TradeSequence], whole: TradeSequence, ml_settings: MlSettings, *, seed: int
) -> dict[str, float | None]:
    """Measure a model of the earlier trades on the later ones, which it has never seen.

    Parameters
    ----------
    early : sequence of TradeSequence
        The completed backtest of the earlier part of the window, then resampled ones of its trades.
    whole : TradeSequence
        The completed backtest of the whole window; it begins with the trades of `early`.
    ml_settings : MlSettings
    seed : int

    Returns
    -------
    dict
        `held_out` (labelled later states), `mae` of the answers for them, `mae_of_constant`
        (that of the mean of the labels learned from), and the log growth per held-out trade
        sized by the model and by that constant, `growth` and `growth_of_constant`. All but
        the first are None when too few trades lie before or after the cut to say.
    """
    horizon = ml_settings.risk_model.horizon_trades
    seen = len(early[0].returns)
    later = TradeSequence(whole.states[seen:], whole.returns[seen:])
    held_out = label_sequence(later, horizon)
    unknown = dict.fromkeys(("mae", "mae_of_constant", "growth", "growth_of_constant"))
    if seen < horizon or len(held_out.labels) == 0:
        return {"held_out": len(held_out.labels), **unknown}
    parts = [label_sequence(sequence, horizon) for sequence in early]
    learned = RiskDataset(np.concatenate([p.states for p in parts]), np.concatenate([p.labels for p in parts]))
    answers = train_risk(learned, ml_settings, seed=seed).regressor.multipliers(later.states)
    constant = np.full(len(answers), learned.labels.mean())
    count = len(held_out.labels)
    return {
        "held_out": count,
        "mae": float(np.abs(answers[:count] - held_out.labels).mean()),
        "mae_of_constant": float(np.abs(constant[:count] - held_out.labels).mean()),
        "growth": _growth(answers, later.returns),
        "growth_of_constant": _growth(constant, later.returns),
    }


def _growth(multipliers: Float64Array, returns: Float64Array) -> float | None:
    """Return the mean log growth per trade, None when a trade takes the whole account."""
    left = 1.0 + multipliers * returns
    return float(np.log(left).mean()) if (left > 0.0).all() else None
