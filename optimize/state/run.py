"""One optimisation run: what it was told, where its files are, and the bars it may see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.sets.deployment import Deployment
from novosky.errors import DataError
from novosky.files import write_json
from novosky.guarded_json import read_json_file
from novosky.settings import MlSettings, Settings, load_ml_settings, load_settings
from novosky.settings.overrides import AccountFlags, apply_flags
from novosky.settings.profiles import ProfileName
from optimize.state.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from novosky.market.news import NewsCalendar

Progress = Callable[[str, int, int], None]
"""Called with what is being done and how much of how much is done."""

WINDOW = "window.json"
ANALYSIS = "optimize_loop --analyze-only"
"""Command of a run that changes nothing."""


@dataclass(frozen=True)
class Plan:
    """What a run was told; a killed run goes on only under the same plan.

    Attributes
    ----------
    command : str
        `weekly_optimize`, `optimize_loop` or `ANALYSIS`; none takes up a run of another one.
    profile : str
    data : str
        The bars' file.
    calendar : str or None
    start, end : str or None
        Instead of `train_months` before the judged days, and of the newest bar; ISO 8601 UTC.
    oos_days : int
        Days at the end of the bars that training and search never see.
    train_months : int
        Length of the training window before them.
    trials : int
        Optuna trials per searched model; 0 searches nothing.
    folds : int
        Walk-forward folds of the search.
    configurations : int
        Configurations of the sweep; 0 sweeps nothing.
    drop_threshold : float
        Unprotected features with a smaller share of mean |SHAP| are dropped; 0 drops none.
    retrain : bool
        False keeps the models and looks for better settings only.
    explain : bool
        False leaves the SHAP analysis out.
    min_improvement : float or None
        Instead of `decision.min_improvement`.
    iteration : int
        Of a loop; 1 for a weekly run.
    commit, push : bool
    allow_dirty : bool
        Commit beside other uncommitted changes.
    download : bool
        Bring the bars up to date first.
    storage : str or None
        Optuna storage; None keeps the study in the run's folder.
    scheduler : str or None
        Dask scheduler of the sweep.
    jobs : int
        Worker processes of the sweep.
    seed : int
    account : AccountFlags
        Account and costs both sides are judged under.
    """

    command: str
    profile: ProfileName
    data: str
    calendar: str | None
    start: str | None
    end: str | None
    oos_days: int
    train_months: int
    trials: int
    folds: int
    configurations: int
    drop_threshold: float
    retrain: bool
    explain: bool
    min_improvement: float | None
    iteration: int
    commit: bool
    push: bool
    allow_dirty: bool
    download: bool
    storage: str | None
    scheduler: str | None
    jobs: int
    seed: int
    account: AccountFlags

    def content(self) -> dict[str, Any]:
        """Return the plan as JSON content."""
        return asdict(self)

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Plan:
        """Return what `content` wrote."""
        return cls(**{**content, "account": AccountFlags(**content["account"])})


@dataclass(frozen=True)
class Window:
    """Which bars serve for what; moments are ISO 8601 UTC, ends exclusive.

    Attributes
    ----------
    first_bar : str
        Of the file; everything before `train_start` is warm-up only.
    train_start : str
    oos_start : str
        End of training, begin of judging.
    sweep_end : str
        The sweep sees nothing from here on.
    oos_end : str
    bars_hash : str
        Of all bars up to `oos_end`.
    synthetic : str or None
        Kind of the embedded market.
    """

    first_bar: str
    train_start: str
    oos_start: str
    sweep_end: str
    oos_end: str
    bars_hash: str
    synthetic: str | None


class OptimizeRun:
    """A run with everything its steps share.

    Parameters
    ----------
    name : str
        Of the run, such as `run-20260118-020000`.
    started : str
        ISO 8601 UTC.
    plan : Plan
    live : Deployment
        What the bot trades with.
    workspace : Workspace
    now : callable
        UTC epoch seconds.
    environment : mapping
        Where secrets and addresses are read from.
    progress : Progress
    """

    def __init__(
        self,
        name: str,
        started: str,
        plan: Plan,
        live: Deployment,
        workspace: Workspace,
        *,
        now: Callable[[], float],
        environment: Mapping[str, str],
        progress: Progress,
    ) -> None:
        self.name, self.started, self.plan, self.live, self.workspace = name, started, plan, live, workspace
        self.now, self.environment, self.progress = now, environment, progress

    @property
    def root(self) -> Path:
        """The checkout: where the settings live."""
        return self.live.config.resolve().parent

    @cached_property
    def window(self) -> Window:
        """What the data step has fixed."""
        return Window(**self.read(WINDOW))

    @cached_property
    def bars(self) -> pd.DataFrame:
        """All bars up to the end of the window; the same in every step, or none.

        Raises
        ------
        DataError
            The file no longer holds the bars the run began with.
        """
        import pandas as pd

        from ml.sets.compat import hash_bars
        from novosky.data.store import load_bars
        from novosky.market.bars import slice_bars

        frame = self.settings_of(self.live)[0].frame
        stored = load_bars(Path(self.plan.data), seconds=frame.seconds)
        bars = slice_bars(stored, None, pd.Timestamp(self.window.oos_end), source=self.plan.data)
        if hash_bars(bars) != self.window.bars_hash:
            raise DataError(
                f"{self.plan.data} no longer holds the bars this run began with; begin a new run with --fresh"
            )
        bars.attrs.update(stored.attrs)
        return bars

    @cached_property
    def training_bars(self) -> pd.DataFrame:
        """The bars that training and search may see."""
        import pandas as pd

        from novosky.market.bars import slice_bars

        window = self.window
        bars = slice_bars(
            self.bars, pd.Timestamp(window.train_start), pd.Timestamp(window.oos_start), source=self.plan.data
        )
        bars.attrs.update(self.bars.attrs)
        return bars

    @cached_property
    def news(self) -> NewsCalendar | None:
        """The calendar, if one was given."""
        from novosky.market.news import load_calendar

        return None if self.plan.calendar is None else load_calendar(Path(self.plan.calendar))

    def settings_of(self, files: Deployment) -> tuple[Settings, MlSettings]:
        """Load both settings of a strategy, the run's account flags applied.

        Raises
        ------
        SettingsError
            A file does not load.
        """
        return apply_flags(load_settings(files.config), self.plan.account), load_ml_settings(files.ml_config)

    def read(self, name: str) -> Any:
        """Return the JSON content a step has written."""
        return read_json_file(self.workspace.path(name))

    def write(self, name: str, content: Any) -> None:
        """Write JSON content for later steps."""
        write_json(self.workspace.path(name), content)
