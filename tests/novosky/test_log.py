"""The log: one JSON object per line, files that rotate, and no secret anywhere."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novosky.errors import StorageError, UsageError
from novosky.log import LOG_FILE, JsonFormatter, SecretFilter, configure_logging
from novosky.redaction import REMOVED, SHORTEST, Redactor, secret_values

SECRET = "hunter2-and-more"
_log = logging.getLogger("novosky.tests.log")


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    """Give logging back as it was found."""
    root, chatty = logging.getLogger(), logging.getLogger("httpx")
    before = list(root.handlers), root.level, chatty.level, sys.excepthook, threading.excepthook
    yield
    for handler in set(root.handlers) - set(before[0]):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(before[1])
    chatty.setLevel(before[2])
    sys.excepthook, threading.excepthook = before[3], before[4]
    logging.captureWarnings(False)


def lines_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / LOG_FILE).read_text(encoding="utf-8").splitlines()]


def test_a_line_is_one_json_object_in_utc(tmp_path: Path) -> None:
    configure_logging(tmp_path, console=io.StringIO())
    _log.warning("%d bars\nmissed", 3, extra={"bar": 1_704_284_100, "share": 0.5, "tickets": (1, 2), "side": None})
    (line,) = lines_of(tmp_path)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "WARNING",
        "logger": "novosky.tests.log",
        "message": "3 bars\nmissed",
        "bar": 1_704_284_100,
        "share": 0.5,
        "tickets": [1, 2],
        "side": None,
    }


def test_the_time_is_that_of_the_record() -> None:
    record = logging.makeLogRecord({"msg": "x", "created": 1_704_284_100.25})
    assert json.loads(JsonFormatter().format(record))["time"] == "2024-01-03T12:15:00.250Z"


def test_an_exception_is_part_of_its_line(tmp_path: Path) -> None:
    configure_logging(tmp_path, console=io.StringIO())
    try:
        raise ValueError("no such bar")
    except ValueError:
        _log.exception("cannot go on", stack_info=True)
    (line,) = lines_of(tmp_path)
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: no such bar")
    assert "test_an_exception_is_part_of_its_line" in line["stack"]


def test_extras_cannot_forge_the_line(tmp_path: Path) -> None:
    configure_logging(tmp_path, console=io.StringIO())
    _log.warning("true", extra={"time": "1970", "level": "DEBUG", "exception": "none"})
    (line,) = lines_of(tmp_path)
    assert (line["level"], line["level_"], line["time_"], line["exception_"]) == ("WARNING", "DEBUG", "1970", "none")
    assert line["time"] != "1970"


@given(
    st.text(),
    st.dictionaries(
        st.text(min_size=1).filter(lambda name: name not in logging.makeLogRecord({}).__dict__),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    ),
)
def test_whatever_is_logged_is_one_line_of_strict_json(message: str, extras: dict[str, Any]) -> None:
    record = logging.makeLogRecord({"msg": message, **extras})
    SecretFilter([]).filter(record)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert line.isascii()

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    assert isinstance(json.loads(line, parse_constant=refuse), dict)


def test_a_slip_in_a_log_call_does_not_lose_the_line() -> None:
    record = logging.makeLogRecord({"msg": "%d bars", "args": ("three",)})
    assert "%d bars ('three',)" in json.loads(JsonFormatter().format(record))["message"]


def test_the_console_shows_words_and_the_file_has_json(tmp_path: Path) -> None:
    console = io.StringIO()
    configure_logging(tmp_path, console=console)
    _log.info("position %d is left alone", 7)
    assert console.getvalue().endswith("Z INFO     position 7 is left alone\n")
    assert len(lines_of(tmp_path)) == 1


def test_without_a_folder_only_the_console_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    console = io.StringIO()
    configure_logging(None, console=console)
    _log.info("hello")
    assert "hello" in console.getvalue()
    assert list(tmp_path.iterdir()) == []


def test_the_level_is_a_threshold_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    configure_logging(tmp_path, "warning", console=io.StringIO())
    _log.info("quiet")
    _log.warning("loud")
    assert [line["message"] for line in lines_of(tmp_path)] == ["loud"]
    with pytest.raises(UsageError, match="'LOUD'"):
        configure_logging(tmp_path, "LOUD")


def test_requests_of_libraries_are_not_logged_one_by_one(tmp_path: Path) -> None:
    configure_logging(tmp_path, console=io.StringIO())
    logging.getLogger("httpx").info("HTTP Request: GET ...")
    logging.getLogger("httpx").warning("odd")
    assert [line["message"] for line in lines_of(tmp_path)] == ["odd"]


def test_files_rotate_by_size_and_only_some_are_kept(tmp_path: Path) -> None:
    configure_logging(tmp_path, console=io.StringIO(), max_bytes=2_000, kept_files=2)
    for number in range(200):
        _log.info("line %d", number)
    files = {file.name for file in tmp_path.iterdir()}
    assert files == {LOG_FILE, f"{LOG_FILE}.1", f"{LOG_FILE}.2"}
    assert all(file.stat().st_size <= 2_000 for file in tmp_path.iterdir())
    assert lines_of(tmp_path)[-1]["message"] == "line 199"


def test_configuring_again_replaces_and_leaves_foreign_handlers(tmp_path: Path) -> None:
    foreign = logging.NullHandler()
    logging.getLogger().addHandler(foreign)
    try:
        configure_logging(tmp_path / "a", console=io.StringIO())
        configure_logging(tmp_path / "b", console=io.StringIO())
        _log.info("once")
        assert lines_of(tmp_path / "a") == []
        assert len(lines_of(tmp_path / "b")) == 1
        assert foreign in logging.getLogger().handlers
    finally:
        logging.getLogger().removeHandler(foreign)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="logs"):
        configure_logging(tmp_path / "logs")


def log_everywhere(secret: str) -> None:
    """Log a secret in every place a record has."""
    _log.warning("plain %s and %r", secret, [secret])
    _log.warning(f"in the message {secret}", extra={"where": {"deep": [secret, (secret,)]}, "count": 3})
    _log.warning("object", extra={"url": Path("x") / secret.replace("/", "_"), "error": ValueError(secret)})
    try:
        try:
            raise ValueError(secret)
        except ValueError as error:
            raise RuntimeError(f"while sending {secret!r}") from error
    except RuntimeError:
        _log.exception("failed")


def test_no_secret_reaches_file_or_console(tmp_path: Path) -> None:
    console = io.StringIO()
    configure_logging(tmp_path, console=console, secrets=[SECRET])
    log_everywhere(SECRET)
    written = (tmp_path / LOG_FILE).read_text(encoding="utf-8")
    for text in (written, console.getvalue()):
        assert SECRET not in text
        assert REMOVED in text
    assert lines_of(tmp_path)[1]["count"] == 3, "what is no secret stays as it is"


# A secret made of the mark itself could be put together by the removal of another.
secret_texts = st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=SHORTEST).map(str.strip)
secret_texts = secret_texts.filter(lambda text: len(text) >= SHORTEST)


@given(st.lists(secret_texts, min_size=1, max_size=4), st.text(), st.text())
def test_no_secret_survives_anywhere_in_a_record(secrets: list[str], before: str, after: str) -> None:
    cleaning, formatter = SecretFilter(secrets), JsonFormatter()
    for secret in secrets:
        try:
            raise KeyError(secret)
        except KeyError:
            details = sys.exc_info()
        values = {"msg": before + "%s", "args": (secret + after,), "exc_info": details, "extra_field": [{"a": secret}]}
        record = logging.makeLogRecord(values)
        record.filename = record.pathname = record.module = record.funcName = ""
        cleaning.filter(record)
        line = json.loads(formatter.format(record))
        assert all(known not in line["message"] for known in secrets)
        assert all(known not in str(line["extra_field"][0]["a"]) for known in secrets)
        assert repr(secret)[1:-1] not in line["exception"].splitlines()[-1]


@given(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=60))
def test_a_bearer_token_is_removed_whether_known_or_not(token: str) -> None:
    redactor = Redactor([])
    for text in (f"Authorization: Bearer {token}", f"{{'authorization': 'Bearer {token}', 'a': 1}}"):
        assert redactor.text(text) in (f"Authorization: Bearer {REMOVED}", "{'authorization': 'Bearer ***', 'a': 1}")


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("postgresql://bot:pa%40ss@db.example/x?a=1", "postgresql://bot:***@db.example/x?a=1"),
        ("sent bearer abcdefgh.ijk", "sent bearer ***"),
        ("POST https://api.telegram.org/bot123456789:AAE-abcdefghijklmnopqrstuvwxyz_0123/sendMessage",
         "POST https://api.telegram.org/bot***/sendMessage"),
        ("http://127.0.0.1:8080/rates at 12:30", "http://127.0.0.1:8080/rates at 12:30"),
        ("the bearer of news: basic rules, 3:4 odds", "the bearer of news: basic rules, 3:4 odds"),
    ],
)  # fmt: skip
def test_secrets_are_known_by_their_shape(text: str, clean: str) -> None:
    assert Redactor([]).text(text) == clean


@pytest.mark.parametrize("name", ["password", "api_key", "Authorization", "bot_token", "client_secret"])
def test_a_field_with_the_name_of_a_secret_is_removed(name: str) -> None:
    assert Redactor([]).value({name: 12345, "price": 1.5}) == {name: REMOVED, "price": 1.5}


def test_the_environment_tells_what_is_secret() -> None:
    environment = {
        "TELEGRAM_BOT_TOKEN": "123456789:AAF-telegram-telegram-telegram",
        "TELEGRAM_BOTTOKEN": "456:telegram",
        "TELEGRAM_CHAT_IDS": "471147, -1008154711",
        "NOVOSKY_BRIDGE_TOKEN": "bridge-token",
        "NOVOSKY_DATABASE_URL": "postgresql://bot:pa%40ss@db.example/x",
        "OTHER_URL": "postgresql://db.example/x?user=bot&password=in%2Fquery",
        "MT5_PASSWORD": " mt5-password ",
        "MT5_LOGIN": "12345678",
        "R2_SECRET_ACCESS_KEY": "r2-secret",
        "R2_ACCESS_KEY_ID": "r2-id",
        "R2_ENDPOINT_URL": "https://owner.r2.example",
        "R2_BUCKET": "models",
        "OTHER_SECRET": "other",
        "PRIVATE_KEY": "private",
        "MONKEY": "banana",
        "SHORT_KEY": "abc",
        "TOO_SHORT_KEY": "a",
        "USE_KEY": "true",
        "PATH": "/usr/bin",
    }
    assert secret_values(environment) == {
        "123456789:AAF-telegram-telegram-telegram",
        "AAF-telegram-telegram-telegram",
        "456:telegram",
        "471147",
        "-1008154711",
        "12345678",
        "bridge-token",
        "pa%40ss",
        "pa@ss",
        "in%2Fquery",
        "in/query",
        "mt5-password",
        "r2-secret",
        "r2-id",
        "https://owner.r2.example",
        "owner.r2.example",
        "abc",
        "other",
        "private",
    }


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("refused for Zx9, password Zx9.", "refused for ***, password ***."),
        ("Zx99 and aZx9 are other words", "Zx99 and aZx9 are other words"),
    ],
)
def test_a_short_secret_is_hidden_where_it_stands_for_itself(text: str, clean: str) -> None:
    assert Redactor(["Zx9"]).text(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        'login failed for p@ss/w"d & <more>',
        "postgresql+psycopg://bot:p%40ss%2Fw%22d+%26+%3Cmore%3E@db/x is refused",
        "postgresql+psycopg://bot:p%40ss%2Fw%22d%20%26%20%3Cmore%3E@db/x is refused",
        '{"password_hint": "p@ss/w\\"d & <more>"}',
        "<b>p@ss/w&quot;d &amp; &lt;more&gt;</b>",
    ],
)
def test_a_secret_is_hidden_in_every_form_it_takes_on_its_way(text: str) -> None:
    clean = Redactor(['p@ss/w"d & <more>']).text(text)
    assert REMOVED in clean
    assert "more" not in clean


def test_a_key_of_several_lines_is_removed_line_by_line() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIH\nabcd\n-----END PRIVATE KEY-----"
    assert "MC4CAQAwBQYDK2VwBCIEIH" not in Redactor([key]).text("line 2 is MC4CAQAwBQYDK2VwBCIEIH, odd")


FATAL = """
import logging, pathlib, sys, threading
from novosky.log import configure_logging
configure_logging(pathlib.Path(sys.argv[1]), secrets=["hunter2-and-more"])
def fail(): raise ValueError("thread with hunter2-and-more")
thread = threading.Thread(target=fail, name="sender")
thread.start(); thread.join()
raise RuntimeError("cannot log in with hunter2-and-more")
"""


def test_a_defect_that_ends_the_program_is_logged_without_secrets(tmp_path: Path, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FATAL, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.returncode == 1
    thread, fatal = lines_of(tmp_path)
    assert (thread["level"], thread["message"]) == ("CRITICAL", "the thread sender ends with a defect")
    assert fatal["exception"].endswith("RuntimeError: cannot log in with ***")
    assert "Traceback" in done.stderr
    assert SECRET not in done.stderr + (tmp_path / LOG_FILE).read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_loses_the_line_and_not_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / LOG_FILE).symlink_to("/dev/full")
    console = io.StringIO()
    configure_logging(tmp_path, console=console, secrets=[SECRET])
    for _ in range(2):
        _log.warning("password %s", SECRET)
    assert console.getvalue().count("password ***") == 2
    said = capsys.readouterr().err
    assert SECRET not in said
    assert said.count("cannot be written (No space left on device)") == 1
    assert "Traceback" not in said
