"""`novosky bridge`: what it serves, what it refuses to serve, what a ping tells."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import cast

import click
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from pydantic import SecretStr

from commands.bridge import ping, serve
from commands.main import cli
from ml.feature_engineering import live_window_bars
from novosky.data.synthetic import synthetic_bars
from novosky.errors import LockedError, NovoskyError, StorageError, UsageError
from novosky.log import LOG_FILE
from novosky.market.timeframe import USUAL
from novosky.settings import Settings, load_ml_settings, load_settings
from tests.helpers.bridge_module import TOKEN, SmallModule, serving
from tests.hosts.ports import own_port
from trading.brokers.bridge.access import BridgeAccess
from trading.brokers.bridge.client import BridgeModule
from trading.brokers.bridge.owner import Property, owned, port, terminal_program
from trading.brokers.bridge.simulated import PacedServer, simulated_market

ROOT = Path(__file__).resolve().parents[2]


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


def test_ping_reads_the_file_of_secrets_as_the_bot_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("NOVOSKY_BRIDGE_URL", "NOVOSKY_BRIDGE_TOKEN", "NOVOSKY_BRIDGE_CA"):
        monkeypatch.delenv(name, raising=False)
    with serving(SmallModule()) as server:
        Path(".env").write_text(f"NOVOSKY_BRIDGE_URL={server.url}\nNOVOSKY_BRIDGE_TOKEN={TOKEN}\n", encoding="utf-8")
        result = CliRunner().invoke(cli, ["bridge", "ping"])
        assert result.exit_code == 0, result.output
        assert result.output.startswith(f"bridge    {server.url}, free\n")
        Path(".env").write_text("NOVOSKY_BRIDGE_CA=absent.pem\n", encoding="utf-8")
        assert "absent.pem" in refusal(bridge("ping", "--url", server.url.replace("http:", "https:")))


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
        (["serve", "--terminal", "a.exe", "--account", "a.sqlite"], "2: --account keeps a simulated account"),
        (["serve", "--simulated", "a.csv", "--account", "a.csv"], "2: --account and --simulated name the same place"),
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
    if not bars.exists():
        synthetic_bars("planted", live_window_bars(USUAL) + 50, seed=3).to_parquet(bars)
    with started(folder, root, "--simulated", bars, "--port", 0, *arguments) as server:
        assert server.stdout is not None
        try:
            line = server.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert address is not None, (line, server.stderr and server.stderr.read())
            yield server, address[0]
        finally:
            server.kill()


def started(folder: Path, root: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start the real command in a folder of its own."""
    settings = ["--config", root / "config.json", "--ml-config", root / "ml_config.json"]
    code = "from commands.main import main; main()"
    command = [sys.executable, "-c", code, "bridge", "serve", *settings, *arguments]
    environment = os.environ | {"NOVOSKY_BRIDGE_TOKEN": TOKEN, "PYTHONPATH": str(root)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(list(map(str, command)), **pipes, text=True, cwd=folder, env=environment)


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
    assert out.splitlines()[-1] == "stopped"
    assert TOKEN not in err


def test_refusals_are_logged_as_json_and_to_the_console_without_the_token(tmp_path: Path, root: Path) -> None:
    with simulated(tmp_path, root, "--logs", "log") as (server, url):
        with BridgeModule(url, "w" * 40) as mt5:
            assert mt5.version() is None
        with BridgeModule(url, TOKEN) as mt5:
            assert mt5.login(1, password=f"{TOKEN}") is False
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=10)

    lines = [json.loads(line) for line in (tmp_path / "log" / LOG_FILE).read_text().splitlines()]
    assert [line["level"] for line in lines if "refused a request from 127.0.0.1: token" in line["message"]] == [
        "WARNING"
    ]
    assert "refused a request from 127.0.0.1: token" in err
    assert TOKEN not in (tmp_path / "log" / LOG_FILE).read_text() + err


def test_a_simulated_account_is_found_again_by_the_next_start(tmp_path: Path, root: Path) -> None:
    """The bars go on where they were, the position is still open, and the tickets count on."""
    account = tmp_path / "account.sqlite"
    with simulated(tmp_path, root, "--pace", 9000, "--account", account) as (server, url):
        with BridgeModule(url, TOKEN) as mt5:
            assert mt5.initialize() and mt5.symbol_select("BTCUSD", True)
            result = mt5.order_send(order())
            assert result is not None and result.retcode == 10009, result
            time.sleep(0.3)
            (before,), deals = mt5.positions_get(), mt5.history_deals_get(0, 2**31)
            bar = mt5.symbol_info_tick("BTCUSD").time
        server.kill()
    with simulated(tmp_path, root, "--pace", 0, "--account", account) as (_, url), BridgeModule(url, TOKEN) as mt5:
        assert mt5.initialize() and mt5.symbol_select("BTCUSD", True)
        (after,) = mt5.positions_get()
        assert (after.ticket, after.price_open, after.volume) == (before.ticket, before.price_open, before.volume)
        assert mt5.history_deals_get(0, 2**31) == deals
        assert mt5.symbol_info_tick("BTCUSD").time >= bar
        second = mt5.order_send(order())
        assert second.order > result.order


def order() -> dict[str, object]:
    fields = {"action": 1, "symbol": "BTCUSD", "volume": 0.01, "type": 0, "price": 1.0, "type_filling": 0}
    return fields | {"deviation": 10**6, "magic": 7, "comment": "a1", "type_time": 0}


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        return process.wait(60), process.communicate()[1]
    finally:
        process.kill()


def test_a_second_bridge_on_an_account_is_refused_and_the_first_serves_on(tmp_path: Path, root: Path) -> None:
    account, bars = tmp_path / "account.sqlite", tmp_path / "bars.parquet"
    with simulated(tmp_path, root, "--account", account) as (_, url):
        second = ended(started(tmp_path, root, "--simulated", bars, "--port", 0, "--account", "account.sqlite"))
        assert second[0] == LockedError.exit_code
        assert "another bridge serves the simulated account account.sqlite; stop it first" in second[1]
        with BridgeModule(url, TOKEN) as mt5:
            assert mt5.version() is None and mt5.last_error()[0] == -10004 and mt5.initialize()


def test_a_second_bridge_on_a_terminal_or_a_port_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = tmp_path / "terminal64.exe"
    terminal.touch()
    (tmp_path / "elsewhere").mkdir()
    again = tmp_path / "elsewhere" / ".." / terminal.name
    monkeypatch.setitem(sys.modules, "MetaTrader5", cast(ModuleType, SmallModule()))
    with own_port() as number:
        with owned(terminal_program(terminal)):
            assert refusal(bridge("serve", "--terminal", again, "--port", number)).startswith(
                "9: another bridge serves the terminal"
            )
        with owned(port(number)):
            message = refusal(bridge("serve", "--terminal", terminal, "--port", number))
        assert message == f"9: another bridge serves port {number}; stop it first, or choose another --port"


def test_a_lock_ends_with_its_process_and_differs_between_terminals(tmp_path: Path) -> None:
    first, second = tmp_path / "a.exe", tmp_path / "b.exe"
    with owned(terminal_program(first)), owned(terminal_program(second)):
        assert not free(terminal_program(first))
    assert free(terminal_program(first))


def free(thing: Property) -> bool:
    try:
        with owned(thing):
            return True
    except LockedError:
        return False


def market_of(folder: Path, frame: pd.DataFrame, settings: Settings | None = None) -> PacedServer:
    settings = load_settings(ROOT / "config.json") if settings is None else settings
    ml_settings = load_ml_settings(ROOT / "ml_config.json")
    return simulated_market(frame, settings, ml_settings, 1.0, lambda: 0.0, folder / "account.sqlite")[1]


def test_an_account_of_other_bars_or_terms_is_refused_and_more_bars_are_welcome(tmp_path: Path) -> None:
    longer = synthetic_bars("planted", live_window_bars(USUAL) + 80, seed=3)
    bars = longer.iloc[:-30]
    market = market_of(tmp_path, bars)
    for _ in range(10):
        market.server.advance()
    moment = market.server.now
    market.server.close()
    settings = load_settings(ROOT / "config.json")
    dearer = settings.model_copy(update={"costs": settings.costs.model_copy(update={"commission_per_lot": 9.0})})
    other = synthetic_bars("planted", live_window_bars(USUAL) + 50, seed=4)
    for frame, terms, word in (
        (other, settings, "other bars"),
        (bars, dearer, "other account terms"),
        (bars.iloc[: live_window_bars(USUAL) + 5], settings, "later bar"),
    ):
        with pytest.raises(UsageError, match=word):
            market_of(tmp_path, frame, terms)
    resumed = market_of(tmp_path, longer)
    assert resumed.server.now == moment
    resumed.server.close()


def test_a_file_that_is_no_account_is_left_alone(tmp_path: Path) -> None:
    bars = synthetic_bars("planted", live_window_bars(USUAL) + 50, seed=3)
    file = tmp_path / "account.sqlite"
    file.write_text("a diary, and a long one " * 100)
    with pytest.raises(StorageError, match="no simulated account"):
        market_of(tmp_path, bars)
    file.unlink()
    with closing(sqlite3.connect(file)) as journal:
        journal.execute("CREATE TABLE diary (day)")
    content = file.read_bytes()
    with pytest.raises(StorageError, match="another program's"):
        market_of(tmp_path, bars)
    assert file.read_bytes() == content


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
