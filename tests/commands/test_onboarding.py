"""Onboarding: six questions or flags, a config.json that follows the profile, a .env without secrets, and a check."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from commands.onboarding import onboarding
from novosky.errors import SettingsError, StorageError, UsageError
from novosky.settings import load_settings
from novosky.settings.profiles import PROFILES
from tests.helpers.command_line import listing, run_script

ROOT = Path(__file__).resolve().parents[2]
SECRET_NAMES = ("NOVOSKY_BRIDGE_TOKEN", "TELEGRAM_BOT_TOKEN", "TELEGRAM_CHAT_IDS", "R2_SECRET_ACCESS_KEY")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with both settings files, to work in."""
    for name in ("config.json", "ml_config.json"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return content


def board(*arguments: str, answers: str = "") -> Result:
    return CliRunner().invoke(onboarding, list(arguments), input=answers)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_every_profile_can_be_chosen_without_a_question(checkout: Path, profile: Any) -> None:
    answer = run_script("scripts/onboarding.py", "--profile", profile.number, "--non-interactive", cwd=checkout)
    assert answer.code == 0, answer.err
    settings = load_settings(checkout / "config.json")
    assert settings.risk_profile.name == profile.name
    assert settings.risk_profile.starting_balance_usd >= profile.min_balance_usd
    assert settings.max_weekly_drawdown_pct == profile.max_weekly_drawdown_pct
    assert settings.max_total_drawdown_pct == profile.max_total_drawdown_pct
    assert not (checkout / ".env").exists()


def test_it_ends_with_the_findings_of_the_doctor(checkout: Path) -> None:
    answer = run_script("scripts/onboarding.py", "--profile", 3, "--non-interactive", cwd=checkout)
    assert "FAIL  model set: models/model_compat.json does not exist" in answer.out
    assert "then run `novosky doctor`" in answer.out


def test_all_other_keys_stay_and_the_changes_are_shown(checkout: Path) -> None:
    before = config_of(checkout)
    result = board("--profile", "1", "--non-interactive", "--balance", "750", "--account", "cent")
    after = config_of(checkout)
    assert 'risk_profile.name: "balanced" -> "steady_income"' in result.output
    assert 'account_type: "standard" -> "cent"' in result.output
    assert after["risk_profile"] == before["risk_profile"] | {"name": "steady_income", "starting_balance_usd": 750.0}
    changed = {"account_type", "risk_profile", "dynamic_position_sizing"}
    changed |= {"max_weekly_drawdown_pct", "max_total_drawdown_pct"}
    assert {key for key in before if before[key] != after[key]} == changed
    assert list(after) == list(before)


def test_the_shipped_settings_need_no_note(checkout: Path) -> None:
    result = board("--profile", "3", "--non-interactive")
    assert "nothing changes" in result.output
    assert "note:" not in result.output
    assert "WARN  profile" not in result.output


def test_a_stated_bracket_range_is_kept_and_said_under_absolute_profiles(checkout: Path) -> None:
    before = config_of(checkout)
    before["risk_profile"]["scale"] = "absolute"
    (checkout / "config.json").write_text(json.dumps(before), encoding="utf-8")
    result = board("--profile", "1", "--non-interactive")
    assert config_of(checkout)["risk_management"] == before["risk_management"]
    assert "states 2 to 4 ATR and deliberately overrides the profile's 0.7 to 0.9" in result.output


def test_a_second_run_changes_nothing(checkout: Path) -> None:
    board("--profile", "2", "--non-interactive")
    before = (checkout / "config.json").stat().st_mtime_ns
    result = board("--profile", "2", "--non-interactive")
    assert "nothing changes" in result.output
    assert (checkout / "config.json").stat().st_mtime_ns == before


def test_a_balance_below_the_minimum_is_refused(checkout: Path) -> None:
    before = listing(checkout)
    answer = run_script("scripts/onboarding.py", "--profile", 4, "--non-interactive", "--balance", 999, cwd=checkout)
    assert answer.code == UsageError.exit_code
    assert "profile 4 (growth) needs at least 1000 USD" in answer.err
    assert listing(checkout) == before


def test_a_present_balance_below_the_minimum_is_raised_and_said(checkout: Path) -> None:
    result = board("--profile", "5", "--non-interactive")
    assert config_of(checkout)["risk_profile"]["starting_balance_usd"] == 1000.0
    assert "the starting balance 500 USD is below this profile's minimum and becomes 1000 USD" in result.output


def test_a_dry_run_shows_everything_and_writes_nothing(checkout: Path) -> None:
    before = listing(checkout)
    result = board("--profile", "5", "--non-interactive", "--env", "--telegram", "--dry-run")
    assert result.exit_code == 0
    assert 'risk_profile.name: "balanced" -> "aggressive"' in result.output
    assert "would create .env" in result.output
    assert listing(checkout) == before


def test_the_six_questions(checkout: Path) -> None:
    answers = ["4", "900", "2000", "cent", "bridge", "https://bridge.example:8765", "telegram", "s3", "y", "y"]
    result = board(answers="\n".join(answers) + "\n")
    assert result.exit_code == 0, result.output
    assert "steady_income" in result.output.partition("1. Profile")[0], "the table comes before the question"
    assert "needs at least $1,000, this is $900.00" in result.output
    settings = load_settings(checkout / "config.json")
    assert (settings.risk_profile.name, settings.risk_profile.starting_balance_usd) == ("growth", 2000.0)
    assert settings.account_type == "cent"
    env = (checkout / ".env").read_text()
    assert "NOVOSKY_BROKER=bridge\n" in env
    assert "NOVOSKY_BRIDGE_URL=https://bridge.example:8765\n" in env
    assert all(f"{name}=\n" in env for name in SECRET_NAMES)


def test_a_no_writes_nothing(checkout: Path) -> None:
    before = listing(checkout)
    result = board("--profile", "1", "--balance", "500", answers="standard\npaper\nnone\nnone\nn\nn\n")
    assert result.exit_code == 0, result.output
    assert "config.json stays as it was" in result.output
    assert listing(checkout) == before


def test_an_end_of_input_writes_nothing(checkout: Path) -> None:
    before = listing(checkout)
    assert board(answers="3\n").exit_code != 0
    assert listing(checkout) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps permissions elsewhere")
def test_the_template_is_private_and_never_written_over(checkout: Path) -> None:
    board("--profile", "3", "--non-interactive", "--env", "--telegram")
    env = checkout / ".env"
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    env.write_text("TELEGRAM_BOT_TOKEN=1:precious\n")
    result = board("--profile", "3", "--non-interactive", "--env", "--telegram")
    assert env.read_text() == "TELEGRAM_BOT_TOKEN=1:precious\n"
    assert ".env exists and was left alone" in result.output
    assert "precious" not in result.output


def test_a_hub_folder_is_written_as_an_address(checkout: Path) -> None:
    board("--profile", "3", "--non-interactive", "--env", "--hub", "my models")
    assert f"NOVOSKY_HUB={(checkout / 'my models').as_uri()}\n" in (checkout / ".env").read_text()


REFUSED = {
    "no profile": (["--non-interactive"], "needs --profile"),
    "bridge without address": (["--broker", "bridge"], "needs --bridge-url"),
    "address without bridge": (["--broker", "paper", "--bridge-url", "https://x"], "belongs to --broker bridge"),
    "no address": (["--bridge-url", "bridge:8765"], "must look like"),
    "bad port": (["--bridge-url", "https://x:99999"], "must look like"),
    "credentials": (["--bridge-url", "https://me:hunter2@x"], "must hold no credentials"),
    "token in the open": (["--bridge-url", "http://10.0.0.5:8765"], "needs https://"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_options_that_make_no_sense_are_refused(checkout: Path, what: str) -> None:
    arguments, message = REFUSED[what]
    profile = [] if what == "no profile" else ["--profile", "3", "--non-interactive"]
    before = listing(checkout)
    answer = run_script("scripts/onboarding.py", *profile, *arguments, cwd=checkout)
    assert answer.code == UsageError.exit_code
    assert message in answer.err
    assert "hunter2" not in answer.err
    assert listing(checkout) == before


def test_a_config_that_does_not_load_is_refused(checkout: Path) -> None:
    (checkout / "config.json").write_text('{"symbl": "BTCUSD"}')
    answer = run_script("scripts/onboarding.py", "--profile", 3, "--non-interactive", cwd=checkout)
    assert answer.code == SettingsError.exit_code
    assert (checkout / "config.json").read_text() == '{"symbl": "BTCUSD"}'


def test_a_config_that_cannot_be_replaced_stays_whole(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = listing(checkout)

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    answer = run_script("scripts/onboarding.py", "--profile", 2, "--non-interactive", cwd=checkout)
    assert answer.code == StorageError.exit_code
    assert "No space left on device" in answer.err
    assert listing(checkout) == before
