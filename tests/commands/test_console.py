"""What a console cannot show is escaped, what it must not show is hidden, and the exit code tells of the work."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from commands.main import run
from novosky.errors import BrokerError, StorageError

WORDS = "Łukasz 東京 ✓ \udcff"


def program(action: click.Command, monkeypatch: pytest.MonkeyPatch, encoding: str) -> tuple[int, str, str]:
    """Run a command on streams of an encoding; return its exit code and what it wrote."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2)]
    monkeypatch.setattr(sys, "argv", ["program"])
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    with pytest.raises(SystemExit) as end:
        run(action)
    written = []
    for stream in streams:
        stream.flush()
        content = stream.buffer
        assert isinstance(content, io.BytesIO)
        written.append(content.getvalue().decode(encoding))
    return int(end.value.code or 0), written[0], written[1]


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("cp1252", r"\u0141ukasz \u6771\u4eac \u2713 \udcff"),
        ("cp437", r"\u0141ukasz \u6771\u4eac \u2713 \udcff"),
        ("latin-1", r"\u0141ukasz \u6771\u4eac \u2713 \udcff"),
        ("cp932", r"\u0141ukasz 東京 \u2713 \udcff"),
        ("utf-8", r"Łukasz 東京 ✓ \udcff"),
    ],
)
def test_what_a_console_cannot_show_is_escaped(monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str) -> None:
    @click.command()
    def says() -> None:
        click.echo(WORDS)
        print(WORDS)

    code, out, _ = program(says, monkeypatch, encoding)
    assert code == 0
    assert out.split(os.linesep) == [shown, shown, ""]


def test_a_table_on_a_console_of_an_old_code_page_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def draws() -> None:
        from rich.console import Console
        from rich.table import Table

        table = Table("place")
        table.add_row("Łukasz")
        Console(width=40).print(table)

    code, out, _ = program(draws, monkeypatch, "cp1252")
    assert code == 0
    assert r"\u0141ukasz" in out


def test_an_error_with_such_a_name_keeps_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def fails() -> None:
        raise StorageError("Łukasz/o.parquet could not be written")

    code, _, err = program(fails, monkeypatch, "cp1252")
    assert (code, err.strip()) == (7, r"error: \u0141ukasz/o.parquet could not be written")


def test_control_characters_in_an_error_do_not_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def fails() -> None:
        raise StorageError("a\0b\x1b[2Jc\x9bd\n  e\tf")

    assert program(fails, monkeypatch, "utf-8")[2] == "error: a\\x00b\\x1b[2Jc\\x9bd\n  e\tf\n"


@pytest.mark.parametrize("place", ["file", "process"])
def test_an_error_never_shows_a_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    stated = {"MT5_LOGIN": "12345678", "NOVOSKY_DATABASE_URL": "postgresql://bot:p%40ss-word@db/x"}
    if place == "file":
        lines = [f"{name}={value} # demo\n" for name, value in stated.items()]
        (tmp_path / ".env").write_text("".join(lines), encoding="utf-8")
    else:
        for name, value in stated.items():
            monkeypatch.setenv(name, value)

    @click.command()
    def fails() -> None:
        raise BrokerError("account 12345678 is refused with p@ss-word (p%40ss-word), balance 512.30")

    code, _, err = program(fails, monkeypatch, "utf-8")
    assert (code, err.strip()) == (8, "error: account *** is refused with *** (***), balance 512.30")


def test_an_error_is_told_beside_an_env_file_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("no assignment\n", encoding="utf-8")

    @click.command()
    def fails() -> None:
        raise BrokerError("refused")

    assert program(fails, monkeypatch, "utf-8")[::2] == (8, "error: refused\n")


@pytest.mark.skipif(os.name == "nt", reason="a folder's name outside the code page")
def test_bars_written_into_such_a_folder_end_with_0(tmp_path: Path, root: Path) -> None:
    folder = tmp_path / "Łukasz"
    folder.mkdir()
    command = ["--source", "synthetic", "--bars", "300", "--output", str(folder / "o.parquet")]
    done = subprocess.run(
        [sys.executable, str(root / "scripts" / "download_data.py"), *command],
        check=False,
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"},
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "o.parquet").is_file()
    assert rb"\u0141ukasz" in done.stdout
