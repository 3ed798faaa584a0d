"""Begin a run or take up the one that was killed, and leave everything in order whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ml.deployment import Deployment, recover
from novosky.errors import NovoskyError
from optimize.deciding import put_back
from optimize.run import OptimizeRun, Plan, Progress
from optimize.shipping import shipped
from optimize.steps import DamagedOutputError, RunState, Step, Tell, run_steps
from optimize.telling import send_report
from optimize.workspace import RUN_PREFIX, Workspace, remove_old_runs, sole_run, unfinished_run

STALE_AFTER = timedelta(days=3)
"""A run killed longer ago than this has nothing fresh in it; one that has decided is still carried through."""
_UNCOMPARED = ("iteration",)


@dataclass(frozen=True)
class Surroundings:
    """What a run needs of the world.

    Attributes
    ----------
    live : Deployment
        What the bot trades with.
    runs : Path
        Folder of the runs' folders.
    now : callable
        UTC epoch seconds.
    environment : mapping
    progress : Progress
    tell : Tell
    """

    live: Deployment
    runs: Path
    now: Callable[[], float]
    environment: Mapping[str, str]
    progress: Progress
    tell: Tell


def optimize(
    steps: Sequence[Step[OptimizeRun]],
    plan: Plan,
    world: Surroundings,
    *,
    fresh: bool = False,
    until: str | None = None,
) -> OptimizeRun:
    """Carry a run through, the unfinished one first.

    Parameters
    ----------
    steps : sequence of Step
    plan : Plan
    world : Surroundings
    fresh : bool
        Give the unfinished run up, with everything as it was before it.
    until : str or None
        Stop after this step; the next start goes on behind it.

    Returns
    -------
    OptimizeRun
        The finished run, or the one stopped by `until`.

    Raises
    ------
    LockedError
        Another run is going on.
    DamagedOutputError
        Something a finished step had written was changed. The run has ended, and nothing in use
        was changed by it.
    NovoskyError
        A step failed. Models and settings are as they were, and the next start goes on there.
    """
    with sole_run(world.runs):
        recover(world.live)
        state = unfinished_run(world.runs, plan.command)
        if state is not None and (fresh or not _continues(state, plan, world.now())):
            _give_up(state, plan, world)
            state = None
        late = state is not None and _age(state, world.now()) > STALE_AFTER
        run = _carry_through(steps, plan, world, state, until)
        if late and until is None:
            # Last week's run only had its last steps left; this week's has not begun yet.
            run = _carry_through(steps, plan, world, None, until)
        return run


def _carry_through(
    steps: Sequence[Step[OptimizeRun]], plan: Plan, world: Surroundings, state: RunState | None, until: str | None
) -> OptimizeRun:
    if state is None:
        moment = datetime.fromtimestamp(world.now(), tz=UTC)
        name = _new_name(world.runs, moment)
        state = RunState.begin(world.runs / name, name, plan.content(), moment.isoformat())
        remove_old_runs(world.runs, keep=state.folder)
    else:
        world.tell(f"run {state.run}", "taken up where it was")
    run = run_of(state, plan, world)
    try:
        run_steps(steps, run, state, world.tell, until=until)
    except DamagedOutputError as error:
        _undo(state, run)
        state.end("damaged")
        send_report(world.environment, f"NOVOSKY {plan.command}: reverted, {error}")
        raise DamagedOutputError(f"{error}; the run was given up, models and settings are as they were") from error
    except NovoskyError as error:
        _undo(state, run)
        send_report(world.environment, f"NOVOSKY {plan.command} failed and will be taken up again: {error}")
        raise
    if until is None or until == steps[-1].name:
        state.end("done" if state.done("decide") is None else "shipped" if shipped(run) else "reverted")
    return run


def run_of(state: RunState, plan: Plan, world: Surroundings) -> OptimizeRun:
    """Return the run a state belongs to."""
    return OptimizeRun(
        state.run,
        state.started,
        plan,
        world.live,
        Workspace(state.folder),
        now=world.now,
        environment=world.environment,
        progress=world.progress,
    )


def _new_name(runs: Path, moment: datetime) -> str:
    name = f"{RUN_PREFIX}{moment:%Y%m%d-%H%M%S}"
    taken = sum(1 for _ in runs.glob(f"{name}*"))
    return f"{name}-{taken + 1}" if taken else name


def _continues(state: RunState, plan: Plan, now: float) -> bool:
    """Whether a killed run is worth going on with under this plan."""
    if _compared(state.plan) != _compared(plan.content()):
        return False
    return _age(state, now) <= STALE_AFTER or state.done("decide") is not None


def _compared(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in plan.items() if key not in _UNCOMPARED}


def _age(state: RunState, now: float) -> timedelta:
    return datetime.fromtimestamp(now, tz=UTC) - datetime.fromisoformat(state.started)


def _give_up(state: RunState, plan: Plan, world: Surroundings) -> None:
    world.tell(f"run {state.run}", "given up: other flags, too long ago, or --fresh")
    # Only where its files are matters here, and not what it was told.
    _undo(state, run_of(state, plan, world))
    state.end("given up")


def _undo(state: RunState, run: OptimizeRun) -> None:
    """Put the incumbent back where a challenger is in place that nothing has proved to start."""
    if state.done("judge") is not None and state.done("smoke") is None:
        put_back(run)
        state.forget("decide")
