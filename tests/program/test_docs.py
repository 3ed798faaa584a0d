"""README and CONTRIBUTING say nothing that is not there: commands, flags, files, keys, codes."""

from __future__ import annotations

import importlib
import itertools
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from alerts.family import channel_variables
from alerts.telegram.commands import HELP as TELEGRAM_COMMANDS
from commands.main import COMMANDS, cli
from engine.gates import GATE_NAMES
from novosky import errors
from novosky.errors import NovoskyError
from novosky.measures.score import MIN_TRADES, band_of
from novosky.settings import MlSettings, Settings

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/trader.md")
KEPT_OUT_OF_GIT = (".env", "data/", "demo/", "logs/", "models/", "reports/", "runs/", ".venv")
WRITTEN_BY_RUNS = ("PERF_HISTORY.md", "strategy_params.json")
"""Made by the first weekly run and committed by it."""
"""What runs leave behind: named in the documents, absent from a fresh checkout."""
SECTIONS = {
    "novosky/errors.py": errors.__doc__ or "",
    "README.md": (ROOT / "README.md").read_text(encoding="utf-8").partition("### Exit codes")[2].partition("\n#")[0],
}


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def spans(document: str) -> Iterator[str]:
    """Yield every piece of code in a document: inline, and line by line from the blocks."""
    text = text_of(document)
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            yield from (part.strip() for part in line.partition("#")[0].split("&&") if part.strip())
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


CODE = sorted({(document, span) for document in DOCUMENTS for span in spans(document)})


def keys_of(section: type[Settings] | type[MlSettings]) -> set[str]:
    """Return every key of a settings file, by itself and with its dotted place."""

    def walk(schema: dict[str, object], whole: dict[str, object], prefix: str) -> Iterator[str]:
        properties = schema.get("properties", {})
        assert isinstance(properties, dict)
        for key, described in properties.items():
            yield from (key, prefix + key)
            if "$ref" in described:
                definitions = whole["$defs"]
                assert isinstance(definitions, dict)
                yield from walk(definitions[described["$ref"].rpartition("/")[2]], whole, f"{prefix}{key}.")

    schema = section.model_json_schema(by_alias=True)
    return set(walk(schema, schema, ""))


def command_of_script(script: str) -> click.Command:
    """Return the click command that a script runs."""
    found = re.search(
        r"^from (commands\.(?!main)\w+) import (\w+)$", (ROOT / script).read_text(encoding="utf-8"), re.MULTILINE
    )
    assert found is not None, f"{script} runs no command"
    command = getattr(importlib.import_module(found[1]), found[2])
    assert isinstance(command, click.Command)
    return command


def parse(command: click.Command, arguments: list[str]) -> None:
    """Parse and convert arguments as a real run would, and stop before running."""
    try:
        command.make_context("documented", [*arguments])
    except click.exceptions.Exit as end:
        assert arguments in (["--help"], ["-h"])
        assert end.exit_code == 0


def check_program(words: list[str]) -> bool:
    """Check a command line of ours; False when it is none."""
    program, arguments = words[0].removeprefix(".venv/Scripts/"), words[1:]
    if program in ("python", "python3", "py") and arguments and arguments[0].endswith(".py"):
        parse(command_of_script(arguments[0]), arguments[1:])
    elif program == "novosky":
        if arguments and arguments != ["-h"]:
            command = cli.get_command(click.Context(cli), arguments[0])
            assert command is not None, f"novosky has no command {arguments[0]}"
            parse(command, arguments[1:])
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", text_of("Makefile"), re.MULTILINE)
        assert set(arguments) <= set(targets)
    elif program == "pip" or [program, *arguments[:1]] == ["uv", "pip"]:
        for file in (word for flag, word in itertools.pairwise(arguments) if flag == "-r"):
            assert (ROOT / file).is_file()
    elif program in ("python", "python3", "py"):
        assert arguments[:2] in (["-m", "venv"], ["-m", "pytest"], ["-m", "novosky"]), "an unknown module"
    elif program == "pm2":
        assert arguments[0] in ("start", "stop", "delete")
        assert all((ROOT / file).is_file() for file in arguments[1:])
    elif program in ("mypy", "lint-imports", "ruff"):
        # Tools of the development environment.
        assert program in text_of("Makefile")
    elif program in ("git", "systemctl", "cd"):
        # Not ours; what matters is that nothing of ours is misnamed beside them.
        assert arguments
    else:
        return [program, *arguments] in ([".", ".venv/bin/activate"], [".venv/Scripts/activate"])
    return True


def check_name(span: str) -> bool:
    """Check a flag, gate, key or environment variable; False when the span is none of them."""
    if span == "-h":
        return True
    if span.startswith("/"):
        return span.strip("/") in TELEGRAM_COMMANDS or span in ("/newbot", "/revoke")
    if span.startswith("--"):
        every = [cli.get_command(click.Context(cli), name) for name in COMMANDS]
        return any(span in option.opts for command in every if command for option in command.params) or span in (
            "--help",
            # Git's own.
            "--autostash",
        )
    if re.fullmatch(r"[A-Z][A-Z0-9]*_[A-Z0-9_]+(=\S+)?", span):
        known = text_of("ecosystem.config.js") + text_of("deploy/novosky.service") + text_of("novosky/environment.py")
        known += " ".join(variable.name for variable in channel_variables())
        return span.partition("=")[0] in known
    return span in GATE_NAMES or span in keys_of(Settings) | keys_of(MlSettings)


def exists(path: str) -> bool:
    """Tell whether a path is in the checkout, is what its pattern matches, or is left behind by runs."""
    if path.startswith(KEPT_OUT_OF_GIT):
        ignored = text_of(".gitignore").splitlines()
        return any(line.strip("/").removesuffix("/*") == path.split("/")[0].strip("/") for line in ignored)
    return path in WRITTEN_BY_RUNS or any(True for _ in ROOT.glob(path)) or (ROOT / "scripts" / path).is_file()


@pytest.mark.parametrize(("document", "span"), CODE, ids=lambda value: str(value))
def test_every_piece_of_code_in_the_documents_is_there(document: str, span: str) -> None:
    words = shlex.split(span.replace("\\", "/"))
    assert check_program(words) or check_name(span) or (len(words) == 1 and exists(words[0])), (
        f"{document} names {span!r}: no command, flag, gate, key or file is called that"
    )


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", text_of(document))
    assert [
        target
        for target in targets
        if not target.startswith("https://") and not ((ROOT / document).parent / target).exists()
    ] == []


def test_the_traders_guide_names_every_telegram_command() -> None:
    named = re.findall(r"^\| `/(\w+)` \|", text_of("docs/trader.md"), re.MULTILINE)
    assert sorted(named) == sorted(TELEGRAM_COMMANDS)


@pytest.mark.parametrize("place", sorted(SECTIONS))
def test_the_exit_codes_are_those_of_the_errors(place: str) -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, NovoskyError)]
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", SECTIONS[place], re.MULTILINE)}
    assert documented | {1} == {0, 130} | {kind.exit_code for kind in kinds}


def test_the_errors_document_their_own_code() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)`", SECTIONS["novosky/errors.py"], re.MULTILINE)
    assert {name: int(code) for code, name in rows} == {
        kind.__name__: kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, NovoskyError) and kind is not NovoskyError
    }


def test_the_readme_shows_the_promised_two_commands() -> None:
    readme = text_of("README.md")
    assert "make demo" in readme
    assert "make test" in readme
    windows = re.findall(r"^```bat\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    assert any("novosky demo" in block for block in windows)


def test_every_command_is_in_the_readme() -> None:
    # A command that nobody reads about does not exist; the schema is a developer's matter.
    readme, contributing = text_of("README.md"), text_of("CONTRIBUTING.md")
    shown = {
        "backtest": "python backtest_config.py",
        "calendar": "python scripts/download_calendar.py",
        "compare": "python scripts/compare_configs.py",
        "config-sync": "python scripts/config_sync.py",
        "hub": "python ml/r2_hub.py",
        "monitor": "python scripts/performance_monitor.py",
        "optimize-loop": "python scripts/optimize_loop.py",
        "sweep": "python scripts/sweep.py",
        "weekly-optimize": "python scripts/weekly_optimize.py",
        "bridge": "novosky bridge serve",
        "data": "python scripts/download_data.py",
        "demo": "novosky demo",
        "doctor": "novosky doctor",
        "journal": "novosky journal adopt",
        "leakage": "python scripts/leakage_check.py",
        "model-report": "python scripts/model_report.py",
        "models": "novosky models starter",
        "onboarding": "python scripts/onboarding.py",
        "replay-day": "python scripts/replay_day.py",
        "schema": "novosky schema",
        "trade": "python trading.py",
        "status": "novosky status",
        "trades": "novosky trades",
        "train": "python train_ml_model.py",
        "tune": "python ml/tune/hyperparams.py",
        "walk-forward": "python scripts/walk_forward.py",
    }
    assert set(shown) == set(COMMANDS)
    assert [name for name, line in shown.items() if line not in readme + contributing] == []


def test_the_reference_command_of_the_readme_is_the_agreed_one() -> None:
    assert "python backtest_config.py --balance 500 --no-swap --leverage 500 --spread 16.95 --oos-only" in text_of(
        "README.md"
    )


def test_the_python_versions_agree() -> None:
    stated = re.search(r"Python (\d\.\d+) or newer", text_of("README.md"))
    required = re.search(r'requires-python = ">=(\d\.\d+)"', text_of("pyproject.toml"))
    assert stated is not None
    assert required is not None
    assert stated[1] == required[1]


def test_the_runtime_requirements_are_part_of_the_development_ones() -> None:
    def pins(name: str) -> set[str]:
        return {
            line.strip()
            for line in text_of(name).splitlines()
            if line.strip() and not line.lstrip().startswith(("#", "-"))
        }

    assert pins("requirements.txt")
    assert pins("requirements.txt") <= pins("requirements-dev.lock")


def test_the_score_bands_and_the_shortage_of_trades_are_those_of_the_code() -> None:
    readme = " ".join(text_of("README.md").split()).replace("\N{EN DASH}", "-")
    assert "below 6 pause, 6-10 below target, 10-15 production grade, above 15 excellent" in readme
    assert [band_of(score) for score in (5.99, 6.0, 9.99, 10.0, 15.0, 15.01)] == [
        "pause",
        "below target",
        "below target",
        "production grade",
        "production grade",
        "excellent",
    ]
    assert "fewer than 20 trades" in readme
    assert MIN_TRADES == 20


@pytest.mark.parametrize("schema", ["config", "ml_config"])
def test_settings_files_refer_to_their_schema_as_the_readme_says(schema: str) -> None:
    content = json.loads(text_of(f"{schema}.json"))
    assert (ROOT / content["$schema"]).name == f"{schema}.schema.json"
