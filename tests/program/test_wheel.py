"""The built wheel works outside any checkout: it brings its settings, names its own commands, writes to no package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.helpers.command_line import listing
from tests.program.house import sources

ROOT = Path(__file__).resolve().parents[2]
FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "config.json", "ml_config.json")


@dataclass(frozen=True)
class Installed:
    """The wheel's content among packages, and a folder to work in."""

    packages: Path
    folder: Path

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run `novosky` as installed from the wheel, with the other packages of this environment."""
        mine = ("NOVOSKY_", "MT5_", "TELEGRAM_", "R2_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
        return subprocess.run(
            [sys.executable, "-m", "novosky", *map(str, arguments)],
            cwd=self.folder,
            env={**environment, "PYTHONPATH": str(self.packages), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the sources, so that nothing is left in the checkout."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in sources.packages():
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, source / name)
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "build", "--wheel", "--quiet", "--out-dir", out, source], check=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def packages(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("lib") / "site-packages"
    with zipfile.ZipFile(wheel) as content:
        content.extractall(place)
    return place


@pytest.fixture
def installed(packages: Path, tmp_path: Path) -> Installed:
    return Installed(packages, tmp_path)


def test_it_carries_the_shipped_settings_and_the_command(packages: Path) -> None:
    for name in ("config.json", "ml_config.json"):
        assert (packages / "novosky/settings/shipped" / name).read_bytes() == (ROOT / name).read_bytes()
        assert (packages / "novosky/settings" / name.replace(".json", ".schema.json")).is_file()
    (entry,) = packages.glob("novosky-*.dist-info/entry_points.txt")
    assert "novosky = commands.main:main" in entry.read_text(encoding="utf-8")


def test_it_carries_every_file_of_the_sources_and_what_its_packages_offer(packages: Path) -> None:
    for file in sources.files():
        place = packages / file.relative_to(ROOT)
        assert place.is_file(), place
        assert place.with_suffix(".pyi").is_file() == file.with_suffix(".pyi").is_file(), place


def test_onboarding_begins_in_an_empty_folder(installed: Installed) -> None:
    before = listing(installed.packages)
    done = installed.run("onboarding", "--profile", 3, "--non-interactive")
    assert done.returncode == 0, done.stderr
    assert "wrote config.json, the settings that come with the program" in done.stdout
    assert "novosky models starter" in done.stdout and "novosky trade --paper" in done.stdout
    assert not re.search(r"python \S+\.py", done.stdout), "a wheel has no scripts"
    content = json.loads((installed.folder / "config.json").read_text(encoding="utf-8"))
    assert content["$schema"] == (installed.packages / "novosky/settings/config.schema.json").as_uri()
    assert listing(installed.packages) == before


def test_the_doctor_looks_at_everything(installed: Installed) -> None:
    installed.run("onboarding", "--profile", 3, "--non-interactive")
    done = installed.run("doctor")
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("OK    packages: all") for line in lines)
    assert [line for line in lines if line.startswith("FAIL")] == [line for line in lines if "model set:" in line]
    assert re.fullmatch(r"\d+ OK, \d+ WARN, 1 FAIL", lines[-1])


def test_an_error_names_a_command_that_works_here(installed: Installed) -> None:
    installed.run("onboarding", "--profile", 3, "--non-interactive")
    done = installed.run("trade", "--paper", "--once")
    assert done.returncode == 5
    assert "`novosky hub --pull`" in done.stderr and "`novosky models starter`" in done.stderr
    assert not re.search(r"python \S+\.py", done.stderr)


def test_the_schema_goes_to_the_working_folder(installed: Installed) -> None:
    before = listing(installed.packages)
    done = installed.run("schema")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in installed.folder.iterdir()} == {"config.schema.json", "ml_config.schema.json"}
    assert listing(installed.packages) == before


def test_help_names_the_commands_of_the_wheel(installed: Installed) -> None:
    for name in ("trade", "train", "hub"):
        done = installed.run(name, "-h")
        assert done.returncode == 0
        assert f"novosky {name}" in done.stdout and not re.search(r"python \S+\.py", done.stdout)


@pytest.mark.full
def test_a_starter_set_trades_on_paper(installed: Installed, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--full"):
        pytest.skip("long; run with --full")
    done = installed.run("models", "starter")
    assert done.returncode == 0, done.stderr
    bars = "data/SYNTHETIC_BTCUSD_M15.parquet"
    done = installed.run("trade", "--paper", "--replay", bars, "--days", 30, "--trades", "trades.csv")
    assert done.returncode == 0, done.stderr
    assert len((installed.folder / "trades.csv").read_text(encoding="utf-8").splitlines()) > 5
    assert installed.run("trade", "--paper", "--once").returncode == 0


@pytest.mark.full
def test_the_demo_runs_and_paper_trading_follows(installed: Installed, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--full"):
        pytest.skip("long; run with --full")
    done = installed.run("demo", "--bars", 8_000, "--seed", 11)
    assert done.returncode == 0, done.stderr
    done = installed.run("trade", "--paper", "--once")
    assert done.returncode == 0, done.stderr
    assert "demo/models" in done.stdout and "SYNTHETIC" in done.stdout
