"""The layouts of bars in text files: one entry each, told apart by their header or by the shape of their lines.

To read another layout, add an entry to `LAYOUTS` and a test file in
`tests/novosky/data/test_layouts.py`; nothing else needs to know of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from novosky.data.text.table import TextTable
from novosky.errors import DataError
from novosky.market.bars import PRICE_COLUMNS

Clock = Literal["server", "stated", "utc"]

ROLES: Mapping[str, tuple[str, ...]] = {
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c", "last"),
    "volume": ("volume", "v"),
    "tick_volume": ("tick_volume", "tickvol", "tickvolume"),
    "real_volume": ("real_volume", "realvolume"),
    "spread": ("spread", "spread_points"),
    "trades": ("trades", "tradecount", "trade_count", "number_of_trades", "count"),
    "taker_buy_volume": ("taker_buy_volume", "taker_buy_base_asset_volume", "taker_base_vol"),
    "symbol": ("symbol", "ticker", "pair"),
}
"""What a column is: the plain names (see `plain_name`) under which programs write it."""

EPOCH_NAMES = ("unix", "unix_timestamp", "unix_time", "epoch")
"""Titles that say of themselves that the column counts from 1970 in UTC."""

STAMP_NAMES = (
    *(*EPOCH_NAMES, "time", "timestamp", "datetime", "date_time", "open_time", "gmt_time"),
    *("local_time", "date", "t", "ts"),
)
_TERMINAL_STAMPS = frozenset(STAMP_NAMES) - {*EPOCH_NAMES, "gmt_time"}
DATE_NAMES, CLOCK_NAMES = ("date", "day"), ("time", "timestamp", "clock")
_MONEY = frozenset(("usd", "usdt", "usdc", "busd", "fdusd", "eur", "gbp", "jpy", "chf", "currency", "quote"))
"""What a second volume column is counted in: the money that changed hands, not the instrument."""

_ZONE_WORDS = re.compile(r"(?:^|_)(?:utc|gmt)(?:_|$)")


@dataclass(frozen=True)
class Layout:
    """How one program writes bars.

    Attributes
    ----------
    name : str
        Stored with the bars as their source.
    says : str
        The kind of file, for messages.
    matches : callable
        Whether a table is of this layout.
    clock : {"server", "stated", "utc"}
        ``server``: stamps, epochs included, are a terminal's wall clock and need `--server-clock`.
        ``stated``: UTC where the stamps or their column's name say a zone, or where they are
        epochs; otherwise somebody has to say it. ``utc``: UTC by the venue's documentation.
    hint : str
        The clock this program usually writes, for the message that asks for it.
    names : mapping
        Further names of columns, by role.
    positions : tuple of str
        Roles by position, for files without a header; "" is passed over.
    newest_first : bool
        Whether lines may stand newest first.
    """

    name: str
    says: str
    matches: Callable[[TextTable], bool]
    clock: Clock = "stated"
    hint: str = "UTC"
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    positions: tuple[str, ...] = ()
    newest_first: bool = False


@dataclass(frozen=True)
class Columns:
    """Where a table's columns are.

    Attributes
    ----------
    stamp : tuple of int
        The stamp's column, or those of date and time of day.
    roles : dict
        Position of every other column that is read, by role.
    """

    stamp: tuple[int, ...]
    roles: dict[str, int]


def plain_name(title: str) -> str:
    """Return a column's title in small letters, without brackets, blanks as underscores."""
    return re.sub(r"[^a-z0-9+]+", "_", title.lower()).strip("_")


def _plain(table: TextTable) -> list[str]:
    return [plain_name(title) for title in table.header]


def _has(*wanted: str) -> Callable[[TextTable], bool]:
    return lambda table: bool(table.header) and set(wanted) <= set(_plain(table))


def _angled(*wanted: str) -> Callable[[TextTable], bool]:
    return lambda table: set(wanted) <= {title.upper() for title in table.header}


def _bare(width: int, *shapes: str) -> Callable[[TextTable], bool]:
    """Match files without a header by their width and the shapes of their first fields."""
    return lambda table: (
        not table.header
        and table.width == width
        and all(
            re.fullmatch(shape, text.strip()) is not None for shape, text in zip(shapes, table.rows[0], strict=False)
        )
    )


def _package(table: TextTable) -> bool:
    """Match what the MetaTrader package hands out: its volumes, or epochs beside a spread in points."""
    names = set(_plain(table))
    if names & {*ROLES["tick_volume"], *ROLES["real_volume"]}:
        return True
    if not names & {*ROLES["spread"]}:
        return False
    # Whatever the script called the time; a column named for the epoch says itself that it is UTC.
    return any(name in _TERMINAL_STAMPS and _epoch_at(table, at) for at, name in enumerate(_plain(table)))


def _epoch_at(table: TextTable, at: int) -> bool:
    return re.fullmatch(_EPOCH, table.rows[0][at].strip()) is not None


_DATE, _TIME, _EPOCH = r"\d[\d./-]{7,9}", r"\d{1,2}:\d\d(:\d\d)?(\.\d+)?|\d{4}|\d{6}", r"\d{9,19}"
_OHLCV = (*PRICE_COLUMNS, "volume")
_NEW_YORK = "NewYork+7"

LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "finam",
        "a Finam or MetaStock export",
        _angled("<TICKER>", "<DATE>"),
        hint="Europe/Moscow",
        names={"volume": ("vol",)},
    ),
    Layout(
        "mt5-export",
        "a MetaTrader 5 export",
        _angled("<DATE>"),
        clock="server",
        hint=_NEW_YORK,
        names={"real_volume": ("vol",)},
    ),
    Layout(
        "mt5-package",
        "bars of the MetaTrader package (columns tick_volume, real_volume, spread), whose times are the broker's clock",
        _package,
        clock="server",
        hint=_NEW_YORK,
    ),
    Layout(
        "binance-vision",
        "a kline file of Binance",
        _bare(12, _EPOCH),
        clock="utc",
        positions=("stamp", *_OHLCV, "", "", "trades", "taker_buy_volume", "", ""),
    ),
    Layout(
        "kraken",
        "an OHLCVT file of Kraken",
        _bare(7, _EPOCH),
        clock="utc",
        positions=("stamp", *_OHLCV, "trades"),
    ),
    Layout(
        "mt4",
        "a MetaTrader 4 export, which has no header line",
        _bare(7, _DATE, _TIME),
        clock="server",
        hint=_NEW_YORK,
        positions=("date", "clock", *_OHLCV),
    ),
    Layout(
        "histdata",
        "a HistData file, which has no header line",
        _bare(6, r"\d{8} \d{6}"),
        hint="Etc/GMT+5 (HistData writes Eastern time without daylight saving)",
        positions=("stamp", *_OHLCV),
    ),
    Layout(
        "bare-csv",
        "a file with no header line",
        lambda table: _bare(6, r".*\d.*")(table) or _bare(5, r".*\d.*")(table),
        hint="UTC",
        positions=("stamp", *_OHLCV),
    ),
    Layout("dukascopy", "a Dukascopy export", lambda table: bool({"gmt_time", "local_time"} & set(_plain(table)))),
    Layout("cryptodatadownload", "a CryptoDataDownload file", _has("unix", "date", "symbol"), newest_first=True),
    Layout(
        "mt4",
        "a table with its date and its time in two columns, as MetaTrader writes it",
        lambda table: bool(table.header) and _two_stamp_columns(table) is not None,
        hint=_NEW_YORK,
        names={"volume": ("vol",)},
    ),
    Layout(
        "csv",
        "a table whose stamps name no zone",
        lambda table: bool(table.header),
        names={"volume": ("vol",), "taker_buy_volume": ("taker_buy_base_volume",)},
        newest_first=True,
    ),
)
"""Tried in this order; the first that matches is the file's."""


def layout_of(table: TextTable) -> Layout:
    """Return the layout of a table.

    Raises
    ------
    DataError
        For a file without a header that no layout knows.
    """
    for layout in LAYOUTS:
        if layout.matches(table):
            return layout
    raise DataError(
        f"{table.path}: has no header line and {table.width} columns, beginning with {table.rows[0][0][:40]!r}, which "
        "no known program writes; MetaTrader 4 writes 7 (date,time,open,high,low,close,volume), Binance 12; "
        "put a line with the names of the columns before it"
    )


def columns_of(table: TextTable, layout: Layout) -> Columns:
    """Find the columns of a table.

    Raises
    ------
    DataError
        When a column is missing or two mean the same; names them.
    """
    if layout.positions:
        at = {role: i for i, role in enumerate(layout.positions[: table.width]) if role}
        stamp = tuple(at.pop(role) for role in ("stamp", "date", "clock") if role in at)
        return Columns(stamp, at)
    found = {role: _positions(table, layout, role) for role in ROLES}
    if not found["volume"] and not found["tick_volume"] and not found["real_volume"]:
        found["volume"] = _volume_of_base(table)
    stamp = _stamp_columns(table)
    missing = [role for role in PRICE_COLUMNS if not found[role]]
    if missing:
        angled = table.header[0].startswith("<")
        titles = [f"<{role.upper()}>" if angled else role for role in missing]
        raise DataError(f"{table.path}: missing column(s) {', '.join(titles)}; found {', '.join(table.header)}")
    for role, places in found.items():
        if len(places) > 1:
            same = ", ".join(table.header[i] for i in places)
            raise DataError(f"{table.path}: two columns mean the same, {role} ({same}); delete one of them")
    return Columns(stamp, {role: places[0] for role, places in found.items() if places})


def _positions(table: TextTable, layout: Layout, role: str) -> list[int]:
    names = (*ROLES[role], *layout.names.get(role, ()))
    return [i for i, name in enumerate(_plain(table)) if name in names]


def _volume_of_base(table: TextTable) -> list[int]:
    """Find the volume in units of the instrument where columns are named ``Volume BTC``, ``Volume USD``."""
    named = {name.removeprefix("volume_"): i for i, name in enumerate(_plain(table)) if name.startswith("volume_")}
    at = next((i for i, name in enumerate(_plain(table)) if name in ROLES["symbol"]), None)
    if at is not None:
        symbol = plain_name(table.rows[0][at]).replace("_", "")
        return [i for unit, i in named.items() if symbol.startswith(unit)]
    named = {unit: i for unit, i in named.items() if unit not in _MONEY} or named
    if len(named) > 1:
        raise DataError(
            f"{table.path}: several volumes ({', '.join(table.header[i] for i in named.values())}) and no column that "
            "names the symbol; keep the one that counts the instrument, named volume"
        )
    return list(named.values())


def _stamp_name(title: str) -> str:
    """Return the plain name of a column of stamps without the zone that its title may give."""
    name = plain_name(re.sub(r"\([^)]*\)", " ", title))
    return (_ZONE_WORDS.sub("_", name).strip("_") or "time") if name else ""


def _stamp_columns(table: TextTable) -> tuple[int, ...]:
    two = _two_stamp_columns(table)
    if two is not None:
        return two
    for wanted in STAMP_NAMES:
        places = [i for i, title in enumerate(table.header) if wanted in (plain_name(title), _stamp_name(title))]
        if len(places) > 1:
            same = ", ".join(table.header[i] for i in places)
            raise DataError(f"{table.path}: two columns mean the same, the time ({same}); delete one of them")
        if places:
            return (places[0],)
    raise DataError(f"{table.path}: no time column ({', '.join(STAMP_NAMES)}); found {', '.join(table.header)}")


def _two_stamp_columns(table: TextTable) -> tuple[int, int] | None:
    """Return where date and time of day stand, for tables that keep them apart."""
    names = [_stamp_name(title) for title in table.header]
    dates = [i for i, name in enumerate(names) if name in DATE_NAMES]
    clocks = [i for i, name in enumerate(names) if name in CLOCK_NAMES]
    if len(dates) != 1 or len(clocks) != 1:
        return None
    date, clock = table.rows[0][dates[0]].strip(), table.rows[0][clocks[0]].strip()
    apart = re.fullmatch(_DATE, date) is not None and re.match(r"\d{1,2}:\d\d|\d{4}\Z|\d{6}\Z", clock) is not None
    return (dates[0], clocks[0]) if apart else None
