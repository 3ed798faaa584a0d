"""`novosky bridge`: what it serves, what it refuses to serve, what a ping tells."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from bridge_module import TOKEN, SmallModule, serving
from click.testing import CliRunner, Result
from pydantic import SecretStr

from ml.feature_engineering import live_window_bars
from novosky.cli.bridge import ping, serve
from novosky.cli.main import cli
from novosky.data.synthetic import synthetic_bars
from novosky.errors import NovoskyError, UsageError
from trading.bridge.access import BridgeAccess
from trading.bridge.client import BridgeModule


def bridge(*arguments: object, token: str = TOKEN) -> Result:
    return CliRunner().invoke(cli, ["bridge", *map(str, arguments)], env={"NOVOSKY_BRIDGE_TOKEN": token})


def refusal(result: Result) -> str:
    """Return the message of the expected error a command ended with."""
    assert isinstance(result.exception, NovoskyError), result.output
    return f"{result.exception.exit_code}: {result.exception}"


def test_ping_tells_versions_clock_and_latency() -> None:
    with serving(SmallModule()) as server:
        result = bridge("ping", "--url", server.url)

    assert result.exit_code == 0, result.output
    assert re.search(r"^bridge    http://127\.0\.0\.1:\d+, free$", result.output, re.M)
    assert "protocol  2\n" in result.output
    assert "package   5.0.6231\n" in result.output
    assert "terminal  500.5200 of 26 Sep 2026\n" in result.output
    assert re.search(r"^clock     [+-]0\.\d{3} s against this machine, known to \d+\.\d ms$", result.output, re.M)
    assert re.search(r"^latency   \d+\.\d ms in the middle, \d+\.\d ms at most, of 20$", result.output, re.M)


def test_ping_says_when_the_terminal_is_not_connected() -> None:
    class Detached(SmallModule):
        def version(self) -> None:  # type: ignore[override]
            self.error = (-10004, "No IPC connection")

    with serving(Detached()) as server:
        result = bridge("ping", "--url", server.url)

    assert "terminal  not connected: -10004 No IPC connection\n" in result.output


def test_ping_leaves_the_terminals_connection_alone() -> None:
    module = SmallModule()
    with serving(module) as server:
        bridge("ping", "--url", server.url)
        assert (module.paths, module.stopped) == ([], False)


def test_ping_of_nothing_names_the_address_and_the_error() -> None:
    assert refusal(bridge("ping", "--url", "http://127.0.0.1:9")).startswith("8: http://127.0.0.1:9: -10004 No IPC")


def test_ping_with_another_token_says_so_without_showing_one() -> None:
    with serving(SmallModule()) as server:
        message = refusal(bridge("ping", "--url", server.url, token="w" * 40))

    assert "-6 Terminal: Authorization failed" in message
    assert "www" not in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["serve"], "2: name the terminal"),
        (["serve", "--terminal", "a.exe", "--simulated", "b.parquet"], "2: name the terminal"),
        (["serve", "--terminal", "a.exe"], "2: there is no terminal at a.exe"),
        (["serve", "--terminal", "a.exe", "--cert", "c.pem"], "2: --cert and --key belong together"),
        (["serve", "--terminal", "a.exe", "--cert", "c.pem", "--key", "k.pem"], "2: --cert c.pem"),
        (["ping", "--url", "http://10.1.2.3:8787"], "2: 10.1.2.3 is another machine"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_contradictions_are_named_before_anything_is_opened(arguments: list[str], words: str) -> None:
    assert refusal(bridge(*arguments)).startswith(words)


@pytest.mark.parametrize("command", [["serve", "--terminal", "a.exe"], ["ping"]], ids=["serve", "ping"])
def test_without_a_token_nothing_is_served_or_asked(command: list[str]) -> None:
    assert refusal(bridge(*command, token="")).startswith("2: NOVOSKY_BRIDGE_TOKEN is missing or too short")


def test_without_the_package_serving_a_terminal_says_where_it_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "MetaTrader5", None)
    terminal = tmp_path / "terminal64.exe"
    terminal.touch()

    assert refusal(bridge("serve", "--terminal", terminal)).startswith("8: the MetaTrader5 package is not installed")


@contextmanager
def simulated(folder: Path, root: Path, *arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the real command over a synthetic market; give the process and its address."""
    bars = folder / "bars.parquet"
    synthetic_bars("planted", live_window_bars() + 50, seed=3).to_parquet(bars)
    settings = ["--config", root / "config.json", "--ml-config", root / "ml_config.json"]
    code = "from novosky.cli.main import main; main()"
    command = [sys.executable, "-c", code, "bridge", "serve", "--simulated", bars, "--port", 0, *settings, *arguments]
    environment = os.environ | {"NOVOSKY_BRIDGE_TOKEN": TOKEN, "PYTHONPATH": str(root)}
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdout is not None
        try:
            line = server.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert address is not None, (line, server.stderr and server.stderr.read())
            yield server, address[0]
        finally:
            server.kill()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_simulated_terminal_is_served_until_a_signal_stops_it_cleanly(
    tmp_path: Path, root: Path, stop: signal.Signals
) -> None:
    with simulated(tmp_path, root, "--pace", 9000) as (server, url):
        with BridgeModule(url, TOKEN) as mt5:
            assert mt5.account_info() is None
            assert mt5.last_error() == (-10004, "No IPC connection")
            assert mt5.initialize() is True
            assert mt5.symbol_select("BTCUSD", True) is True
            first = mt5.symbol_info_tick("BTCUSD")
            time.sleep(0.3)
            later = mt5.symbol_info_tick("BTCUSD")
            assert first is not None
            assert later is not None
            assert later.time - first.time >= 1800
        server.send_signal(stop)
        out, err = server.communicate(timeout=10)

    assert server.returncode == 0, err
    assert out == "stopped\n"
    assert TOKEN not in err


@pytest.mark.parametrize("command", [serve, ping], ids=["serve", "ping"])
def test_help_gives_examples_that_the_command_accepts(command: click.Command) -> None:
    help_text = CliRunner().invoke(command, ["--help"], terminal_width=200).output
    examples = [shlex.split(line) for line in help_text.splitlines() if line.strip().startswith("novosky ")]

    assert examples
    for program, group, name, *rest in examples:
        assert (program, group, name) == ("novosky", "bridge", command.name)
        command.make_context(name, rest)


def test_access_comes_from_the_environment_and_hides_the_token() -> None:
    names = {"NOVOSKY_BRIDGE_URL": "https://desk:8787/ ", "NOVOSKY_BRIDGE_TOKEN": TOKEN, "NOVOSKY_BRIDGE_CA": "c.pem"}
    access = BridgeAccess.from_environment(names)

    assert access == BridgeAccess("https://desk:8787", SecretStr(TOKEN), Path("c.pem"))
    assert TOKEN not in repr(access)
    assert BridgeAccess.from_environment({"NOVOSKY_BRIDGE_TOKEN": TOKEN}) is None
    with pytest.raises(UsageError, match="NOVOSKY_BRIDGE_TOKEN"):
        BridgeAccess.from_environment({"NOVOSKY_BRIDGE_URL": "https://desk:8787"})
