"""Whatever a bars file holds, reading it gives valid bars or a `DataError` that names the file, and nothing else.

Seeded mutations of sound files: bytes, cells, lines, encodings, types and zones. ``--full`` tries many more.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from novosky.data.identity import BarsIdentity, bars_identity
from novosky.data.store import load_bars
from novosky.data.synthetic import synthetic_bars
from novosky.data.text.importers import import_text
from novosky.errors import DataError
from novosky.market.bars import validate_bars
from novosky.market.server_time import ServerClock

CLOCK = ServerClock("NewYork+7")
COUNT = 24
CELLS = (
    *(
        "",
        " ",
        "nan",
        "NaN",
        "inf",
        "-inf",
        "1e400",
        "-0",
        "0",
        "-1",
        "9" * 30,
        "9" * 5000,
        "0x10",
        "1_000",
        "\x00",
        "1\x002",
    ),
    *(
        '"',
        "'",
        "é",
        "١٢",
        "\U0001f600",
        "\ud800",
        "=1+1",
        "1,5",
        "1.234.567,8",
        "1e5",
        ".",
        ",",
        "-",
        "+",
        "None",
        "True",
    ),
    *("0000-00-00", "9999-12-31 23:59", "0024.01.02", "1677-09-21", "2262-04-12", "31.02.2024", "2024-13-01", "24:00"),
    *(
        "20240102001500",
        "99999999999999",
        "1704153600",
        "1704153600.5",
        "-1",
        "2024-01-02T00:00:00+99:99",
        "12/31/2024",
    ),
    *("2024-01-02 00:00 PM", "2024-01-02 25:61:61", "00:00", "Z", "UTC", "<DATE>", "time", "open"),
)


def sound() -> pd.DataFrame:
    frame = synthetic_bars("null", COUNT, seed=2)
    frame.attrs.clear()
    return frame.assign(spread=1000.0)


def texts() -> list[bytes]:
    """Return sound files of several layouts."""
    bars = sound()
    wall = bars["time"].dt.strftime("%Y.%m.%d\t%H:%M:%S")
    mt5 = ["<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"]
    figures = bars[["open", "high", "low", "close"]].astype(str).agg("\t".join, axis=1)
    mt5 += [f"{w}\t{f}\t100\t0\t1001" for w, f in zip(wall, figures, strict=True)]
    epochs = bars["time"].astype("int64") // 10**9
    package = bars.assign(time=epochs, tick_volume=5, real_volume=0).drop(columns="volume").to_csv(index=False)
    vision = [f"{e}000,{f},5,{e}999,1,2,3,4,0" for e, f in zip(epochs, figures.str.replace("\t", ","), strict=True)]
    histdata = [f"{w:%Y%m%d %H%M%S};{f};5" for w, f in zip(bars["time"], figures.str.replace("\t", ";"), strict=True)]
    newest = bars.iloc[::-1].assign(unix=epochs, symbol="BTC/USD").rename(columns={"time": "date"}).to_csv(index=False)
    files = ["\r\n".join(mt5), bars.to_csv(index=False), package, "\n".join(vision), "\n".join(histdata), newest]
    return [text.encode() for text in files] + ["\r\n".join(mt5).encode("utf-16-le")]


def bent_text(rng: np.random.Generator, content: bytes) -> bytes:
    """Change a text file somewhere: a byte, a cell, a line, or its encoding."""
    kind = rng.integers(7)
    if kind == 0:
        at = int(rng.integers(len(content)))
        return content[:at] + bytes(rng.integers(0, 256, int(rng.integers(1, 5)), dtype=np.uint8)) + content[at + 1 :]
    if kind == 1:
        return content[: int(rng.integers(len(content)))]
    text = content.decode("utf-16-le" if content[1:2] == b"\x00" else "utf-8")
    lines = text.splitlines()
    if kind == 2:
        rng.shuffle(lines)
    elif kind == 3:
        lines.insert(int(rng.integers(len(lines))), str(rng.choice(["", ",", "\t", "a,b", '"', lines[-1], lines[0]])))
    elif kind == 4:
        return "\n".join(lines).encode(str(rng.choice(["utf-16", "utf-32", "utf-16-be", "utf-7", "cp1252"])), "replace")
    else:
        mark = next(each for each in "\t;," if each in lines[-1])
        column = int(rng.integers(lines[-1].count(mark) + 1))
        cell = CELLS[int(rng.integers(len(CELLS)))]
        rows = range(len(lines)) if kind == 5 else [int(rng.integers(len(lines)))]
        for row in rows:
            cells = lines[row].split(mark)
            if column < len(cells) and (row or kind == 6):
                cells[column] = cell
            lines[row] = mark.join(cells)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def check(read: Callable[[], pd.DataFrame], path: Path) -> bool:
    """Read; whether bars came out. Any error but a `DataError` naming the file is the test's failure."""
    try:
        bars = read()
    except DataError as error:
        assert str(path) in str(error) and "\n" not in str(error).strip()[:2000], error
        return False
    again = validate_bars(bars, source="what was read")
    pd.testing.assert_frame_equal(again, bars)
    return True


def test_bent_text_files_end_in_bars_or_a_named_error(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    rng, files, path = np.random.default_rng(11), texts(), tmp_path / "bars.csv"
    for content in files:
        path.write_bytes(content)
        assert check(lambda: import_text(path, CLOCK).bars, path)
    count = 20_000 if request.config.getoption("--full") else 600
    read = 0
    for i in range(count):
        content = bent_text(rng, files[i % len(files)])
        while rng.random() < 0.3:
            content = (
                content[: len(content) // 2]
                + bytes(rng.integers(0, 256, 2, dtype=np.uint8))
                + content[len(content) // 2 :]
            )
        path.write_bytes(content)
        clock = CLOCK if i % 3 else None
        read += check(lambda clock=clock: import_text(path, clock).bars, path)
    assert count * 0.02 < read < count * 0.9, "the mutations test one side only"


def test_bent_parquet_bytes_end_in_bars_or_a_named_error(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    rng, path = np.random.default_rng(12), tmp_path / "bars.parquet"
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(sound()), buffer, compression="zstd", write_page_checksum=True)
    content = buffer.getvalue()
    for _ in range(10_000 if request.config.getoption("--full") else 400):
        bent = bytearray(content)
        for _ in range(int(rng.integers(1, 4))):
            # The footer holds the schema and the sizes: most of what a reader trusts.
            at = int(rng.integers(len(bent) - 4000 if rng.random() < 0.7 and len(bent) > 4000 else 0, len(bent)))
            bent[at] = int(rng.integers(256))
        if rng.random() < 0.2:
            del bent[int(rng.integers(len(bent))) :]
        path.write_bytes(bytes(bent))
        check(lambda: load_bars(path), path)
        try:
            assert isinstance(bars_identity(path), BarsIdentity)
        except DataError as error:
            assert str(path) in str(error)


def times(unit: str, zone: str | None) -> pa.Array:
    scale = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    opens = (sound()["time"].astype("int64") // 10**9 * scale).to_numpy()
    return pa.array(opens, pa.timestamp(unit, zone))


def column(name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return sound()[name].to_numpy()


EXTREMES = {"s": 2**45, "ms": 2**55, "us": 2**61, "ns": 2**62}
GOOD: dict[str, tuple[str, Callable[[], Any]]] = {
    **{f"time in {unit}": ("time", lambda unit=unit: times(unit, "UTC")) for unit in ("s", "ms", "us", "ns")},
    **{
        f"time in {zone}": ("time", lambda zone=zone: times("us", zone))
        for zone in ("Europe/Athens", "+02:00", "Etc/GMT-3", "America/New_York")
    },
    "dictionary of figures": ("volume", lambda: pa.array(np.arange(COUNT) % 3 + 1.0).dictionary_encode()),
    "integers": ("volume", lambda: pa.array(np.arange(COUNT), pa.uint16())),
    "decimals": ("volume", lambda: pa.array(np.arange(COUNT)).cast(pa.decimal128(25, 2))),
    "half precision": ("volume", lambda: pa.array(np.arange(COUNT, dtype=np.float16))),
    "long integers": ("volume", lambda: pa.array([2**59] * COUNT, pa.uint64())),
    "dictionary of venues": ("source", lambda: pa.array(["a"] * 10 + ["b"] * (COUNT - 10)).dictionary_encode()),
    "missing venues": ("source", lambda: pa.array([None] * COUNT, pa.string())),
}
BAD: dict[str, tuple[str, Callable[[], Any], str]] = {
    **{
        f"times far off in {unit}": (
            "time",
            lambda unit=unit: pa.array([EXTREMES[unit]] * COUNT, pa.timestamp(unit, "UTC")),
            "row 0: time is .*, outside the years",
        )
        for unit in EXTREMES
    },
    **{
        f"times far back in {unit}": (
            "time",
            lambda unit=unit: pa.array([-EXTREMES[unit]] * COUNT, pa.timestamp(unit, "UTC")),
            "row 0: time is .*, outside the years",
        )
        for unit in EXTREMES
    },
    "no zone": ("time", lambda: times("ns", None), "no time zone"),
    "a time missing": ("time", lambda: pa.array([None, *times("ns", "UTC")[1:]]), "row 0: time is missing"),
    "days": ("time", lambda: pa.array([19_724] * COUNT, pa.date32()), "column time holds date32"),
    "epochs": ("time", lambda: pa.array(np.arange(COUNT)), "column time holds int64"),
    "time as text": ("time", lambda: pa.array(["2024-01-02"] * COUNT), "column time holds string"),
    "time of day": ("time", lambda: pa.array([0] * COUNT, pa.time64("us")), "column time holds time64"),
    "duration": ("volume", lambda: pa.array([0] * COUNT, pa.duration("us")), "volume is not numeric"),
    "lists": ("open", lambda: pa.array([[1.0]] * COUNT), "column open is not numeric, it holds list"),
    "structs": ("high", lambda: pa.array([{"a": 1}] * COUNT), "column high is not numeric, it holds struct"),
    "maps": ("low", lambda: pa.array([[("a", 1)]] * COUNT, pa.map_(pa.string(), pa.int64())), "it holds map"),
    "bytes": ("close", lambda: pa.array([b"\xff"] * COUNT), "column close is not numeric, it holds binary"),
    "text": ("volume", lambda: pa.array(["1"] * COUNT), "column volume is not numeric, it holds string"),
    "booleans": ("volume", lambda: pa.array([True] * COUNT), "it holds bool"),
    "nothing": ("volume", lambda: pa.nulls(COUNT), "column volume is not numeric, it holds null"),
    "a dictionary of text": ("volume", lambda: pa.array(["1"] * COUNT).dictionary_encode(), "it holds string"),
    "an extension": ("volume", lambda: pa.array([b"0" * 16] * COUNT, pa.uuid()), "volume is not numeric"),
    "missing figures": ("volume", lambda: pa.array([None] * COUNT, pa.float64()), "volume is NaN"),
    "a huge volume": ("volume", lambda: pa.array([2**64 - 1] * COUNT, pa.uint64()), "row 0 .*volume is above 1e.18"),
    "a huge price": ("high", lambda: pa.array([2**63 - 1] * COUNT), "row 0 .*high is outside"),
    "a tiny price": ("low", lambda: pa.array([5e-324] * COUNT), "row 0 .*low is outside"),
    "a huge spread": ("spread", lambda: pa.array([2**31] * COUNT), "row 0 .*spread is above 2,147,483,647 points"),
    "an infinite spread": ("spread", lambda: pa.array([float("inf")] * COUNT), "spread is negative, NaN or infinite"),
    "a spread without figures": ("spread", lambda: pa.array([float("nan")] * COUNT), "spread is negative, NaN or inf"),
    "a negative spread": ("spread", lambda: pa.array([-5] * COUNT), "spread is negative, NaN or infinite"),
    "endless trades": ("trades", lambda: pa.array([float("inf")] * COUNT), "trades is negative or infinite"),
    "venues that are lists": ("source", lambda: pa.array([["a"]] * COUNT), "column source holds list"),
}


def stored(folder: Path, name: str, values: Any) -> Path:
    frame = pa.Table.from_pandas(sound(), preserve_index=False)
    at = frame.schema.get_field_index(name)
    table = frame.append_column(name, values) if at < 0 else frame.set_column(at, name, values)
    pq.write_table(table, folder / "b.parquet")
    return folder / "b.parquet"


@pytest.mark.parametrize("kind", GOOD)
def test_every_way_to_store_bars_is_read(kind: str, tmp_path: Path) -> None:
    name, make = GOOD[kind]
    path = stored(tmp_path, name, make())
    assert check(lambda: load_bars(path), path)
    assert load_bars(path)["time"].tolist() == sound()["time"].tolist()


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_bar_column_is_named(kind: str, tmp_path: Path) -> None:
    name, make, message = BAD[kind]
    with pytest.raises(DataError, match=rf"b\.parquet: .*{message}|b\.parquet: {message}"):
        load_bars(stored(tmp_path, name, make()))


def test_doubled_columns_no_rows_and_no_bars_are_named(tmp_path: Path) -> None:
    table, path = pa.Table.from_pandas(sound(), preserve_index=False), tmp_path / "b.parquet"
    for bent, message in (
        (table.append_column("close", table.column("close")), "two columns mean the same, close"),
        (table.append_column("spread_points", table.column("spread")), "two columns mean the same, spread"),
        (table.slice(0, 0), "holds no bars"),
        (table.drop_columns(["close", "high"]), r"missing column\(s\) high, close"),
        (pa.table({}), r"missing column\(s\) time"),
    ):
        pq.write_table(bent, path)
        with pytest.raises(DataError, match=rf"b\.parquet: {message}"):
            load_bars(path)


def test_bars_that_pandas_stored_with_an_index_are_read(tmp_path: Path) -> None:
    bars, path = sound(), tmp_path / "b.parquet"
    bars.set_index("time").to_parquet(path)
    pd.testing.assert_frame_equal(load_bars(path), bars)
    bars.set_index(pd.Index(range(5, 5 + COUNT), name="row")).to_parquet(path)
    pd.testing.assert_frame_equal(load_bars(path), bars)
    bars.set_index("time").rename_axis(None).to_parquet(path)
    with pytest.raises(DataError, match=r"missing column\(s\) time; found .*__index_level_0__"):
        load_bars(path)


def test_capital_letters_in_the_names_of_columns_do_no_harm(tmp_path: Path) -> None:
    bars, path = sound(), tmp_path / "b.parquet"
    bars.rename(columns=str.capitalize).to_parquet(path)
    pd.testing.assert_frame_equal(load_bars(path), bars)


@pytest.mark.parametrize("zone", [None, "epochs"])
def test_bars_of_the_package_are_told_by_their_columns(zone: str | None, tmp_path: Path) -> None:
    bars, path = sound().rename(columns={"volume": "tick_volume"}), tmp_path / "b.parquet"
    naive = bars["time"].dt.tz_localize(None)
    bars.assign(time=naive if zone is None else naive.astype("int64") // 10**9).to_parquet(path)
    with pytest.raises(DataError, match=r"b\.parquet: holds bars of the MetaTrader package .*--server-clock"):
        load_bars(path)


def test_labels_that_are_no_text_do_no_harm(tmp_path: Path) -> None:
    labels = {b"novosky.source": b"\xff\xfe", b"novosky.seams": b"x 1e9 -5 17", b"novosky.timeframe": b"M15"}
    pq.write_table(pa.Table.from_pandas(sound()).replace_schema_metadata(labels), tmp_path / "b.parquet")
    assert load_bars(tmp_path / "b.parquet").attrs["seams"] == (17,)


def test_a_file_that_claims_more_rows_than_bars_can_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from novosky.data import parquet_bars

    monkeypatch.setattr(parquet_bars, "MOST_ROWS", COUNT - 1)
    with pytest.raises(DataError, match=r"claims 24 rows"):
        load_bars(stored(tmp_path, "open", pa.array(column("open"))))


@pytest.mark.parametrize("name", ["b.parquet", "b.csv", "b.txt"])
def test_folders_and_empty_files_are_named(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="is not a file"):
        load_bars(tmp_path / name)
    (tmp_path / f"empty.{name.partition('.')[2]}").write_bytes(b"")
    with pytest.raises(DataError, match=r"is empty|cannot be read as Parquet"):
        load_bars(tmp_path / f"empty.{name.partition('.')[2]}")
