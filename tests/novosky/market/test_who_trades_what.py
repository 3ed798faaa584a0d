"""Models, settings, bars and terminal must speak of one market: everything else is refused with exit 6."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ml.hub.signing import seal
from ml.hub.store import revision_name
from ml.sets.compat import read_manifest
from ml.sets.deployment import Deployment
from ml.sets.model_market import read_model_market
from novosky.data.store import load_bars, save_bars
from novosky.errors import ModelCompatibilityError, UsageError
from novosky.market.same_market import Market, ModelMarket, require_same_market, same_symbol
from tests.helpers.command_line import Answer, run_script
from tests.helpers.desk import Desk
from tests.ml.hub.hub_fixtures import publisher, source, trader
from tests.ml.hub.hub_sets import Publisher, change_config, files_of

__all__ = ["publisher", "source", "trader"]

SAME = [
    ("BTCUSD", "BTCUSD"),
    ("BTCUSD", "btcusd"),
    ("BTCUSD", "BTC/USD"),
    ("BTCUSD", "BTCUSDT"),
    ("BTCUSD", "BTCUSDm"),
    ("BTCUSD", "BTCUSD.r"),
    ("BTCUSDm", "BTCUSD.raw"),
    ("BTCUSD", "BTCUSD.PRO"),
    ("BTCUSD.PRO", "BTCUSDm"),
    ("BTCUSD", "BITCOIN"),
    ("EURUSD", "EURUSD_SB"),
    ("GER40", "GER40.cash"),
    ("GER40", "DE40"),
    ("GER40.cash", "DE40.r"),
    ("US500", "US500_Z24"),
    ("NAS100", "USTEC"),
    ("XAUUSD", "GOLD#"),
    ("XBTUSD", "BTC/USDT"),
    ("BNBUSD.r", "BNBUSDT"),
]
OTHER = [
    ("BTCUSD", "ETHUSD"),
    ("BTCUSD", "BTCEUR"),
    ("EURUSD", "EURUSX"),
    ("EURUSD", "GBPUSD"),
    ("GER40", "FRA40"),
    ("US500", "US30"),
    ("US500", "NAS100"),
    ("XAUUSD", "XAGUSD"),
    ("BTCUSD", "BTCUSD2"),
    ("BRK.A", "BRK.B"),
    ("BNBUSD", "BNUSD"),
    ("XBTUSD", "XBUSD"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_names_of_one_market_are_the_same(one: str, other: str) -> None:
    assert same_symbol(one, other)
    assert same_symbol(other, one)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_names_of_two_markets_are_not(one: str, other: str) -> None:
    assert not same_symbol(one, other)
    assert not same_symbol(other, one)


def test_both_are_named_and_what_does_not_say_is_no_difference() -> None:
    with pytest.raises(ModelCompatibilityError, match="the models: BTCUSD, but the bars: GER40; do this"):
        require_same_market(Market("the models", "BTCUSD"), Market("the bars", "GER40"), "do this")
    with pytest.raises(ModelCompatibilityError, match="the models: M15 bars, but config: H1 bars; do this"):
        require_same_market(Market("the models", "BTCUSD", "M15"), Market("config", "BTCUSDm", "H1"), "do this")
    require_same_market(Market("the models", None), Market("the bars", "GER40"), "")
    require_same_market(Market("the models", "BTCUSD", "M15"), Market("the bars", None, None), "")


@pytest.fixture(scope="module")
def german(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the settings, and the bars, of another market."""
    folder = tmp_path_factory.mktemp("german")
    content = json.loads(desk.config.read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**content, "symbol": "GER40"}), encoding="utf-8")
    for name, labels in (("GER40", {"symbol": "GER40"}), ("unsaid", {}), ("BTCUSD", {"symbol": "BTCUSD.r"})):
        bars = load_bars(desk.bars)
        bars.attrs.clear()
        bars.attrs.update(labels)
        save_bars(folder / f"{name}.parquet", bars)
    return folder


def files(desk: Desk, config: Path) -> list[str]:
    return ["--config", str(config), "--ml-config", str(desk.ml_config), "--models", str(desk.models)]


COMMANDS: dict[str, Callable[[Desk, Path, Path], list[str]]] = {
    "backtest_config.py": lambda desk, config, bars: ["--data", str(bars), "--no-chart", *files(desk, config)],
    "trading.py": lambda desk, config, bars: ["--paper", "--replay", str(bars), *files(desk, config)],
    "scripts/sweep.py": lambda desk, config, bars: [
        *("--target", "signal", "--data", str(bars), "--configs", "4", "--jobs", "1"),
        *files(desk, config),
    ],
    "scripts/compare_configs.py": lambda desk, config, bars: [
        *("--old-config", str(config), "--old-ml", str(desk.ml_config), "--new-config", str(config)),
        *("--new-ml", str(desk.ml_config), "--models", str(desk.models), "--data", str(bars)),
    ],
    "scripts/model_report.py": lambda desk, config, bars: ["--data", str(bars), "--no-chart", *files(desk, config)],
}
TRAINING: dict[str, Callable[[Desk, Path, Path], list[str]]] = {
    "train_ml_model.py": lambda desk, config, bars: [
        *("--ensemble", "--data", str(bars), "--config", str(config), "--ml-config", str(desk.ml_config)),
        *("--models", "new"),
    ],
    "scripts/walk_forward.py": lambda desk, config, bars: [
        *("--data", str(bars), "--config", str(config), "--ml-config", str(desk.ml_config)),
        *("--start", "2024-01-01", "--end", "2024-02-01", "--report", "walk.html"),
    ],
    "ml/tune/hyperparams.py": lambda desk, config, bars: [
        *("--trials", "1", "--data", str(bars), "--config", str(config), "--ml-config", str(desk.ml_config)),
        *("--models", str(desk.models)),
    ],
}


def run(script: str, arguments: list[str], cwd: Path) -> Answer:
    return run_script(script, *arguments, cwd=cwd)


@pytest.mark.parametrize("script", COMMANDS)
def test_models_refuse_the_configuration_of_another_market(
    desk: Desk, german: Path, tmp_path: Path, script: str
) -> None:
    answer = run(script, COMMANDS[script](desk, german / "config.json", german / "GER40.parquet"), tmp_path)
    assert answer.code == 6, answer.err
    assert "BTCUSD, but config.json: GER40" in answer.err
    assert "train or pull a set for GER40" in answer.err


@pytest.mark.parametrize("script", [*COMMANDS, *TRAINING])
def test_the_configuration_refuses_the_bars_of_another_market(
    desk: Desk, german: Path, tmp_path: Path, script: str
) -> None:
    arguments = {**COMMANDS, **TRAINING}[script](desk, desk.config, german / "GER40.parquet")
    answer = run(script, arguments, tmp_path)
    assert answer.code == 6, answer.err
    assert "GER40.parquet: GER40, but config.json: BTCUSD" in answer.err
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.rglob("*.sqlite"))


def test_the_live_bot_refuses_before_anything_is_touched(
    desk: Desk, german: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "NOVOSKY_BROKER": "bridge",
        "NOVOSKY_BRIDGE_URL": "http://127.0.0.1:9",
        "NOVOSKY_BRIDGE_TOKEN": "0123456789abcdef0123456789abcdef",
        "MT5_LOGIN": "123456",
        "MT5_SERVER": "Demo",
    }.items():
        monkeypatch.setenv(name, value)
    answer = run("trading.py", files(desk, german / "config.json"), tmp_path)
    assert answer.code == 6, answer.err
    assert "BTCUSD, but config.json: GER40" in answer.err
    monkeypatch.setenv("NOVOSKY_ACCOUNT", "real")
    answer = run("trading.py", files(desk, desk.config), tmp_path)
    assert answer.code == 5, answer.err
    assert "never trade real money" in answer.err
    assert not list(tmp_path.rglob("*.sqlite"))


def test_bars_that_do_not_say_are_taken_for_the_configured_market_and_that_is_said(
    desk: Desk, german: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answer = run(
        "backtest_config.py", COMMANDS["backtest_config.py"](desk, desk.config, german / "unsaid.parquet"), tmp_path
    )
    assert answer.code == 0, answer.err
    assert "does not say of which symbol its bars are; they are taken for BTCUSD" in caplog.text
    caplog.clear()
    marked = COMMANDS["backtest_config.py"](desk, desk.config, german / "BTCUSD.parquet")
    assert run("backtest_config.py", marked, tmp_path).code == 0
    assert "does not say" not in caplog.text


def test_a_set_says_what_it_was_trained_on(desk: Desk) -> None:
    assert read_model_market(desk.models, read_manifest(desk.models)) == ModelMarket("BTCUSD", "M15", "planted")


def test_a_pull_takes_the_newest_revision_of_its_own_market(
    publisher: Publisher, source: Deployment, trader: Deployment
) -> None:
    mine = publisher.push(source).revision
    other = replace(mine, symbol="GER40", sequence=9, tag="v20260105-p3")
    path = Path(publisher.store.place) / revision_name(other.tag)
    path.write_bytes(seal(other.text(), publisher.signer))
    before = files_of(trader)
    with pytest.raises(ModelCompatibilityError, match=r"revision v20260105-p3: GER40, but .*: BTCUSD"):
        publisher.pull(trader, other.tag)
    assert files_of(trader) == before
    assert publisher.pull(trader).revision == mine
    change_config(trader, symbol="EURUSD")
    with pytest.raises(UsageError, match="on EURUSD M15, only on BTCUSD M15, GER40 M15"):
        publisher.pull(trader)
