"""Checkouts in which small optimisation runs take seconds, and what is to be seen of them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import tests.helpers.warm_programs as warm_programs
from ml.hub.signing import create_keys
from ml.load_models import load_models
from ml.sets.deployment import Deployment, read_undisturbed, recover, set_files
from novosky.data.store import save_bars
from novosky.data.synthetic import synthetic_bars
from novosky.settings import load_ml_settings, load_settings
from optimize.pipeline import JUDGED, PROVED
from tests.helpers.command_line import Answer, run_script
from tests.helpers.desk import BRACKET, EAGER
from tests.helpers.sets.position_sets import SMALL_POSITION
from tests.helpers.sets.signal_sets import SMALL_MODELS, small_ml_settings

ROOT = Path(__file__).resolve().parents[2]
DAY_BARS = 96
OOS_DAYS = 92
WEEKS_AGO = 7
BARS = (62 + OOS_DAYS + WEEKS_AGO) * DAY_BARS
DATA = "data/BTCUSD_M15.parquet"
WINDOW = ("--train-months", "2", "--oos-days", str(OOS_DAYS))
WEEKLY = ("--profile", "balanced", "--data", DATA, *WINDOW, "--trials", "0", "--configs", "3", "--jobs", "1")
LOOP = ("--data", DATA, *WINDOW, "--trials", "1", "--folds", "2")
LAST_WEEK = "2022-06-10"
"""End of a window with another week of bars behind it."""
OUTSIDE = ("TELEGRAM", "NOVOSKY", "R2_", "GIT_")
TINY_ENSEMBLE: dict[str, Any] = {
    **SMALL_MODELS,
    "rf": {**SMALL_MODELS["rf"], "n_estimators": 8},
    "xgb": {**SMALL_MODELS["xgb"], "n_estimators": 12},
    "lgb": {**SMALL_MODELS["lgb"], "n_estimators": 12},
}


@dataclass(frozen=True)
class Checkout:
    """A folder in which everything has the place a person's checkout gives it, and names are relative."""

    folder: Path

    @property
    def live(self) -> Deployment:
        """What the bot trades with."""
        return Deployment(self.folder / "models", self.folder / "config.json", self.folder / "ml_config.json")

    def copy(self, folder: Path) -> Checkout:
        """Return a copy that may be changed."""
        shutil.copytree(self.folder, folder)
        return Checkout(folder)

    def weekly(self, *flags: object) -> Answer:
        """Run `scripts/weekly_optimize.py`."""
        return run_script("scripts/weekly_optimize.py", *WEEKLY, *flags, cwd=self.folder)

    def loop(self, *flags: object) -> Answer:
        """Run `scripts/optimize_loop.py`."""
        return run_script("scripts/optimize_loop.py", *LOOP, *flags, cwd=self.folder)

    def edit(self, name: str, **changes: Any) -> None:
        """Change sections of one of the settings files, as a person would."""
        path = self.folder / name
        content = json.loads(path.read_text(encoding="utf-8"))
        for section, change in changes.items():
            content[section] = {**content.get(section, {}), **change} if isinstance(change, dict) else change
        path.write_text(json.dumps(content, indent=1), encoding="utf-8")

    def deployed(self) -> dict[str, bytes]:
        """Return settings and model set, byte for byte."""
        models = self.live.models
        names = [name for name in set_files(models) if (models / name).is_file()]
        found = {name: (models / name).read_bytes() for name in names}
        return found | {place.name: place.read_bytes() for place in (self.live.config, self.live.ml_config)}

    def recovered(self) -> dict[str, bytes]:
        """Return the same as the next command would find it."""
        recover(self.live)
        return self.deployed()

    def load(self) -> None:
        """Load what is in place as the bot does; raises where it would not start."""
        live = self.live
        read_undisturbed(
            live, lambda: load_models(live.models, load_settings(live.config), load_ml_settings(live.ml_config))
        )

    def is_recorded_once(self, runs: int) -> None:
        """Check that each of the newest runs has one row, one log entry, one commit, and one revision if it shipped."""
        names = [path.name for path in self.runs()]
        assert self.history() == [entry["run_id"] for entry in self.log()] == names[-runs:]
        assert sorted(self.commits()) == names[-runs:]
        assert len(self.revisions()) == sum(entry["decision"] == "COMMIT" for entry in self.log())

    def runs(self) -> list[Path]:
        """Return the folders of runs, oldest first."""
        return sorted((self.folder / "runs").glob("run-*"))

    def state(self) -> dict[str, Any]:
        """Return the newest run's state."""
        content: dict[str, Any] = json.loads((self.runs()[-1] / "state.json").read_text(encoding="utf-8"))
        return content

    def edit_state(self, **changes: Any) -> None:
        """Change the newest run's state."""
        path = self.runs()[-1] / "state.json"
        path.write_text(json.dumps(self.state() | changes), encoding="utf-8")

    def log(self) -> list[dict[str, Any]]:
        """Return the optimisation log."""
        path = self.live.models / "optimize_log.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []

    def history(self) -> list[str]:
        """Return the runs named in PERF_HISTORY.md, a name for every row."""
        path = self.folder / "PERF_HISTORY.md"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [line.split("|")[2].strip() for line in lines if line.startswith("| 2")]

    def revisions(self) -> list[str]:
        """Return the names of published revisions."""
        return sorted(path.name for path in (self.folder / "hub" / "revisions").glob("*.json"))

    def git(self, *arguments: str) -> str:
        """Run git in the checkout."""
        return git(self.folder, *arguments)

    def commits(self) -> list[str]:
        """Return the runs that have committed."""
        text = self.git("log", "--format=%(trailers:key=Optimisation-run,valueonly)")
        return [line for line in text.splitlines() if line]


def git(folder: Path, *arguments: str) -> str:
    """Run git as somebody."""
    named = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]
    done = subprocess.run(["git", *named, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def lay_out(folder: Path) -> Checkout:
    """Write settings, bars, keys and an empty hub, and commit them; there are no models yet."""
    checkout = Checkout(folder)
    save_bars(folder / DATA, synthetic_bars("planted", BARS, seed=3))
    runtime = json.loads((ROOT / "config.json").read_text(encoding="utf-8"))
    runtime.pop("$schema")
    runtime["risk_management"].update(BRACKET)
    checkout.live.config.write_text(json.dumps(runtime, indent=1), encoding="utf-8")
    content = small_ml_settings(threads=1).model_dump(mode="json", exclude={"schema_reference"})
    content |= {"signal_model": TINY_ENSEMBLE, "prediction": {**EAGER, "confidence_threshold": 0.6}}
    content |= {"position_model": {**SMALL_POSITION, **TINY_ENSEMBLE}}
    # Small windows leave few days that nothing was chosen on.
    content["decision"] = {"min_trades": 20, "min_probability": None}
    content["ml_sltp"] |= {"enabled": True, "folds": 2}
    content["risk_model"] |= {"min_trades": 20, "horizon_trades": 5, "samples": 5000}
    checkout.live.ml_config.write_text(json.dumps(content, indent=1), encoding="utf-8")
    create_keys(folder)
    (folder / ".env").write_text("NOVOSKY_HUB_PRIVATE_KEY=hub.key\nNOVOSKY_HUB=hub\n", encoding="utf-8")
    (folder / "hub" / "revisions").mkdir(parents=True)
    shutil.copy(ROOT / ".gitignore", folder)
    checkout.git("init", "-q", "-b", "main")
    checkout.git("add", "-A")
    checkout.git("commit", "-qm", "begin")
    return checkout


def silence(checkout: Checkout) -> None:
    """Have the incumbent trade nothing, so that a challenger only has to earn."""
    checkout.edit("ml_config.json", prediction={"confidence_threshold": 0.999, "confidence_share": None})
    checkout.git("commit", "-qam", "be silent")


@contextlib.contextmanager
def quiet_machine(warm: Path) -> Iterator[None]:
    """Leave the real machine's chats, hubs and keys out, and start programs from the process that is warm."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OUTSIDE)}
    for role in ("AUTHOR", "COMMITTER"):
        kept |= {f"GIT_{role}_NAME": "Somebody", f"GIT_{role}_EMAIL": "somebody@example.org"}
    python = str(warm / warm_programs.PYTHON)
    with patch.dict(os.environ, kept, clear=True), patch.object(sys, "executable", python):
        yield


@contextlib.contextmanager
def warm_python() -> Iterator[Path]:
    """Start the process that forks programs; yields its folder."""
    # A socket's address may have little more than a hundred letters.
    with tempfile.TemporaryDirectory(prefix="warm-") as name:
        program = [sys.executable, str(ROOT / "tests" / "helpers" / "warm_programs.py"), name]
        with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                assert server.stdout.readline() == "ready\n"
                yield Path(name)
            finally:
                server.kill()


def after_the_first_run(folder: Path, warm: Path) -> Checkout:
    """Return a checkout that has its first set, made of bars up to a week ago."""
    with quiet_machine(warm):
        checkout = lay_out(folder)
        answer = checkout.weekly("--end", LAST_WEEK)
    assert answer.code == 0, answer.err
    return checkout


def before_the_decision(first: Checkout, folder: Path, warm: Path) -> Checkout:
    """Return the same a week later, with an incumbent that trades nothing, its run stopped before the decision."""
    with quiet_machine(warm):
        checkout = first.copy(folder)
        silence(checkout)
        answer = checkout.weekly("--until", JUDGED)
    assert answer.code == 0, answer.err
    return checkout


def before_anybody_is_told(judged: Checkout, folder: Path, warm: Path) -> Checkout:
    """Return the same with the challenger in place and proved."""
    with quiet_machine(warm):
        checkout = judged.copy(folder)
        answer = checkout.weekly("--until", PROVED)
    assert answer.code == 0, answer.err
    return checkout
