"""What a search prints: its best trials, the present settings beside the best fold by fold, the deflated Sharpe."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml.tune.scoring import Summary
    from ml.tune.study import SearchOutcome, TrialReport

_MOST = 10


def print_trials(outcome: SearchOutcome, acted: str) -> None:
    """Print the best trials, the present settings among them, and the best trial fold by fold."""
    from commands.shared.tables import print_table

    print_table(
        "best trials, R per trade",
        ("trial", "standing", "bound", *_columns(acted)),
        trial_rows(outcome, acted),
        names=2,
        left=2,
    )
    print_table("fold by fold", ("fold", "settings", *_columns(acted)), fold_rows(outcome, acted), names=2, left=2)


def trial_rows(outcome: SearchOutcome, acted: str) -> list[tuple[str, ...]]:
    """Return the best trials, the present settings among them."""
    ranked = sorted(outcome.trials, key=lambda trial: (not trial.eligible, trial.pruned, -trial.value, trial.number))
    shown = ranked[:_MOST]
    if outcome.baseline not in shown:
        shown.append(outcome.baseline)
    return [
        (
            str(trial.number),
            _standing(trial, outcome, acted),
            f"{trial.value:+.4f}" if trial.eligible else "-",
            *_figures(trial.overall, acted),
        )
        for trial in shown
    ]


def fold_rows(outcome: SearchOutcome, acted: str) -> list[tuple[str, ...]]:
    """Return the folds of the present settings and of the best trial."""
    rows: list[tuple[str, ...]] = []
    for fold in range(len(outcome.baseline.folds)):
        rows.append((str(fold + 1), "present", *_figures(outcome.baseline.folds[fold], acted)))
        if outcome.best is not None and outcome.best != outcome.baseline:
            best = outcome.best
            rows.append((str(fold + 1), f"trial {best.number}", *_figures(best.folds[fold], acted)))
    return rows


def deflated_line(outcome: SearchOutcome) -> str | None:
    """Return the deflated Sharpe ratio of the best trial's gains per trade; None where it is undefined.

    The variance across trials is that of the finished ones with enough decisions; with fewer
    than two of them, that of worthless trials.
    """
    from novosky.measures.deflated_sharpe import MIN_RETURNS, expected_maximum_sharpe, probabilistic_sharpe

    best = outcome.best
    if best is None or best.moments is None or best.overall.trades < MIN_RETURNS:
        return None
    count = best.overall.trades
    sharpes = [trial.moments.sharpe for trial in outcome.trials if trial.eligible and trial.moments is not None]
    variance = statistics.variance(sharpes) if len(sharpes) >= 2 else 1.0 / (count - 1)
    hurdle = expected_maximum_sharpe(len(outcome.trials), variance)
    deflated = probabilistic_sharpe(
        best.moments.sharpe, hurdle, count, skewness=best.moments.skewness, kurtosis=best.moments.kurtosis
    )
    return (
        f"Sharpe {best.moments.sharpe:+.3f} per trade against {hurdle:.3f} of the best of {len(outcome.trials)} "
        f"worthless trials: {deflated:.1%} that the true ratio is above 0 (95 % is the usual bar)"
    )


def _standing(trial: TrialReport, outcome: SearchOutcome, acted: str) -> str:
    words = ["present"] if trial.number == outcome.baseline.number else []
    if trial.pruned:
        words.append(f"pruned after fold {len(trial.folds)}")
    elif not trial.eligible:
        words.append(f"too few {acted}")
    elif outcome.best is not None and trial.number == outcome.best.number:
        words.append("best")
    return ", ".join(words)


def _columns(acted: str) -> tuple[str, ...]:
    exits = ("exits", "gain") if acted == "exits" else ()
    return ("trades", *exits, "mean R", "win rate", "PF")


def _figures(summary: Summary, acted: str) -> tuple[str, ...]:
    exits = (str(summary.acted), _number(summary.mean_gain, "+.4f")) if acted == "exits" else ()
    return (
        str(summary.trades),
        *exits,
        _number(summary.mean_r, "+.4f"),
        _number(summary.win_rate, ".1%"),
        _number(summary.profit_factor, ".2f"),
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
