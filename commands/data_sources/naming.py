"""Which instrument bars are of, by whose word, and the store that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from commands.data_sources.request import Request
from novosky.errors import SettingsError, UsageError

if TYPE_CHECKING:
    from novosky.settings import Settings


@dataclass(frozen=True)
class Naming:
    """A symbol and what is to be said of it.

    Attributes
    ----------
    symbol : str or None
        None where nobody named one.
    notes : tuple of str
    """

    symbol: str | None
    notes: tuple[str, ...] = ()


def name_bars(request: Request, own: str | None) -> Naming:
    """Decide what bars are of: --symbol, else what the file or venue says, its name, the store's name, the settings.

    Parameters
    ----------
    request : Request
    own : str, optional
        The symbol that the file itself or the venue names.

    Raises
    ------
    UsageError
        When --symbol contradicts the file.
    """
    from novosky.data.named_symbol import symbol_in_name
    from novosky.market.instrument import instrument
    from novosky.market.same_market import same_symbol

    if request.symbol is not None:
        if own is not None and not same_symbol(own, request.symbol):
            raise UsageError(f"--symbol {request.symbol}, but {request.input} holds bars of {own}; give the right file")
        return Naming(instrument(request.symbol) if request.source in ("binance", "bitstamp") else request.symbol)
    if own is not None:
        return Naming(instrument(own))
    if request.source == "synthetic":
        return Naming(None)
    for path, option in ((request.input, "--input"), (request.output, "--output")):
        named = symbol_in_name(path) if path is not None else None
        if named is not None:
            said = f"symbol {named}, from the name of {option} {path}; give --symbol if that is wrong"
            return Naming(named, (said,))
    settings = settings_of(request)
    if settings is not None:
        said = f"symbol {settings.symbol}, from {request.config}; give --symbol if the bars are of another one"
        return Naming(settings.symbol, (said,))
    return Naming(None, ("nobody says which symbol the bars are of; give --symbol",))


def output_for(request: Request, symbol: str | None, *, synthetic: bool = False) -> Path:
    """Return the store: the one that is named, else one that follows the symbol.

    Invented bars have no symbol; they stand in for those of the settings, as the demo's do.

    Raises
    ------
    UsageError
        When neither is known.
    """
    from novosky.data.places import stored_bars
    from novosky.market.instrument import USUAL_SYMBOL

    if request.output is not None:
        return request.output
    symbol = symbol or request.symbol
    if symbol is None and synthetic:
        settings = settings_of(request)
        symbol = settings.symbol if settings is not None else USUAL_SYMBOL
    if symbol is None:
        raise UsageError("nobody says which symbol the bars are of; give --symbol, or the store with --output")
    return stored_bars(symbol, request.timeframe)


def settings_of(request: Request) -> Settings | None:
    """Return the settings where there are readable ones: bars can be imported before anything is configured."""
    from novosky.settings import load_settings

    if not request.config.is_file():
        return None
    try:
        return load_settings(request.config)
    except SettingsError:
        return None


def digits_of(request: Request, symbol: str | None) -> int | None:
    """Return the decimals that the settings give the prices of this symbol."""
    from novosky.market.same_market import same_symbol

    settings = settings_of(request)
    if settings is None or symbol is None or not same_symbol(symbol, settings.symbol):
        return None
    return settings.broker.digits
