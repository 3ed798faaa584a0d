"""Begin a run or take up the one that was killed, and leave everything in order whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ml.sets.deployment import Deployment, recover
from novosky.errors import NovoskyError
from optimize.pipeline import DECIDED, JUDGED, PROVED
from optimize.state.resumable import DamagedOutputError, RunState, Step, Tell, run_steps
from optimize.state.run import OptimizeRun, Plan, Progress
from optimize.state.workspace import RUN_PREFIX, Workspace, remove_old_runs, sole_run, unfinished_run
from optimize.steps.promote import put_back
from optimize.steps.report import send_report
from optimize.steps.ship import shipped

STALE_AFTER = timedelta(days=3)
"""A run killed longer ago than this has nothing fresh in it; one that has decided is still carried through."""
_UNCOMPARED = ("iteration",)
_OUTWARD = ("commit", "push", "allow_dirty")
"""What may be told anew to a run that only has to be made known."""


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

    A run whose decision has been proved only has to be made known. It is never given up, whatever
    the flags, and takes from them whether to commit and to push; so a hub that stays away can be
    left out with `--no-push`.

    Parameters
    ----------
    steps : sequence of Step
    plan : Plan
    world : Surroundings
    fresh : bool
        Give the unfinished run up, with everything as it was before it, unless it is proved.
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
        # A change of files that was cut off is finished or undone before anything reads them.
        recover(world.live)
        state = unfinished_run(world.runs, plan.command)
        if state is None:
            return _begin(steps, plan, world, until)
        # After the smoke test the decision stands: such a run only has to be made known, whatever is asked for now.
        proved = state.done(PROVED) is not None
        same = _compared(state.plan, proved) == _compared(plan.content(), proved)
        late = _age(state, world.now()) > STALE_AFTER
        if not proved and (fresh or not same or (late and state.done(DECIDED) is None)):
            _give_up(state, plan, world)
            return _begin(steps, plan, world, until)
        world.tell(state.run, "taken up where it was")
        run = _carry_through(steps, _resumed(state, plan), world, state, until)
        if until is None and (fresh or not same or late):
            # Another run only had its last steps left; the one that is asked for has not begun yet.
            run = _begin(steps, plan, world, until)
        return run


def _begin(steps: Sequence[Step[OptimizeRun]], plan: Plan, world: Surroundings, until: str | None) -> OptimizeRun:
    moment = datetime.fromtimestamp(world.now(), tz=UTC)
    name = _new_name(world.runs, moment)
    state = RunState.begin(world.runs / name, name, plan.content(), moment.isoformat())
    remove_old_runs(world.runs, keep=state.folder)
    return _carry_through(steps, plan, world, state, until)


def _carry_through(
    steps: Sequence[Step[OptimizeRun]], plan: Plan, world: Surroundings, state: RunState, until: str | None
) -> OptimizeRun:
    run = run_of(state, plan, world)
    try:
        run_steps(steps, run, state, world.tell, until=until)
    except DamagedOutputError as error:
        unproved = state.done(PROVED) is None
        _undo(state, run)
        state.end("damaged")
        stays = "models and settings are as they were" if unproved else "what it had decided stays in place"
        text = f"{error}; the run was given up, {stays}"
        send_report(world.environment, f"NOVOSKY {plan.command}: {text}")
        raise DamagedOutputError(text) from error
    except Exception as error:
        # Whatever it was, a full disk or a defect: nothing unproved stays in use.
        _undo(state, run)
        what = str(error) if isinstance(error, NovoskyError) else type(error).__name__
        send_report(world.environment, f"NOVOSKY {plan.command} failed and will be taken up again: {what}")
        raise
    if until is None or until == steps[-1].name:
        state.end("done" if state.done(DECIDED) is None else "shipped" if shipped(run) else "reverted")
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
    # Two runs may begin within one second.
    taken = sum(1 for _ in runs.glob(f"{name}*"))
    return f"{name}-{taken + 1}" if taken else name


def _resumed(state: RunState, plan: Plan) -> Plan:
    """Return what a killed run was told, once it is proved with what is said now of making it known."""
    told = state.plan
    if state.done(PROVED) is not None:
        told |= {name: getattr(plan, name) for name in _OUTWARD}
    # A run begun by another version may lack a key or have one more.
    return Plan.of({name: told.get(name, value) for name, value in plan.content().items()})


def _compared(plan: Mapping[str, Any], proved: bool) -> dict[str, Any]:
    left_out = (*_UNCOMPARED, *_OUTWARD) if proved else _UNCOMPARED
    return {key: value for key, value in plan.items() if key not in left_out}


def _age(state: RunState, now: float) -> timedelta:
    return datetime.fromtimestamp(now, tz=UTC) - datetime.fromisoformat(state.started)


def _give_up(state: RunState, plan: Plan, world: Surroundings) -> None:
    world.tell(state.run, "given up: other flags, too long ago, or --fresh")
    # Only where its files are matters here, and not what it was told.
    _undo(state, run_of(state, plan, world))
    state.end("given up")


def _undo(state: RunState, run: OptimizeRun) -> None:
    """Put the incumbent back where a challenger is in place that nothing has proved to start."""
    if state.done(JUDGED) is not None and state.done(PROVED) is None:
        put_back(run)
        # Taken up again the run has to decide anew: what it had put in place is gone.
        state.forget(DECIDED)
