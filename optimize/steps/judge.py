"""Backtest challenger and incumbent on the same bars and costs, after the training of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ml.sets.deployment import Deployment
from novosky.errors import DataError, StorageError
from novosky.measures.score import EQUAL_RISK
from novosky.measures.statistics import Floats
from optimize.state.run import OptimizeRun
from optimize.state.workspace import is_trained

JUDGEMENT = "judgement.json"
BASELINE = "baseline.json"
DAY = pd.Timedelta(days=1)
MIN_DAYS = 30
"""Fewer common days than this judge nobody."""
METRICS_SEED = 7


@dataclass(frozen=True)
class Side:
    """One strategy over the judged window.

    Attributes
    ----------
    metrics : dict
        Everything `backtest_config.py --json` writes, and `expectancy_r_low`:
        see `novosky.measures.sequential.lower_bound`.
    daily : ndarray, shape (days,)
        Change of floating equity per UTC day, fractions.
    first_day : str
        ISO date of the first.
    record : dict
        Its trades day by day: the content of `expectation.json`.
    """

    metrics: dict[str, Any]
    daily: Floats
    first_day: str
    record: dict[str, Any]

    @property
    def score(self) -> float | None:
        """The score at 1 % risk a trade, by which sides are compared; None with too few trades."""
        found: float | None = self.metrics["score_at_equal_risk"]
        return found

    @property
    def daily_at_equal_risk(self) -> Floats:
        """The daily changes of an account that risks 1 % a trade; those of the side itself where it never traded."""
        risk = self.metrics["risk_per_trade"]
        return self.daily if risk is None else self.daily * (EQUAL_RISK / risk)

    def content(self) -> dict[str, Any]:
        """Return JSON content."""
        return {"metrics": self.metrics, "daily": self.daily.tolist()} | {
            "first_day": self.first_day,
            "record": self.record,
        }

    @classmethod
    def of(cls, content: dict[str, Any]) -> Side:
        """Return what `content` wrote.

        Raises
        ------
        StorageError
            An earlier version of the program wrote it, which judged by other figures.
        """
        metrics, daily = content["metrics"], np.asarray(content["daily"], dtype=np.float64)
        if "record" not in content or "score_at_equal_risk" not in metrics:
            raise StorageError("this run was judged by an earlier version of the program; begin anew with --fresh")
        return cls(metrics, daily, content["first_day"], content["record"])


def play(run: OptimizeRun, files: Deployment, start: pd.Timestamp, end: pd.Timestamp) -> Side:
    """Trade a strategy from `start` to `end` (exclusive, UTC) with the run's account and costs.

    Raises
    ------
    ModelError
        The set is damaged or does not fit its settings.
    DataError
        The window reaches into what the models were trained on.
    """
    from backtest.metrics import compute_metrics
    from backtest.model_answers import model_answers
    from backtest.run import prepare, simulate
    from backtest.trade_results import out_of_sample_record
    from ml.load_models import load_models
    from ml.sets.expectation import record_content
    from novosky.measures.score import MIN_TRADES
    from novosky.measures.sequential import lower_bound
    from novosky.measures.statistics import daily_returns

    settings, ml_settings = run.settings_of(files)
    models = load_models(files.models, settings, ml_settings)
    ml_settings = models.decided(ml_settings)
    if models.signal.train_cutoff is not None and models.signal.train_cutoff >= start:
        raise DataError(
            f"the models in {files.models} know bars up to {models.signal.train_cutoff:%Y-%m-%d %H:%M}, so they cannot "
            f"be judged from {start:%Y-%m-%d %H:%M} on"
        )
    prepared = prepare(
        run.bars,
        settings,
        ml_settings,
        models.signal,
        start=start,
        end=end,
        news=run.news,
        fixed_spread=run.plan.account.spread is not None,
        sltp=models.sltp,
    )
    result = simulate(prepared, settings, ml_settings, answers=model_answers(models, prepared, settings, ml_settings))
    metrics = compute_metrics(result, np.random.default_rng(METRICS_SEED), m1=False)
    daily = daily_returns(result.bars.time, result.equity, result.start_balance)
    first = pd.Timestamp(int(result.bars.time[0]), unit="s", tz="UTC")
    record = out_of_sample_record(result)
    low = lower_bound(record.r) if len(record.r) >= MIN_TRADES else None
    side = {**metrics.as_dict(), "expectancy_r_low": low}
    return Side(side, daily, f"{first:%Y-%m-%d}", record_content(record))


def common_start(run: OptimizeRun) -> pd.Timestamp:
    """Return where judging may begin: behind the training of both sides.

    Raises
    ------
    DataError
        The incumbent has seen so much that too little is left to compare on.
    """
    start, end = pd.Timestamp(run.window.oos_start), pd.Timestamp(run.window.oos_end)
    incumbent = run.workspace.incumbent
    if is_trained(incumbent):
        from ml.sets.compat import read_manifest

        frame = run.settings_of(incumbent)[0].frame
        # The cutoff is the last bar that the set has learned from; judging begins with the one after it.
        cutoff = read_manifest(incumbent.models).train_cutoff + pd.Timedelta(seconds=frame.seconds)
        start = max(start, cutoff)
    if end - start < MIN_DAYS * DAY:
        raise DataError(
            f"the incumbent was trained up to {start:%Y-%m-%d}, and less than {MIN_DAYS} days of bars follow; "
            "nothing can be compared fairly: bring newer bars, or give an older set"
        )
    return start


def baseline(run: OptimizeRun) -> str:
    """Judge the incumbent before anything is changed."""
    incumbent = run.workspace.incumbent
    if not is_trained(incumbent):
        run.write(BASELINE, None)
        return "no incumbent"
    side = play(run, incumbent, common_start(run), pd.Timestamp(run.window.oos_end))
    run.write(BASELINE, side.content())
    return figures(side)


def judge(run: OptimizeRun) -> str:
    """Judge challenger and incumbent on the out-of-sample window."""
    start, end = common_start(run), pd.Timestamp(run.window.oos_end)
    challenger = play(run, run.workspace.challenger, start, end)
    incumbent = play(run, run.workspace.incumbent, start, end) if is_trained(run.workspace.incumbent) else None
    run.write(
        JUDGEMENT,
        {"new": challenger.content(), "old": None if incumbent is None else incumbent.content()},
    )
    before = "no incumbent" if incumbent is None else f"before {figures(incumbent)}"
    return f"{figures(challenger)}; {before}"


def figures(side: Side) -> str:
    """Return a side's figures in one line."""
    metrics = side.metrics
    score = "no score" if metrics["score"] is None else f"score {metrics['score']:.2f}"
    factor = metrics["profit_factor"]
    shown = "" if factor is None else f", profit factor {factor:.2f}"
    return f"{score}, {metrics['trades']} trades{shown}, return {metrics['total_return']:+.1%}"
