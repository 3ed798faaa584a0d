"""Fixtures shared by all tests; what is made once for all of them is read and never written to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.helpers.run.made_once import made_once
from tests.helpers.run.places import keep_bytecode, obey_ctrl_c, work_in_memory

if TYPE_CHECKING:
    from tests.helpers.desk import Desk
    from tests.helpers.sets.position_sets import PositionSet
    from tests.helpers.sets.signal_sets import SmallSet
    from tests.optimize.optimize_runs import Checkout

ROOT = Path(__file__).resolve().parents[1]
LONG_FIRST = ("truth", "campaigns", "optimize")
"""Rooms of the longest tests: begun last, one of them would keep a single worker busy at the end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--full`, which runs the long campaigns at their full length."""
    parser.addoption("--full", action="store_true", help="run the long campaigns at full length")


def pytest_configure(config: pytest.Config) -> None:
    """Give the run what it needs to be quick, where nobody has said otherwise."""
    keep_bytecode(config)
    obey_ctrl_c()
    if config.option.basetemp is None:
        work_in_memory()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the rooms of the longest tests; every room keeps its own order."""
    long = {ROOT / "tests" / room for room in LONG_FIRST}
    items.sort(key=lambda item: long.isdisjoint(item.path.parents))


@pytest.fixture(scope="session", autouse=True)
def own_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the account locks of this process's programs to itself: simulated accounts all have one number."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOVOSKY_LOCKS", str(tmp_path_factory.mktemp("locks")))
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real bars, which is not part of the repository."""
    folder = ROOT.parent / "shared" / "data"
    if not (folder / "BTCUSD_M15.parquet").exists():
        pytest.skip(f"real bars are not present at {folder}")
    return folder


@pytest.fixture(scope="session")
def desk(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Settings, a small trained model set and bars."""
    from tests.helpers.desk import lay_out_desk

    return made_once(tmp_path_factory, "desk", lambda folder: lay_out_desk(root, folder))


@pytest.fixture(scope="session")
def small_set(root: Path, tmp_path_factory: pytest.TempPathFactory) -> SmallSet:
    """A set with the signal models alone."""
    from tests.helpers.sets.signal_sets import train_small_set

    return made_once(tmp_path_factory, "small_set", lambda folder: train_small_set(root, folder / "models"))


@pytest.fixture(scope="session")
def position_set(root: Path, tmp_path_factory: pytest.TempPathFactory) -> PositionSet:
    """A set with signal and position models."""
    from tests.helpers.sets.position_sets import train_position_set

    return made_once(tmp_path_factory, "position_set", lambda folder: train_position_set(root, folder / "models"))


@pytest.fixture(scope="session")
def sltp_set(root: Path, tmp_path_factory: pytest.TempPathFactory) -> PositionSet:
    """A set with signal, position and SLTP models."""
    from tests.helpers.sets.sltp_sets import train_sltp_set

    return made_once(tmp_path_factory, "sltp_set", lambda folder: train_sltp_set(root, folder / "models"))


@pytest.fixture(scope="session")
def warm() -> Iterator[Path]:
    """Folder of a process that forks programs with everything loaded, see `warm_programs`."""
    from tests.optimize.optimize_runs import warm_python

    with warm_python() as folder:
        yield folder


@pytest.fixture(scope="session")
def shipped(warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout after its first weekly run."""
    from tests.optimize.optimize_runs import after_the_first_run

    return made_once(tmp_path_factory, "shipped", lambda folder: after_the_first_run(folder, warm))


@pytest.fixture(scope="session")
def judged(shipped: Checkout, warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The same a week later, its run stopped before the decision."""
    from tests.optimize.optimize_runs import before_the_decision

    return made_once(tmp_path_factory, "judged", lambda folder: before_the_decision(shipped, folder, warm))


@pytest.fixture(scope="session")
def proved(judged: Checkout, warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The same with the challenger in place, its run stopped before anybody is told."""
    from tests.optimize.optimize_runs import before_anybody_is_told

    return made_once(tmp_path_factory, "proved", lambda folder: before_anybody_is_told(judged, folder, warm))


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Kill the bot at every k-th write or order, see `kills.mortality`."""
    from tests.helpers.kills import mortality

    yield from mortality(monkeypatch)
