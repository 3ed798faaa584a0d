"""`ml_config.json`: the feature contract, labels, models and their training."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from novosky.seeds import MOST_SEED
from novosky.settings.base import Section
from novosky.settings.equity_state import EQUITY_STATE
from novosky.settings.roles import Role
from novosky.settings.swept import Swept, one_of, sorted_with, thresholds


class Labeling(Section):
    """The triple barrier that turns the future into BUY, SELL or HOLD."""

    atr_tp_mult: float = Field(1.0, gt=0, le=10)
    atr_sl_mult: float = Field(1.0, gt=0, le=10)
    horizon_bars: int = Field(96, ge=1, le=2000)
    spread: float = Field(16.95, ge=0)
    """USD paid by the labelled trades; labels without costs teach trades that do not pay."""


MOST_SHARE = 20.0
"""Percent of bars; who trades more often does not choose."""


class Prediction(Section):
    """When three probabilities become a trade."""

    confidence_threshold: Annotated[float, Swept(("confidence_threshold",), "confidence", thresholds)] = Field(
        0.60, ge=0, le=1
    )
    """Least probability of the named side; not read where `confidence_share` is stated."""
    confidence_share: float | None = Field(None, gt=0, le=MOST_SHARE)
    """Percent of all bars: the least probability is the one that this share of the signal model's own out-of-fold
    answers reached, so that a model is as choosy after a training as before it. null takes `confidence_threshold`."""
    min_probability_diff: Annotated[float, Swept(("min_probability_diff",), "gap", one_of(0.05, 0.10, 0.15))] = Field(
        0.10, ge=0, le=1
    )

    @property
    def told(self) -> str:
        """The least confidence in words, as it is stated."""
        if self.confidence_share is None:
            return f"confidence {self.confidence_threshold:g}"
        return f"the surest {self.confidence_share:g} % of bars"


class Forest(Section):
    """Random forest (scikit-learn names)."""

    n_estimators: int = Field(150, ge=1, le=5000)
    max_depth: int = Field(8, ge=1, le=64)
    min_samples_leaf: int = Field(100, ge=1)
    max_features: float = Field(0.2, gt=0, le=1)
    max_samples: float = Field(0.1, gt=0, le=1)


class XgBoost(Section):
    """XGBoost (its own names)."""

    n_estimators: int = Field(300, ge=1, le=5000)
    max_depth: int = Field(3, ge=1, le=32)
    learning_rate: float = Field(0.02, gt=0, le=1)
    subsample: float = Field(0.7, gt=0, le=1)
    colsample_bytree: float = Field(0.3, gt=0, le=1)
    min_child_weight: float = Field(300.0, ge=0)
    reg_lambda: float = Field(5.0, ge=0)


class LightGbm(Section):
    """LightGBM (its own names)."""

    n_estimators: int = Field(300, ge=1, le=5000)
    num_leaves: int = Field(8, ge=2, le=4096)
    learning_rate: float = Field(0.02, gt=0, le=1)
    subsample: float = Field(0.7, gt=0, le=1)
    colsample_bytree: float = Field(0.3, gt=0, le=1)
    min_child_samples: int = Field(1000, ge=1)
    reg_lambda: float = Field(5.0, ge=0)


class EnsembleModel(Section):
    """The three members of an ensemble and how they are calibrated."""

    rf: Forest = Forest()
    xgb: XgBoost = XgBoost()
    lgb: LightGbm = LightGbm()
    calibration_folds: int = Field(3, ge=2, le=20)
    """Purged folds whose out-of-fold probabilities fit the calibrator."""
    embargo_bars: int = Field(96, ge=0)
    class_weight: Literal["none", "balanced"] = "none"
    """`balanced` gives every class the same total weight; probabilities are calibrated on the plain weights."""
    recency_half_life_days: float | None = Field(None, gt=0)
    """Weight of a row halves with every so many days of age; null weighs all ages alike."""
    seed: int = Field(7, ge=0, le=MOST_SEED)


class SignalModel(EnsembleModel):
    """The three members of the signal ensemble and how they are calibrated."""


class PositionModel(EnsembleModel):
    """When to leave an open position before its bracket does."""

    enabled: bool = False
    exit_threshold: Annotated[
        float,
        Swept(("exit_threshold",), "exit", sorted_with(0.60, 0.65, 0.70, 0.75, 0.80, 0.85, 0.90), target="pos"),
    ] = Field(0.80, ge=0, le=1)
    min_prob_diff: Annotated[
        float,
        Swept(("exit_min_prob_diff",), "exit gap", sorted_with(0.10, 0.15, 0.20, 0.25, 0.30, 0.40), target="pos"),
    ] = Field(0.25, ge=0, le=1)
    min_bars_held: Annotated[int, Swept(("min_bars_held",), "held", sorted_with(1, 2, 4, 8, 16), target="pos")] = Field(
        4, ge=0
    )
    add_threshold: float = Field(0.65, ge=0, le=1)
    exit_margin_r: float = Field(0.25, ge=0, le=10)
    """By how much, in multiples of the trade's risk, leaving must beat the bracket to be labelled EXIT."""
    entry_confidence: float = Field(0.42, ge=0, le=1)
    """Confidence of the out-of-fold entries to learn from; lower than the traded one, to have enough of them."""
    entry_min_gap: float = Field(0.05, ge=0, le=1)
    """Gap of those entries to the next class."""
    min_entries: int = Field(300, ge=20)
    """Fewer entries than this teach nothing that would hold out of sample."""
    row_every_bars: int = Field(1, ge=1, le=96)
    """Every so many closes of a trade give a row; neighbouring closes tell almost the same."""


class SltpModel(Section):
    """Stop and target distances from a model instead of fixed multiples.

    Its entries are those of the position model (`position_model.entry_confidence`, `entry_min_gap`).
    """

    enabled: bool = False
    stop_quantile: float = Field(0.75, gt=0, lt=1)
    """The stop lies where this share of the entries had not gone against the trade before its best price."""
    target_quantile: float = Field(0.5, gt=0, lt=1)
    """The target lies where this share of the entries did not reach before the stop."""
    lgb: LightGbm = LightGbm(n_estimators=150, learning_rate=0.03, min_child_samples=200)
    folds: int = Field(3, ge=2, le=20)
    """Purged folds whose out-of-fold distances the risk model's backtest uses."""
    embargo_bars: int = Field(96, ge=0)
    seed: int = Field(7, ge=0, le=MOST_SEED)


class RiskModel(Section):
    """The equity-state features of the risk model, in order, and its training."""

    features: tuple[str, ...] = EQUITY_STATE
    lgb: LightGbm = LightGbm(n_estimators=100, learning_rate=0.05, min_child_samples=200)
    horizon_trades: int = Field(20, ge=1, le=500)
    """The multiplier of a label is the best one for this many trades that followed."""
    samples: int = Field(6000, ge=5000, le=1_000_000)
    """Labelled states, those of resampled trade sequences included."""
    block_trades: int = Field(10, ge=1, le=500)
    """Mean length of the blocks of trades that are resampled together."""
    min_trades: int = Field(60, ge=20)
    """Fewer trades than this in the completed backtest teach nothing that would hold."""
    seed: int = Field(7, ge=0, le=MOST_SEED)


class Training(Section):
    """How the training run is carried out."""

    threads: int = Field(0, ge=0)
    """Threads for the boosters and the forest; 0 uses every core. Results do not depend on it."""
    device: Literal["auto", "cpu"] = "auto"


class TuningProvenance(Section):
    """Where searched settings come from; written by the search, and a record only: nothing reads it to decide."""

    study: str
    """Name of the Optuna study."""
    storage: str
    """Its database, without credentials."""
    trials: int = Field(ge=1)
    """Configurations tried in the study; they count in the deflated Sharpe ratio."""
    best_value: float
    """Lower bound of the mean gain per trade of these settings, in R."""
    baseline_value: float | None
    """The same of the settings before; null where they had too few decisions to have one."""
    trades: int = Field(ge=1)
    """Trades behind `best_value`."""
    start: str
    """UTC open of the first bar the search saw."""
    end: str
    """UTC open of the last bar the search saw; only later bars can judge these settings."""
    data_hash: str
    """SHA-256 of those bars."""


class Tuning(Section):
    """Provenance of the settings that a search has written."""

    signal: TuningProvenance | None = None
    position: TuningProvenance | None = None


class Decision(Section):
    """What a challenger must show before it replaces the set in use; null reports a figure without asking for it."""

    min_improvement: float = Field(0.02, ge=0, le=1)
    """Share by which the new score must exceed the old one on the out-of-sample window."""
    min_trades: int = Field(30, ge=20)
    """Trades of the challenger in that window."""
    min_probability: float | None = Field(0.6, ge=0, le=1)
    """Paired block bootstrap: P(new > old) on the days that nothing was chosen on."""
    min_deflated_sharpe: float | None = Field(None, ge=0, le=1)
    """Probability that the true Sharpe ratio is above 0 given every trial ever run; 0.95 is the usual bar."""
    max_pbo: float | None = Field(None, ge=0, le=1)
    """Probability of backtest overfitting of the sweep."""
    min_positive_folds: float | None = Field(None, ge=0, le=1)
    """Share of the search's walk-forward folds with a gain."""


class MlSettings(Section):
    """Everything in `ml_config.json`."""

    schema_reference: Annotated[str | None, Role.OWNER] = Field(None, alias="$schema")
    features: Annotated[tuple[str, ...], Role.LEARNED]
    """The ordered feature contract: the same names in the same order in training, backtest and bot."""
    labeling: Annotated[Labeling, Role.STRATEGY] = Labeling()
    prediction: Annotated[Prediction, Role.STRATEGY] = Prediction()
    signal_model: Annotated[SignalModel, Role.STRATEGY] = SignalModel()
    position_model: Annotated[PositionModel, Role.STRATEGY] = PositionModel()
    ml_sltp: Annotated[SltpModel, Role.STRATEGY] = SltpModel()
    risk_model: Annotated[RiskModel, Role.LEARNED] = RiskModel()
    training: Annotated[Training, Role.OWNER] = Training()
    decision: Annotated[Decision, Role.OWNER] = Decision()
    tuning: Annotated[Tuning | None, Role.OWNER] = None

    @field_validator("features")
    @classmethod
    def _unique(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"listed twice: {', '.join(twice)}")
        if not names:
            raise ValueError("the list is empty")
        return names

    @model_validator(mode="after")
    def _risk_features_fixed(self) -> Self:
        if self.risk_model.features != EQUITY_STATE:
            raise ValueError(f"risk_model.features must be {', '.join(EQUITY_STATE)}, in this order")
        return self
