"""Weekly runs from end to end on a planted market, and everything that can go wrong on the way."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from filelock import FileLock
from optimize_runs import DATA, ROOT, WEEKLY, Checkout, lay_out, quiet_machine, silence
from telegram_host import OWNER, TOKEN, failure, hang_up, telegram_host
from warm_programs import Started

from ml.compat import read_manifest
from ml.deployment import read_undisturbed
from ml.feature_engineering import PROTECTED_FEATURES
from novosky.data.store import load_bars, save_bars
from novosky.settings import load_ml_settings, load_settings
from optimize.deciding import KEPT_SNAPSHOTS
from optimize.pipeline import DECIDED, JUDGED, PROVED
from trading.model_files import load_models

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


def loads(checkout: Checkout) -> bool:
    """Load what is in place as the bot does."""
    live = checkout.live

    def read() -> bool:
        settings, ml_settings = load_settings(live.config), load_ml_settings(live.ml_config)
        return load_models(live.models, settings, ml_settings).signal is not None

    return read_undisturbed(live, read)


def is_recorded_once(checkout: Checkout, runs: int) -> None:
    """Check that every run has one row, one log entry, one commit, one revision and one folder."""
    names = [path.name for path in checkout.runs()]
    assert checkout.history() == [entry["run_id"] for entry in checkout.log()] == names[-runs:]
    assert sorted(checkout.commits()) == names[-runs:]
    assert len(checkout.revisions()) == sum(entry["decision"] == "COMMIT" for entry in checkout.log())


def test_the_first_run_ships_what_earns(shipped: Checkout) -> None:
    assert loads(shipped)
    assert shipped.state()["ended"] == "shipped"
    assert len(shipped.state()["steps"]) == 15
    is_recorded_once(shipped, 1)
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
    assert loads(at_judged)
    name = at_judged.runs()[-1].name
    kept = at_judged.live.models / f"_snapshot_{name}"
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    is_recorded_once(at_judged, 2)
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
    is_recorded_once(checkout, 2)
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
    is_recorded_once(at_judged, 2)
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
    is_recorded_once(at_judged, 2)


def test_a_disk_that_fills_up_leaves_everything_as_it_was(at_judged: Checkout) -> None:
    before = at_judged.deployed()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        # Smaller than any tree ensemble, larger than the run's own notes.
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
        answer = at_judged.weekly()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
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
    assert loads(at_judged)
    assert at_judged.weekly().code == 0
    is_recorded_once(at_judged, 2)


def wait_for_step(checkout: Checkout, step: str) -> None:
    """Return once a step is done."""
    until = time.monotonic() + 60.0
    while step not in checkout.state()["steps"]:
        assert time.monotonic() < until, f"{step} was not reached"
        time.sleep(0.005)


def test_a_hub_that_refuses_is_exit_10_and_the_next_start_publishes(
    at_proved: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place = at_proved.deployed()
    with closed_store() as address, monkeypatch.context() as patch:
        for name, value in (("ENDPOINT_URL", address), ("BUCKET", "b"), ("ACCESS_KEY_ID", "i")):
            patch.setenv(f"R2_{name}", value)
        patch.setenv("R2_SECRET_ACCESS_KEY", "s")
        answer = at_proved.weekly()
    assert answer.code == 10
    assert answer.err.startswith("error: bucket b refuses (403")
    assert at_proved.deployed() == in_place
    assert len(at_proved.log()) == 1
    answer = at_proved.weekly()
    assert answer.code == 0
    assert at_proved.deployed() == in_place
    is_recorded_once(at_proved, 2)


def test_a_hub_that_stays_away_can_be_left_out(at_proved: Checkout) -> None:
    (at_proved.folder / "hub").rename(at_proved.folder / "away")
    assert at_proved.weekly().code == 7
    answer = at_proved.weekly("--no-push")
    assert answer.code == 0
    assert "not published (--no-push)" in answer.out
    assert (len(at_proved.log()), len(at_proved.commits()), len(at_proved.runs())) == (2, 2, 2)


def closed_store() -> ClosedStore:
    return ClosedStore()


class ClosedStore:
    """A store on this machine that refuses everybody."""

    def __enter__(self) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(403)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_what_a_person_took_back_is_not_published(at_proved: Checkout) -> None:
    from ml.deployment import rollback

    rollback(at_proved.live)
    taken_back = at_proved.deployed()
    answer = at_proved.weekly()
    assert answer.code == 0, answer.err
    assert "not published: what is in place is no longer this run's" in answer.out
    assert len(at_proved.revisions()) == 1
    assert at_proved.deployed() == taken_back


def test_a_second_revision_of_a_day_gets_the_next_free_number(at_proved: Checkout) -> None:
    (first,) = at_proved.revisions()
    day = at_proved.state()["started"][:10].replace("-", "")
    assert first == f"v{day}-p3.json"
    at_proved.weekly()
    assert at_proved.revisions() == [f"v{day}-p3.2.json", f"v{day}-p3.json"]


@pytest.mark.parametrize("step", ["push", "record", "commit", "report"])
def test_a_last_step_that_is_killed_before_its_note_says_everything_once(at_proved: Checkout, step: str) -> None:
    assert at_proved.weekly("--until", step).code == 0
    steps = at_proved.state()["steps"]
    assert list(steps)[-1] == step
    at_proved.edit_state(steps={name: done for name, done in steps.items() if name != step}, ended=None)
    history = (at_proved.folder / "PERF_HISTORY.md").read_text()
    answer = at_proved.weekly()
    assert answer.code == 0, answer.err
    assert step == "push" or (at_proved.folder / "PERF_HISTORY.md").read_text() == history
    is_recorded_once(at_proved, 2)


def test_account_flags_judge_and_are_not_recorded_as_settings(
    judged: Checkout, shipped: Checkout, tmp_path: Path
) -> None:
    checkout = shipped.copy(tmp_path / "checkout")
    flags = ("--skip-retrain", "--balance", "900", "--max-lot", "0.5", "--spread", "10")
    answer = checkout.weekly(*flags, "--configs", "0", "--until", PROVED)
    assert answer.code == 0, answer.err
    assert "are the backtest's" in answer.out
    answer = checkout.weekly(*flags, "--configs", "0")
    assert answer.code == 0, answer.err
    assert checkout.log()[-1]["params"]["config.dynamic_position_sizing.max_lot"] == 10.0


def test_telegram_gets_the_report(at_proved: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    with telegram_host() as host:
        host.plan("sendMessage", hang_up)
        set_up_telegram(monkeypatch, host.access().base_url)
        answer = at_proved.weekly()
    assert answer.code == 0
    (text,) = host.texts()
    assert text.startswith("SYNTHETIC DATA: planted market\nNOVOSKY weekly optimize, balanced: SHIPPED\njudged 2022-")
    assert "Telegram: sent to 1 of 1 chats" in answer.out


def test_a_telegram_that_refuses_undoes_nothing(at_proved: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    with telegram_host() as host:
        host.offline = failure(401, "Unauthorized")
        set_up_telegram(monkeypatch, host.access().base_url)
        answer = at_proved.weekly()
    assert answer.code == 0
    assert "Telegram: sent to 0 of 1 chats: Telegram refused it" in answer.out
    is_recorded_once(at_proved, 2)


def test_telegram_is_told_of_a_failure(at_judged: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    at_judged.edit("config.json", max_consecutive_losses=3)
    with telegram_host() as host:
        set_up_telegram(monkeypatch, host.access().base_url)
        assert at_judged.weekly().code == 3
    (text,) = host.texts()
    assert text.startswith("NOVOSKY weekly_optimize failed and will be taken up again: config.json, ml_config.json or")


def set_up_telegram(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    for name, value in (("BOT_TOKEN", TOKEN), ("CHAT_IDS", str(OWNER)), ("API_URL", address)):
        monkeypatch.setenv(f"TELEGRAM_{name}", value)


def test_a_dirty_checkout_is_refused_before_anything_is_done(shipped: Checkout, tmp_path: Path) -> None:
    checkout = shipped.copy(tmp_path / "checkout")
    checkout.edit("config.json", max_consecutive_losses=3)
    answer = checkout.weekly()
    assert answer.code == 2
    assert answer.err.startswith("error: uncommitted changes in config.json; commit or stash them, give --allow-dirty")
    assert list(checkout.state()["steps"]) == []


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (("--data", "absent.parquet"), 4, "absent.parquet does not exist; download it"),
        (("--oos-days", "400"), 4, "months of training before the last 400 days begin"),
        (("--start", "2022-06-01"), 2, "--start 2022-06-01 leaves no training before 2022-03-13"),
        (("--start", "2021-06-01"), 4, "but training begins 2021-06-01"),
        (("--until", "nowhere"), 2, "no such step; the steps are preflight, profile, data"),
        (("--storage", "nothing"), 2, "--storage is not a database URL"),
        (("--end", "2022-04-08", "--oos-days", "30"), 4, "less than 30 days of bars follow"),
    ],
)
def test_what_would_fail_late_is_said_early(
    shipped: Checkout, tmp_path: Path, flags: tuple[str, ...], code: int, words: str
) -> None:
    checkout = shipped.copy(tmp_path / "checkout")
    before = checkout.deployed()
    answer = checkout.weekly(*flags)
    assert (answer.code, words in answer.err) == (code, True), answer.err
    assert len(answer.err.strip().splitlines()) == 1 or code == 2
    assert checkout.deployed() == before


def test_the_same_models_with_better_settings(shipped: Checkout, tmp_path: Path) -> None:
    checkout = shipped.copy(tmp_path / "checkout")
    silence(checkout)
    before = checkout.deployed()
    answer = checkout.weekly("--skip-retrain", "--until", DECIDED)
    assert answer.code == 0, answer.err
    after = checkout.deployed()
    changed = {name for name in before if before[name] != after.get(name)}
    assert {"ml_config.json"} <= changed <= {"config.json", "ml_config.json"}
    assert loads(checkout)


def test_keeping_models_needs_models(warm: Path, tmp_path: Path) -> None:
    answer = lay_out(tmp_path / "checkout").weekly("--skip-retrain")
    assert answer.code == 5
    assert answer.err == ("error: --skip-retrain needs models, and models holds no set; train or pull one first\n")


def test_a_damaged_incumbent_is_named_and_nothing_is_made_of_it(shipped: Checkout, tmp_path: Path) -> None:
    checkout = shipped.copy(tmp_path / "checkout")
    with (checkout.live.models / "ensemble_scaler.pkl").open("ab") as stream:
        stream.write(b"x")
    before = checkout.deployed()
    answer = checkout.weekly()
    assert answer.code == 5
    assert "ensemble_scaler.pkl" in answer.err
    assert checkout.deployed() == before


def test_an_incumbent_with_a_damaged_spare_file_comes_back_as_it_was(
    at_judged: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    for models in (at_judged.live.models, at_judged.runs()[-1] / "incumbent" / "models"):
        (models / "ensemble_rf.pkl").write_bytes(b"bit rot")
    steps = at_judged.state()["steps"]
    steps["preflight"]["outputs"] = {}
    at_judged.edit_state(steps=steps)
    before = at_judged.deployed()
    monkeypatch.setattr(sys, "executable", BROKEN)
    answer = at_judged.weekly()
    assert "the incumbent was put back" in answer.out
    assert at_judged.deployed() == before


def test_analysing_changes_nothing_and_leaves_a_killed_loop_alone(shipped: Checkout, tmp_path: Path) -> None:
    checkout = shipped.copy(tmp_path / "checkout")
    assert checkout.loop("--until", "settings").code == 0
    loop, log, before = checkout.runs()[-1].name, checkout.log(), checkout.deployed()
    answer = checkout.loop("--analyze-only", "--drop-threshold", "0.01")
    assert answer.code == 0, answer.err
    assert (checkout.deployed(), checkout.log()) == (before, log)
    ranking = answer.out[answer.out.index("SYNTHETIC DATA: planted market") :].splitlines()
    assert all(line.lstrip()[0].isdigit() for line in ranking[1:11])
    assert ranking[11].startswith("below 0.01 and not protected: ")
    assert ranking[12].startswith("baseline: score ")
    assert "taken up where it was" in checkout.loop("--until", "settings").out
    assert loop in [path.name for path in checkout.runs()]


def test_a_loop_killed_in_its_second_iteration_finishes_that_one_with_the_features_it_has_left(
    shipped: Checkout, tmp_path: Path
) -> None:
    checkout = shipped.copy(tmp_path / "checkout")
    flags = ("--iterations", "2", "--drop-threshold", "0.012")
    assert checkout.loop(*flags, "--until", "settings").code == 0
    checkout.edit_state(plan={**checkout.state()["plan"], "iteration": 2})
    answer = checkout.loop(*flags)
    assert answer.code == 0, answer.err
    assert len(checkout.runs()) == 2
    assert [(entry["command"], entry["iteration"]) for entry in checkout.log()] == [
        ("weekly_optimize", 1),
        ("optimize_loop", 2),
    ]
    assert "iteration 2 of 2" in answer.out
    run = checkout.runs()[-1]
    features = load_ml_settings(run / "challenger" / "ml_config.json").features
    dropped = json.loads((run / "shap.json").read_text())["dropped"]
    assert dropped
    assert set(features) >= set(PROTECTED_FEATURES)
    everything = load_ml_settings(shipped.live.ml_config).features
    assert features == tuple(name for name in everything if name not in dropped)
    assert read_manifest(run / "models").features == features
    assert checkout.commits() == [shipped.runs()[0].name]


def test_strictness_stops_what_has_drifted(shipped: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout = shipped.copy(tmp_path / "checkout")
    checkout.edit("ml_config.json", labeling={"horizon_bars": 50})
    monkeypatch.setenv("NOVOSKY_STRICT_CONFIG_SYNC", "1")
    answer = checkout.loop("--until", "preflight")
    assert answer.code == 3
    assert "NOVOSKY_STRICT_CONFIG_SYNC=1 and the configuration has drifted" in answer.err
    monkeypatch.delenv("NOVOSKY_STRICT_CONFIG_SYNC")
    answer = checkout.loop("--until", "preflight")
    assert "place(s), see scripts/config_sync.py --check" in answer.out
