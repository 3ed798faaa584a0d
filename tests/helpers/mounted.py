"""Run the bot's command between shell lines, where file systems can be mounted that end with the process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

STEPS = """
import json, pathlib, subprocess, sys
from tests.helpers.command_line import listing, run_script
for kind, arguments in json.loads(sys.argv[1]):
    if kind == "shell":
        subprocess.run(arguments, shell=True, check=True)
    elif kind == "list":
        print(json.dumps(listing(pathlib.Path(arguments))))
    else:
        answer = run_script("trading.py", *arguments, cwd=pathlib.Path())
        print(json.dumps([answer.code, answer.err]))
"""
"""Runs shell lines and the bot by turns, where file systems can be mounted that end with the process."""


def play(folder: Path, *steps: tuple[str, object]) -> list[Any]:
    """Play steps in a mount namespace of their own and return what each but the shell lines answered."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode != 0:
        pytest.skip("needs Linux with mount namespaces")
    done = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", STEPS, json.dumps(steps)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
