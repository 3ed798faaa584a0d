"""`models/expectation.json`: what a set earned on days it had not seen, when it was approved.

Day by day and trade by trade, so that whoever gets the set can draw from it what a month or a year
may look like at his own risk (`novosky.measures.expectation`). It belongs to the models and the
settings they were judged with; models that are trained anew leave it behind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ml.sets.companions import EXPECTATION_NAME
from novosky.errors import ModelError
from novosky.guarded_json import JsonError, read_json_file
from novosky.measures.expectation import TradeRecord

_DIGITS = 4
"""Of a result in R; the market is not known to more."""
_MOST_TRADES = 1_000_000


def record_content(record: TradeRecord) -> dict[str, Any]:
    """Return the content of `expectation.json`."""
    return {
        "first_day": record.first_day,
        "last_day": record.last_day,
        "days": record.days.tolist(),
        "r": [round(value, _DIGITS) for value in record.r.tolist()],
    }


def read_expectation(models_dir: Path) -> TradeRecord | None:
    """Return what a set was approved with, None where nothing says so.

    Raises
    ------
    ModelError
        The file is there and is not one of these.
    """
    path = models_dir / EXPECTATION_NAME
    try:
        return _record(read_json_file(path))
    except FileNotFoundError:
        return None
    except (OSError, JsonError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise ModelError(
            f"{path} is damaged ({error}); pull the set again, or remove the file: the models do without"
        ) from error


def _record(content: Any) -> TradeRecord:
    days, r = content["days"], content["r"]
    if not isinstance(days, list) or not isinstance(r, list) or max(len(days), len(r)) > _MOST_TRADES:
        raise ValueError("no list of days and results")
    whole = [content["first_day"], content["last_day"], *days]
    if any(isinstance(day, bool) or not isinstance(day, int) for day in whole):
        raise ValueError("a day is no whole number")
    if any(isinstance(value, bool) or not isinstance(value, int | float) for value in r):
        raise ValueError("a result is no number")
    return TradeRecord(whole[0], whole[1], np.array(days, dtype=np.int64), np.array(r, dtype=np.float64))
