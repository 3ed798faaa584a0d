"""The layouts of bars that people really have: each is read for what it is, or refused with the true reason.

Every file of a table below holds the same four bars, from 02:00 on 2 January 2024 on its own clock.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from novosky.data.store import load_bars
from novosky.data.text.importers import TextImport, import_text
from novosky.data.text.layouts import LAYOUTS
from novosky.errors import DataError
from novosky.market.server_time import ServerClock

NEW_YORK_7 = ServerClock("NewYork+7")
OPENS, HIGHS, LOWS, CLOSES, VOLUMES = (
    ("43002.0", "43002.15", "43002.3", "43002.45"),
    *(tuple([text] * 4) for text in ("43012.5", "42992.25", "43007.75")),
    ("100", "115", "130", "145"),
)
CLOCKS = ("02:00", "02:15", "02:30", "02:45")
EPOCHS = (1704160800, 1704161700, 1704162600, 1704163500)
OHLC = list(zip(OPENS, HIGHS, LOWS, CLOSES, strict=True))


def rows(stamp: str, between: str = ",", end: str = "{volume}", decimal: str = ".") -> list[str]:
    """Return the four lines; `stamp` and `end` may use clock, six, epoch, volume, ticks."""
    made = []
    for i, prices in enumerate(OHLC):
        known = {"clock": CLOCKS[i], "six": CLOCKS[i].replace(":", "") + "00", "epoch": EPOCHS[i], "volume": VOLUMES[i]}
        figures = [text.replace(".", decimal) for text in prices]
        made.append(between.join([stamp.format(**known), *figures, *([end.format(**known)] if end else [])]))
    return made


def file(folder: Path, lines: list[str], *, line_end: str = "\r\n", encoding: str = "utf-8") -> Path:
    path = folder / "bars.csv"
    path.write_bytes("".join(line + line_end for line in lines).encode(encoding))
    return path


def mt5(
    delimiter: str = "\t", volumes: str = "<TICKVOL> <VOL> <SPREAD>", date: str = "2024.01.02", **row: str
) -> list[str]:
    titles = f"<DATE> <TIME> <OPEN> <HIGH> <LOW> <CLOSE> {volumes}".split()
    figures = {"<TICKVOL>": "{volume}", "<TICK_VOLUME>": "{volume}", "<VOL>": "0", "<SPREAD>": "1001"}
    if "TICK" not in volumes:
        figures["<VOL>"] = "{volume}"
    end = delimiter.join(figures[title] for title in volumes.split())
    return [delimiter.join(titles), *rows(f"{date}{delimiter}{{clock}}:00", delimiter, end, **row)]


SERVER = {  # What needs --server-clock: the terminal's and others that do not say their zone.
    "MT5, tabs": (mt5(), "mt5-export"),
    "MT5, comma": (mt5(","), "mt5-export"),
    "MT5, semicolon": (mt5(";"), "mt5-export"),
    "MT5, decimal comma": (mt5(decimal=","), "mt5-export"),
    "MT5, semicolon and decimal comma": (mt5(";", decimal=","), "mt5-export"),
    "MT5, <TICK_VOLUME>": (mt5(volumes="<TICK_VOLUME> <VOL> <SPREAD>"), "mt5-export"),
    "MT5, <VOL> only": (mt5(volumes="<VOL>"), "mt5-export"),
    "MT5, dd.mm.yyyy": (mt5(date="02.01.2024"), "mt5-export"),
    "MT5, yyyy-mm-dd": (mt5(date="2024-01-02"), "mt5-export"),
    "MT5, lines end in a tab": ([line + "\t" for line in mt5()], "mt5-export"),
    "MT4, no header": (rows("2024.01.02,{clock}"), "mt4"),
    "MT4, header": (["Date,Time,Open,High,Low,Close,Volume", *rows("2024.01.02,{clock}")], "mt4"),
    "MT4, header in small letters": (["date;time;open;high;low;close;vol", *rows("2024.01.02;{clock}", ";")], "mt4"),
    "Tickstory": (["Date,Timestamp,Open,High,Low,Close,Volume", *rows("20240102,{clock}:00")], "mt4"),
    "package, epochs": (
        ["time,open,high,low,close,tick_volume,spread,real_volume", *rows("{epoch}", end="{volume},900,0")],
        "mt5-package",
    ),
    "package, with the index of to_csv": (
        [",time,open,high,low,close,tick_volume,spread,real_volume", *rows("0,{epoch}", end="{volume},900,0")],
        "mt5-package",
    ),
    "package, times made of epochs": (
        ["time,open,high,low,close,tick_volume,spread", *rows("2024-01-02 {clock}:00", end="{volume},900")],
        "mt5-package",
    ),
    "package, volume renamed": (
        ["time,open,high,low,close,volume,spread", *rows("{epoch}", end="{volume},900")],
        "mt5-package",
    ),
    **{
        f"package, volume and {title} renamed": (
            [f"{title},open,high,low,close,volume,spread", *rows("{epoch}", end="{volume},900")],
            "mt5-package",
        )
        for title in ("Date", "datetime", "timestamp", "Open time")
    },
    "HistData": (rows("20240102 {six}", ";"), "histdata"),
    "Finam": (
        ["<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>", *rows("BTCUSD,15,20240102,{six}")],
        "finam",
    ),
    "a zone of three letters in the title": (
        ["Time (EET),Open,High,Low,Close,Volume", *rows("2024-01-02 {clock}")],
        "csv",
    ),
    "Kaggle": (["Open time,Open,High,Low,Close,Volume", *rows("2024-01-02 {clock}:00")], "csv"),
    "am and pm": (["time,open,high,low,close,volume", *rows("2024-01-02 {clock} AM")], "csv"),
    "month named": (["time,open,high,low,close,volume", *rows("2 Jan 2024 {clock}")], "csv"),
    "compact": (["time,open,high,low,close,volume", *rows("20240102{six}")], "csv"),
    "no header, stamp in one column": (rows("2024-01-02 {clock}"), "bare-csv"),
}
UTC = {  # What says its zone itself, or is documented to be in UTC.
    "Binance": (rows("{epoch}000", end="{volume},1704161699999,1,2,3,4,0"), "binance-vision"),
    "Binance, microseconds": (rows("{epoch}000000", end="{volume},1704161699999,1,2,3,4,0"), "binance-vision"),
    "Kraken": (rows("{epoch}", end="{volume},7"), "kraken"),
    "Dukascopy": (["Gmt time,Open,High,Low,Close,Volume", *rows("02.01.2024 {clock}:00.000")], "dukascopy"),
    "Dukascopy, local time": (
        ["Local time,Open,High,Low,Close,Volume", *rows("02.01.2024 {clock}:00.000 GMT+0000")],
        "dukascopy",
    ),
    "CryptoDataDownload, newest first": (
        [
            "https://www.CryptoDataDownload.com",
            "unix,date,symbol,open,high,low,close,Volume BTC,Volume USD",
            *reversed(rows("{epoch},2024-01-02 {clock}:00,BTC/USD", end="{volume},1")),
        ],
        "cryptodatadownload",
    ),
    "Bitstamp, newest first": (
        ["unix,date,symbol,open,high,low,close,volume", *reversed(rows("{epoch},2024-01-02 {clock}:00,BTC/USD"))],
        "cryptodatadownload",
    ),
    "TradingView": (["time,open,high,low,close,Volume", *rows("2024-01-02T{clock}:00Z")], "csv"),
    "epochs": (["time,open,high,low,close,volume", *rows("{epoch}")], "csv"),
    "epochs as floats": (["time,open,high,low,close,volume", *rows("{epoch}.0")], "csv"),
    "single letters": (["t,o,h,l,c,v", *rows("{epoch}000")], "csv"),
    "volume beside the money's": (
        ["Timestamp,Open,High,Low,Close,Volume_(BTC),Volume_(Currency)", *rows("{epoch}", end="{volume},9")],
        "csv",
    ),
    "UTC in the title": (["Time (UTC),Open,High,Low,Close,Volume", *rows("2024-01-02 {clock}")], "csv"),
    "UTC after the stamp": (["time,open,high,low,close,volume", *rows("2024-01-02 {clock}:00 UTC")], "csv"),
    "semicolons, decimal commas": (
        ["time;open;high;low;close;volume", *rows("2024-01-02T{clock}Z", ";", decimal=",")],
        "csv",
    ),
    "comment before the table": (["# made up", "", "time,open,high,low,close,volume", *rows("{epoch}")], "csv"),
    "sep= before the table": (["sep=;", "time;open;high;low;close;volume", *rows("{epoch}", ";")], "csv"),
}


PLAIN_EPOCHS = (
    *("epochs", "epochs as floats", "comment before the table", "sep= before the table", "single letters"),
    "volume beside the money's",
)
"""Read as UTC, but as a server's clock where somebody says so."""


def check(found: TextImport, first: str, layout: str) -> None:
    assert found.layout == layout
    assert found.bars["time"].tolist() == list(pd.date_range(first, periods=4, freq="15min", tz="UTC"))
    for name, texts in zip(
        ("open", "high", "low", "close", "volume"), (OPENS, HIGHS, LOWS, CLOSES, VOLUMES), strict=True
    ):
        assert found.bars[name].tolist() == [float(text) for text in texts], name


@pytest.mark.parametrize("kind", SERVER)
def test_what_names_no_zone_is_read_on_the_clock_that_is_given(kind: str, tmp_path: Path) -> None:
    lines, layout = SERVER[kind]
    check(import_text(file(tmp_path, lines), NEW_YORK_7), "2024-01-02 00:00", layout)
    check(import_text(file(tmp_path, lines), ServerClock("UTC")), "2024-01-02 02:00", layout)


@pytest.mark.parametrize("kind", SERVER)
def test_what_names_no_zone_is_refused_without_a_clock_wherever_bars_are_read(kind: str, tmp_path: Path) -> None:
    path = file(tmp_path, SERVER[kind][0])
    for read in (import_text, load_bars):
        with pytest.raises(DataError, match=r"bars\.csv: line [12]: '.*does not say its time zone: .*--server-clock"):
            read(path)


@pytest.mark.parametrize("kind", UTC)
def test_what_says_its_zone_needs_no_clock_and_takes_none(kind: str, tmp_path: Path) -> None:
    lines, layout = UTC[kind]
    check(import_text(file(tmp_path, lines)), "2024-01-02 02:00", layout)
    if kind not in PLAIN_EPOCHS:
        found = import_text(file(tmp_path, lines), NEW_YORK_7)
        check(found, "2024-01-02 02:00", layout)
        assert any("--server-clock was not used" in note for note in found.notes)


def test_plain_epochs_are_a_servers_clock_where_somebody_says_so(tmp_path: Path) -> None:
    check(import_text(file(tmp_path, UTC["epochs"][0]), NEW_YORK_7), "2024-01-02 00:00", "csv")


def test_a_terminals_clock_dressed_as_utc_is_read_as_its_owner_says(tmp_path: Path) -> None:
    lines = ["time,open,high,low,close,tick_volume", *rows("2024-01-02 {clock}:00+00:00")]
    taken = import_text(file(tmp_path, lines))
    check(taken, "2024-01-02 02:00", "mt5-package")
    assert "--server-clock NewYork+7" in taken.notes[-1], "nobody is left to believe a dressed clock in silence"
    found = import_text(file(tmp_path, lines), NEW_YORK_7)
    check(found, "2024-01-02 00:00", "mt5-package")
    assert "dressed" in found.notes[-1]


@pytest.mark.parametrize("offset", ["+02:00", "+0200", " GMT+0200", " UTC+2", "+02"])
def test_an_offset_is_taken_off(offset: str, tmp_path: Path) -> None:
    lines = ["time,open,high,low,close,volume", *rows(f"2024-01-02 {{clock}}:00{offset}")]
    check(import_text(file(tmp_path, lines)), "2024-01-02 00:00", "csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_every_encoding_and_line_end_is_understood(encoding: str, line_end: str, tmp_path: Path) -> None:
    path = file(tmp_path, mt5(), line_end=line_end, encoding=encoding)
    check(import_text(path, NEW_YORK_7), "2024-01-02 00:00", "mt5-export")


@pytest.mark.parametrize(
    ("prices", "delimiter"),
    [
        (('"43,002.00"', '"43,012.50"', '"42,992.25"', '"43,007.75"'), ","),
        (("43.002,00", "43.012,50", "42.992,25", "43.007,75"), ";"),
        (("43 002,00", "43 012,50", "42 992,25", "43 007,75"), ";"),
        (("43\u00a0002,00", "43\u00a0012,5", "42\u00a0992,25", "43\u00a0007,75"), "\t"),
        (('"43002,00"', '"43012,50"', '"42992,25"', '"43007,75"'), ","),
        (("43'002.00", "43'012.50", "42'992.25", "43'007.75"), ","),
    ],
)
def test_figures_are_read_in_the_notation_that_fits_all_of_them(
    prices: tuple[str, ...], delimiter: str, tmp_path: Path
) -> None:
    lines = [delimiter.join(["time", "open", "high", "low", "close", "volume"])]
    lines += [delimiter.join([str(epoch), *prices, "1523"]) for epoch in EPOCHS]
    bars = import_text(file(tmp_path, lines)).bars
    assert bars.iloc[0, 1:].tolist() == [43002.0, 43012.5, 42992.25, 43007.75, 1523.0]


@pytest.mark.parametrize(("volume", "opens"), [("7", None), ("1523", 145.123)])
def test_a_comma_that_could_be_either_mark_is_not_guessed(volume: str, opens: float | None, tmp_path: Path) -> None:
    lines = ["time;open;high;low;close;volume"]
    lines += [f"{epoch};145,123;145,456;145,001;145,200;{volume}" for epoch in EPOCHS]
    if opens is None:
        with pytest.raises(DataError, match=r"line 2: '145,123' may have a decimal comma or a thousands comma"):
            import_text(file(tmp_path, lines))
    else:
        # 1523 without a mark says that this file does not group thousands.
        assert import_text(file(tmp_path, lines)).bars["open"].tolist() == [opens] * 4


def test_a_file_without_volume_is_read_and_said(tmp_path: Path) -> None:
    lines = ["time,open,high,low,close", *rows("2024-01-02T{clock}:00Z", end="")]
    found = import_text(file(tmp_path, lines))
    assert found.bars["volume"].tolist() == [0.0] * 4 and found.bars.attrs["volume"] == "none"
    assert found.notes == ("it has no volume: volume is 0 in every bar, and features of volume say nothing",)


def test_counts_of_trades_are_kept_where_a_venue_publishes_them(tmp_path: Path) -> None:
    bars = import_text(file(tmp_path, UTC["Binance"][0])).bars
    assert bars["trades"].tolist() == [2.0] * 4 and bars["taker_buy_volume"].tolist() == [3.0] * 4


def test_the_volume_of_the_instrument_is_taken_not_the_moneys(tmp_path: Path) -> None:
    lines = ["unix,date,symbol,open,high,low,close,Volume USDT,Volume BTC"]
    lines += rows("{epoch},2024-01-02 {clock}:00,BTC/USDT", end="9,{volume}")
    found = import_text(file(tmp_path, lines))
    assert found.bars["volume"].tolist() == [100.0, 115.0, 130.0, 145.0] and found.symbol == "BTC/USDT"


@pytest.mark.parametrize(("first", "layout"), [("02/13/2024", "month first"), ("13/02/2024", "day first")])
def test_day_and_month_are_told_by_a_day_above_twelve(first: str, layout: str, tmp_path: Path) -> None:
    lines = ["date,time,open,high,low,close,volume", *rows(f"{first},{{clock}}")]
    found = import_text(file(tmp_path, lines), ServerClock("UTC"))
    assert found.bars["time"].iloc[0] == pd.Timestamp("2024-02-13 02:00", tz="UTC"), layout


def lines_of(stamp: str, **more: str) -> list[str]:
    return ["time,open,high,low,close,volume", *rows(stamp, **more)]


REFUSED: dict[str, tuple[list[str], str]] = {
    "day and month alike": (lines_of("02/01/2024 {clock}"), "line 2: .*day and month cannot be told apart"),
    "named zone": (lines_of("2024-01-02 {clock} EST"), "line 2: .*names the zone 'EST'"),
    "two-digit year": (lines_of("02.01.24 {clock}"), "line 2: .*year of two digits"),
    "Excel's day numbers": (lines_of("45293.08"), "line 2: '45293.08' is no epoch time"),
    "rounded by a spreadsheet": (lines_of("1.70416E+09"), "line 2: '1.70416E.09' is no epoch time"),
    "no such day": (lines_of("2023-02-29 {clock}"), "line 2: '2023-02-29 02:00' is not a time"),
    "hour 13 pm": (lines_of("2024-01-02 13:00 PM"), "line 2: .*is not a time"),
    "an offset of a day": (lines_of("2024-01-02 {clock}:00+25:00"), "line 2: .*zone that does not exist"),
    "zones on some lines": (
        [*lines_of("2024-01-02 {clock}:00Z")[:3], *rows("2024-01-02 {clock}:00")[2:]],
        "line 4: .*no zone, but other lines have one",
    ),
    "units mixed": ([*lines_of("{epoch}")[:3], *rows("{epoch}000")[2:]], "line 4: .*another unit"),
    "notations mixed": ([*lines_of("{epoch}")[:3], *rows("2024-01-02 {clock}")[2:]], "line 4: .*is not a time"),
    "two symbols": (
        [
            "unix,date,symbol,open,high,low,close,volume",
            *rows("{epoch},2024-01-02 {clock}:00,BTC/USD")[:2],
            *rows("{epoch},2024-01-02 {clock}:00,ETH/USD")[2:],
        ],
        "line 4: holds bars of 'ETH/USD' beside bars of 'BTC/USD'",
    ),
    "two volumes of two kinds": (
        ["time,open,high,low,close,Volume BTC,Volume ETH", *rows("{epoch}", end="{volume},1")],
        "several volumes .*no column that names the symbol",
    ),
    "doubled volume": (
        mt5(volumes="<TICKVOL> <VOL> <VOL>"),
        r"two columns mean the same, real_volume \(<VOL>, <VOL>\)",
    ),
    "doubled time": (["time,time,open,high,low,close,volume", *rows("{epoch},{epoch}")], "mean the same, the time"),
    "two notations": (
        ["time;open;high;low;close;volume", *rows("{epoch}", ";", end="1.000,5")],
        "line 2: volume is '1.000,5', not a number; no one notation fits all",
    ),
    "other columns than expected": (
        [*rows("1704160800", end="1", between=",")[:1], "1704161700,1,4,2,3,1"],
        "read as stamp, open",
    ),
    "a web page": (["<!DOCTYPE html><html>a,b,c,d,e"], "is a web page, not a table"),
    "JSON": (['[[1704153600000,"2","4","1","3","10"]]'], "is JSON, not a table"),
    "commas not quoted": (["time,open,high,low,close,volume", *rows("{epoch}", decimal=",")], "line 2 has 10 fields"),
    "newest first, but not throughout": (
        [*lines_of("{epoch}")[:1], *(rows("{epoch}")[i] for i in (3, 1, 2, 0))],
        "time runs backwards",
    ),
    "a terminal's bars newest first": ([mt5()[0], *reversed(mt5()[1:])], "time runs backwards"),
    "half a second off": (lines_of("{epoch}.5"), "not on the 15-minute grid"),
    "a nanosecond off": (lines_of("2024-01-02T{clock}:00.000000001Z"), "not on the 15-minute grid"),
    "spread without end": (
        ["time,open,high,low,close,tick_volume,spread", *rows("{epoch}", end="{volume},inf")],
        "spread is negative, NaN or infinite",
    ),
    "figures of a thousand digits": (lines_of("{epoch}", end="9" * 1000), "volume is NaN or infinite"),
    "prose": (["dear diary", "today"], "line 1: 'dear diary' is not the beginning of a table"),
    "a quote that never ends": (
        ["time,open,high,low,close,volume", '1704160800,"2,4,1,3,10', "1,2"],
        "quoted field|fields",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_says_the_true_reason(kind: str, tmp_path: Path) -> None:
    lines, message = REFUSED[kind]
    with pytest.raises(DataError, match=rf"bars\.csv: .*{message}|bars\.csv: {message}"):
        import_text(file(tmp_path, lines), NEW_YORK_7)


OUTSIDE = {
    **{
        year: f"{year}-01-02 00:30:00"
        for year in ("0000", "0024", "1677", "1969", "2100", "2262", "2611", "2924", "9999")
    },
    **{f"dots {year}": f"{year}.01.02 00:30" for year in ("0024", "2924", "9999")},
    **{f"day first {year}": f"02.01.{year} 00:30" for year in ("0024", "2924")},
    "with a zone": "2924-01-02T00:30:00Z",
    "compact": "29240102003000",
    "compact day": "99990102",
    "compact minute": "001001020030",
    "seconds": "30105347400",
    "milliseconds": "30105347400000",
    "microseconds": "30105347400000000",
    "nanoseconds": "9223372036854775807",
    "seconds of 1970": "1800",
    "negative": "-62135596800",
}


@pytest.mark.parametrize("kind", OUTSIDE)
@pytest.mark.parametrize("row", [0, 2])
def test_a_stamp_outside_the_years_of_bars_is_named_with_file_line_and_stamp(
    kind: str, row: int, tmp_path: Path
) -> None:
    stamps = [OUTSIDE[kind]] * 3
    if row == 2:
        before = {"compact": "20240102{}00", "compact minute": "20240102{}", "compact day": "20240102"}
        epoch = {"seconds": "", "milliseconds": "000", "microseconds": "000000", "nanoseconds": "000000000"}
        for i, clock in enumerate(("0000", "0015")):
            text = f"2024-01-02 {clock[:2]}:{clock[2:]}:00"
            if kind in before:
                text = before[kind].format(clock)
            elif OUTSIDE[kind].lstrip("-").isdigit():
                text = f"{1704153600 + 900 * i}{epoch.get(kind, '')}"
            elif "." in OUTSIDE[kind]:
                text = f"{'02.01.2024' if kind.startswith('day') else '2024.01.02'} {clock[:2]}:{clock[2:]}"
            stamps[i] = text + ("Z" if OUTSIDE[kind].endswith("Z") else "")
    lines = ["time,open,high,low,close,volume", *(f"{stamp},2,4,1,3,10" for stamp in stamps)]
    for clock in (None, NEW_YORK_7):
        with pytest.raises(DataError, match=rf"bars\.csv: line {row + 2}: '{OUTSIDE[kind]}' "):
            import_text(file(tmp_path, lines), clock)


@pytest.mark.parametrize("stamps", [("20240102000000", "20240102001500"), ("202401020000", "202401020015")])
def test_compact_stamps_are_read_as_what_they_are(stamps: tuple[str, str], tmp_path: Path) -> None:
    lines = ["time,open,high,low,close,volume", *(f"{stamp},2,4,1,3,10" for stamp in stamps)]
    bars = import_text(file(tmp_path, lines), ServerClock("UTC")).bars
    assert bars["time"].tolist() == [pd.Timestamp(t, tz="UTC") for t in ("2024-01-02 00:00", "2024-01-02 00:15")]


def test_compact_days_are_days(tmp_path: Path) -> None:
    lines = ["date,open,high,low,close,volume", "20240102,2,4,1,3,10", "20240103,2,4,1,3,10", "20240104,2,4,1,3,1"]
    bars = import_text(file(tmp_path, lines), ServerClock("UTC"), seconds=86_400).bars
    assert bars["time"].iloc[0] == pd.Timestamp("2024-01-02", tz="UTC")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8b\x08\x00rest", "compressed with gzip; unpack it"),
        (b"PK\x03\x04rest", "zip archive or a spreadsheet"),
        (b"PAR1rest", "is a Parquet file"),
        (b"", "is empty"),
        (b"\xff\xfe", "is empty"),
        (b"\xff\xfe\x00", "not text"),
        (b"\x00" * 500, "not the beginning of a table|is empty|not text"),
    ],
)
def test_a_file_that_is_no_table_is_named_for_what_it_is(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "bars.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        import_text(tmp_path / "bars.csv")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a file"):
        import_text(tmp_path)


def test_every_layout_has_a_file_here() -> None:
    assert {layout for _, layout in (*SERVER.values(), *UTC.values())} == {layout.name for layout in LAYOUTS}


def shared_cases(folder: str) -> list[Path]:
    at = Path(__file__).resolve().parents[3].parent / "shared" / "cases" / folder
    return sorted(at.glob("*.csv"))


@pytest.mark.parametrize("path", shared_cases("10-stamps-out-of-range"), ids=lambda path: path.stem)
def test_the_reported_stamps_are_refused_by_file_line_and_stamp(path: Path) -> None:
    with pytest.raises(DataError, match=rf"{path.name}: line [24]: '\d{{4}}"):
        import_text(path)


def test_the_reported_dump_of_the_package_equals_the_terminals_export() -> None:
    files = {path.stem: path for path in shared_cases("11-mt5-package-csv")}
    if not files:
        pytest.skip("the reported files are not here")
    for path in files.values():
        with pytest.raises(DataError, match="does not say its time zone"):
            load_bars(path)
    bars = {name: import_text(path, NEW_YORK_7).bars for name, path in files.items()}
    pd.testing.assert_frame_equal(bars["copy_rates"], bars["terminal_export"], check_like=True)


@pytest.mark.parametrize("path", shared_cases("12-header-variants"), ids=lambda path: path.stem)
def test_the_reported_files_are_read(path: Path) -> None:
    found = import_text(path, NEW_YORK_7)
    assert len(found.bars) == 12
    # The files were made for one wall clock; those that say UTC keep it.
    first = "02:00" if any("not used" in note for note in found.notes) else "00:00"
    assert found.bars["time"].iloc[0] == pd.Timestamp(f"2024-01-02 {first}", tz="UTC")
    assert np.allclose(found.bars.iloc[0, 1:5].astype(float), [43002.0, 43012.5, 42992.25, 43007.75])
