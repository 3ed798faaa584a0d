"""Steps that may be killed at any moment: each is done once, and the next start goes on behind it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from novosky.errors import ModelError, StorageError
from novosky.files import sha256_of, write_json
from novosky.guarded_json import read_json_file
from novosky.persistence import remove_file, remove_tree

R = TypeVar("R")
STATE_NAME = "state.json"
STATE_VERSION = 1


@dataclass(frozen=True)
class Step(Generic[R]):
    """One step of a run.

    Attributes
    ----------
    name : str
        In the state file and after `--until`.
    title : str
        For people.
    action : callable
        Does the work on the run and returns one line that says what came out. It may be killed
        and is then called again, after its outputs were removed.
    inputs, outputs : tuple of str
        Files and folders below the run's folder.
    """

    name: str
    title: str
    action: Callable[[R], str]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


class RunState:
    """What a run has done so far, in `state.json` of its folder.

    Parameters
    ----------
    folder : Path
    content : mapping
        As read from the file.
    """

    def __init__(self, folder: Path, content: Mapping[str, Any]) -> None:
        self.folder = folder
        self._content: dict[str, Any] = json.loads(json.dumps(content))

    @classmethod
    def begin(cls, folder: Path, run: str, plan: Mapping[str, Any], started: str) -> RunState:
        """Write the state of a run that has done nothing."""
        content = {"version": STATE_VERSION, "run": run, "started": started, "plan": plan, "ended": None, "steps": {}}
        state = cls(folder, content)
        state._write()
        return state

    @classmethod
    def read(cls, folder: Path) -> RunState:
        """Read the state of an earlier run.

        Raises
        ------
        StorageError
            The file is missing or no state of a run.
        """
        path = folder / STATE_NAME
        try:
            content = read_json_file(path)
            if content["version"] != STATE_VERSION or not isinstance(content["steps"], dict):
                raise ValueError(f"version {content['version']}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{path} is not the state of a run ({error}); move {folder} away") from error
        return cls(folder, content)

    @property
    def run(self) -> str:
        """The run's name."""
        return str(self._content["run"])

    @property
    def started(self) -> str:
        """When it began, ISO 8601 UTC."""
        return str(self._content["started"])

    @property
    def plan(self) -> dict[str, Any]:
        """What the run was told."""
        return dict(self._content["plan"])

    @property
    def ended(self) -> str | None:
        """How it ended; None while it has not."""
        ended: str | None = self._content["ended"]
        return ended

    def end(self, how: str) -> None:
        """Note how the run ended."""
        self._content["ended"] = how
        self._write()

    def done(self, step: str) -> Mapping[str, Any] | None:
        """Return the record of a finished step, or None."""
        record: Mapping[str, Any] | None = self._content["steps"].get(step)
        return record

    @property
    def seconds(self) -> float:
        """Wall time of the finished steps."""
        return float(sum(record["seconds"] for record in self._content["steps"].values()))

    def finish(self, step: str, note: str, seconds: float, outputs: Mapping[str, str]) -> None:
        """Note that a step is done, with the digests of its outputs."""
        self._content["steps"][step] = {"note": note, "seconds": round(seconds, 3), "outputs": dict(outputs)}
        self._write()

    def forget(self, step: str) -> None:
        """Have a step done again."""
        if self._content["steps"].pop(step, None) is not None:
            self._write()

    def _write(self) -> None:
        write_json(self.folder / STATE_NAME, self._content)


class DamagedOutputError(ModelError):
    """What a finished step had written is no longer what it wrote."""


Tell = Callable[[str, str], None]
"""Called with a step's title and what there is to say of it: empty when it begins."""


def run_steps(steps: Sequence[Step[R]], run: R, state: RunState, tell: Tell, *, until: str | None = None) -> None:
    """Do every step that is not done yet, in order.

    Parameters
    ----------
    steps : sequence of Step
    run : object
        Given to every action.
    state : RunState
    tell : Tell
    until : str or None
        Stop after the step of this name.

    Raises
    ------
    DamagedOutputError
        The outputs of a finished step changed on disk. Nothing is done with them.
    NovoskyError
        Whatever an action raises; the steps before it stay done.
    """
    for step in steps:
        record = state.done(step.name)
        if record is not None:
            _check_outputs(state.folder, step, record)
            tell(step.title, f"{record['note']} (done before)")
        else:
            tell(step.title, "")
            note, seconds = _do(step, run, state.folder)
            state.finish(step.name, note, seconds, {name: digest_of(state.folder / name) for name in step.outputs})
            tell(step.title, note)
        if step.name == until:
            return


def _do(step: Step[R], run: R, folder: Path) -> tuple[str, float]:
    missing = [name for name in step.inputs if not (folder / name).exists()]
    assert not missing, f"step {step.name} comes before what writes {missing}"
    for name in step.outputs:
        remove(folder / name)
    began = time.perf_counter()
    note = step.action(run)
    unwritten = [name for name in step.outputs if not (folder / name).exists()]
    assert not unwritten, f"step {step.name} did not write {unwritten}"
    return note, time.perf_counter() - began


def _check_outputs(folder: Path, step: Step[R], record: Mapping[str, Any]) -> None:
    for name, digest in record["outputs"].items():
        found = digest_of(folder / name) if (folder / name).exists() else None
        if found != digest:
            raise DamagedOutputError(
                f"{folder / name}, written by the step '{step.title}', was {'changed' if found else 'taken away'} since"
            )


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        remove_file(path, missing_ok=True)


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, or of a folder's relative names and contents."""
    if not path.is_dir():
        return sha256_of(path)
    digest = hashlib.sha256()
    for file in sorted(entry for entry in path.rglob("*") if entry.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\0{sha256_of(file)}\n".encode())
    return digest.hexdigest()
