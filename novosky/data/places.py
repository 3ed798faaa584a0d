"""Where stored bars lie: a file for each symbol and time frame."""

from __future__ import annotations

from pathlib import Path

from novosky.guarded_json import read_json_file

FOLDER = Path("data")
USUAL = ("BTCUSD", "M15")


def stored_bars(symbol: str, timeframe: str) -> Path:
    """Return where the bars of a symbol are kept; a broker's suffix and what no file name holds are left out."""
    from novosky.market.instrument import instrument

    plain = "".join(each if each.isalnum() or each in ".-_" else "-" for each in instrument(symbol)).lstrip(".")
    return FOLDER / f"{plain}_{timeframe}.parquet"


def configured_bars(config: Path) -> Path:
    """Return where the bars of the symbol in a config.json are kept.

    A file that cannot be read gives the usual place: the command that reads it says what is wrong.
    """
    try:
        content = read_json_file(config)
        named = (content.get("symbol", USUAL[0]), content.get("timeframe", USUAL[1]))
    except (OSError, ValueError, AttributeError):
        named = USUAL
    pairs = zip(named, USUAL, strict=True)
    symbol, timeframe = (each if isinstance(each, str) and each else usual for each, usual in pairs)
    return stored_bars(symbol, timeframe)
