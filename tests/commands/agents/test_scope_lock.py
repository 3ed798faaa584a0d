"""Delegated tasks: briefs whose commands exist, a lock that nobody widens, and a run that fails when it is left."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from commands.agents.scope_lock import (
    LOCK_FILE,
    ScopeLock,
    changed_files,
    default_lock,
    matches,
    outside,
    parse_lock,
    take_snapshot,
)
from ml.feature_engineering import PROTECTED_FEATURES
from novosky.errors import SettingsError
from tests.program.test_docs import command_of_script, parse

ROOT = Path(__file__).resolve().parents[3]
BRIEFS = sorted((ROOT / ".claude" / "agents").glob("*.md"))
NAMES = [brief.stem for brief in BRIEFS]
posix_only = pytest.mark.skipif(os.name == "nt", reason="a shell script")


def commands_in(brief: Path) -> list[str]:
    """Return every command of ours that a brief prescribes, in blocks and in sentences."""
    text = brief.read_text(encoding="utf-8")
    blocks = [
        line
        for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]
    lines = blocks + re.findall(r"`((?:\w+=\w+ )?python [^`\n]+\.py[^`\n]*)`", text)
    return [line for line in lines if "python " in line and ".py" in line and "-m pytest" not in line]


COMMANDS = sorted({command for brief in BRIEFS for command in commands_in(brief)})


def test_the_five_agents_are_there() -> None:
    assert NAMES == ["feature-engineer", "model-optimizer", "novosky-optimizer", "project-manager", "risk-tuner"]


@pytest.mark.parametrize("brief", BRIEFS, ids=NAMES)
def test_a_brief_says_who_what_never_and_what_to_report(brief: Path) -> None:
    text = brief.read_text(encoding="utf-8")
    head = text.split("---")[1]
    assert f"name: {brief.stem}" in head and "description: " in head
    for section in ("## What you do", "## Three-File Rules", "## Scope lock", "## Never", "## Report"):
        assert section in text
    assert all(name in text for name in PROTECTED_FEATURES)
    assert "ml/risk_trainer.py RISK_FEATURES" in text and "risk_model.features" in text
    assert len(commands_in(brief)) >= 3


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_a_brief_can_be_run_as_written(command: str) -> None:
    words = [word for word in shlex.split(command) if not re.fullmatch(r"[A-Z_]+=\w+", word)]
    assert words[0] == "python"
    if not (ROOT / words[1]).is_file():
        pytest.skip(f"{words[1]} is not in this checkout yet")
    parse(command_of_script(words[1]), words[2:])


@pytest.mark.parametrize("brief", BRIEFS, ids=NAMES)
def test_the_files_a_brief_names_exist(brief: Path) -> None:
    text = brief.read_text(encoding="utf-8")
    made_by_runs = ("logs/", "models/", "strategy_params.json", "PERF_HISTORY.md", "blocked_signals.csv", ".env")
    names = {
        name for name in re.findall(r"`([\w./]+\.(?:py|json|md|csv))[ `]", text) if not name.startswith(made_by_runs)
    }
    scripts = {"ml/r2_hub.py", "scripts/sweep.py", "scripts/optimize_loop.py", "scripts/weekly_optimize.py"}
    assert names and not [name for name in names - scripts if not (ROOT / name).is_file()]


@pytest.mark.parametrize("brief", BRIEFS, ids=NAMES)
def test_a_brief_has_a_valid_lock_but_the_project_manager_needs_its_own(brief: Path) -> None:
    lock = default_lock(brief, brief.stem, "do it")
    if brief.stem == "project-manager":
        assert lock is None
    else:
        assert lock is not None and lock.agent == brief.stem
        assert not any(matches(path, lock.files) for path in ("trading/bot.py", "trading.py", ".env", LOCK_FILE))


def test_the_model_optimizers_example_is_a_lock() -> None:
    text = (ROOT / ".claude" / "agents" / "model-optimizer.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^ +```json\n(.*?)^ +```", text, re.DOTALL | re.MULTILINE)
    assert parse_lock(example, "example").tier == "large"


def lock_text(**changes: object) -> str:
    content: dict[str, object] = {
        "agent": "a",
        "task": "t",
        "files": ["config.json"],
        "limits": {"trials": 1, "iterations": 1, "minutes": 10},
        "tier": "small",
    }
    return json.dumps(content | changes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"files": ["**"]}, "opens the whole checkout"),
        ({"files": ["*"]}, "opens the whole checkout"),
        ({"files": ["../x"]}, "leads out"),
        ({"files": ["/etc/passwd"]}, "leads out"),
        ({"files": [".env"]}, "no task may change"),
        ({"files": [".claude/agents/x.md", ".claude/**"]}, "no task may change"),
        ({"files": ["scripts/*"]}, "no task may change"),
        ({"files": ["logs/**"]}, "no task may change"),
        ({"tier": "huge"}, "tier"),
        ({"limits": {"trials": 9999, "iterations": 1, "minutes": 10}}, "limits.trials"),
        ({"extra": 1}, "extra"),
        ({"task": ""}, "task"),
    ],
)
def test_a_lock_that_opens_too_much_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        parse_lock(lock_text(**changes), "lock")


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("ml/*.py", "ml/a.py", True),
        ("ml/*.py", "ml/features/a.py", False),
        ("ml/**", "ml/features/a.py", True),
        ("ml/**/a.py", "ml/a.py", True),
        ("config.json", "ml_config.json", False),
        ("a.b", "axb", False),
    ],
)
def test_patterns(pattern: str, path: str, covered: bool) -> None:
    assert matches(path, [pattern]) is covered


# A checkout with the real script and a stand-in for the agent program.


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small git checkout: script, briefs, settings, one committed file and one that was dirty before."""
    folder = tmp_path / "checkout"
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "run_agent.sh", folder / "scripts")
    shutil.copytree(ROOT / ".claude", folder / ".claude")
    (folder / ".gitignore").write_text("/logs/\n/models/\n.env\n")
    for name in ("config.json", "ml_config.json", "README.md", "dirty.txt"):
        (folder / name).write_text("old\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "start")
    (folder / "dirty.txt").write_text("mine\n")
    (folder / "untracked.txt").write_text("mine\n")
    return folder


def stand_in(checkout: Path, body: str) -> Path:
    """Put an agent program beside the checkout that writes down how it was called and then does `body`."""
    program = checkout.parent / "bin" / "claude"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{checkout.parent}/called.txt"\necho report\n{body}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program.parent


def run_agent(
    checkout: Path, *arguments: str, body: str = "true", **environment: str
) -> subprocess.CompletedProcess[str]:
    path = f"{stand_in(checkout, body)}{os.pathsep}{os.environ['PATH']}"
    given = {"PATH": path, "NOVOSKY_PYTHON": sys.executable, "PYTHONPATH": str(ROOT), "NOVOSKY_AGENT": "claude"}
    return subprocess.run(
        ["bash", str(checkout / "scripts" / "run_agent.sh"), *arguments],
        env={**os.environ, **given, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@posix_only
@pytest.mark.parametrize(
    "arguments", [[], ["risk-tuner"], ["risk-tuner", "  "], ["nobody", "t"], ["../x", "t"], ["a", "b", "c"]]
)
def test_without_a_known_agent_and_a_task_there_is_usage(checkout: Path, arguments: list[str]) -> None:
    done = run_agent(checkout, *arguments)
    assert done.returncode == 64
    assert "usage:" in done.stderr and all(name in done.stderr for name in NAMES)
    assert not (checkout / "logs").exists()


@posix_only
def test_help_lists_the_agents(checkout: Path) -> None:
    done = run_agent(checkout, "--help")
    assert done.returncode == 0 and all(name in done.stdout for name in NAMES)


@posix_only
def test_without_the_agent_program_it_explains_and_exits_69(checkout: Path) -> None:
    done = run_agent(checkout, "risk-tuner", "t", NOVOSKY_AGENT="no-such-program")
    assert done.returncode == 69
    assert "no-such-program is not installed" in done.stderr and "risk-tuner.md" in done.stderr


@posix_only
def test_the_agent_gets_brief_lock_task_and_the_tiers_model(checkout: Path) -> None:
    done = run_agent(checkout, "risk-tuner", "Lower the risk & 'report'", NOVOSKY_AGENT_ARGS="--verbose --x y")
    assert done.returncode == 0, done.stderr
    called = (checkout.parent / "called.txt").read_text()
    assert "You are NOVOSKY's risk tuner" in called and "Lower the risk & 'report'" in called
    assert '"minutes": 240' in called
    assert called.splitlines()[-3:] == ["--verbose", "--x", "y"]
    assert "haiku" in called.splitlines()
    assert (checkout / "logs" / "agents" / "risk-tuner.txt").read_text() == "report\n"
    lock = ScopeLock.model_validate_json((checkout / LOCK_FILE).read_text())
    assert (lock.agent, lock.task) == ("risk-tuner", "Lower the risk & 'report'")


@posix_only
def test_a_change_inside_the_lock_is_fine_whatever_was_dirty_before(checkout: Path) -> None:
    done = run_agent(checkout, "risk-tuner", "t", body="echo new > config.json")
    assert done.returncode == 0, done.stderr
    assert "changed  config.json" in done.stdout and "dirty.txt" not in done.stdout


@posix_only
@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("echo new > README.md", "README.md"),
        ("echo new > stranger.txt", "stranger.txt"),
        ("rm README.md", "README.md"),
        ("mv README.md 'a b.md'", "a b.md"),
        ("echo theirs > dirty.txt", "dirty.txt"),
        ("git checkout -q dirty.txt", "dirty.txt"),
        ("rm untracked.txt", "untracked.txt"),
        ("echo TOKEN=1 > .env", ".env"),
        ("mkdir models && echo x > models/model_compat.json", "models/model_compat.json"),
        ("mkdir logs && echo x > logs/scope_lock.json", LOCK_FILE),
        ("echo x > README.md && git -c user.name=a -c user.email=a@example.com commit -qam sneaky", "README.md"),
        (
            "echo x > README.md && git -c user.name=a -c user.email=a@example.com commit -qam x && git rm -q README.md",
            "README.md",
        ),
    ],
)
def test_whatever_changed_is_seen(checkout: Path, body: str, path: str) -> None:
    before = take_snapshot(checkout)
    assert changed_files(checkout, before, take_snapshot(checkout)) == []
    subprocess.run(["sh", "-c", body], cwd=checkout, check=True)
    assert path in changed_files(checkout, before, take_snapshot(checkout))


@posix_only
def test_a_change_outside_the_lock_fails_the_run(checkout: Path) -> None:
    done = run_agent(checkout, "risk-tuner", "t", body="echo new > config.json; echo new > README.md")
    assert done.returncode == 77, done.stdout + done.stderr
    assert "OUTSIDE  README.md" in done.stdout and "changed  config.json" in done.stdout
    assert "1 file(s) outside the scope lock" in done.stderr


@posix_only
def test_committing_what_was_dirty_before_is_no_change_of_it(checkout: Path) -> None:
    before = take_snapshot(checkout)
    git(checkout, "add", "dirty.txt", "untracked.txt")
    git(checkout, "commit", "-qm", "as it was")
    assert changed_files(checkout, before, take_snapshot(checkout)) == []


@posix_only
def test_the_agents_own_failure_is_the_runs(checkout: Path) -> None:
    assert run_agent(checkout, "risk-tuner", "t", body="exit 5").returncode == 5


@posix_only
def test_the_model_optimizer_writes_the_lock_that_the_next_agent_works_under(checkout: Path) -> None:
    written = lock_text(agent="project-manager", files=["README.md"], tier="large")
    first = run_agent(checkout, "model-optimizer", "t", body=f"cat > {LOCK_FILE} <<'X'\n{written}\nX")
    assert first.returncode == 0, first.stderr
    inside = run_agent(checkout, "project-manager", "t", body="echo new > README.md")
    assert inside.returncode == 0, inside.stderr
    assert "opus" in (checkout.parent / "called.txt").read_text().splitlines()
    assert run_agent(checkout, "project-manager", "another task").returncode == 3


@posix_only
def test_a_lock_that_opens_too_much_fails_whoever_wrote_it(checkout: Path) -> None:
    written = lock_text(files=["**"])
    done = run_agent(checkout, "model-optimizer", "t", body=f"cat > {LOCK_FILE} <<'X'\n{written}\nX")
    assert done.returncode == 3 and "opens the whole checkout" in done.stderr
    assert run_agent(checkout, "model-optimizer", "t", body="echo x > config.json").returncode == 77


@posix_only
def test_one_agent_at_a_time_and_a_killed_ones_mark_is_no_obstacle(checkout: Path) -> None:
    busy = checkout / "logs" / "agents" / "busy"
    busy.mkdir(parents=True)
    (busy / "pid").write_text(f"{os.getpid()}\n")
    assert run_agent(checkout, "risk-tuner", "t").returncode == 9
    (busy / "pid").write_text("999999999\n")
    assert run_agent(checkout, "risk-tuner", "t").returncode == 0
    assert not busy.exists()


def test_only_the_writer_of_locks_may_write_one() -> None:
    lock = parse_lock(lock_text(), "lock")
    assert outside(lock, [LOCK_FILE, "config.json"]) == [LOCK_FILE]
    assert outside(lock, [LOCK_FILE, "config.json"], may_write_lock=True) == []


@posix_only
def test_the_script_is_clean() -> None:
    script = ROOT / "scripts" / "run_agent.sh"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    tool = shutil.which("shellcheck")
    if tool is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run([tool, str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
