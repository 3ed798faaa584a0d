"""Run the real scripts inside this process: the same arguments, messages and exit codes, without the start-up time."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import runpy
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Answer:
    """What a command left behind on its streams."""

    code: int
    out: str
    err: str


def run_script(script: str, *arguments: object, cwd: Path) -> Answer:
    """Run a script of the checkout with `cwd` as its working directory."""
    path = ROOT / script
    return _run(lambda: runpy.run_path(str(path), run_name="__main__"), [str(path), *map(str, arguments)], cwd)


def run_novosky(*arguments: object, cwd: Path) -> Answer:
    """Run the console command with `cwd` as its working directory."""
    from commands.main import main

    return _run(main, ["novosky", *map(str, arguments)], cwd)


def _run(program: Callable[[], object], argv: list[str], cwd: Path) -> Answer:
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with (
        patch("sys.argv", argv),
        contextlib.chdir(cwd),
        _own_signals(),
        _own_log(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            program()
        except SystemExit as end:
            code = end.code
    assert isinstance(code, int), f"a program ends with a number, not {code!r}"
    return Answer(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    # The bot takes SIGTERM over; the test run needs its own handler back.
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


def listing(folder: Path) -> dict[str, str]:
    """Return every path below a folder with a hash of its content."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


@contextlib.contextmanager
def _own_log() -> Iterator[None]:
    # A program's log ends with it; in this process its files would be written on by whoever comes next.
    root, hooks = logging.getLogger(), (sys.excepthook, threading.excepthook)
    before, level = list(root.handlers), root.level
    try:
        yield
    finally:
        for handler in [each for each in root.handlers if each not in before]:
            root.removeHandler(handler)
            handler.close()
        root.setLevel(level)
        sys.excepthook, threading.excepthook = hooks
