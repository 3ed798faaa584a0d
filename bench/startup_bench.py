"""How long every command takes to answer `--help`."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator

from bench.context import ROOT, BenchContext, BenchError
from bench.measure import Required, Result, repeated, result_of

STARTUP = Required("at most", 0.5)


def help_commands() -> dict[str, list[str]]:
    """Return every command of the checkout with the words that run it, `--help` left out."""
    from commands.main import COMMANDS

    entry = [sys.executable, "-c", "from commands.main import main; main()"]
    commands = {"novosky": entry, **{f"novosky {name}": [*entry, name] for name in COMMANDS}}
    commands["python -m bench"] = [sys.executable, "-m", "bench"]
    programs = (file for file in sorted(ROOT.glob("*.py")) if file.name != "setup.py")
    for script in (*programs, *sorted((ROOT / "scripts").glob("*.py"))):
        name = script.relative_to(ROOT).as_posix()
        commands[f"python {name}"] = [sys.executable, name]
    return commands


def measure_imports(context: BenchContext) -> Iterator[Result]:
    """Measure the wall time of each command's `--help`; the slowest decides."""
    medians: dict[str, float] = {}
    for name, command in help_commands().items():
        context.say(f"{name} --help")

        def answer(words: list[str] = command, label: str = name) -> None:
            done = subprocess.run([*words, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                last = (done.stderr.strip().splitlines() or ["nothing on stderr"])[-1]
                raise BenchError(f"{label} --help exited with {done.returncode}: {last}")

        # Compiling to bytecode after a change is not start-up.
        answer()
        medians[name] = statistics.median(repeated(answer, 1 if context.quick else 5))
    slowest = max(medians, key=lambda name: medians[name])
    yield result_of("imports.help", "seconds", list(medians.values()), commands=len(medians), slowest=slowest)
    yield result_of("imports.slowest_help", "seconds", [medians[slowest]], STARTUP, command=slowest)
