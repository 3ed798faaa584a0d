"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

if TYPE_CHECKING:
    from tests.helpers.desk import Desk
    from tests.optimize.optimize_runs import Checkout

ROOT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--full`, which runs the long campaigns at their full length."""
    parser.addoption("--full", action="store_true", help="run the long campaigns at full length")


def pytest_configure(config: pytest.Config) -> None:
    """Keep compiled modules beside pytest's own cache where the environment forbids them in the checkout.

    Workers and hundreds of programs that the tests start would each compile all sources anew, two seconds of work
    a start. Where Python may write its `__pycache__`, nothing is done.
    """
    if not sys.dont_write_bytecode or config.cache is None or sys.pycache_prefix is not None:
        return
    sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = str(config.cache.mkdir("bytecode"))
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


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
    """Settings, a small trained model set and bars; trained once, however many processes run the tests."""
    from tests.helpers.desk import Desk, lay_out_desk

    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "desk"
    with FileLock(shared / "desk.lock"):
        if not (folder / "models" / "model_compat.json").exists():
            return lay_out_desk(root, folder)
    return Desk(folder)


@pytest.fixture(scope="session")
def warm() -> Iterator[Path]:
    """Folder of a process that forks programs with everything loaded, see `warm_programs`."""
    from tests.optimize.optimize_runs import warm_python

    with warm_python() as folder:
        yield folder


@pytest.fixture(scope="session")
def shipped(warm: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout after its first weekly run; tests copy it and never write to it."""
    from tests.optimize.optimize_runs import after_the_first_run

    return after_the_first_run(tmp_path_factory.mktemp("optimize") / "shipped", warm)


@pytest.fixture(scope="session")
def judged(shipped: Checkout, warm: Path) -> Checkout:
    """The same a week later, its run stopped before the decision."""
    from tests.optimize.optimize_runs import before_the_decision

    return before_the_decision(shipped, shipped.folder.with_name("judged"), warm)


@pytest.fixture(scope="session")
def proved(judged: Checkout, warm: Path) -> Checkout:
    """The same with the challenger in place, its run stopped before anybody is told."""
    from tests.optimize.optimize_runs import before_anybody_is_told

    return before_anybody_is_told(judged, judged.folder.with_name("proved"), warm)


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Kill the bot at every k-th write or order, see `kills.mortality`."""
    from tests.helpers.kills import mortality

    yield from mortality(monkeypatch)
