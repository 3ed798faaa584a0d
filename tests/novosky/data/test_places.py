"""Where bars are kept follows the symbol and time frame, for the command that writes and those that read."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from commands.main import COMMANDS, cli
from novosky.data.places import configured_bars, stored_bars


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"symbol": "GER40", "timeframe": "M15"}, "data/GER40_M15.parquet"),
        ({"symbol": "EURUSD", "timeframe": "H1"}, "data/EURUSD_H1.parquet"),
        ({}, "data/BTCUSD_M15.parquet"),
        ({"symbol": 5, "timeframe": ""}, "data/BTCUSD_M15.parquet"),
        ([], "data/BTCUSD_M15.parquet"),
    ],
)
def test_the_configured_symbol_names_the_file(tmp_path: Path, content: object, expected: str) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(content), encoding="utf-8")
    assert configured_bars(config).as_posix() == expected


@pytest.mark.parametrize("symbol", ["../../etc/passwd", "/tmp/x", "a\\b", ".hidden", "C:x"])
def test_no_symbol_leads_out_of_the_folder(symbol: str) -> None:
    path = stored_bars(symbol, "M15")
    assert path.parent == Path("data")
    assert not set("/\\:") & set(path.name) and not path.name.startswith(".")


def test_a_config_that_cannot_be_read_is_another_error(tmp_path: Path) -> None:
    assert configured_bars(tmp_path / "none.json") == stored_bars("BTCUSD", "M15")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    assert configured_bars(tmp_path / "bad.json") == stored_bars("BTCUSD", "M15")


READERS = sorted(
    {"backtest", "compare", "doctor", "model-report", "optimize-loop", "sweep", "train", "walk-forward"} & set(COMMANDS)
)


@pytest.mark.parametrize("order", ["before", "after", "absent"])
@pytest.mark.parametrize("name", READERS)
def test_every_reader_of_bars_follows_the_configuration(
    name: str, order: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file, symbol in (("config.json", "XAUUSD"), ("other.json", "GER40")):
        Path(file).write_text(json.dumps({"symbol": symbol, "timeframe": "M15"}), encoding="utf-8")
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    needed = {"compare": ["--old-config", "a", "--old-ml", "b"]}.get(name, [])
    flag = "--new-config" if name == "compare" else "--config"
    chosen = [] if order == "absent" else [flag, "other.json"]
    words = [*chosen, *needed] if order == "before" else [*needed, *chosen]
    context = command.make_context(name, [*words])
    expected = "XAUUSD" if order == "absent" else "GER40"
    assert context.params["data"] == Path("data") / f"{expected}_M15.parquet"
    named = command.make_context(name, [*words, "--data", "mine.parquet"])
    assert named.params["data"] == Path("mine.parquet")
