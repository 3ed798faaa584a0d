"""Every command line of the owner's guides is understood as it is written there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from tests.commands.test_commands import SCRIPTS, command_of

# The other documents there describe another system.
GUIDES = Path(__file__).resolve().parents[2].parent / "shared" / "seeds"
TUNING = {"ml/tune/hyperparams.py": "signal", "ml/tune/position.py": "position"}
# What stands right behind a command without a break: words of the page, and a remark in brackets.
REMARK = re.compile(r"Skip to main content.*|\s\(.*|\s#.*|&&.*")
# One command of the page is broken over lines without a backslash.
BROKEN = re.compile(r"(--leverage 500)\n\s+(--spread)")


def command_lines() -> list[str]:
    """Return the distinct command lines of all guides; none where the guides are not beside the checkout."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(GUIDES.glob("00[013]_*.txt")))
    text = BROKEN.sub(r"\1 \2", text.replace("\\\n", " "))
    found = re.finditer(r"python3? (?:(?:scripts|ml)/[\w/]+|trading|train_ml_model|backtest_config)\.py[^\n]*", text)
    return sorted({" ".join(REMARK.sub("", match[0]).split()) for match in found})


LINES = command_lines()


@pytest.mark.skipif(not LINES, reason="the guides are not beside this checkout")
def test_the_guides_were_read() -> None:
    assert len(LINES) > 15


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_guides_is_understood(line: str) -> None:
    _, script, *arguments = shlex.split(line)
    name = "tune" if script in TUNING else SCRIPTS[script]
    words = [TUNING[script], *arguments] if script in TUNING else arguments
    try:
        command_of(name).make_context(name, words)
    except click.exceptions.Exit as end:
        assert end.exit_code == 0
