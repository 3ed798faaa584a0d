"""The files for pm2 and systemd: they start the bot, stop it gently, and do not restart what a restart cannot mend."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from commands.main import INTERRUPTED
from novosky import errors
from novosky.errors import BrokerError, NetworkError, NovoskyError, StorageError

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "deploy" / "novosky.service"
ECOSYSTEM = ROOT / "ecosystem.config.js"
RETRIED = {StorageError, BrokerError, NetworkError}
"""Errors that may be over at the next start."""
FINAL = {
    kind.exit_code
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, NovoskyError) and kind not in {NovoskyError, *RETRIED}
}
SECRET = re.compile(r"token|password|secret|key_id|login", re.IGNORECASE)


def app(**environment: str) -> dict[str, Any]:
    """Return what pm2 would read, evaluated by node itself."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    script = f"console.log(JSON.stringify(require({json.dumps(str(ECOSYSTEM))})))"
    done = subprocess.run(
        [node, "-e", script], env={**os.environ, **environment}, capture_output=True, text=True, check=True, timeout=30
    )
    (only,) = json.loads(done.stdout)["apps"]
    assert isinstance(only, dict)
    return only


def unit() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read(UNIT)
    return parser


def test_pm2_runs_the_bot_with_the_environments_python() -> None:
    read = app(NOVOSKY_ARGS="--paper")
    assert (read["name"], read["script"], read["args"]) == ("novosky", "trading.py", "--paper")
    assert Path(read["cwd"]) == ROOT
    assert (ROOT / read["script"]).is_file()
    assert Path(read["interpreter"]).is_relative_to(ROOT / ".venv")
    assert (read["instances"], read["exec_mode"], read["watch"]) == (1, "fork", False)


def test_pm2_restarts_with_growing_delays_and_only_what_a_restart_can_mend() -> None:
    read = app()
    assert read["autorestart"] is True
    assert read["exp_backoff_restart_delay"] > 0
    assert set(read["stop_exit_codes"]) == FINAL
    assert read["max_memory_restart"] == "500M"


def test_pm2_gives_the_bot_time_to_end_and_keeps_its_logs() -> None:
    read = app()
    assert read["kill_timeout"] >= 10_000
    assert {Path(read[key]).parent for key in ("out_file", "error_file")} == {ROOT / "logs"}


def test_the_service_runs_the_bot_as_its_own_user() -> None:
    service = unit()["Service"]
    assert service["ExecStart"].split()[1:] == ["trading.py", "$NOVOSKY_ARGS"]
    assert service["User"] == "novosky"
    writable = service["ReadWritePaths"].split()
    assert {Path(place).parent.as_posix() for place in writable} == {service["WorkingDirectory"]}
    assert {Path(place).name for place in writable} == {"logs", "data", "models"}


def test_the_service_restarts_only_what_a_restart_can_mend() -> None:
    service = unit()["Service"]
    assert service["Restart"] == "on-failure"
    assert {int(code) for code in service["RestartPreventExitStatus"].split()} == FINAL
    assert int(service["SuccessExitStatus"]) == INTERRUPTED
    assert service["KillSignal"] == "SIGTERM"
    assert int(service["TimeoutStopSec"]) >= 10


def test_the_service_is_locked_down_but_may_compile() -> None:
    service = unit()["Service"]
    for key in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "RestrictSUIDSGID"):
        assert service[key] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    assert "MemoryDenyWriteExecute" not in service, "compiled rules could not be loaded"


@pytest.mark.parametrize("file", [UNIT, ECOSYSTEM], ids=lambda file: file.name)
def test_no_secret_stands_in_a_service_file(file: Path) -> None:
    statements = [
        line for line in file.read_text(encoding="utf-8").splitlines() if not line.strip().startswith(("#", "//"))
    ]
    assert [line for line in statements if SECRET.search(line)] == []


def test_systemd_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not installed")
    # The checkout of the unit does not exist here; any executable stands in for its Python.
    text = UNIT.read_text(encoding="utf-8").replace("/opt/novosky/.venv/bin/python", sys.executable)
    file = tmp_path / UNIT.name
    file.write_text(text)
    done = subprocess.run(
        [tool, "verify", "--man=no", str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
