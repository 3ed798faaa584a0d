"""The .env file: read without surprises, created private, never overwritten, never shown."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from alerts.family import channel_variables
from novosky.environment import BRIDGE, BROKER, HUB_STORE, create_private, read_environment, template
from novosky.errors import SettingsError, StorageError

TEXT = """\ufeff# a comment

PLAIN=value
SPACED = has spaces
QUOTED="with # and ="
SINGLE='it is'
export EXPORTED=yes
EMPTY=
URL=postgresql://u:p@h/db?x=1
"""


def write(folder: Path, text: str) -> Path:
    file = folder / ".env"
    file.write_text(text, encoding="utf-8")
    return file


def test_values_are_read_as_shells_and_systemd_do(tmp_path: Path) -> None:
    assert read_environment(write(tmp_path, TEXT), {}) == {
        "PLAIN": "value",
        "SPACED": "has spaces",
        "QUOTED": "with # and =",
        "SINGLE": "it is",
        "EXPORTED": "yes",
        "URL": "postgresql://u:p@h/db?x=1",
    }


# The rule as a table: what is written behind the equals sign, and what is read.
WRITTEN = [
    ("123456 # demo account", "123456"),
    ("abc #def", "abc"),
    ("abc\t# tab", "abc"),
    ("pa#ss", "pa#ss"),
    ("#begins", "#begins"),
    (" # nothing yet", None),
    ("", None),
    ("   ", None),
    ('""', None),
    ("''", None),
    ("two words ", "two words"),
    (" spaced", "spaced"),
    ('"Broker Demo" # as the terminal shows it', "Broker Demo"),
    ("'123:AAF-x' # BotFather", "123:AAF-x"),
    ('" kept "', " kept "),
    ('"a # b"', "a # b"),
    ("'a # b'", "a # b"),
    (r'"pa\ss\nword"', r"pa\ss\nword"),
    (r"C:\new\table", r"C:\new\table"),
    (r'"C:\Program Files\MetaTrader 5\terminal64.exe"', r"C:\Program Files\MetaTrader 5\terminal64.exe"),
    ('"C:\\dir\\"', "C:\\dir\\"),
    (r'"say \"hi\""', 'say "hi"'),
    (r'"back\\slash"', r"back\slash"),
    (r'"\$HOME"', "$HOME"),
    (r"'it\'s'", "it's"),
    (r"'a\\b\n'", r"a\\b\n"),
    ("'abc\\'", "abc\\"),
    ("it's", "it's"),
    ("$HOME/`x`", "$HOME/`x`"),
    ("a=b==", "a=b=="),
    ("postgresql://u:p%40ss@localhost:5432/db # local", "postgresql://u:p%40ss@localhost:5432/db"),
    ("p\u00e4ss\u2028wort", "p\u00e4ss\u2028wort"),
]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""])
@pytest.mark.parametrize("before", ["A=", "export A=", "  A =", "\ufeffA="])
@pytest.mark.parametrize(("written", "value"), WRITTEN)
def test_a_value_is_read_by_the_stated_rule(
    tmp_path: Path, written: str, value: str | None, before: str, end: str
) -> None:
    (tmp_path / ".env").write_bytes(f"{before}{written}{end}B=next".encode() if end else (before + written).encode())
    expected = {} if value is None else {"A": value}
    assert read_environment(tmp_path / ".env", {}) == expected | ({"B": "next"} if end else {})


@pytest.mark.parametrize("written", ['"open', "'open", '"a"b', "'a' b", '"a"#no space', "'it's'", '"', "a\0b"])
def test_quotes_that_do_not_enclose_the_value_are_named_and_not_shown(tmp_path: Path, written: str) -> None:
    file = write(tmp_path, f"B=1\nMT5_PASSWORD={written}\n")
    with pytest.raises(SettingsError, match=r"\.env, line 2: .*MT5_PASSWORD") as error:
        read_environment(file, {})
    assert written not in str(error.value).replace("(' or \")", "")


@pytest.mark.parametrize("codec", ["utf-16", "utf-8-sig"])
def test_files_of_windows_editors_are_read(tmp_path: Path, codec: str) -> None:
    (tmp_path / ".env").write_bytes("MT5_SERVER=Bröker\r\nMT5_LOGIN=1\r\n".encode(codec))
    assert read_environment(tmp_path / ".env", {}) == {"MT5_SERVER": "Bröker", "MT5_LOGIN": "1"}


def test_a_name_given_twice_keeps_its_last_value(tmp_path: Path) -> None:
    assert read_environment(write(tmp_path, "A=1\nA=2\n"), {}) == {"A": "2"}


def test_a_file_that_is_far_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no \.env file"):
        read_environment(write(tmp_path, "A=" + "x" * (1 << 20)), {})


def test_the_process_wins_over_the_file_also_by_emptying(tmp_path: Path) -> None:
    file = write(tmp_path, "A=file\nB=file\nC=file\n")
    assert read_environment(file, {"A": "process", "B": ""}) == {"A": "process", "C": "file"}


def test_no_file_is_no_error(tmp_path: Path) -> None:
    assert read_environment(tmp_path / ".env", {"A": "1"}) == {"A": "1"}


def test_a_bad_line_is_named_by_its_number_and_not_shown(tmp_path: Path) -> None:
    file = write(tmp_path, "A=1\nhunter2 without a name\n")
    with pytest.raises(SettingsError, match=r"line 2: not of the form NAME=value") as error:
        read_environment(file, {})
    assert "hunter2" not in str(error.value)


def test_a_folder_or_binary_in_its_place_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("folder", "binary"):
        with pytest.raises(SettingsError, match="cannot be read"):
            read_environment(tmp_path / name, {})


def test_a_template_never_holds_a_secret_and_reads_back(tmp_path: Path) -> None:
    variables = (BROKER, *BRIDGE, *channel_variables(), *HUB_STORE)
    values = {variable.name: f"value-of-{variable.name}" for variable in variables}
    text = template(variables, values)
    read = read_environment(write(tmp_path, text), {})
    assert read == {variable.name: values[variable.name] for variable in variables if not variable.secret}
    assert all(f"{variable.name}=" in text for variable in variables)


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps permissions elsewhere")
def test_a_created_file_is_private_from_the_start(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        assert create_private(tmp_path / ".env", "A=\n") is True
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    file = write(tmp_path, "A=secret\n")
    assert create_private(file, "A=\n") is False
    assert file.read_text() == "A=secret\n"


@pytest.mark.skipif(os.name == "nt", reason="needs symbolic links")
def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to(tmp_path / "elsewhere")
    assert create_private(tmp_path / ".env", "A=\n") is False
    assert not (tmp_path / "elsewhere").exists()


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="could not be created"):
        create_private(tmp_path / "missing" / ".env", "A=\n")
