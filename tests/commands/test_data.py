"""`scripts/download_data.py`: what a person types, and what comes back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from commands.data import SOURCES, download_data
from novosky.data.store import load_bars, save_bars
from novosky.data.synthetic import synthetic_bars
from novosky.errors import BrokerError, DataError, NovoskyError, SettingsError, UsageError

EXPORT = (
    "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\r\n"
    "2024.01.02\t00:00:00\t43614.21\t43656.09\t43366.39\t43466.10\t399\t0\t1001\r\n"
    "2024.01.02\t00:15:00\t43466.10\t43526.48\t43434.27\t43524.93\t226\t0\t1001\r\n"
    "2024.01.02\t01:00:00\t43524.93\t43994.99\t43524.93\t43984.99\t662\t0\t1001\r\n"
)


def call(*arguments: object) -> Result:
    return CliRunner().invoke(download_data, [str(each) for each in arguments])


def output_of(*arguments: object) -> str:
    result = call(*arguments)
    assert result.exception is None, result.exception
    return result.output


def error_of(*arguments: object) -> NovoskyError:
    error = call(*arguments).exception
    assert isinstance(error, NovoskyError), error
    return error


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "export.csv"
    path.write_bytes(EXPORT.encode())
    return path


def test_an_mt5_export_is_imported_and_summarised(tmp_path: Path, export: Path) -> None:
    store = tmp_path / "b.parquet"
    text = output_of("--source", "mt5-export", "--input", export, "--server-clock", "NewYork+7", "--output", store)
    assert "3 M15 bars from 2024-01-01 22:00 to 2024-01-01 23:00 UTC" in text
    assert "gaps: 1 with 2 bars missing; the largest misses 2 between 2024-01-01 22:15 and 2024-01-01 23:00" in text
    assert load_bars(store).attrs == {"source": "mt5-export", "symbol": "BTCUSD"}
    assert "note: symbol BTCUSD, from config.json; give --symbol if the bars are of another one" in text


def test_a_second_import_extends_the_store(tmp_path: Path) -> None:
    bars, store = synthetic_bars("null", 200, seed=1), tmp_path / "b.parquet"
    bars.iloc[:120].to_csv(tmp_path / "1.csv", index=False)
    bars.iloc[100:].to_csv(tmp_path / "2.csv", index=False)
    for name in ("1.csv", "2.csv"):
        output_of("--source", "csv", "--input", tmp_path / name, "--output", store)
    pd.testing.assert_frame_equal(load_bars(store), bars)


def test_a_contradicting_import_leaves_the_store_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    bars, store = synthetic_bars("null", 50, seed=1), tmp_path / "b.parquet"
    bars.to_csv(tmp_path / "1.csv", index=False)
    bars.assign(volume=bars["volume"] + 1).to_csv(tmp_path / "2.csv", index=False)
    output_of("--source", "csv", "--input", tmp_path / "1.csv", "--output", store)
    before = store.read_bytes()
    error = error_of("--source", "csv", "--input", tmp_path / "2.csv", "--output", store)
    assert isinstance(error, DataError) and "row 0" in str(error) and "--replace" in str(error)
    assert store.read_bytes() == before
    output_of("--source", "csv", "--input", tmp_path / "2.csv", "--output", store, "--replace")
    assert load_bars(store)["volume"].tolist() == (bars["volume"] + 1).tolist()


def test_start_and_end_cut_an_import(tmp_path: Path, export: Path) -> None:
    common = (
        "--source",
        "mt5-export",
        "--input",
        export,
        "--server-clock",
        "NewYork+7",
        "--output",
        tmp_path / "b.parquet",
    )
    output_of(*common, "--start", "2024-01-01T22:15", "--end", "2024-01-01 23:00")
    assert load_bars(tmp_path / "b.parquet")["time"].tolist() == [pd.Timestamp("2024-01-01 22:15", tz="UTC")]
    assert isinstance(error_of(*common, "--start", "2025-01-01"), DataError)


def test_the_synthetic_market_is_labelled_in_output_and_store(tmp_path: Path) -> None:
    store = tmp_path / "b.parquet"
    arguments = ("--source", "synthetic", "--kind", "null", "--bars", 100, "--output", store)
    assert "100 M15 bars" in output_of(*arguments, "--seed", 3)
    assert "(synthetic: null)" in output_of(*arguments, "--seed", 4, "--replace")
    pd.testing.assert_frame_equal(load_bars(store), synthetic_bars("null", 100, seed=4))


@pytest.mark.parametrize("other", [("--bars", 60), ("--seed", 4), ("--kind", "null"), ("--start", "2023-01-01")])
def test_synthetic_bars_are_lost_only_with_replace(tmp_path: Path, other: tuple[object, ...]) -> None:
    store = tmp_path / "b.parquet"
    arguments = ("--source", "synthetic", "--bars", 100, "--seed", 3, "--output", store)
    output_of(*arguments)
    before = store.read_bytes()
    error = error_of(*arguments, *other)
    assert isinstance(error, UsageError) and "100 other bars" in str(error) and "--replace" in str(error)
    assert store.read_bytes() == before
    output_of(*arguments, *other, "--replace")
    assert store.read_bytes() != before


def test_the_same_synthetic_bars_may_be_made_again(tmp_path: Path) -> None:
    arguments = ("--source", "synthetic", "--bars", 100, "--seed", 3, "--output", tmp_path / "b.parquet")
    assert output_of(*arguments) == output_of(*arguments)


def test_real_bars_are_not_overwritten_by_synthetic_ones(tmp_path: Path) -> None:
    store, real = tmp_path / "b.parquet", synthetic_bars("null", 50, seed=1)
    real.attrs.clear()
    save_bars(store, real)
    error = error_of("--source", "synthetic", "--bars", 10, "--output", store)
    assert isinstance(error, UsageError) and "holds real bars" in str(error)
    assert len(load_bars(store)) == 50


def test_minute_bars_have_their_own_default_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    minutes = synthetic_bars("null", 30, seed=1)
    minutes["time"] = pd.date_range("2024-01-02", periods=30, freq="1min", tz="UTC")
    save_bars(tmp_path / "minutes.parquet", minutes, seconds=60)
    text = output_of("--source", "parquet", "--input", "minutes.parquet", "--timeframe", "M1", "--symbol", "BTCUSD")
    assert "BTCUSD_M1.parquet: 30 M1 bars" in text
    assert len(load_bars(tmp_path / "data" / "BTCUSD_M1.parquet", seconds=60)) == 30


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("--source", "mt5"), BrokerError, "Windows.*bridge.*NOVOSKY_BRIDGE_URL.*mt5-export"),
        (("--source", "csv"), UsageError, "needs the file to import; give --input"),
        (("--source", "mt5-export", "--input", "x.csv"), UsageError, "--server-clock NewYork"),
        (("--source", "binance", "--input", "x.csv"), UsageError, "--input has no meaning with --source binance"),
        (("--source", "synthetic", "--symbol", "X"), UsageError, "--symbol has no meaning"),
        (("--source", "csv", "--input", "x.csv", "--repeated-hour", "later"), UsageError, "give --server-clock"),
        (("--source", "synthetic", "--output", "x.csv"), UsageError, "ends in .parquet"),
        (("--source", "binance", "--base-url", "api.binance.com"), UsageError, "begins with https"),
        (("--source", "synthetic", "--end", "2024-01-01"), UsageError, "with --bars, not --end"),
        (("--source", "synthetic", "--timeframe", "M1"), UsageError, "M15 bars"),
        (("--source", "binance", "--start", "2024-01-02", "--end", "2024-01-02"), UsageError, "is not after --start"),
        (("--source", "csv", "--input", "absent.csv"), DataError, "absent.csv: no such file"),
        (("--source", "parquet", "--input", "absent.csv"), UsageError, "use --source csv"),
        (
            ("--source", "csv", "--input", "x.csv", "--server-clock", "Mars"),
            SettingsError,
            "'Mars' is not a known rule",
        ),
        (
            ("--source", "bitstamp", "--base-url", "http://127.0.0.1:9", "--start", "2199-01-01"),
            UsageError,
            "no closed candle",
        ),
    ],
)
def test_impossible_requests_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    error: type[NovoskyError],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        raise error_of(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--source", "yahoo"),
        ("--source", "synthetic", "--bars", "0"),
        ("--source", "synthetic", "--seed", "-1"),
        ("--nope",),
    ],
)
def test_bad_arguments_exit_2(arguments: tuple[str, ...]) -> None:
    assert call(*arguments).exit_code == 2


def test_the_help_has_examples_that_the_command_understands() -> None:
    examples = [
        line.split()[2:] for line in call("--help").output.splitlines() if "python scripts/download_data.py" in line
    ]
    assert len(examples) >= 5
    for example in examples:
        with download_data.make_context("download_data", example) as context:
            assert context.params["source"] in SOURCES


def test_the_script_starts_quickly_and_exits_with_the_code_of_its_error(root: Path, tmp_path: Path) -> None:
    script = str(root / "scripts" / "download_data.py")
    probe = "import sys, commands.data; sys.exit(bool({'pandas', 'numpy', 'httpx', 'pyarrow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", probe], cwd=root, check=False).returncode == 0
    done = subprocess.run(
        [sys.executable, script, "--source", "mt5"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (BrokerError.exit_code, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


def test_every_option_of_a_source_exists() -> None:
    options = {parameter.name for parameter in download_data.params if isinstance(parameter, click.Option)}
    assert {name for names in SOURCES.values() for name in names} <= options
