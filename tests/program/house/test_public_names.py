"""A package says in its `__init__` what it offers; nothing is loaded before it is asked for."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from types import FunctionType

import pytest

from tests.program.house.sources import ROOT, files, imports, module_of, modules, offers

PROGRAMS = ("bench", "commands")
"""Top rooms that are run, never imported by another."""
FORM = "import lazy_loader\n\n__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)\n"
PICKLED = {"ml.ensemble": {"CalibratedMember", "Calibrator", "Scaling"}}
"""Published pickles name these by the package, so it offers them for good."""
HEAVY = (
    "lightgbm",
    "matplotlib",
    "numba",
    "onnxruntime",
    "pandas",
    "plotly",
    "pydantic",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "torch",
    "xgboost",
)
"""What none of the packages loads by being imported."""


def package_of(module: str) -> str:
    return module if modules()[module].name == "__init__.py" else module.rpartition(".")[0]


def has_home(offered: object) -> bool:
    """Whether it is a class or a function, compiled ones included, and so knows where it was written."""
    return isinstance(offered, (type, FunctionType)) or isinstance(getattr(offered, "py_func", None), FunctionType)


@cache
def libraries() -> list[str]:
    """Return every package that is imported by others, programs left out."""
    return [
        module
        for module, file in modules().items()
        if file.name == "__init__.py" and module.split(".")[0] not in PROGRAMS
    ]


@cache
def used_outside() -> Mapping[str, Mapping[str, set[str]]]:
    """Return, for every package, the names of its files that files outside of its folder import, with their homes."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for file in files():
        for wanted in imports(file):
            package = package_of(wanted.module)
            inside = f"{module_of(file)}.".startswith(f"{package}.")
            if wanted.name not in (None, "__version__") and not inside:
                found[package][str(wanted.name)].add(wanted.module)
    return found


@cache
def asked_by_name() -> Mapping[str, set[str]]:
    """Return the names that tests import from a package itself: they hold it to what it offers."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in libraries():
                found[node.module] |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("package", libraries())
def test_a_package_offers_what_others_use_of_it_and_nothing_else(package: str) -> None:
    used = used_outside().get(package, {}).keys()
    missing = sorted(used - offers(package).keys())
    assert missing == [], f"add to {package.replace('.', '/')}/__init__.pyi"
    spare = offers(package).keys() - used - asked_by_name().get(package, set()) - PICKLED.get(package, set())
    assert sorted(spare) == [], "nobody outside of the folder imports these"


@pytest.mark.parametrize("package", [package for package in libraries() if offers(package)])
def test_every_name_resolves_to_what_its_file_holds(package: str) -> None:
    room = importlib.import_module(package)
    assert sorted(room.__all__) == sorted(offers(package)) == dir(room)
    for name, home in offers(package).items():
        offered = getattr(room, name)
        assert offered is getattr(importlib.import_module(home), name)
        # A constant does not know where it comes from; the stub can name files of its package alone.
        if has_home(offered):
            assert offered.__module__ == package or offered.__module__.startswith(f"{package}."), name


@pytest.mark.parametrize("package", [package for package in libraries() if offers(package)])
def test_every_name_is_described(package: str) -> None:
    room = importlib.import_module(package)
    assert room.__doc__
    # A constant carries no docstring of its own at run time, and is named for what it is.
    offered = {name: getattr(room, name) for name in room.__all__}
    bare = [name for name, what in offered.items() if has_home(what) and not what.__doc__]
    assert bare == []


@pytest.mark.parametrize("package", [package for package in libraries() if offers(package)])
def test_all_packages_have_one_form(package: str) -> None:
    text = modules()[package].read_text(encoding="utf-8")
    assert FORM in text
    assert not [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.ImportFrom, ast.FunctionDef))]


@pytest.mark.parametrize("package", [package for package in libraries() if offers(package)])
def test_no_name_is_hidden_by_a_file(package: str) -> None:
    # `train` of train.py wins over its file; a file of the same name elsewhere would win over it.
    hidden = [name for name, home in offers(package).items() if f"{package}.{name}" in modules().keys() - {home}]
    assert hidden == []


def test_importing_the_packages_loads_nothing_heavy_and_none_of_their_files() -> None:
    names = libraries()
    program = f"""
import importlib, sys
for name in {names!r}: importlib.import_module(name)
tops = {{name.split(".")[0] for name in {names!r}}}
print(*sorted(name for name in sys.modules if name in {HEAVY!r}))
print(*sorted(name for name in sys.modules if name.split(".")[0] in tops and name not in {names!r}))
"""
    environment = {name: value for name, value in os.environ.items() if name != "EAGER_IMPORT"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n\n"
