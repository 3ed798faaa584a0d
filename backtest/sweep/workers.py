"""Who runs the rows of a sweep: this process, others on this machine, or a Dask cluster; and the journal.

Rows are cut into chunks that do not depend on the workers. A finished chunk is one file, written
atomically under the hash of everything that decides it; a killed run goes on with the others. Rows
are put together by their numbers, so that the answer is the same whoever made it, in any order.
"""

from __future__ import annotations

import functools
import importlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from backtest.sweep.inputs import SweepInputs
from backtest.sweep.rows import COLUMNS, run_rows
from novosky.errors import LockedError, NetworkError, StorageError, UsageError
from novosky.files import write_with
from novosky.measures.statistics import Floats

CHUNK_ROWS = 250
"""Rows of a file of the journal: some tenths of a second of work, lost at most per worker when killed."""
_CONNECT_SECONDS = 20
_INPUTS = "inputs"

Told = Callable[[int, int], None]
"""Takes the rows that are done and the rows there are."""
Chunk = tuple[int, int]
"""First row, and the row after the last."""


def chunks_of(rows: int) -> list[Chunk]:
    """Return the chunks of so many rows."""
    return [(first, min(first + CHUNK_ROWS, rows)) for first in range(0, rows, CHUNK_ROWS)]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a sweep's folder.

    Raises
    ------
    LockedError
        Another sweep works there.
    """
    import filelock

    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise LockedError(f"{folder}: another sweep works in this folder; wait for it or give another --out") from error
    try:
        yield
    finally:
        lock.release()


def all_rows(
    inputs: SweepInputs, folder: Path, *, jobs: int = 1, scheduler: str | None = None, told: Told | None = None
) -> Floats:
    """Return the lines of every row, those of an earlier run read from the folder.

    Parameters
    ----------
    inputs : SweepInputs
    folder : Path
        Of these inputs and of no others; chunks are kept there.
    jobs : int
        Processes on this machine.
    scheduler : str or None
        Address of a Dask scheduler, whose workers do the work instead.

    Returns
    -------
    ndarray, shape (n, COLUMNS)
        See `run_rows`.

    Raises
    ------
    NetworkError
        The scheduler does not answer.
    StorageError
        A chunk cannot be written.
    """
    lines = np.empty((len(inputs), COLUMNS))
    missing, done = [], 0
    for first, last in chunks_of(len(inputs)):
        known = _read(folder, (first, last))
        if known is None:
            missing.append((first, last))
        else:
            lines[first:last] = known
            done += last - first
    if told is not None:
        told(done, len(inputs))
    for (first, last), found in _run(inputs, missing, folder, jobs, scheduler):
        write_with(_file(folder, (first, last)), lambda stream, found=found: np.save(stream, found))  # type: ignore[misc]
        lines[first:last] = found
        done += last - first
        if told is not None:
            told(done, len(inputs))
    return lines


def _file(folder: Path, chunk: Chunk) -> Path:
    return folder / f"rows-{chunk[0]:08d}.npy"


def _read(folder: Path, chunk: Chunk) -> Floats | None:
    """Return a finished chunk; None when it is not there yet."""
    file = _file(folder, chunk)
    if not file.exists():
        return None
    try:
        found: Floats = np.load(file)
    except (ValueError, EOFError, OSError) as error:
        raise StorageError(f"{file} cannot be read ({error}); delete it and run the sweep again") from error
    if found.shape != (chunk[1] - chunk[0], COLUMNS):
        raise StorageError(f"{file} does not hold the rows its name says; delete it and run the sweep again")
    return found


def _run(
    inputs: SweepInputs, chunks: list[Chunk], folder: Path, jobs: int, scheduler: str | None
) -> Iterator[tuple[Chunk, Floats]]:
    """Yield chunks as they are finished."""
    if not chunks:
        return
    if scheduler is not None:
        yield from _on_cluster(inputs, chunks, scheduler)
    elif jobs == 1 or len(chunks) == 1:
        for chunk in chunks:
            yield chunk, run_rows(inputs, np.arange(*chunk))
    else:
        yield from _in_processes(inputs, chunks, folder / _INPUTS, jobs)


def _in_processes(inputs: SweepInputs, chunks: list[Chunk], shared: Path, jobs: int) -> Iterator[tuple[Chunk, Floats]]:
    import joblib

    # Mapped files instead of pickles: every process sees the same pages of memory.
    inputs.save(shared)
    try:
        parallel = joblib.Parallel(n_jobs=jobs, backend="loky", batch_size=1, return_as="generator_unordered")
        yield from parallel(joblib.delayed(_run_mapped)(shared, chunk) for chunk in chunks)
    finally:
        _mapped.cache_clear()
        shutil.rmtree(shared, ignore_errors=True)


@functools.lru_cache(maxsize=1)
def _mapped(shared: Path) -> SweepInputs:
    return SweepInputs.load(shared)


def _run_mapped(shared: Path, chunk: Chunk) -> tuple[Chunk, Floats]:
    return chunk, run_rows(_mapped(shared), np.arange(*chunk))


def _run_sent(inputs: SweepInputs, chunk: Chunk) -> tuple[Chunk, Floats]:
    # What comes over the wire cannot be written to, and the compiled functions were not made for that.
    return chunk, run_rows(inputs.owned(), np.arange(*chunk))


def _on_cluster(inputs: SweepInputs, chunks: list[Chunk], address: str) -> Iterator[tuple[Chunk, Floats]]:
    try:
        distributed: Any = importlib.import_module("dask.distributed")
    except ImportError as error:
        raise UsageError("--scheduler needs Dask; install it with `pip install 'novosky[cluster]'`") from error
    try:
        client = distributed.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError) as error:
        raise NetworkError(
            f"the Dask scheduler at {address} has not answered with a worker in {_CONNECT_SECONDS} s ({error}); "
            "start it, or sweep on this machine with --jobs"
        ) from error
    with client:
        # Sent once and named by its content: a worker that has it does not get it again.
        held = client.scatter(inputs, broadcast=True)
        futures = [client.submit(_run_sent, held, chunk, pure=False) for chunk in chunks]
        for _, found in distributed.as_completed(futures, loop=client.loop, with_results=True):
            yield found
