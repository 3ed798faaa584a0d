"""Every command: help with examples at once, bad arguments refused, errors as one line and their exit code."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import click
import pytest
from click.testing import CliRunner

from commands.main import COMMANDS, cli, run
from novosky import errors
from novosky.errors import NovoskyError
from tests.helpers.command_line import run_script
from tests.helpers.desk import Desk

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = {
    "trading.py": "trade",
    "train_ml_model.py": "train",
    "backtest_config.py": "backtest",
    "scripts/compare_configs.py": "compare",
    "scripts/config_sync.py": "config-sync",
    "scripts/download_calendar.py": "calendar",
    "scripts/download_data.py": "data",
    "scripts/leakage_check.py": "leakage",
    "scripts/walk_forward.py": "walk-forward",
    "scripts/model_report.py": "model-report",
    "scripts/onboarding.py": "onboarding",
    "scripts/optimize_loop.py": "optimize-loop",
    "scripts/performance_monitor.py": "monitor",
    "scripts/replay_day.py": "replay-day",
    "scripts/sweep.py": "sweep",
    "scripts/weekly_optimize.py": "weekly-optimize",
    "ml/r2_hub.py": "hub",
}
"""Script and the name of the same command under `novosky`."""
HELP_TIMES = 6.0
"""How many times as long as a program that imports click alone: once to three times were seen, 0.05 to 0.12 s; with
numba or pandas at the top of a module it would be eight to ten."""
NOVOSKY = "from commands.main import main; main()"


def command_of(name: str) -> click.Command:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return command


def flags_of(name: str) -> set[str]:
    return {flag for option in command_of(name).params for flag in option.opts}


def example_lines(name: str) -> list[str]:
    """Return the command lines that a command's help gives as examples."""
    text = CliRunner().invoke(command_of(name), ["--help"], terminal_width=200).output
    _, _, examples = text.partition("Example")
    return [line.strip() for line in examples.splitlines() if line.strip().startswith(("python ", "novosky "))]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_gives_examples_that_the_command_itself_accepts(name: str) -> None:
    result = CliRunner().invoke(command_of(name), ["--help"])
    assert result.exit_code == 0, result.output
    examples = example_lines(name)
    assert examples, "no example"
    scripts = {script for script, command in SCRIPTS.items() if command == name}
    for line in examples:
        program, first, *rest = shlex.split(line)
        assert (program, first) == ("novosky", name) or (program == "python" and first in scripts), line
        # Parses and converts every argument, as a real run would, and stops before running.
        command_of(name).make_context(name, rest)


@pytest.mark.parametrize(
    "arguments",
    [
        *([script] for script in SCRIPTS),
        ["-c", NOVOSKY],
        *(["-c", NOVOSKY, name] for name in ("demo", "doctor", "schema", "status", "trades")),
    ],
    ids=lambda arguments: arguments[-1] if arguments[-1] != NOVOSKY else "novosky",
)
def test_help_answers_at_once(arguments: list[str]) -> None:
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(5):
        bare.append(seconds_of(["-c", "import click"])[0])
        taken, done = seconds_of([*arguments, "--help"])
        ours.append(taken)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("Usage:")
        if min(ours) <= HELP_TIMES * min(bare):
            return
    pytest.fail(f"the quickest of five took {min(ours):.2f} s; a heavy library is imported at the top of a module")


def seconds_of(arguments: list[str]) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Run a program; seconds from start to end, and what it left."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return time.perf_counter() - began, done


def test_every_script_is_also_a_command_of_novosky() -> None:
    scripts = {path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.py"), *(ROOT / "scripts").glob("*.py"))}
    scripts.discard("setup.py")  # packs the wheel; nobody runs it
    assert scripts | {"ml/r2_hub.py"} == set(SCRIPTS)
    assert set(SCRIPTS.values()) <= set(COMMANDS)


def test_novosky_lists_every_command() -> None:
    listed = CliRunner().invoke(cli, ["--help"]).output.partition("Commands:")[2]
    assert {line.split()[0] for line in listed.splitlines() if line.strip()} == set(COMMANDS)
    assert listed in CliRunner().invoke(cli, []).output, "without a command the list is shown, too"


def test_novosky_refuses_an_unknown_command_and_tells_its_version() -> None:
    assert CliRunner().invoke(cli, ["backtst"]).exit_code == 2
    assert "version" in CliRunner().invoke(cli, ["--version"]).output


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_an_unknown_flag_exits_2(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--no-such-flag"])
    assert result.exit_code == 2
    assert "--no-such-flag" in result.output


@pytest.mark.parametrize("date", ["yesterday", "2024-13-01", "31.01.2024", ""])
@pytest.mark.parametrize("name", ["backtest", "data", "leakage", "trade", "train", "walk-forward"])
def test_a_bad_date_exits_2(name: str, date: str) -> None:
    required = ["--source", "synthetic"] if name == "data" else []
    result = CliRunner().invoke(cli, [name, *required, "--start", date])
    assert result.exit_code == 2, result.output
    assert "--start" in result.output


@pytest.mark.parametrize("date", ["1969-12-31", "0001-01-01", "9999-12-31", "0001-01-01T00:00+05:00"])
@pytest.mark.parametrize("name", ["backtest", "data", "trade", "train", "walk-forward"])
def test_a_date_that_no_bar_can_have_exits_2(name: str, date: str) -> None:
    result = CliRunner().invoke(command_of(name), ["--end", date])
    assert result.exit_code == 2, result.output
    assert "--end" in result.output


def test_a_date_without_a_zone_is_utc_and_any_other_is_converted() -> None:
    context = command_of("backtest").make_context(
        "backtest", ["--start", "2024-01-31", "--end", "2024-06-01T02:00+02:00"]
    )
    assert [context.params[name].isoformat() for name in ("start", "end")] == [
        "2024-01-31T00:00:00+00:00",
        "2024-06-01T00:00:00+00:00",
    ]


@pytest.mark.parametrize("name", ["backtest", "trade", "train"])
def test_commands_about_bars_settings_and_models_take_the_same_file_flags(name: str) -> None:
    assert {"--data", "--config", "--ml-config", "--models", "--start", "--end"} <= flags_of(name)


def test_the_backtest_has_every_documented_flag() -> None:
    documented = (
        "--balance --leverage --spread --no-swap --swap-long --swap-short --commission --slippage --oos-only --oos-end "
        "--days --cent-account --max-lot --no-chart --config --ml-config --data --m1 --json --trades --report"
    )
    assert set(documented.split()) <= flags_of("backtest")


def test_the_bot_has_every_documented_flag() -> None:
    assert {"--paper", "--replay", "--once", "--config", "--health", "--trades"} <= flags_of("trade")


@pytest.mark.parametrize(
    "arguments",
    [
        ["backtest_config.py", "--balance", "0"],
        ["backtest_config.py", "--balance", "much"],
        ["backtest_config.py", "--leverage", "0.5"],
        ["backtest_config.py", "--leverage", "100000"],
        ["backtest_config.py", "--spread", "-1"],
        ["backtest_config.py", "--spread", "nan"],
        ["backtest_config.py", "--balance", "inf"],
        ["backtest_config.py", "--max-lot", "0"],
        ["backtest_config.py", "--days", "0"],
        ["backtest_config.py", "--days", "99999999999"],
        ["backtest_config.py", "--no-swap", "--swap-long", "-3"],
        ["backtest_config.py", "--end", "2024-01-01", "--oos-end", "2024-01-01"],
        ["backtest_config.py", "--json", "."],
        ["backtest_config.py", "stray"],
        ["trading.py"],
        ["trading.py", "--paper", "--start", "2024-01-01"],
        ["trading.py", "--paper", "--replay", "bars.parquet", "--once"],
        ["train_ml_model.py"],
        ["scripts/download_data.py"],
        ["scripts/download_data.py", "--source", "nowhere"],
        ["scripts/leakage_check.py", "--rows", "0"],
    ],
    ids=" ".join,
)
def test_bad_arguments_exit_2_without_a_traceback(desk: Desk, tmp_path: Path, arguments: list[str]) -> None:
    script, *rest = arguments
    settings = desk.flags if script == "backtest_config.py" else []
    answer = run_script(script, *settings, *rest, cwd=tmp_path)
    assert answer.code == 2
    assert answer.out == ""
    assert re.search("^error: ", answer.err, re.IGNORECASE | re.MULTILINE), answer.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["backtest", "trade"])
def test_a_window_must_end_after_it_starts(desk: Desk, tmp_path: Path, name: str) -> None:
    script, flags = {
        "backtest": ("backtest_config.py", ["--data", desk.bars]),
        "trade": ("trading.py", ["--paper", "--replay", desk.bars]),
    }[name]
    window = ("--start", "2022-03-20", "--end", "2022-03-20")
    answer = run_script(script, *desk.flags, *flags, *window, cwd=tmp_path)
    assert (answer.code, answer.err) == (
        2,
        "error: --end 2022-03-20T00:00 is not after --start 2022-03-20T00:00\n",
    )


def ending_of(program: Callable[[], None], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run a function as a command; return its exit code and what it wrote to stderr."""
    with patch("sys.argv", ["program"]), pytest.raises(SystemExit) as end:
        run(click.command()(program))
    assert isinstance(end.value.code, int)
    return end.value.code, capsys.readouterr().err


ERRORS = sorted(
    (kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, NovoskyError)),
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", [kind for kind in ERRORS if kind is not NovoskyError])
def test_an_expected_error_is_one_line_and_its_exit_code(
    kind: type[NovoskyError], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise kind("bars.parquet: row 3 is broken; mend it")

    assert ending_of(fail, capsys) == (kind.exit_code, "error: bars.parquet: row 3 is broken; mend it\n")


def test_every_kind_of_error_has_an_exit_code_of_its_own() -> None:
    codes = [kind.exit_code for kind in ERRORS]
    assert sorted(codes) == list(range(1, 11))


def test_success_exits_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert ending_of(lambda: None, capsys) == (0, "")


def test_an_error_of_the_disk_names_the_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def fail() -> None:
        (tmp_path / "missing" / "file.txt").write_text("text")

    code, err = ending_of(fail, capsys)
    assert code == errors.StorageError.exit_code
    assert err.startswith(f"error: {tmp_path / 'missing' / 'file.txt'}: No such file or directory; ")


def test_a_defect_keeps_its_traceback() -> None:
    def fail() -> None:
        raise ZeroDivisionError("a defect")

    with patch("sys.argv", ["program"]), pytest.raises(ZeroDivisionError, match="a defect"):
        run(click.command()(fail))


def test_an_interrupt_exits_130(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    code, err = ending_of(interrupted, capsys)
    assert (code, err.strip()) == (130, "interrupted")


@pytest.mark.skipif(os.name == "nt", reason="a Ctrl-C cannot be sent to one process of a Windows console")
def test_ctrl_c_ends_the_bot_with_130(desk: Desk, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, str(ROOT / "trading.py"), "--paper", *desk.flags],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as bot:
        assert bot.stdout is not None
        assert "SYNTHETIC DATA" in bot.stdout.readline()
        bot.send_signal(signal.SIGINT)
        try:
            out, err = bot.communicate(timeout=60)
        finally:
            bot.kill()
    assert bot.returncode == 130, out + err
    assert err.strip().splitlines()[-1] == "interrupted"
    assert "Traceback" not in err


TABLE = """
import click
from commands.main import run

@click.command()
def table():
    from rich.console import Console
    for row in range(20_000):
        Console().print("row", row)

run(table)
"""


@pytest.mark.parametrize("arguments", [["-c", NOVOSKY, "--help"], ["-c", TABLE]], ids=["help", "table"])
def test_output_into_a_closed_pipe_ends_quietly(arguments: list[str]) -> None:
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.close()
        err = program.stderr.read()
    assert err == b""
    assert program.returncode == 1


def test_an_interruption_that_an_extension_has_wrapped_is_still_one(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def interrupted() -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise SystemError("returned a result with an exception set") from error

    with pytest.raises(SystemExit) as ended, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["novosky"])
        run(interrupted)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"
