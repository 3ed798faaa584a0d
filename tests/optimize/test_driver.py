"""Which run a start takes up, gives up or begins: with steps that take no time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from ml.sets.deployment import Deployment
from novosky.errors import LockedError, NetworkError, StorageError
from novosky.settings.overrides import AccountFlags
from optimize.driver import STALE_AFTER, Surroundings, optimize
from optimize.pipeline import DECIDED, JUDGED, PROVED
from optimize.state.resumable import RunState, Step
from optimize.state.run import ANALYSIS, OptimizeRun, Plan
from optimize.state.workspace import KEPT_RUNS, is_run_name, remove_old_runs
from optimize.steps.promote import DECISION
from optimize.steps.ship import SMOKE

PLAN = Plan(
    command="weekly_optimize",
    profile="balanced",
    data="bars.parquet",
    calendar=None,
    start=None,
    end=None,
    oos_days=120,
    train_months=24,
    trials=0,
    folds=4,
    configurations=0,
    drop_threshold=0.0,
    retrain=True,
    explain=True,
    min_improvement=None,
    iteration=1,
    commit=True,
    push=True,
    allow_dirty=False,
    download=False,
    storage=None,
    scheduler=None,
    jobs=1,
    seed=7,
    account=AccountFlags(balance=500.0),
)
LAST = "push"


class Desk:
    """A place to run at, with a clock that is moved by hand and a hub that may be down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.time = 1_800_000_000.0
        self.done: list[tuple[str, str]] = []
        self.pushed: list[Plan] = []
        self.told: list[tuple[str, str]] = []
        self.hub_is_down = False
        live = Deployment(folder / "models", folder / "config.json", folder / "ml_config.json")
        self.world = Surroundings(live, folder / "runs", lambda: self.time, {}, lambda *_: None, self.tell)
        self.steps = tuple(self.step(name) for name in ("preflight", JUDGED, DECIDED, PROVED, LAST))

    def tell(self, title: str, note: str) -> None:
        self.told.append((title, note))

    def step(self, name: str) -> Step[OptimizeRun]:
        def act(run: OptimizeRun) -> str:
            if name == LAST and self.hub_is_down and run.plan.push:
                raise NetworkError("the hub is down")
            self.done.append((run.name, name))
            if name == DECIDED:
                run.write(DECISION, {"approved": True})
            if name == PROVED:
                run.write(SMOKE, {"passed": True})
            if name == LAST:
                self.pushed.append(run.plan)
            return "done"

        return Step(name, name, act)

    def start(self, plan: Plan = PLAN, *, fresh: bool = False, until: str | None = None) -> OptimizeRun:
        self.time += 60.0
        return optimize(self.steps, plan, self.world, fresh=fresh, until=until)

    def names(self) -> list[str]:
        return [name for name, _ in self.done]

    def ended(self) -> list[str | None]:
        return [RunState.read(folder).ended for folder in sorted((self.folder / "runs").glob("run-*"))]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_run_that_came_to_its_end_is_followed_by_a_new_one(desk: Desk) -> None:
    first, second = desk.start(), desk.start()
    assert desk.ended() == ["shipped", "shipped"]
    assert first.name < second.name


def test_a_stopped_run_is_taken_up_under_the_same_plan(desk: Desk) -> None:
    first = desk.start(until=JUDGED)
    assert desk.ended() == [None]
    assert desk.start().name == first.name
    assert desk.done[-3:] == [(first.name, DECIDED), (first.name, PROVED), (first.name, LAST)]
    assert (first.name, "taken up where it was") in desk.told
    assert desk.ended() == ["shipped"]


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("until", ["preflight", JUDGED, DECIDED])
def test_other_flags_or_fresh_give_an_unproved_run_up(desk: Desk, fresh: bool, until: str) -> None:
    first = desk.start(until=until)
    second = desk.start(PLAN if fresh else replace(PLAN, seed=8), fresh=fresh)
    assert second.name != first.name
    assert desk.ended() == ["given up", "shipped"]


def test_flags_about_making_known_do_count_before_the_proof(desk: Desk) -> None:
    desk.start(until=DECIDED)
    desk.start(replace(PLAN, push=False))
    assert desk.ended() == ["given up", "shipped"]


def test_a_proved_run_takes_up_new_words_about_making_it_known(desk: Desk) -> None:
    desk.hub_is_down = True
    with pytest.raises(NetworkError):
        desk.start()
    run = desk.start(replace(PLAN, push=False))
    assert desk.ended() == ["shipped"]
    assert desk.pushed == [replace(PLAN, push=False)]
    assert run.name == desk.names()[0]


@pytest.mark.parametrize(("plan", "fresh"), [(replace(PLAN, seed=8), False), (PLAN, True)])
def test_a_proved_run_is_finished_as_it_was_told_before_another_begins(desk: Desk, plan: Plan, fresh: bool) -> None:
    first = desk.start(until=PROVED)
    second = desk.start(plan, fresh=fresh)
    assert desk.ended() == ["shipped", "shipped"]
    assert desk.pushed == [PLAN, plan]
    assert second.name != first.name


def test_an_old_run_without_a_decision_is_given_up(desk: Desk) -> None:
    first = desk.start(until=JUDGED)
    desk.time += STALE_AFTER.total_seconds()
    assert desk.start().name != first.name
    assert desk.ended() == ["given up", "shipped"]


@pytest.mark.parametrize("until", [DECIDED, PROVED])
def test_an_old_run_with_a_decision_is_finished_and_this_week_s_begun(desk: Desk, until: str) -> None:
    first = desk.start(until=until)
    desk.time += STALE_AFTER.total_seconds()
    second = desk.start()
    assert desk.ended() == ["shipped", "shipped"]
    assert desk.names()[-6:-5] == [first.name]
    assert desk.names()[-5:] == [second.name] * 5


def test_a_run_from_just_before_the_limit_goes_on(desk: Desk) -> None:
    first = desk.start(until=JUDGED)
    desk.time += STALE_AFTER.total_seconds() - 60.0
    assert desk.start().name == first.name


def test_a_loop_goes_on_with_the_iteration_it_was_killed_in(desk: Desk) -> None:
    loop = replace(PLAN, command="optimize_loop")
    desk.start(replace(loop, iteration=2), until=JUDGED)
    assert desk.start(loop).plan.iteration == 2
    assert desk.ended() == ["shipped"]


@pytest.mark.parametrize("other", ["optimize_loop", ANALYSIS])
def test_one_command_leaves_the_runs_of_another_alone(desk: Desk, other: str) -> None:
    first = desk.start(until=DECIDED)
    desk.start(replace(PLAN, command=other), until="preflight")
    assert desk.start().name == first.name


def test_a_run_begun_by_an_older_version_is_finished_once_it_is_proved(desk: Desk) -> None:
    desk.start(until=PROVED)
    (folder,) = (desk.folder / "runs").glob("run-*")
    state = RunState.read(folder)
    older = {name: value for name, value in state.plan.items() if name != "folds"}
    RunState.begin(folder, state.run, {**older, "gone": 1, "seed": 9}, state.started)
    again = RunState.read(folder)
    for step in desk.steps[:-1]:
        again.finish(step.name, "done", 0.0, {})
    desk.start()
    assert desk.ended() == ["shipped", "shipped"]
    assert [plan.seed for plan in desk.pushed] == [9, 7]


def test_two_at_once_are_refused_in_one_line(desk: Desk) -> None:
    (desk.folder / "runs").mkdir()
    with FileLock(desk.folder / "runs" / ".lock"), pytest.raises(LockedError, match="another optimisation is running"):
        desk.start()
    desk.start()


def test_a_defect_in_a_step_is_raised_as_it_is_and_the_run_goes_on_behind_it(desk: Desk) -> None:
    steps = desk.steps
    broken = Step[OptimizeRun](DECIDED, "decision", lambda _: str(1 // 0))
    desk.steps = (*steps[:2], broken, *steps[3:])
    with pytest.raises(ZeroDivisionError):
        desk.start()
    desk.steps = steps
    desk.start()
    assert desk.ended() == ["shipped"]


def test_a_damaged_state_is_not_passed_over(desk: Desk) -> None:
    desk.start(until=JUDGED)
    (folder,) = (desk.folder / "runs").glob("run-*")
    (folder / "state.json").write_text("{")
    with pytest.raises(StorageError, match="is not the state of a run"):
        desk.start(fresh=True)


def test_old_runs_go_and_what_others_keep_there_stays(desk: Desk) -> None:
    runs = desk.folder / "runs"
    strangers = [runs / "run-notes.txt", runs / "run-scripts" / "mine.sh", runs / "run-20260101" / "mine.sh"]
    for path in strangers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    killed_at_once = runs / "run-20200101-000000"
    killed_at_once.mkdir()
    for _ in range(KEPT_RUNS + 3):
        desk.start()
    assert sum(is_run_name(path.name) for path in runs.iterdir()) == KEPT_RUNS + 1
    assert all(path.exists() for path in strangers)
    assert not killed_at_once.exists()


def test_a_run_that_has_not_ended_is_kept(desk: Desk) -> None:
    first = desk.start(until=JUDGED)
    for _ in range(KEPT_RUNS + 2):
        desk.start(replace(PLAN, command="optimize_loop"))
    assert (desk.folder / "runs" / first.name).is_dir()
    remove_old_runs(desk.folder / "runs", keep=desk.folder / "runs" / first.name)
    assert len(list((desk.folder / "runs").glob("run-*"))) == KEPT_RUNS + 1


@pytest.mark.parametrize("name", ["run-20260118-020000", "run-20260118-020000-2"])
def test_names_of_runs(name: str) -> None:
    assert is_run_name(name)
    assert not is_run_name(f"{name}.bak")


def test_two_runs_in_one_second_have_two_names(desk: Desk) -> None:
    first = desk.start()
    desk.time -= 60.0
    assert desk.start().name == f"{first.name}-2"


def test_a_plan_survives_its_file() -> None:
    assert Plan.of(PLAN.content()) == PLAN
