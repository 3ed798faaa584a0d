"""What can go wrong around a weekly run: hub, Telegram, git, flags, bars, models; and the loop's own ways."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ml.feature_engineering import PROTECTED_FEATURES
from ml.sets.compat import read_manifest
from novosky.settings import load_ml_settings
from optimize.pipeline import DECIDED, PROVED
from tests.hosts.telegram_host import OWNER, TOKEN, failure, hang_up, telegram_host
from tests.optimize.optimize_runs import Checkout, lay_out, quiet_machine, silence

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


def test_a_hub_that_refuses_is_exit_10_and_the_next_start_publishes(
    at_proved: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place = at_proved.deployed()
    with closed_store() as address, monkeypatch.context() as patch:
        for name, value in (("ENDPOINT_URL", address), ("BUCKET", "b"), ("ACCESS_KEY_ID", "i")):
            patch.setenv(f"R2_{name}", value)
        patch.setenv("R2_SECRET_ACCESS_KEY", "s")
        patch.setenv("NOVOSKY_HUB", "s3")
        answer = at_proved.weekly()
    assert answer.code == 10
    assert answer.err.startswith("error: bucket b refuses (403")
    assert at_proved.deployed() == in_place
    assert len(at_proved.log()) == 1
    answer = at_proved.weekly()
    assert answer.code == 0
    assert at_proved.deployed() == in_place
    at_proved.is_recorded_once(2)


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
    from ml.sets.deployment import rollback

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
    at_proved.is_recorded_once(2)


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
    assert "Telegram: sent to 1 of 1 places" in answer.out


def test_a_telegram_that_refuses_undoes_nothing(at_proved: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    with telegram_host() as host:
        host.offline = failure(401, "Unauthorized")
        set_up_telegram(monkeypatch, host.access().base_url)
        answer = at_proved.weekly()
    assert answer.code == 0
    assert "Telegram: sent to 0 of 1 places: Telegram refused the access" in answer.out
    at_proved.is_recorded_once(2)


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
    assert {"ml_config.json"} <= changed <= {"config.json", "ml_config.json", "expectation.json"}
    checkout.load()


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
