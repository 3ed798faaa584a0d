"""The hub's command as people use it: keys, push, verify, pull on another machine, a bot that starts, rollback."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ml.hub.access import open_store, trusted_keys
from ml.hub.signing import create_keys, parse_public_keys
from novosky.errors import (
    ModelError,
    NetworkError,
    SettingsError,
    StorageError,
    UsageError,
)
from tests.helpers.command_line import Answer, listing, run_script
from tests.helpers.desk import Desk
from tests.hosts.hub_s3 import KEY, KEY_ID, S3Server

ROOT = Path(__file__).resolve().parents[2]
HUB = "ml/r2_hub.py"
TAG = "v20260104-p3"
NAMES = (
    "NOVOSKY_HUB",
    "NOVOSKY_HUB_PUBLIC_KEY",
    "NOVOSKY_HUB_PRIVATE_KEY",
    "R2_ENDPOINT_URL",
    "R2_ACCESS_KEY_ID",
    "R2_SECRET_ACCESS_KEY",
    "R2_BUCKET",
)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def published(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A developer's folder with trained models, keys, and one revision in its embedded hub; tests do not change it."""
    folder = tmp_path_factory.mktemp("developer")
    shutil.copytree(desk.models, folder / "models")
    for path in (desk.config, desk.ml_config):
        shutil.copy(path, folder / path.name)
    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.delenv(name, raising=False)
        assert run_script(HUB, "--keygen", cwd=folder).code == 0
        (folder / ".env").write_text("NOVOSKY_HUB_PRIVATE_KEY=hub.key\n")
        answer = run_script(HUB, "--push", "--tag", TAG, cwd=folder)
    assert answer.code == 0, answer.err
    assert f"published  {TAG} to hub, number 1" in answer.out
    return folder


@pytest.fixture
def trader(published: Path, tmp_path: Path) -> Path:
    """Another checkout: the shipped settings, no models, the publisher's public key."""
    folder = tmp_path / "trader"
    (folder / "models").mkdir(parents=True)
    for name in ("config.json", "ml_config.json"):
        shutil.copy(ROOT / name, folder / name)
    shutil.copy(published / "hub.pub", folder / "hub.pub")
    (folder / ".env").write_text(f"NOVOSKY_HUB={(published / 'hub').as_uri()}\n")
    return folder


def hub(folder: Path, *arguments: object) -> Answer:
    return run_script(HUB, *arguments, cwd=folder)


def same_models(one: Path, other: Path) -> bool:
    found = listing(other / "models")
    found.pop("hub_revision.json", None)
    found.pop(".gitkeep", None)
    return listing(one / "models") == found


def test_push_list_verify_pull_and_a_bot_that_starts(published: Path, trader: Path, desk: Desk) -> None:
    listed = hub(trader, "--list")
    assert (listed.code, TAG in listed.out) == (0, True), listed.err
    verified = hub(trader, "--verify")
    assert verified.code == 0, verified.err
    assert "verified  1 revision(s)" in verified.out
    pulled = hub(trader, "--pull")
    assert pulled.code == 0, pulled.err
    assert f"pulled  {TAG}" in pulled.out
    assert same_models(published, trader)
    assert (trader / "ml_config.json").read_bytes() == (published / "ml_config.json").read_bytes()
    assert "in place" in hub(trader, "--list").out
    bars = ("--start", "2022-03-20", "--end", "2022-03-21")
    bot = run_script("trading.py", "--paper", "--replay", desk.bars, *bars, "--trades", "trades.csv", cwd=trader)
    assert bot.code == 0, bot.err
    assert (trader / "trades.csv").exists()


def test_a_rollback_returns_to_what_was_there(published: Path, trader: Path) -> None:
    shutil.rmtree(trader / "models")
    shutil.copytree(published / "models", trader / "models")
    (trader / "models" / "optimize_log.json").write_text("[1]")
    before = {name: (trader / name).read_bytes() for name in ("config.json", "ml_config.json")}
    models = listing(trader / "models")
    assert hub(trader, "--pull").code == 0
    assert {name: (trader / name).read_bytes() for name in before} != before
    back = hub(trader, "--rollback")
    assert back.code == 0, back.err
    assert {name: (trader / name).read_bytes() for name in before} == before
    assert listing(trader / "models") == models
    assert hub(trader, "--rollback").code == 0
    assert f"{TAG} is in place already" in hub(trader, "--pull").out


def test_onboarding_pulls_the_approved_revision(published: Path, trader: Path) -> None:
    answer = run_script("scripts/onboarding.py", "--profile", 3, "--non-interactive", cwd=trader)
    assert answer.code == 0, answer.err
    assert f"pulled  {TAG}" in answer.out
    assert same_models(published, trader)


def test_onboarding_without_the_publisher_s_key_says_what_is_missing(trader: Path) -> None:
    (trader / "hub.pub").unlink()
    answer = run_script("scripts/onboarding.py", "--profile", 3, "--non-interactive", cwd=trader)
    assert answer.code == 0, answer.err
    assert "no models yet: no public key is known" in answer.out


def test_onboarding_ends_with_the_error_of_a_pull_that_failed(trader: Path) -> None:
    answer = run_script("scripts/onboarding.py", "--profile", 1, "--non-interactive", cwd=trader)
    assert answer.code == UsageError.exit_code
    assert "no approved revision for the profile steady_income" in answer.err
    assert "Checking this machine" in answer.out


def test_every_failure_has_its_exit_code_and_changes_nothing(published: Path, trader: Path, tmp_path: Path) -> None:
    bent = tmp_path / "bent"
    shutil.copytree(published / "hub", bent)
    blob = max((bent / "blobs").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    data = bytearray(blob.read_bytes())
    data[len(data) // 2] ^= 1
    blob.chmod(0o644)
    blob.write_bytes(data)
    before = listing(trader)
    stranger = base64.b64encode(bytes(range(32))).decode()
    cases: list[tuple[int, tuple[object, ...], str]] = [
        (ModelError.exit_code, ("--pull", "--hub", bent), "damaged"),
        (ModelError.exit_code, ("--verify", "--hub", bent), "are damaged"),
        (UsageError.exit_code, ("--pull", "--revision", "v20270101-p3"), "there is no revision"),
        (UsageError.exit_code, ("--pull", "--revision", "newest"), "is no tag"),
        (StorageError.exit_code, ("--pull", "--hub", tmp_path / "nowhere"), "there is no hub at"),
        (UsageError.exit_code, ("--pull", "--hub", "ftp://me:secret@host/x"), "another address"),
        (SettingsError.exit_code, ("--pull", "--hub", "s3"), "not set: R2_ENDPOINT_URL"),
        (SettingsError.exit_code, ("--push",), "NOVOSKY_HUB_PRIVATE_KEY is not set"),
        (ModelError.exit_code, ("--rollback",), "no set to go back to"),
        (UsageError.exit_code, (), "name what to do"),
        (UsageError.exit_code, ("--pull", "--tag", TAG), "--tag belongs to --push"),
        (UsageError.exit_code, ("--list", "--revision", TAG), "--revision belongs to"),
    ]
    for code, arguments, message in cases:
        answer = hub(trader, *arguments)
        assert (answer.code, message in answer.err) == (code, True), (arguments, answer.err)
        assert "secret" not in answer.err
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOVOSKY_HUB_PUBLIC_KEY", stranger)
        for action in ("--pull", "--list", "--verify"):
            answer = hub(trader, action)
            assert (answer.code, "not signed by a key that is trusted here" in answer.err) == (5, True), answer.err
    after = {name: digest for name, digest in listing(trader).items() if not name.startswith(".models.")}
    assert after == before


def test_a_set_that_would_not_start_is_not_published(published: Path, tmp_path: Path) -> None:
    folder = tmp_path / "developer"
    shutil.copytree(published, folder)
    model = folder / "models" / "sltp_sl.txt"
    content = json.loads((folder / "models" / "model_compat.json").read_text())
    model.write_text("no model")
    content["artifacts"]["sltp_sl.txt"] = hashlib.sha256(b"no model").hexdigest()
    (folder / "models" / "model_compat.json").write_text(json.dumps(content))
    answer = hub(folder, "--push", "--tag", "v20260105-p3")
    assert answer.code == ModelError.exit_code, answer.err
    assert listing(folder / "hub") == listing(published / "hub")


def test_the_bucket_of_the_environment(published: Path, trader: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = S3Server()
    try:
        bucket = server.new_bucket()
        settings = {
            "R2_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
            "R2_ACCESS_KEY_ID": KEY_ID,
            "R2_SECRET_ACCESS_KEY": KEY,
            "R2_BUCKET": bucket,
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        (trader / ".env").unlink()
        pushed = hub(published, "--push", "--tag", TAG)
        assert pushed.code == 0, pushed.err
        assert f"to bucket {bucket}" in pushed.out
        verified, pulled = hub(trader, "--verify"), hub(trader, "--pull")
        assert (verified.code, pulled.code) == (0, 0), verified.err + pulled.err
        assert same_models(published, trader)
        shown = "".join(each.out + each.err for each in (pushed, verified, pulled))
        assert KEY not in shown
        assert KEY_ID not in shown
    finally:
        server.close()
    away = hub(trader, "--pull", "--attempts", 1)
    assert away.code == NetworkError.exit_code
    assert str(server.port) not in away.err


# Keys and addresses.


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps permissions elsewhere")
def test_keys_are_private_and_never_written_over(tmp_path: Path) -> None:
    made = hub(tmp_path, "--keygen")
    assert made.code == 0
    assert stat.S_IMODE((tmp_path / "hub.key").stat().st_mode) == 0o600
    assert (tmp_path / "hub.pub").read_text().strip() in made.out
    assert (tmp_path / "hub.key").read_text().strip() not in made.out + made.err
    before = listing(tmp_path)
    for missing in (None, "hub.pub", "hub.key"):
        if missing:
            moved = tmp_path.parent / f"{tmp_path.name}-{missing}"
            (tmp_path / missing).rename(moved)
        again = hub(tmp_path, "--keygen")
        assert (again.code, "not written over" in again.err) == (UsageError.exit_code, True)
        if missing:
            moved.rename(tmp_path / missing)
        assert listing(tmp_path) == before


def test_the_private_key_may_be_the_key_itself(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVOSKY_HUB_PRIVATE_KEY", (published / "hub.key").read_text().strip())
    assert "was published already" in hub(published, "--push", "--tag", TAG).out


def test_a_key_made_here_signs_without_a_variable(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Neither the environment nor .env names a key.
    monkeypatch.delenv("NOVOSKY_HUB_PRIVATE_KEY", raising=False)
    (published / ".env").unlink()
    assert "was published already" in hub(published, "push", "--tag", TAG).out
    (published / "hub.key").rename(published / "elsewhere.key")
    answer = hub(published, "push", "--tag", TAG)
    assert answer.code == SettingsError.exit_code
    assert "no hub.key here" in answer.err and "--keygen" in answer.err


@pytest.mark.parametrize("text", ["short", "A" * 43 + "=" * 2, "hub.pub.missing", "k" * 5000])
def test_what_is_no_private_key_is_not_shown(published: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("NOVOSKY_HUB_PRIVATE_KEY", text)
    answer = hub(published, "--push", "--tag", "v20260105-p3")
    assert answer.code == SettingsError.exit_code
    assert not text or text not in answer.err


def test_several_public_keys_are_trusted_and_comments_passed_over(tmp_path: Path) -> None:
    lines = []
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        create_keys(tmp_path / name)
        lines.append((tmp_path / name / "hub.pub").read_text().strip() + f"  # {name}")
    keys = parse_public_keys("# ours\n\n" + "\n".join(lines), "hub.pub")
    assert len({key.name for key in keys}) == 2


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "not a key", base64.b64encode(b"31 bytes of something, not 32 ..").decode()[:-4]]
)
def test_a_public_key_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "hub.pub").write_text(text)
    with pytest.raises(SettingsError, match=r"hub\.pub"):
        trusted_keys({}, tmp_path)


@pytest.mark.parametrize(
    ("environment", "given", "place"),
    [
        ({}, None, "hub"),
        ({}, "file:///srv/my%20hub", "/srv/my hub"),
        ({"NOVOSKY_HUB": "file:///srv/hub"}, None, "/srv/hub"),
        ({"NOVOSKY_HUB": "file:///srv/hub"}, "/elsewhere", "/elsewhere"),
        ({"NOVOSKY_HUB": "/srv/hub", "R2_BUCKET": "b"}, None, "/srv/hub"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="paths of this form")
def test_which_hub_is_meant(environment: dict[str, str], given: str | None, place: str) -> None:
    assert open_store(environment, given).place == place


def test_half_a_bucket_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="not set: R2_ENDPOINT_URL, R2_ACCESS_KEY_ID, R2_SECRET_ACCESS_KEY"):
        open_store({"R2_BUCKET": "b"})
    with pytest.raises(UsageError, match="another machine"):
        open_store({}, "file://server/share")


@pytest.fixture(scope="module", autouse=True)
def _quiet_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No settings of this machine's user for AWS clients."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_CONFIG_FILE", str(tmp_path_factory.mktemp("aws") / "config"))
        yield
