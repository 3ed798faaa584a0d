"""The libraries we compare with: installed into a virtual environment of their own, run by their own scripts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.bracket_series import SHARED_SCRIPTS
from bench.context import BenchContext, run_json

REQUIREMENTS = ("vectorbt", "vectorbt-rust", "pyarrow")
ENGINES = ("numba", "rust")


def peers_python(context: BenchContext) -> Path | str:
    """Return the interpreter of the peers' environment, making it if need be, or why there is none."""
    if context.peers_venv is None:
        return "not installed: name a folder for the peers' virtual environment with --peers-venv"
    if not (SHARED_SCRIPTS / "bench_vectorbt.py").exists():
        return "not measured: the peers' benchmark scripts are not beside this checkout"
    python = context.peers_venv / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if python.exists() and _succeeds([str(python), "-c", "import vectorbt, vectorbt_rust, pyarrow"]) is None:
        return python
    context.say(f"installing {', '.join(REQUIREMENTS)} into {context.peers_venv}")
    for command in (
        [sys.executable, "-m", "venv", str(context.peers_venv)],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *REQUIREMENTS],
    ):
        failure = _succeeds(command)
        if failure is not None:
            return f"not installed: {failure}"
    return python


def run_vectorbt(python: Path, series: Path, engine: str) -> dict[str, Any]:
    """Run vectorbt once on the series and return what its script prints.

    Raises
    ------
    BenchError
        The script failed.
    """
    script = SHARED_SCRIPTS / "bench_vectorbt.py"
    return run_json([str(python), str(script), str(series), engine], PYTHONDONTWRITEBYTECODE="1")


def _succeeds(command: list[str]) -> str | None:
    """Return None when the command succeeds, else its last words."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    words = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
    return words[-1]
