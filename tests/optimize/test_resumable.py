"""Steps that are done once, whatever interrupts them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from novosky.errors import DataError, StorageError
from optimize.state.resumable import DamagedOutputError, RunState, Step, digest_of, run_steps


class Bench:
    """A run that notes what was done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done: list[str] = []
        self.told: list[tuple[str, str]] = []
        self.before: list[bool] = []

    def writes(self, name: str, output: str) -> Step[Bench]:
        def act(bench: Bench) -> str:
            bench.done.append(name)
            bench.before.append((bench.folder / output).exists())
            (bench.folder / output).write_text(name)
            return f"wrote {output}"

        return Step(name, name.upper(), act, outputs=(output,))

    def run(self, *steps: Step[Bench], until: str | None = None) -> None:
        state = RunState.read(self.folder)
        run_steps(steps, self, state, lambda title, note: self.told.append((title, note)), until=until)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    RunState.begin(tmp_path, "run-1", {"flag": 1}, "2026-01-01T00:00:00+00:00")
    return Bench(tmp_path)


def failing(error: BaseException) -> Callable[[Bench], str]:
    def act(bench: Bench) -> str:
        (bench.folder / "half").write_text("half")
        raise error

    return act


def test_steps_are_done_in_order_and_once(bench: Bench) -> None:
    steps = [bench.writes("one", "a"), bench.writes("two", "b")]
    bench.run(*steps)
    bench.run(*steps)
    assert bench.done == ["one", "two"]
    assert bench.told[:2] == [("ONE", ""), ("ONE", "wrote a")]
    assert bench.told[4:] == [("ONE", "wrote a (done before)"), ("TWO", "wrote b (done before)")]


def test_a_failed_step_is_done_again_after_its_outputs_were_removed(bench: Bench) -> None:
    step = Step("one", "One", failing(DataError("no bars")), outputs=("half",))
    with pytest.raises(DataError):
        bench.run(step)
    assert (bench.folder / "half").exists()
    bench.run(bench.writes("one", "half"))
    assert bench.before == [False]


def test_a_folder_among_the_outputs_is_removed_too(bench: Bench) -> None:
    (bench.folder / "out").mkdir()
    (bench.folder / "out" / "old").write_text("old")

    def act(bench: Bench) -> str:
        (bench.folder / "out").mkdir()
        return "made"

    bench.run(Step("one", "One", act, outputs=("out",)))
    assert list((bench.folder / "out").iterdir()) == []


def test_what_is_killed_stays_undone(bench: Bench) -> None:
    with pytest.raises(KeyboardInterrupt):
        bench.run(bench.writes("one", "a"), Step("two", "Two", failing(KeyboardInterrupt())))
    state = RunState.read(bench.folder)
    assert state.done("one") is not None
    assert state.done("two") is None


def test_until_stops_behind_a_step_done_now_or_before(bench: Bench) -> None:
    steps = [bench.writes("one", "a"), bench.writes("two", "b")]
    bench.run(*steps, until="one")
    bench.run(*steps, until="one")
    assert bench.done == ["one"]
    bench.run(*steps)
    assert bench.done == ["one", "two"]


@pytest.mark.parametrize(("damage", "words"), [("other", "changed since"), (None, "taken away since")])
def test_damaged_outputs_stop_the_run_before_anything_is_made_of_them(
    bench: Bench, damage: str | None, words: str
) -> None:
    steps = [bench.writes("one", "a"), bench.writes("two", "b")]
    bench.run(*steps, until="one")
    if damage is None:
        (bench.folder / "a").unlink()
    else:
        (bench.folder / "a").write_text(damage)
    with pytest.raises(DamagedOutputError, match=f"written by the step 'ONE', was {words}"):
        bench.run(*steps)
    assert bench.done == ["one"]


def test_a_step_that_does_not_write_what_it_declares_is_a_defect(bench: Bench) -> None:
    with pytest.raises(AssertionError, match=r"step one did not write \['a'\]"):
        bench.run(Step("one", "One", lambda _: "nothing", outputs=("a",)))
    assert RunState.read(bench.folder).done("one") is None


def test_a_step_before_what_it_reads_is_a_defect(bench: Bench) -> None:
    with pytest.raises(AssertionError, match=r"step one comes before what writes \['a'\]"):
        bench.run(Step("one", "One", lambda _: "nothing", inputs=("a",)))


def test_the_state_says_what_was_done_and_how_it_ended(bench: Bench) -> None:
    bench.run(bench.writes("one", "a"))
    state = RunState.read(bench.folder)
    record = state.done("one")
    assert record is not None
    assert record["outputs"] == {"a": digest_of(bench.folder / "a")}
    assert (state.run, state.plan, state.ended) == ("run-1", {"flag": 1}, None)
    assert state.seconds >= 0.0
    state.end("shipped")
    assert RunState.read(bench.folder).ended == "shipped"


def test_a_forgotten_step_is_done_again(bench: Bench) -> None:
    step = bench.writes("one", "a")
    bench.run(step)
    RunState.read(bench.folder).forget("one")
    bench.run(step)
    assert bench.done == ["one", "one"]


@pytest.mark.parametrize("content", ["", "[]", '{"version": 2, "steps": {}}', '{"version": 1, "steps": []}'])
def test_a_damaged_state_is_named_with_its_mend(tmp_path: Path, content: str) -> None:
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(StorageError, match=r"is not the state of a run .* move .* away"):
        RunState.read(tmp_path)


def test_a_folder_s_digest_knows_names_contents_and_places(tmp_path: Path) -> None:
    digests = set()
    for number, files in enumerate(({"a": "1"}, {"b": "1"}, {"a": "2"}, {"sub/a": "1"}, {"a": "1", "b": ""})):
        for name, text in files.items():
            path = tmp_path / str(number) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        digests.add(digest_of(tmp_path / str(number)))
    assert len(digests) == 5


def test_plans_are_kept_as_json(bench: Bench) -> None:
    assert json.loads((bench.folder / "state.json").read_text())["plan"] == {"flag": 1}
