"""The instrument as the broker describes it: sizes, steps and account rules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Instrument:
    """A symbol's contract, as MetaTrader 5 reports it for a USD account.

    Attributes
    ----------
    symbol : str
    point : float
        Smallest quoted step in USD; `spread` columns count these.
    digits : int
        Decimals of a price.
    contract_size : float
        Units of the underlying in one lot; a price move of 1 USD earns this many USD per lot.
    volume_min, volume_max, volume_step : float
        Lots.
    stops_level : float
        Least distance in points between the quote and a stop or target.
    margin_call_level, stop_out_level : float
        Percent of used margin.
    """

    symbol: str = "BTCUSD"
    point: float = 0.01
    digits: int = 2
    contract_size: float = 1.0
    volume_min: float = 0.01
    volume_max: float = 100.0
    volume_step: float = 0.01
    stops_level: float = 0.0
    margin_call_level: float = 100.0
    stop_out_level: float = 50.0
