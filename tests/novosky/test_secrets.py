"""Secrets come from the environment or from .env, and are never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novosky.environment import read_environment
from novosky.errors import SettingsError
from novosky.redaction import REMOVED, Redactor
from novosky.settings.secrets import Secrets, load_secrets


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def bridge_token(secrets: Secrets) -> str | None:
    return None if secrets.bridge_token is None else secrets.bridge_token.get_secret_value()


def test_without_file_and_environment_there_are_none(file: Path) -> None:
    assert load_secrets(file, {}) == Secrets.model_validate({})


def test_a_file_gives_them(file: Path) -> None:
    file.write_text(
        "# the bot\n\nexport NOVOSKY_BRIDGE_TOKEN=123:abc\nMT5_PASSWORD='p a#s$s'  # of the demo account\nUNKNOWN=1\n",
        encoding="utf-8",
    )
    secrets = load_secrets(file, {})
    assert bridge_token(secrets) == "123:abc"
    assert secrets.mt5_password is not None
    assert secrets.mt5_password.get_secret_value() == "p a#s$s"


def test_the_environment_wins_and_is_left_alone(file: Path) -> None:
    file.write_text("NOVOSKY_BRIDGE_TOKEN=file\nR2_ACCESS_KEY_ID=from-file\n", encoding="utf-8")
    environment = {"NOVOSKY_BRIDGE_TOKEN": "environment"}
    secrets = load_secrets(file, environment)
    assert bridge_token(secrets) == "environment"
    assert secrets.r2_access_key_id is not None
    assert environment == {"NOVOSKY_BRIDGE_TOKEN": "environment"}
    assert os.environ.get("R2_ACCESS_KEY_ID") != "from-file"


def test_the_process_environment_is_the_usual_one(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVOSKY_BRIDGE_TOKEN", "123:process")
    assert bridge_token(load_secrets(file)) == "123:process"


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_value_says_that_there_is_none(file: Path, empty: str) -> None:
    file.write_text("NOVOSKY_BRIDGE_TOKEN=file\n", encoding="utf-8")
    assert bridge_token(load_secrets(file, {"NOVOSKY_BRIDGE_TOKEN": empty})) is None


def test_a_byte_order_mark_does_not_spoil_the_first_name(file: Path) -> None:
    file.write_bytes("\ufeffNOVOSKY_BRIDGE_TOKEN=123:abc\r\n".encode())
    assert bridge_token(load_secrets(file, {})) == "123:abc"


@given(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=12))
def test_printing_shows_no_value(value: str) -> None:
    names = ("TELEGRAM_CHAT_IDS", "NOVOSKY_BRIDGE_TOKEN", "MT5_PASSWORD", "OTHER_SECRET")
    secrets = load_secrets(
        Path("nowhere"), {**dict.fromkeys(names, value), "NOVOSKY_DATABASE_URL": f"db://u:{value}@h"}
    )
    assert bridge_token(secrets) == value
    for shown in (repr(secrets), str(secrets), secrets.model_dump_json(), repr(secrets.model_dump())):
        assert value not in shown


def test_the_log_is_told_every_secret_also_unlisted_ones(file: Path) -> None:
    file.write_text("SMTP_PASSWORD=post-office\nNOVOSKY_DATABASE_URL=postgres://u:pass%21word@h/d\n", encoding="utf-8")
    assert load_secrets(file, {}).hidden_values == {"post-office", "pass%21word", "pass!word"}


def test_a_file_that_cannot_be_read_is_named_without_its_content(file: Path) -> None:
    file.write_bytes(b"NOVOSKY_BRIDGE_TOKEN=123:\xff\xfe")
    with pytest.raises(SettingsError, match=r"\.env.* UTF-8") as refusal:
        load_secrets(file, {})
    assert "123" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_a_folder_in_its_place_is_named(file: Path) -> None:
    file.mkdir()
    with pytest.raises(SettingsError, match=r"\.env cannot be read"):
        load_secrets(file, {})


def test_a_line_that_is_no_setting_is_named_and_not_repeated(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.write_text("NOVOSKY_BRIDGE_TOKEN=123:abc\n'hunter2 is the password\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="line 2") as refusal:
        load_secrets(file, {})
    assert "hunter2" not in str(refusal.value) + caplog.text


@pytest.mark.parametrize(
    "line",
    [
        '"Zx\\tY9-winter"',
        "Zx9 #Y-winter",
        "'it\\'s-winter9'",
        "plain-winter9",
        '"two words"  # of the demo account',
        "pa#ss-winter",
        "'C:\\new\\table'",
        "$HOME-winter",
    ],
)
def test_the_password_that_is_used_is_the_one_that_is_hidden(file: Path, line: str) -> None:
    file.write_text(f"MT5_PASSWORD={line}\n", encoding="utf-8")
    used = read_environment(file, {})["MT5_PASSWORD"]
    shown = Redactor(load_secrets(file, {}).hidden_values).text(f"login failed for 123456 with {used}")
    assert shown == f"login failed for 123456 with {REMOVED}"
