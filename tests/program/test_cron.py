"""What cron and systemd start: real commands with options they know, at the promised hours in UTC."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.program.test_docs import command_of_script, parse

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNITS = ("novosky-weekly", "novosky-monitor")
SECRET = re.compile(r"token|password|secret|key_id|login", re.IGNORECASE)


@dataclass(frozen=True)
class Job:
    """One line of the crontab."""

    times: str
    command: str

    @property
    def words(self) -> list[str]:
        """The program's arguments, script first, variables of the crontab filled in."""
        text = self.command.rpartition(" && ")[2].partition(">>")[0]
        for name, value in VARIABLES.items():
            text = text.replace(f'"${name}"', value)
        program, *words = shlex.split(text)
        assert program == ".venv/bin/python"
        return words


LINES = [line for line in (DEPLOY / "crontab").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
VARIABLES = dict(line.split("=", 1) for line in LINES if re.match(r"[A-Z0-9_]+=", line))
JOBS = [
    Job(" ".join(parts[:5]), parts[5])
    for parts in (line.split(None, 5) for line in LINES if not re.match(r"[A-Z0-9_]+=", line))
]


def unit(name: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read(DEPLOY / name)
    return parser


def service_words(name: str) -> list[str]:
    """Return what a service passes to its Python, with the default of its arguments filled in."""
    text = (DEPLOY / f"{name}.service").read_text(encoding="utf-8")
    (line,) = re.findall(r"^ExecStart=(\S+) (.*)$", text, re.MULTILINE)
    assert line[0].endswith("/.venv/bin/python")
    words = line[1]
    for variable, value in re.findall(r'^Environment="(\w+)=(.*)"$', text, re.MULTILINE):
        words = words.replace(f"${variable}", value)
    assert "$" not in words
    return shlex.split(words)


def check(words: list[str]) -> None:
    if not (ROOT / words[0]).is_file():
        pytest.skip(f"{words[0]} is not in this checkout yet")
    parse(command_of_script(words[0]), words[1:])


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.words[0])
def test_every_job_of_the_crontab_can_be_run_as_written(job: Job) -> None:
    check(job.words)


@pytest.mark.parametrize("name", UNITS)
def test_every_service_can_be_run_as_written(name: str) -> None:
    check(service_words(name))


def test_the_jobs_run_when_they_should() -> None:
    assert VARIABLES["CRON_TZ"] == "UTC"
    assert {job.words[0]: job.times for job in JOBS} == {
        "scripts/download_data.py": "7 * * * *",
        "scripts/download_calendar.py": "17 5 * * *",
        "scripts/performance_monitor.py": "30 6 * * *",
        "scripts/weekly_optimize.py": "0 2 * * SUN",
    }


def test_cron_reads_every_line_to_its_end() -> None:
    for job in JOBS:
        assert "%" not in job.command, "cron ends a line there"
        assert job.command.startswith('cd "$NOVOSKY" && ')
        assert job.command.endswith(">>logs/cron.log 2>&1")
    assert (DEPLOY / "crontab").read_bytes().endswith(b"\n")


def test_no_line_locks_what_locks_itself() -> None:
    assert not any("flock" in job.command for job in JOBS)


@pytest.mark.parametrize(
    ("name", "moment"), [("novosky-weekly", "Sun *-*-* 02:00:00 UTC"), ("novosky-monitor", "*-*-* 06:30:00 UTC")]
)
def test_timers_run_when_they_should(name: str, moment: str) -> None:
    timer = unit(f"{name}.timer")
    assert timer["Timer"]["OnCalendar"] == moment
    assert timer["Timer"]["Persistent"] == "yes"
    assert timer["Install"]["WantedBy"] == "timers.target"


def test_what_trains_does_not_share_a_user_or_a_checkout_with_what_trades() -> None:
    bot, weekly = unit("novosky.service")["Service"], unit("novosky-weekly.service")["Service"]
    assert bot["User"] != weekly["User"]
    assert bot["WorkingDirectory"] != weekly["WorkingDirectory"] == weekly["ReadWritePaths"] == VARIABLES["NOVOSKY"]
    assert "--retrain" not in service_words("novosky-monitor")


@pytest.mark.parametrize("name", UNITS)
def test_a_service_runs_once_and_is_locked_down(name: str) -> None:
    service = unit(f"{name}.service")["Service"]
    assert service["Type"] == "oneshot"
    assert (service["NoNewPrivileges"], service["ProtectSystem"], service["PrivateTmp"]) == ("yes", "strict", "yes")
    assert "MemoryDenyWriteExecute" not in service
    assert int(service["Nice"]) > 0, "the bot goes first"


def test_too_few_trades_is_no_failure_but_a_degraded_account_is() -> None:
    assert unit("novosky-monitor.service")["Service"]["SuccessExitStatus"] == "3"


@pytest.mark.parametrize("file", ["crontab", *(f"{name}.{kind}" for name in UNITS for kind in ("service", "timer"))])
def test_no_secret_stands_in_a_file(file: str) -> None:
    lines = (DEPLOY / file).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#") and SECRET.search(line)] == []


def test_systemd_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not installed")
    for name in UNITS:
        for kind in ("service", "timer"):
            text = (DEPLOY / f"{name}.{kind}").read_text(encoding="utf-8")
            # The checkout of the unit does not exist here; any executable stands in for its Python.
            (tmp_path / f"{name}.{kind}").write_text(re.sub(r"/opt/[\w-]+/\.venv/bin/python", sys.executable, text))
    files = [str(tmp_path / f"{name}.{kind}") for name in UNITS for kind in ("service", "timer")]
    done = subprocess.run([tool, "verify", "--man=no", *files], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    for name in UNITS:
        moment = unit(f"{name}.timer")["Timer"]["OnCalendar"]
        done = subprocess.run([tool, "calendar", moment], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0 and "UTC" in done.stdout


def test_the_readme_names_every_file_and_no_other() -> None:
    text = (DEPLOY / "README.md").read_text(encoding="utf-8")
    there = {path.name for path in DEPLOY.iterdir()} - {"README.md"}
    assert there <= {name for name in there if name in text}
    named = set(re.findall(r"deploy/([\w.-]+)", text))
    assert named <= there
