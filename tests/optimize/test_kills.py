"""A weekly run that is killed anywhere: what is in place is old or new as a whole, and everything is said once."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from ml.sets.companions import EXPECTATION_NAME
from ml.sets.swap_journal import swap_pending
from novosky.files import write_json
from optimize.pipeline import WEEKLY as STEPS
from optimize.steps.judge import JUDGEMENT
from tests.helpers.warm_programs import Started
from tests.optimize.optimize_runs import ROOT, WEEKLY, Checkout, quiet_machine, silence

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs fork and signals")
SMALL_KILLS = 3
FULL_RANDOM, MOST_KILLS = 50, 5
PATIENCE = 120.0
SCRIPT = str(ROOT / "scripts" / "weekly_optimize.py")
KILLER = str(ROOT / "tests" / "optimize" / "optimize_killer.py")
BESIDE = {
    ".env",
    ".git",
    ".gitignore",
    ".models.lock",
    ".models.previous",
    "PERF_HISTORY.md",
    "config.json",
    "data",
    "hub",
    "hub.key",
    "hub.pub",
    "ml_config.json",
    "models",
    "out.txt",
    "runs",
    "strategy_params.json",
}
"""What a person finds in the checkout after a run, besides nothing."""


@dataclass
class Victim:
    """A checkout whose runs are killed.

    Attributes
    ----------
    checkout : Checkout
    warm : Path
        Folder of the process that forks programs.
    old : dict of str to bytes
        What is in place before.
    kills : Counter
        By what was in place afterwards.
    """

    checkout: Checkout
    warm: Path
    old: dict[str, bytes] = field(init=False)
    kills: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.old = self.checkout.deployed()

    def start(self, *program: str) -> Started:
        """Start a run as a process of its own."""
        with (self.checkout.folder / "out.txt").open("w") as out:
            words = [*(program or (SCRIPT,)), *WEEKLY]
            return Started(self.warm, words, self.checkout.folder, dict(os.environ), out)

    def said(self) -> str:
        return (self.checkout.folder / "out.txt").read_text()

    def kill_at_change(self, number: int) -> bool:
        """Have a run die before a change of the disk; False when it came to its end first."""
        code = self.start(KILLER, str(number), SCRIPT).exit_code()
        assert code in (0, -signal.SIGKILL), self.said()
        if code == -signal.SIGKILL:
            self.look()
        return code == -signal.SIGKILL

    def kill_behind(self, step: str) -> None:
        """Kill a run as soon as it has noted a step."""
        started = self.start()
        until = time.monotonic() + PATIENCE
        while step not in self.steps():
            assert time.monotonic() < until, self.said()
            time.sleep(0.0005)
        os.kill(started.process, signal.SIGKILL)
        assert started.exit_code() in (0, -signal.SIGKILL), self.said()
        self.look()

    def kill_after(self, seconds: float) -> bool:
        """Kill a run at a moment; False when it came to its end first."""
        started = self.start()
        time.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(started.process, signal.SIGKILL)
        code = started.exit_code()
        assert code in (0, -signal.SIGKILL), self.said()
        if code == -signal.SIGKILL:
            self.look()
        return code == -signal.SIGKILL

    def steps(self) -> list[str]:
        """Return the steps that the newest run has noted."""
        runs = [path for path in self.checkout.runs() if (path / "state.json").exists()]
        return list(json.loads((runs[-1] / "state.json").read_text())["steps"]) if len(runs) == 2 else []

    def is_over(self) -> bool:
        """Whether the new run has come to its end."""
        return bool(self.steps()) and self.checkout.state()["ended"] is not None

    def new(self) -> dict[str, bytes] | None:
        """Return the challenger, once there is one."""
        folder = self.checkout.runs()[-1]
        if not (folder / "challenger" / "ml_config.json").exists():
            return None
        models = {path.name: path.read_bytes() for path in (folder / "models").iterdir()}
        settings = {path.name: path.read_bytes() for path in (folder / "challenger").iterdir()}
        judged = folder / JUDGEMENT
        if not judged.exists():
            return models | settings
        # What it earned out of sample is put beside it when it is put in place.
        copy = folder.with_name(f"{folder.name}-{EXPECTATION_NAME}")
        write_json(copy, json.loads(judged.read_text())["new"]["record"])
        record = copy.read_bytes()
        copy.unlink()
        return models | settings | {EXPECTATION_NAME: record}

    def look(self) -> None:
        """Check that the next command finds old or new as a whole, and that the bot starts on it."""
        live = self.checkout.live
        self.checkout.load()
        found = self.checkout.recovered()
        assert not swap_pending(live.models)
        if found == self.new():
            self.kills["new"] += 1
        else:
            assert found == self.old
            self.kills["old"] += 1

    def come_to_an_end(self) -> None:
        """Let the next start finish, and check that everything was said once and nothing is left behind."""
        code = self.start().exit_code()
        assert code == 0, self.said()
        self.check_end()

    def check_end(self) -> None:
        checkout = self.checkout
        assert checkout.recovered() == self.new()
        names = [path.name for path in checkout.runs()]
        assert len(names) == 2
        assert checkout.history() == [entry["run_id"] for entry in checkout.log()] == names
        assert sorted(checkout.commits()) == names
        assert len(checkout.revisions()) == 2
        assert checkout.state()["ended"] == "shipped"
        folder = checkout.folder
        # What was replaced, where a kill came while it was being removed; the next deployment does it.
        replaced = {path.name for path in folder.glob(".models.swap-*")}
        assert len(replaced) <= 1
        assert {path.name for path in folder.iterdir()} <= BESIDE | replaced
        assert {path.name for path in (folder / "runs").iterdir()} == {".lock", *names}
        # A push that was killed may leave the object it was sending, which no reader lists.
        assert len(list((folder / "hub").rglob("*.tmp"))) <= self.kills.total()
        assert not list((folder / "models").glob(".*"))
        assert checkout.git("status", "--porcelain", "--untracked-files=no") == ""


@pytest.fixture(autouse=True)
def _quiet(warm: Path) -> Iterator[None]:
    with quiet_machine(warm):
        yield


@pytest.fixture(scope="module")
def waiting(shipped: Checkout) -> Checkout:
    """A checkout with an incumbent that trades nothing, before the run that is killed."""
    checkout = shipped.copy(shipped.folder.with_name("waiting"))
    silence(checkout)
    return checkout


def changes_of(checkout: Checkout, warm: Path) -> int:
    """Return how often what is left of a run changes the disk."""
    victim = Victim(checkout, warm)
    code = victim.start(KILLER, "0", SCRIPT).exit_code()
    assert code == 0, victim.said()
    victim.check_end()
    return int(victim.said().split()[-1])


@pytest.mark.parametrize("begun", ["judged", "proved"])
def test_killed_at_moments_from_decision_to_report(
    request: pytest.FixtureRequest, warm: Path, tmp_path: Path, begun: str
) -> None:
    checkout: Checkout = request.getfixturevalue(begun)
    changes = changes_of(checkout.copy(tmp_path / "counted"), warm)
    found: Counter[str] = Counter()
    for number in range(SMALL_KILLS):
        victim = Victim(checkout.copy(tmp_path / str(number)), warm)
        assert victim.kill_at_change((2 * number + 1) * changes // (2 * SMALL_KILLS))
        victim.come_to_an_end()
        found += victim.kills
    assert found.total() == SMALL_KILLS
    # Once it is proved nothing but the new set is ever seen.
    assert found["new"] == SMALL_KILLS or (begun == "judged" and found["old"] > 0)


@pytest.mark.full
@pytest.mark.parametrize("begun", ["judged", "proved"])
def test_killed_before_every_change_from_decision_to_report(
    request: pytest.FixtureRequest, warm: Path, tmp_path: Path, begun: str
) -> None:
    if not request.config.getoption("--full"):
        pytest.skip("takes half an hour; run with --full")
    checkout: Checkout = request.getfixturevalue(begun)
    changes = changes_of(checkout.copy(tmp_path / "counted"), warm)
    found: Counter[str] = Counter()
    for number in range(1, changes + 1):
        folder = tmp_path / str(number)
        victim = Victim(checkout.copy(folder), warm)
        if victim.kill_at_change(number):
            victim.come_to_an_end()
        found += victim.kills
        shutil.rmtree(folder)
    print(begun, changes, dict(found))
    assert found["new"] > 0
    assert begun == "proved" or found["old"] > 0


@pytest.mark.full
def test_killed_behind_every_step(
    request: pytest.FixtureRequest, waiting: Checkout, warm: Path, tmp_path: Path
) -> None:
    if not request.config.getoption("--full"):
        pytest.skip("takes minutes; run with --full")
    victim = Victim(waiting.copy(tmp_path / "checkout"), warm)
    for step in STEPS:
        victim.kill_behind(step.name)
    print(dict(victim.kills))
    assert victim.kills.total() == len(STEPS)
    if not victim.is_over():
        victim.come_to_an_end()
    victim.check_end()


@pytest.mark.full
def test_killed_at_any_moment(
    request: pytest.FixtureRequest, waiting: Checkout, judged: Checkout, warm: Path, tmp_path: Path
) -> None:
    if not request.config.getoption("--full"):
        pytest.skip("takes minutes; run with --full")
    chance = np.random.default_rng(5)
    kills: Counter[str] = Counter()
    for number in range(1_000):
        template, most = ((waiting, 6.0), (judged, 2.5))[number % 2]
        victim = Victim(template.copy(tmp_path / str(number)), warm)
        # A few kills each: what they leave running makes the next start slower.
        while victim.kills.total() < MOST_KILLS and victim.kill_after(float(chance.uniform(0.0, most))):
            pass
        if not victim.is_over():
            victim.come_to_an_end()
        victim.check_end()
        kills += victim.kills
        if kills.total() >= FULL_RANDOM:
            break
    print(dict(kills))
    assert min(kills["old"], kills["new"]) > 0
