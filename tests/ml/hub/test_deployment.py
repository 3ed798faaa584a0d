"""Models and both settings files change together or not at all, whatever interrupts the change."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

import pytest

from ml.sets.deployment import Deployment, previous, read_undisturbed, recover, replace_deployment, rollback
from ml.sets.model_set import replace_model_set
from ml.sets.swap_journal import swap_pending
from novosky.errors import LockedError, ModelError, SettingsError, StorageError
from novosky.files import write_bytes, write_text
from tests.helpers.small_disk import disk_with_room_for
from tests.ml.hub.hub_checkouts import (
    ARTIFACTS,
    LOG,
    content_of,
    deploy,
    deployment_in,
    lay_out,
    leftovers,
    whole,
    write_models,
)

HERE = Path(__file__).resolve().parent
ROOT = Path(__file__).resolve().parents[3]
posix_only = pytest.mark.skipif(os.name == "nt", reason="needs fork, signals and limits")
KILLS = [("deploy", "exchange"), ("rollback", "renames"), ("first", "exchange")]
MORE_KILLS = list(itertools.product(("deploy", "rollback", "first", "models"), ("exchange", "renames")))


def test_all_three_parts_are_replaced_and_nothing_is_left_beside_them(tmp_path: Path) -> None:
    target = lay_out(tmp_path)
    deploy(target, "new")
    assert content_of(target) == whole("new")
    assert leftovers(target) == set()


def test_what_is_not_written_stays(tmp_path: Path) -> None:
    target = lay_out(tmp_path)
    with replace_deployment(target) as incoming:
        write_models(incoming.models, "new")
    assert content_of(target) == whole("new") | {
        "config": whole("old")["config"],
        "ml_config": whole("old")["ml_config"],
    }


def test_files_of_the_old_set_go_with_it_and_the_owner_s_stay(tmp_path: Path) -> None:
    target = lay_out(tmp_path)
    with replace_deployment(target) as incoming:
        write_text(incoming.models / "other.pkl", "new")
    assert sorted(path.name for path in target.models.iterdir()) == [LOG, "other.pkl"]


def test_an_error_in_the_body_leaves_everything_as_it_was(tmp_path: Path) -> None:
    target = lay_out(tmp_path)
    with pytest.raises(ZeroDivisionError), replace_deployment(target) as incoming:
        write_models(incoming.models, "new")
        write_text(incoming.config, "{}")
        raise ZeroDivisionError
    assert content_of(target) == whole("old")
    assert leftovers(target) == set()


def test_settings_that_were_edited_meanwhile_are_not_written_over(tmp_path: Path) -> None:
    target = lay_out(tmp_path)
    with pytest.raises(SettingsError, match="was changed while"), replace_deployment(target) as incoming:
        write_models(incoming.models, "new")
        write_text(incoming.config, "{}")
        write_text(target.config, '{"by": "hand"}')
    assert content_of(target) == whole("old") | {"config": b'{"by": "hand"}'}
    assert leftovers(target) == set()


def test_settings_may_lie_elsewhere_and_models_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "etc").mkdir()
    lay_out(tmp_path / "disk")
    (tmp_path / "models").symlink_to(tmp_path / "disk" / "models")
    for name in ("config.json", "ml_config.json"):
        (tmp_path / "disk" / name).rename(tmp_path / "etc" / name)
    target = Deployment(tmp_path / "models", tmp_path / "etc" / "config.json", tmp_path / "etc" / "ml_config.json")
    deploy(target, "new")
    assert (tmp_path / "models").is_symlink()
    assert content_of(target) == whole("new")
    assert sorted(path.name for path in (tmp_path / "etc").iterdir()) == ["config.json", "ml_config.json"]


@posix_only
def test_permissions_of_a_settings_file_stay(tmp_path: Path) -> None:
    target = lay_out(tmp_path)
    target.config.chmod(0o600)
    deploy(target, "new")
    assert target.config.stat().st_mode & 0o777 == 0o600


def test_a_second_deployment_and_a_training_are_refused_meanwhile(tmp_path: Path) -> None:
    target = lay_out(tmp_path)
    with replace_deployment(target) as incoming:
        write_models(incoming.models, "new")
        with pytest.raises(LockedError), replace_deployment(target):
            pass
        with pytest.raises(LockedError), replace_model_set(target.models):
            pass
    assert content_of(target)["a.pkl"] == b"a.pkl new"


@posix_only
def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path) -> None:
    target = lay_out(tmp_path)
    with (
        # The disk is full from the last line of the body on, and until the swap has been given up.
        ExitStack() as full,
        pytest.raises(StorageError, match="unchanged"),
        replace_deployment(target) as incoming,
    ):
        write_models(incoming.models, "new")
        write_bytes(incoming.config, b" " * 5000)
        full.enter_context(disk_with_room_for(1000))
    assert content_of(target) == whole("old")
    assert leftovers(target) == set()


def test_a_set_that_cannot_be_renamed_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on Windows, while a program has one of its files open.
    target = lay_out(tmp_path)
    rename = Path.rename
    monkeypatch.setattr(sys, "platform", "win32")

    def held(self: Path, to: Path) -> Path:
        if self == target.models:
            raise PermissionError(13, "Access is denied")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", held)
    with pytest.raises(StorageError, match="models and settings are as they were"):
        deploy(target, "new")
    assert content_of(target) == whole("old")
    assert leftovers(target) == set()


def test_the_previous_deployment_comes_back_byte_for_byte_and_again(tmp_path: Path) -> None:
    target = lay_out(tmp_path)
    target.config.write_bytes(b'\xef\xbb\xbf{"version":\r\n"old"}')
    before = content_of(target)
    deploy(target, "new")
    rollback(target)
    assert content_of(target) == before
    rollback(target)
    assert content_of(target) == whole("new")


def test_the_owner_s_files_are_not_taken_back_in_time(tmp_path: Path) -> None:
    target = lay_out(tmp_path)
    deploy(target, "new")
    write_text(target.models / LOG, "[1, 2]")
    rollback(target)
    assert content_of(target) == whole("old") | {LOG: b"[1, 2]"}


def test_a_rollback_without_a_previous_set_is_refused(tmp_path: Path) -> None:
    target = deployment_in(tmp_path)
    target.models.mkdir()
    write_text(target.config, "{}")
    deploy(target, "new")
    assert previous(target) is None
    with pytest.raises(ModelError, match="no set to go back to"):
        rollback(target)
    assert content_of(target)["a.pkl"] == b"a.pkl new"


@pytest.mark.parametrize("damage", ["bent", "missing"])
def test_a_rollback_to_a_damaged_set_is_refused(tmp_path: Path, damage: str) -> None:
    target = lay_out(tmp_path)
    deploy(target, "new")
    kept = previous(target)
    assert kept is not None
    (kept.models / ARTIFACTS[0]).unlink()
    if damage == "bent":
        write_text(kept.models / ARTIFACTS[0], "a.pkl odd")
    with pytest.raises(ModelError, match=r"a\.pkl is missing or damaged"):
        rollback(target)
    assert content_of(target) == whole("new")


def test_a_rollback_does_not_undo_edits_of_config_without_being_told_how(tmp_path: Path) -> None:
    target = lay_out(tmp_path)
    deploy(target, "new")
    write_text(target.config, '{"by": "hand"}')
    with pytest.raises(SettingsError, match="was edited since"):
        rollback(target)
    assert content_of(target) == whole("new") | {"config": b'{"by": "hand"}'}
    rollback(target, adapt=lambda old, present: old + present)
    assert content_of(target) == whole("old") | {"config": b'{"version": "old"}{"by": "hand"}'}


def test_a_foreign_journal_is_refused(tmp_path: Path) -> None:
    target = lay_out(tmp_path)
    for text in (
        "",
        "[]",
        '{"folder": "..", "files": {}, "format": 1}',
        '{"folder": "../x", "files": {}, "format": 1}',
    ):
        (tmp_path / ".models.swap.json").write_text(text)
        with pytest.raises(StorageError, match="no journal that this program can carry through"):
            recover(target)
    assert content_of(target) == whole("old")


@posix_only
@pytest.mark.parametrize(("action", "way"), MORE_KILLS)
def test_killed_before_any_change_of_the_disk_all_is_old_or_all_is_new(
    tmp_path: Path, action: str, way: str, request: pytest.FixtureRequest
) -> None:
    if (action, way) not in KILLS and not request.config.getoption("--full"):
        pytest.skip("one of the longer ways; run with --full")
    done = subprocess.run(
        [sys.executable, str(HERE / "hub_kills.py"), str(tmp_path / "checkout"), action, way],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    # Up to the commit everything is old, from it on everything is new: never a mixture, never back again.
    assert [state for state, _ in groupby(found["states"])] == ["old", "new"]
    assert found["deaths"] >= 70, "every change was counted"
    assert found["recovery_deaths"] >= 35, "recovery was killed, too"


ENDLESS_DEPLOYER = """
import itertools, sys, time
from pathlib import Path
from tests.ml.hub.hub_checkouts import deploy, deployment_in
for version in itertools.count():
    deploy(deployment_in(Path(sys.argv[1])), str(version))
    print(version, flush=True)
    time.sleep(float(sys.argv[2]))
"""


def endless_deployer(folder: Path, pause: float = 0.0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ENDLESS_DEPLOYER, str(folder), str(pause)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def versions_in(target: Deployment) -> set[str]:
    models = {(target.models / name).read_text().rpartition(" ")[2] for name in ARTIFACTS}
    return models | {
        json.loads(target.config.read_text())["version"],
        json.loads(target.ml_config.read_text())["ml"],
    }


@posix_only
def test_killed_at_any_moment_recovery_finds_one_version(tmp_path: Path) -> None:
    target = lay_out(tmp_path)
    for attempt in range(10):
        with endless_deployer(tmp_path) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            # Different fractions of a deployment, which takes some ten milliseconds.
            time.sleep(0.0043 * attempt)
            writer.send_signal(signal.SIGKILL)
        recover(target)
        assert len(versions_in(target)) == 1
    deploy(target, "last")
    assert content_of(target) == whole("last")
    assert leftovers(target) == set()


@posix_only
def test_a_reader_never_sees_a_mixture(tmp_path: Path) -> None:
    target = lay_out(tmp_path)
    seen: set[str] = set()
    disturbed = 0

    def slowly() -> set[str]:
        nonlocal disturbed
        first = versions_in(target)
        time.sleep(0.003)
        both = first | versions_in(target)
        disturbed += len(both) > 1
        return both

    deadline = time.monotonic() + 30
    with endless_deployer(tmp_path, pause=0.02) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        while (len(seen) < 8 or not disturbed) and time.monotonic() < deadline:
            try:
                versions = read_undisturbed(target, slowly)
            except LockedError:
                # On a busy machine every attempt may be disturbed, and that is said.
                continue
            assert len(versions) == 1
            seen |= versions
        writer.send_signal(signal.SIGKILL)
    assert len(seen) >= 8, "the deployments went on while it was read"
    assert disturbed, "a mixture was seen and read again"


def committed_and_killed(folder: Path) -> Deployment:
    """Return a deployment whose new version is committed, and nothing of it in place."""
    target = lay_out(folder)
    code = """
import os, signal, sys
from pathlib import Path
import ml.sets.deployment
from tests.ml.hub.hub_checkouts import deploy, deployment_in
def hook(event, arguments):
    # The first change after the journal has its name is the exchange.
    if event == "ctypes.dlsym" or (event == "os.rename" and str(arguments[0]).endswith("/models")):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
deploy(deployment_in(Path(sys.argv[1])), "new")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert swap_pending(target.models)
    assert content_of(target) == whole("old")
    return target


@posix_only
def test_a_training_completes_a_pending_deployment_before_it_begins(tmp_path: Path) -> None:
    target = committed_and_killed(tmp_path)
    with replace_model_set(target.models) as staging:
        assert content_of(target) == whole("new")
        write_text(staging / "a.pkl", "trained")
    assert content_of(target) == whole("new") | {"a.pkl": b"trained"}


@posix_only
def test_a_moved_checkout_is_recovered_where_it_is_now(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    committed_and_killed(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    target = deployment_in(tmp_path / "there")
    recover(target)
    assert content_of(target) == whole("new")


@posix_only
@pytest.mark.parametrize("script", ["backtest_config.py", "trading.py", "train_ml_model.py", "ml/r2_hub.py"])
def test_every_command_about_models_begins_by_completing_it(tmp_path: Path, script: str) -> None:
    from tests.helpers.command_line import run_script

    target = committed_and_killed(tmp_path)
    flags = {"trading.py": ["--paper"], "train_ml_model.py": ["--ensemble"], "ml/r2_hub.py": ["--list"]}
    run_script(script, *flags.get(script, []), cwd=tmp_path)
    assert content_of(target) == whole("new")
    assert not swap_pending(target.models)
