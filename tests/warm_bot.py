"""What a bot loads before its first bar, loaded by being imported.

The kill test forks its bots from a process that has imported this module, as a server forks
its workers: twenty starts then cost the time of two. Here the same code runs once over a
few bars, so that the libraries and the compiled rules are in memory.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import lightgbm  # noqa: F401
import paper_runs
import sklearn.ensemble  # noqa: F401
import xgboost  # noqa: F401

import ml.ensemble_predictor  # noqa: F401
import novosky.cli.trade  # noqa: F401
import novosky.data.store  # noqa: F401

with tempfile.TemporaryDirectory() as folder:
    paper_runs.replay_outcome(paper_runs.Scenario(paper_runs.planted_bars(40)), Path(folder))
