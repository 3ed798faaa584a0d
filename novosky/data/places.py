"""Where stored bars lie: a file for each symbol and time frame."""

from __future__ import annotations

from pathlib import Path

from novosky.guarded_json import read_json_file
from novosky.market.instrument import USUAL_SYMBOL, instrument
from novosky.market.timeframe import TIMEFRAMES, Timeframe
from novosky.market.timeframe import USUAL as USUAL_FRAME

FOLDER = Path("data")
USUAL = (USUAL_SYMBOL, USUAL_FRAME.name)
"""Symbol and time frame of a configuration that names none, as of config.json itself."""


def stored_bars(symbol: str, timeframe: str) -> Path:
    """Return where the bars of a symbol are kept; a broker's suffix and what no file name holds are left out."""
    plain = "".join(each if each.isalnum() or each in ".-_" else "-" for each in instrument(symbol)).lstrip(".")
    return FOLDER / f"{plain}_{timeframe}.parquet"


def configured_bars(config: Path) -> Path:
    """Return where the bars of the symbol in a config.json are kept.

    A file that cannot be read gives the usual place: the command that reads it says what is wrong.
    """
    return stored_bars(*_configured(config))


def configured_frame(config: Path) -> Timeframe:
    """Return the time frame in a config.json, the usual one where it names none that exists."""
    return TIMEFRAMES.get(_configured(config)[1], USUAL_FRAME)


def _configured(config: Path) -> tuple[str, str]:
    """Return symbol and time frame as a config.json writes them, the usual one for each it does not."""
    try:
        content = read_json_file(config)
        named = (content.get("symbol", USUAL[0]), content.get("timeframe", USUAL[1]))
    except (OSError, ValueError, AttributeError):
        named = USUAL
    pairs = zip(named, USUAL, strict=True)
    symbol, timeframe = (each if isinstance(each, str) and each else usual for each, usual in pairs)
    return symbol, timeframe
