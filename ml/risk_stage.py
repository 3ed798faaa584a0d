"""The risk stage of a training run."""

from __future__ import annotations

from ml.signal_artifacts import TrainingReport
from ml.stage import StageRun


def train_risk_stage(run: StageRun) -> TrainingReport:
    """Train the risk models and write their files into the staging directory."""
    raise NotImplementedError
