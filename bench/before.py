"""The same measure in another checkout right before ours, so that both meet the same machine under the same load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.context import BenchContext, BenchError


def measured_before(context: BenchContext, checkout: Path, measure: str) -> dict[str, dict[str, Any]]:
    """Return what the checkout's own `python -m bench --only MEASURE` finds, by name of the result.

    It runs in the checkout's own environment and trains its own models, as an older checkout cannot
    read the sets of a newer one.

    Raises
    ------
    BenchError
        The checkout has no environment or no benchmark, or its benchmark ended without figures.
    """
    python = checkout / ".venv" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        raise BenchError(f"{checkout} has no .venv to measure with; run `make setup` there")
    if not (checkout / "bench" / "__main__.py").exists():
        raise BenchError(f"{checkout} has no benchmark (bench/__main__.py)")
    context.say(f"{measure}: in {checkout} first")
    found = context.folder / f"before-{measure}.json"
    command = [str(python.absolute()), "-m", "bench", "--only", measure, "--json", str(found)]
    for option, value in (("--data", context.data), ("--peers-venv", context.peers_venv)):
        if value is not None:
            command += [option, str(value.absolute())]
    if context.quick:
        command.append("--quick")
    # Our own packages must not stand in for the checkout's.
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    # Exit code 1 says that a promised figure was missed, which is no reason to hide it.
    if done.returncode not in (0, 1) or not found.exists():
        last = (done.stderr.strip().splitlines() or ["nothing on stderr"])[-1]
        raise BenchError(f"the benchmark of {checkout} exited with {done.returncode}: {last}")
    results: dict[str, dict[str, Any]] = json.loads(found.read_text(encoding="utf-8"))["results"]
    return results


def ratio(now: float | None, before: float | None) -> float | None:
    """Return the figure now over the one before; None when either is missing or the one before is 0."""
    return None if now is None or not before else now / before
