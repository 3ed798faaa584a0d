"""Weekly runs from end to end on a planted market, and everything that can go wrong on the way."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from ml.sets.compat import read_manifest
from novosky.data.store import load_bars, save_bars
from optimize.pipeline import DECIDED, JUDGED
from optimize.steps.promote import KEPT_SNAPSHOTS
from tests.helpers.small_disk import disk_with_room_for
from tests.helpers.warm_programs import Started
from tests.optimize.optimize_runs import DATA, ROOT, WEEKLY, Checkout, quiet_machine

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs fork and signals")
BROKEN = "/bin/false"


@pytest.fixture(autouse=True)
def _quiet(warm: Path) -> Iterator[None]:
    with quiet_machine(warm):
        yield


@pytest.fixture
def at_judged(judged: Checkout, tmp_path: Path) -> Checkout:
    return judged.copy(tmp_path / "checkout")


@pytest.fixture
def at_proved(proved: Checkout, tmp_path: Path) -> Checkout:
    return proved.copy(tmp_path / "checkout")


def test_the_first_run_ships_what_earns(shipped: Checkout) -> None:
    shipped.load()
    assert shipped.state()["ended"] == "shipped"
    assert len(shipped.state()["steps"]) == 15
    shipped.is_recorded_once(1)
    (entry,) = shipped.log()
    assert (entry["decision"], entry["iteration"], entry["baseline_score"]) == ("COMMIT", 1, None)
    params = json.loads((shipped.folder / "strategy_params.json").read_text())
    assert (params["approved"], params["run_id"]) == (True, entry["run_id"])
    assert params["models"] == shipped.revisions()[0].removesuffix(".json")
    assert shipped.git("status", "--porcelain").strip() == ""


def test_training_and_sweep_keep_away_from_the_days_that_judge(judged: Checkout) -> None:
    window = json.loads((judged.runs()[-1] / "window.json").read_text())
    manifest = read_manifest(judged.runs()[-1] / "models")
    assert manifest.train_end < window["oos_start"] < window["sweep_end"] < window["oos_end"]
    assert (judged.runs()[-1] / "sweep.csv").is_file()


def test_the_next_run_replaces_the_incumbent_and_keeps_a_copy_of_it(at_judged: Checkout) -> None:
    before = at_judged.deployed()
    answer = at_judged.weekly()
    assert answer.code == 0, answer.err
    after = at_judged.deployed()
    assert {name for name in before if before[name] != after.get(name)} >= {"model_compat.json", "ml_config.json"}
    at_judged.load()
    name = at_judged.runs()[-1].name
    kept = at_judged.live.models / f"_snapshot_{name}"
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    at_judged.is_recorded_once(2)
    assert at_judged.log()[1]["decision"] == "COMMIT"
    assert "SYNTHETIC DATA: planted market" in answer.out
    assert "NOVOSKY weekly optimize, balanced: SHIPPED" in answer.out
    assert "trades of 3 days are the backtest's" in answer.out


def test_only_the_newest_copies_are_kept_and_none_that_a_person_made(at_judged: Checkout) -> None:
    models = at_judged.live.models
    old = [f"_snapshot_run-2020010{day}-000000" for day in range(1, KEPT_SNAPSHOTS + 2)]
    for name in (*old, "_snapshot_mine"):
        (models / name).mkdir()
        (models / name / "config.json").write_text(name)
    assert at_judged.weekly("--until", DECIDED).code == 0
    name = f"_snapshot_{at_judged.runs()[-1].name}"
    kept = {path.name for path in models.glob("_snapshot_*")}
    first = f"_snapshot_{at_judged.runs()[0].name}"
    assert kept == {"_snapshot_mine", old[-1], first, name}
    assert len(kept) == 1 + KEPT_SNAPSHOTS
    assert (models / old[-1] / "config.json").read_text() == old[-1]
    assert not list(models.glob("_snapshot_*/_snapshot_*"))


def test_a_bad_challenger_leaves_everything_byte_for_byte(shipped: Checkout, tmp_path: Path) -> None:
    checkout = shipped.copy(tmp_path / "checkout")
    # The same models on a week more of the same market do not earn twice the score.
    checkout.edit("ml_config.json", decision={"min_improvement": 1.0})
    checkout.git("commit", "-qam", "ask for much")
    before = checkout.deployed()
    answer = checkout.weekly()
    assert answer.code == 0, answer.err
    assert "kept the incumbent" in answer.out
    assert checkout.deployed() == before
    assert checkout.state()["ended"] == "reverted"
    checkout.is_recorded_once(2)
    assert [entry["decision"] for entry in checkout.log()] == ["COMMIT", "REVERT"]
    assert [path.name for path in checkout.live.models.glob("_snapshot_*")] == [f"_snapshot_{checkout.history()[0]}"]


@pytest.mark.parametrize("name", ["models/ensemble_xgb.pkl", "challenger/ml_config.json", "incumbent/config.json"])
def test_a_flipped_bit_in_the_run_ends_it_and_changes_nothing(at_judged: Checkout, name: str) -> None:
    before = at_judged.deployed()
    path = at_judged.runs()[-1] / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    answer = at_judged.weekly()
    assert answer.code == 5
    assert "was changed since; the run was given up, models and settings are as they were" in answer.err
    assert at_judged.deployed() == before
    assert at_judged.state()["ended"] == "damaged"


@pytest.mark.parametrize("copy", ["incumbent/config.json", "incumbent/models/ensemble_xgb.pkl", "models/risk_lgb.txt"])
def test_damage_after_the_exchange_puts_the_incumbent_back_all_the_same(at_judged: Checkout, copy: str) -> None:
    before = at_judged.deployed()
    assert at_judged.weekly("--until", DECIDED).code == 0
    assert at_judged.deployed() != before
    with (at_judged.runs()[-1] / copy).open("ab") as stream:
        stream.write(b" ")
    answer = at_judged.weekly()
    assert answer.code == 5
    assert at_judged.deployed() == before


def test_a_challenger_that_does_not_start_is_taken_back(at_judged: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    before = at_judged.deployed()
    copies = sorted(path.name for path in at_judged.live.models.glob("_snapshot_*"))
    monkeypatch.setattr(sys, "executable", BROKEN)
    answer = at_judged.weekly()
    assert answer.code == 0, answer.err
    assert "reverted: smoke test: `novosky trade` exited with 1: no message; the incumbent was put back" in answer.out
    assert at_judged.deployed() == before
    assert sorted(path.name for path in at_judged.live.models.glob("_snapshot_*")) == copies
    at_judged.is_recorded_once(2)
    assert at_judged.log()[1]["decision"] == "REVERT"


def test_a_smoke_test_that_cannot_even_be_made_takes_it_back_and_is_made_again(
    at_judged: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = at_judged.deployed()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/no/such/python")
        answer = at_judged.weekly()
    assert answer.code == 7
    assert answer.err.strip().splitlines()[-1].startswith("error: /no/such/python: No such file or directory")
    assert at_judged.deployed() == before
    assert at_judged.weekly().code == 0
    assert at_judged.deployed() != before
    at_judged.is_recorded_once(2)


def test_a_disk_that_fills_up_leaves_everything_as_it_was(at_judged: Checkout) -> None:
    before = at_judged.deployed()
    # Smaller than any tree ensemble, larger than the run's own notes.
    with disk_with_room_for(60_000):
        answer = at_judged.weekly()
    assert answer.code == 7, answer.err
    assert "File too large" in answer.err
    assert at_judged.recovered() == before
    assert at_judged.weekly("--until", DECIDED).code == 0
    assert at_judged.deployed() != before


@pytest.mark.parametrize("name", ["config.json", "ml_config.json"])
def test_settings_that_a_person_edits_meanwhile_stay_the_person_s(at_judged: Checkout, name: str) -> None:
    changes = {"max_consecutive_losses": 3} if name == "config.json" else {"prediction": {"min_probability_diff": 0.07}}
    at_judged.edit(name, **changes)
    edited = at_judged.deployed()
    answer = at_judged.weekly()
    assert answer.code == 3
    assert "was changed while the run was going on; nothing was replaced. Begin a new run with --fresh" in answer.err
    assert at_judged.deployed() == edited


def test_an_edit_after_the_exchange_survives_the_return(at_judged: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    at_judged.weekly("--until", DECIDED)
    at_judged.edit("config.json", max_consecutive_losses=3)
    edited = at_judged.deployed()
    monkeypatch.setattr(sys, "executable", BROKEN)
    at_judged.weekly()
    assert at_judged.deployed() == edited


def test_other_bars_than_the_run_began_with_are_refused(at_judged: Checkout) -> None:
    steps = {name: done for name, done in at_judged.state()["steps"].items() if name != JUDGED}
    at_judged.edit_state(steps=steps)
    bars = load_bars(at_judged.folder / DATA)
    bars.loc[5_000, "close"] = bars.loc[5_000, "open"]
    save_bars(at_judged.folder / DATA, bars)
    before = at_judged.deployed()
    answer = at_judged.weekly()
    assert answer.code == 4
    assert "no longer holds the bars this run began with; begin a new run with --fresh" in answer.err
    assert at_judged.deployed() == before


def test_a_killed_judge_gives_the_same_figures_again(at_judged: Checkout) -> None:
    path = at_judged.runs()[-1] / "judgement.json"
    before = json.loads(path.read_text())
    path.unlink()
    at_judged.edit_state(steps={name: done for name, done in at_judged.state()["steps"].items() if name != JUDGED})
    assert at_judged.weekly("--until", JUDGED).code == 0
    after = json.loads(path.read_text())
    for side in ("new", "old"):
        assert after[side]["metrics"].pop("seconds") >= 0.0
        before[side]["metrics"].pop("seconds")
    assert after == before


def test_other_flags_give_an_unproved_challenger_up(at_judged: Checkout) -> None:
    before = at_judged.deployed()
    at_judged.weekly("--until", DECIDED)
    assert at_judged.deployed() != before
    answer = at_judged.weekly("--seed", "8", "--until", "profile")
    assert answer.code == 0, answer.err
    assert "given up: other flags, too long ago, or --fresh" in answer.out
    assert at_judged.deployed() == before
    assert at_judged.log()[-1]["run_id"] == at_judged.runs()[0].name


def test_a_second_run_at_the_same_time_is_refused(at_judged: Checkout) -> None:
    with FileLock(at_judged.folder / "runs" / ".lock"):
        answer = at_judged.weekly()
    assert answer.code == 9
    assert answer.err == "error: another optimisation is running in runs; wait for it or stop it first\n"


def test_sigterm_ends_it_like_ctrl_c_and_the_next_start_goes_on(at_judged: Checkout, warm: Path) -> None:
    old = at_judged.deployed()
    program = [str(ROOT / "scripts" / "weekly_optimize.py"), *WEEKLY]
    with (at_judged.folder / "out.txt").open("w") as out:
        started = Started(warm, program, at_judged.folder, dict(os.environ), out)
        wait_for_step(at_judged, DECIDED)
        os.kill(started.process, signal.SIGTERM)
        assert started.exit_code() == 130
    assert (at_judged.folder / "out.txt").read_text().endswith("interrupted\n")
    (at_judged.folder / "out.txt").unlink()
    assert at_judged.recovered() != old
    at_judged.load()
    assert at_judged.weekly().code == 0
    at_judged.is_recorded_once(2)


def wait_for_step(checkout: Checkout, step: str) -> None:
    """Return once a step is done."""
    until = time.monotonic() + 60.0
    while step not in checkout.state()["steps"]:
        assert time.monotonic() < until, f"{step} was not reached"
        time.sleep(0.005)
