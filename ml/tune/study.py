"""The run of a search: the present settings first, then what the sampler proposes, fold by fold.

Every trial draws from a generator of its own, seeded by the seed and the number of trials
before it. So a search that is killed and run again tries what it would have tried, as long
as one process at a time works on it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ml.sets.compat import library_versions
from ml.tune.objective import Objective
from ml.tune.scoring import (
    BOUND_ERRORS,
    OBJECTIVE_VERSION,
    FoldResult,
    Moments,
    Summary,
    first_short_fold,
    moments,
    summarise,
    trial_value,
)
from ml.tune.search_space import present_values, rounded, settings_with
from ml.tune.storage import held_study, public_text
from novosky.errors import UsageError
from novosky.settings import MlSettings

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial
    from sqlalchemy.engine import URL

Tell = Callable[[str, int], None]
"""Called with what is being done and the trials finished so far; may come from any thread."""

_COMPARABLE = "comparable"
_PRESENT = "present"
_STARTUP_TRIALS = 10
_TRIALS_BEFORE_PRUNING = 5


@dataclass(frozen=True)
class TrialReport:
    """A finished trial.

    Attributes
    ----------
    number : int
        Its number in the study.
    value : float
        Lower bound of the mean gain, R; below `TOO_FEW` where a fold had too few decisions.
    eligible : bool
        Every fold had enough decisions, and none was left out.
    pruned : bool
        Stopped after some folds, because it did worse than the median of the earlier trials.
    values : mapping
        The settings tried.
    overall : Summary
    folds : tuple of Summary
    moments : Moments or None
        Of the gains.
    """

    number: int
    value: float
    eligible: bool
    pruned: bool
    values: Mapping[str, float]
    overall: Summary
    folds: tuple[Summary, ...]
    moments: Moments | None


@dataclass(frozen=True)
class SearchPlan:
    """How a search is carried out.

    Attributes
    ----------
    storage : URL
    study : str or None
        None names it after what its trials share.
    trials : int
        Finished trials the study shall hold in the end, those of earlier runs included.
    least : int
        Decisions every fold needs.
    seed : int
    """

    storage: URL
    study: str | None
    trials: int
    least: int
    seed: int


@dataclass(frozen=True)
class SearchOutcome:
    """What a study holds after a run.

    Attributes
    ----------
    study : str
    storage : str
        Without credentials.
    trials : tuple of TrialReport
        All finished ones, pruned ones included, in order; their number is what the deflated
        Sharpe ratio counts.
    earlier : int
        How many of them earlier runs had finished.
    baseline : TrialReport
        The present settings.
    best : TrialReport or None
        None when no trial had enough decisions.
    """

    study: str
    storage: str
    trials: tuple[TrialReport, ...]
    earlier: int
    baseline: TrialReport
    best: TrialReport | None

    @property
    def to_beat(self) -> float:
        """Value of the present settings, R; 0, what standing aside earns, where they did too little to have one."""
        return self.baseline.value if self.baseline.eligible else 0.0

    @property
    def improved(self) -> bool:
        """Whether the best trial is better than the present settings."""
        return self.best is not None and self.best.value > self.to_beat


def run_search(objective: Objective, ml_settings: MlSettings, plan: SearchPlan, tell: Tell) -> SearchOutcome:
    """Run trials until the study holds as many as planned, the present settings among them.

    Parameters
    ----------
    objective : Objective
    ml_settings : MlSettings
        The present settings.
    plan : SearchPlan
    tell : Tell

    Raises
    ------
    UsageError
        The study of that name holds trials that cannot be compared with these.
    LockedError
        Another process works on the study.
    StorageError
        The storage failed.
    DataError
        The bars give no fair trial.
    """
    terms = comparable_terms(objective, plan.least)
    digest = hashlib.sha256(terms.encode("utf-8")).hexdigest()
    name = plan.study or f"{objective.comparable['search']}-{digest[:16]}"
    with held_study(plan.storage, name) as study:
        _claim(study, digest)
        search = _Search(study, objective, ml_settings, plan, tell)
        earlier = len(search.finished())
        search.run()
        reports = tuple(_report(trial) for trial in search.finished())
        baseline = search.baseline()
    assert baseline is not None, "the search ends only after the present settings have been tried"
    candidates = [report for report in reports if report.eligible]
    return SearchOutcome(
        study=name,
        storage=public_text(plan.storage),
        trials=reports,
        earlier=earlier,
        baseline=_report(baseline),
        # The earliest of equals.
        best=max(candidates, key=lambda report: (report.value, -report.number)) if candidates else None,
    )


def comparable_terms(objective: Objective, least: int) -> str:
    """Return, as JSON, all that the values of a study's trials have in common."""
    terms = {
        **objective.comparable,
        "objective": OBJECTIVE_VERSION,
        "bound_errors": BOUND_ERRORS,
        "least": least,
        "versions": library_versions(),
    }
    return json.dumps(terms, sort_keys=True)


def _claim(study: Study, digest: str) -> None:
    """Note what the study's trials share, or refuse to add others to them."""
    found = study.user_attrs.get(_COMPARABLE)
    if found is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(_COMPARABLE, digest)
    elif found != digest:
        raise UsageError(
            f"the study {study.study_name} holds trials of other bars, features, labels, folds, costs or library "
            "versions, which cannot be compared with these; give another --study, or none to have one named after them"
        )


@dataclass(frozen=True, eq=False)
class _Search:
    """One process at work on a study."""

    study: Study
    objective: Objective
    ml_settings: MlSettings
    plan: SearchPlan
    tell: Tell

    def finished(self) -> list[FrozenTrial]:
        from optuna.trial import TrialState

        return self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))

    def baseline(self) -> FrozenTrial | None:
        """Return the trial of the present settings, run over all folds."""
        from optuna.trial import TrialState

        present = rounded(self._present())
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            if len(trial.user_attrs["folds"]) == len(self.objective.folds) and rounded(trial.params) == present:
                return trial
        return None

    def run(self) -> None:
        from optuna.pruners import MedianPruner
        from optuna.samplers import TPESampler
        from optuna.trial import TrialState

        self.study.pruner = MedianPruner(n_startup_trials=_TRIALS_BEFORE_PRUNING)
        while True:
            waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
            wanted = self.baseline() is None
            if not wanted and len(self.finished()) >= self.plan.trials:
                return
            if wanted and not waiting:
                self.study.enqueue_trial(self._present(), user_attrs={_PRESENT: True})
            begun = self.study.get_trials(
                deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
            )
            seed = int(np.random.SeedSequence([self.plan.seed, len(begun)]).generate_state(1)[0])
            self.study.sampler = TPESampler(n_startup_trials=_STARTUP_TRIALS, multivariate=True, seed=seed)
            self.study.optimize(self._try, n_trials=1)

    def _present(self) -> dict[str, float]:
        return present_values(self.ml_settings, self.objective.space)

    def _try(self, trial: Trial) -> float:
        from optuna import TrialPruned

        present = self._present()
        chosen = {
            parameter.path: parameter.suggest(trial, present[parameter.path]) for parameter in self.objective.space
        }
        whole = bool(trial.user_attrs.get(_PRESENT))
        settings = self.ml_settings if chosen == present else settings_with(self.ml_settings, rounded(chosen))
        n_folds, done = len(self.objective.folds), len(self.finished())
        folds: list[FoldResult] = []
        for fold in range(n_folds):
            folds.append(self._fold(trial.number, fold, settings, done))
            _note(trial, folds)
            short = first_short_fold(folds, self.plan.least) is not None
            if short and not whole:
                break
            if short or fold + 1 == n_folds:
                continue
            trial.report(trial_value(folds, n_folds, self.plan.least), fold)
            if not whole and trial.should_prune():
                raise TrialPruned
        trial.set_user_attr("eligible", first_short_fold(folds, self.plan.least) is None)
        return trial_value(folds, n_folds, self.plan.least)

    def _fold(self, number: int, fold: int, settings: MlSettings, done: int) -> FoldResult:
        def progress(step: str, at: int, steps: int) -> None:
            self.tell(f"trial {number}, fold {fold + 1} of {len(self.objective.folds)}: {step}", done)

        progress("features", 0, 1)
        return self.objective.run_fold(settings, fold, progress)


def _note(trial: Trial, folds: list[FoldResult]) -> None:
    """Keep the figures of the folds so far with the trial."""
    found = moments(folds)
    trial.set_user_attr("folds", [asdict(summarise([fold])) for fold in folds])
    trial.set_user_attr("overall", asdict(summarise(folds)))
    trial.set_user_attr("moments", None if found is None else asdict(found))


def _report(trial: FrozenTrial) -> TrialReport:
    from optuna.trial import TrialState

    noted: Mapping[str, Any] = trial.user_attrs
    pruned = trial.state == TrialState.PRUNED
    value = trial.value
    assert value is not None, "Optuna gives a pruned trial its last reported value"
    return TrialReport(
        number=trial.number,
        value=value,
        eligible=not pruned and bool(noted["eligible"]),
        pruned=pruned,
        values=rounded(trial.params),
        overall=Summary(**noted["overall"]),
        folds=tuple(Summary(**fold) for fold in noted["folds"]),
        moments=None if noted["moments"] is None else Moments(**noted["moments"]),
    )
