"""`ml_config.json`: the feature contract, labels, models and their training."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from novosky.settings.base import Section


class Labeling(Section):
    """The triple barrier that turns the future into BUY, SELL or HOLD."""

    atr_tp_mult: float = Field(1.0, gt=0, le=10)
    atr_sl_mult: float = Field(1.0, gt=0, le=10)
    horizon_bars: int = Field(96, ge=1, le=2000)
    spread: float = Field(16.95, ge=0)
    """USD paid by the labelled trades; labels without costs teach trades that do not pay."""


class Prediction(Section):
    """When three probabilities become a trade."""

    confidence_threshold: float = Field(0.60, ge=0, le=1)
    min_probability_diff: float = Field(0.10, ge=0, le=1)


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
    seed: int = Field(7, ge=0)


class SignalModel(EnsembleModel):
    """The three members of the signal ensemble and how they are calibrated."""


class PositionModel(EnsembleModel):
    """When to leave an open position before its bracket does."""

    enabled: bool = False
    exit_threshold: float = Field(0.80, ge=0, le=1)
    min_prob_diff: float = Field(0.25, ge=0, le=1)
    min_bars_held: int = Field(4, ge=0)
    add_threshold: float = Field(0.65, ge=0, le=1)
    exit_margin_r: float = Field(0.25, ge=0, le=10)
    """By how much, in multiples of the trade's risk, leaving must beat the bracket to be labelled EXIT."""
    entry_confidence: float = Field(0.42, ge=0, le=1)
    """Confidence of the out-of-fold entries to learn from; lower than the traded one, to have enough of them."""
    entry_min_gap: float = Field(0.05, ge=0, le=1)
    """Gap of those entries to the next class."""
    min_entries: int = Field(300, ge=20)
    """Fewer entries than this teach nothing that would hold out of sample."""


class SltpModel(Section):
    """Stop and target distances from a model instead of fixed multiples."""

    enabled: bool = False


RISK_FEATURE_NAMES = (
    "drawdown_pct",
    "equity_ratio",
    "win_rate_recent",
    "consecutive_losses",
    "consecutive_wins",
    "weekly_drawdown_pct",
    "equity_slope",
)


class RiskModel(Section):
    """The equity-state features of the risk model, in order."""

    features: tuple[str, ...] = RISK_FEATURE_NAMES


class Training(Section):
    """How the training run is carried out."""

    threads: int = Field(0, ge=0)
    """Threads for the boosters and the forest; 0 uses every core. Results do not depend on it."""
    device: Literal["auto", "cpu"] = "auto"


class MlSettings(Section):
    """Everything in `ml_config.json`."""

    schema_reference: str | None = Field(None, alias="$schema")
    features: tuple[str, ...]
    """The ordered feature contract: the same names in the same order in training, backtest and bot."""
    labeling: Labeling = Labeling()
    prediction: Prediction = Prediction()
    signal_model: SignalModel = SignalModel()
    position_model: PositionModel = PositionModel()
    ml_sltp: SltpModel = SltpModel()
    risk_model: RiskModel = RiskModel()
    training: Training = Training()

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
        if self.risk_model.features != RISK_FEATURE_NAMES:
            raise ValueError(f"risk_model.features must be {', '.join(RISK_FEATURE_NAMES)}, in this order")
        return self
