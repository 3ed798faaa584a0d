"""Everything a sweep's workers need, as arrays: computed once, written once, mapped into every process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from backtest.run import Prepared
from backtest.sweep.params import ParamRows
from backtest.sweep.risk import RiskTrees, no_trees
from engine.inputs.parameters import build_rollovers
from engine.inputs.signals import signal_candidates
from engine.records import Bars, Minutes, Rollovers
from novosky.files import write_with
from novosky.measures.statistics import Floats, Ints, day_closes
from novosky.settings import MlSettings, Settings


class Opinions(NamedTuple):
    """What the position model says of every trade a configuration could make; all empty without it.

    A trade is named by its bracket (a row of `Market.bracket_of`) and its candidate. Where
    `until` is 0 nobody was asked.

    Attributes
    ----------
    begin, end : ndarray of int, shape (brackets, candidates)
        Its part of `rows` and `probabilities`.
    until : ndarray of int, shape (brackets, candidates)
        First bar the opinion does not reach to.
    rows : ndarray of int, shape (k,)
        Bars with warm features, ascending within a trade.
    probabilities : ndarray, shape (k, 3)
        HOLD, EXIT, ADD at their closes.
    """

    begin: Ints
    end: Ints
    until: Ints
    rows: Ints
    probabilities: Floats


def no_opinions() -> Opinions:
    """Return the table of nobody."""
    empty, flat = np.empty((0, 0), np.int64), np.empty(0, np.int64)
    return Opinions(empty, empty, empty, flat, np.empty((0, 3)))


@dataclass(frozen=True, eq=False)
class SweepInputs:
    """The market, the candidates, the models' answers and the configurations of a sweep.

    Attributes
    ----------
    bars, minutes, rollovers
        As the engine takes them.
    candidates : recarray of Candidate
        With the SLTP model's brackets, or with those of the present settings.
    balance : ndarray, shape (1,)
        USD at the first bar.
    closes : ndarray of int, shape (days,)
        Bar whose close ends each UTC day from the first bar's to the last's.
    params, brackets, gates
        See `ParamRows`.
    bracket_of : ndarray of int, shape (n,)
        Row of the opinions' tables for each configuration.
    trees : RiskTrees
    opinions : Opinions
    """

    bars: Bars
    minutes: Minutes
    rollovers: Rollovers
    candidates: npt.NDArray[Any]
    balance: Floats
    closes: Ints
    params: npt.NDArray[Any]
    brackets: Floats
    gates: Ints
    bracket_of: Ints
    trees: RiskTrees
    opinions: Opinions

    def __len__(self) -> int:
        return len(self.params)

    def arrays(self) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        """Yield every array with its name, those of tuples as `bars.open`."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple):
                named = value._asdict()  # type: ignore[attr-defined]
                yield from ((f"{field.name}.{name}", array) for name, array in named.items())
            else:
                yield field.name, value

    def content_hash(self) -> str:
        """Return the SHA-256 of every array: the same inputs give the same rows."""
        digest = hashlib.sha256()
        for name, array in self.arrays():
            digest.update(
                f"{name} {array.dtype.descr if array.dtype.names else array.dtype.str} {array.shape}".encode()
            )
            digest.update(np.ascontiguousarray(array).view(np.ndarray).tobytes())
        return digest.hexdigest()

    def __dask_tokenize__(self) -> str:
        """Name the inputs on a cluster by what they are, so that they travel to a worker once."""
        return self.content_hash()

    def save(self, folder: Path) -> None:
        """Write every array into a file of its own, so that other processes can map them."""
        for name, array in self.arrays():
            write_with(folder / f"{name}.npy", lambda stream, array=array: np.save(stream, np.asarray(array)))  # type: ignore[misc]

    @classmethod
    def load(cls, folder: Path) -> SweepInputs:
        """Map what `save` wrote; the pages are shared between processes."""
        return cls._from({file.stem: np.load(file, mmap_mode="c") for file in folder.glob("*.npy")})

    def owned(self) -> SweepInputs:
        """Return the inputs with every array writable, as the compiled functions take them."""
        return self._from({name: array if array.flags.writeable else array.copy() for name, array in self.arrays()})

    @classmethod
    def _from(cls, arrays: dict[str, npt.NDArray[Any]]) -> SweepInputs:
        def tuple_of(layout: Any, name: str) -> Any:
            return layout(*(np.asarray(arrays[f"{name}.{part}"]) for part in layout._fields))

        tuples = {"bars": Bars, "minutes": Minutes, "rollovers": Rollovers, "trees": RiskTrees, "opinions": Opinions}
        given: dict[str, Any] = {name: tuple_of(layout, name) for name, layout in tuples.items()}
        for field in fields(cls):
            if field.name not in given:
                given[field.name] = np.asarray(arrays[field.name])
        # Records answer to their names only as record arrays.
        for name in ("candidates", "params"):
            given[name] = given[name].view(np.recarray)
        return cls(**given)


def sweep_inputs(prepared: Prepared, settings: Settings, ml_settings: MlSettings, rows: ParamRows) -> SweepInputs:
    """Return the inputs of a sweep in which neither position nor risk model is asked yet."""
    bars = prepared.bars
    # NaN is no bracket of its own, but np.unique keeps a single one of them apart.
    _, bracket_of = np.unique(rows.brackets[:, 0], return_inverse=True)
    return SweepInputs(
        bars=bars,
        minutes=prepared.minutes,
        rollovers=build_rollovers(settings, int(bars.time[0]), int(bars.time[-1])),
        candidates=signal_candidates(prepared.signals, settings, ml_settings),
        balance=np.array([settings.risk_profile.starting_balance_usd]),
        closes=day_closes(bars.time),
        params=rows.params,
        brackets=rows.brackets,
        gates=rows.gates,
        bracket_of=bracket_of.ravel().astype(np.int64),
        trees=no_trees(),
        opinions=no_opinions(),
    )
