"""The house stands as it was drawn: rooms without circles, folders one can look through, tests beside their rooms."""

from __future__ import annotations

import ast
import configparser
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.program.house.sources import ROOT, files, functions, imports, modules, packages, without_comments

MOST_FILES = 20
"""Of one level in a folder; more cannot be looked through at a glance."""
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 50
"""Of code in its body; a longer one has a second thing to say, which deserves a name."""
TABLES = ("commands",)
"""Folders in which every file is a row of one table."""
OF_THE_WHOLE = {"campaigns", "contracts", "helpers", "hosts", "program", "truth"}
"""Folders of tests that belong to no one package."""
FACES = {"novosky.__main__", "ml.r2_hub", "ml.tune.hyperparams", "ml.tune.position"}
"""Programs that must stand in a lower room; they only call their command."""


@pytest.fixture(scope="module")
def house() -> dict[str, set[str]]:
    """Every module with those that it imports."""
    return {
        module: {found.module for found in imports(file)} - {module}
        for module, file in modules().items()
        if module not in FACES
    }


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return the strongly connected parts of more than one node (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(part) > 1:
                found.append(sorted(part))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def rooms(house: Mapping[str, set[str]]) -> dict[str, dict[str, set[str]]]:
    """Return, for every folder, which of its children import which: an import counts where the two paths part."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for module, imported in house.items():
        for other in imported:
            one, two = module.split("."), other.split(".")
            at = next((k for k, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), None)
            if at is not None:
                found[".".join(one[:at])][one[at]].add(two[at])
    return found


def test_no_circle_of_files(house: dict[str, set[str]]) -> None:
    assert circles(house) == []


def test_no_circle_of_packages_or_rooms(house: dict[str, set[str]]) -> None:
    assert {folder or "house": found for folder, graph in rooms(house).items() if (found := circles(graph))} == {}


def test_a_circle_would_be_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set[str](), "e": {"e"}}
    assert circles(graph) == [["a", "b", "c"]]
    assert circles(rooms({"x.one": {"y.two"}, "y.three": {"x.four"}})[""]) == [["x", "y"]]


def test_only_the_day_s_replay_knows_the_bot(house: dict[str, set[str]]) -> None:
    knowing = {
        module
        for module, imported in house.items()
        if module.startswith("backtest.") and any(other.split(".")[0] == "trading" for other in imported)
    }
    assert {module.split(".")[1] for module in knowing} == {"day"}


def test_no_folder_has_more_files_than_one_can_look_through() -> None:
    tracked = [*files(), *sorted((ROOT / "tests").rglob("*.py"))]
    count = Counter(file.parent.relative_to(ROOT).as_posix() for file in tracked)
    assert {folder: many for folder, many in count.items() if many > MOST_FILES and folder not in TABLES} == {}


def test_a_function_does_one_thing() -> None:
    long = {
        f"{function.file.relative_to(ROOT)}:{function.name}": function.lines
        for function in functions()
        if function.lines > MOST_LINES_OF_A_FUNCTION
    }
    assert long == {}


def test_a_file_fits_a_few_screens() -> None:
    # A comment costs nothing: none must be left out for want of room.
    long = {
        file.relative_to(ROOT).as_posix(): len(lines)
        for file in files()
        if len(lines := without_comments(file)) > MOST_LINES_OF_A_FILE
    }
    assert long == {}


def test_tests_stand_where_their_rooms_stand() -> None:
    # `test_x.py` in tests/a/b tells of the room a/b, or of a room beside it that has no folder of its own.
    folders = {file.parent.relative_to(ROOT / "tests") for file in (ROOT / "tests").rglob("test_*.py")}
    strangers = [
        folder.as_posix()
        for folder in folders
        if folder.parts and folder.parts[0] not in OF_THE_WHOLE and not (ROOT / folder).is_dir()
    ]
    assert strangers == []


def test_helpers_and_hosts_hold_no_tests() -> None:
    held = [file.name for room in ("helpers", "hosts") for file in (ROOT / "tests" / room).rglob("test_*.py")]
    assert held == []
    assert not list((ROOT / "tests").glob("test_*.py")), "a test belongs to a folder"


def contracts() -> configparser.ConfigParser:
    told = configparser.ConfigParser()
    told.read(ROOT / ".importlinter", encoding="utf-8")
    return told


def test_the_lines_of_the_import_contracts_are_short_and_leave_nothing_out() -> None:
    told = contracts()
    assert set(told["importlinter"]["root_packages"].split()) == set(packages())
    for name in told.sections():
        lines = told[name].get("layers", "").split("\n")
        assert all(len(line.split(":")) <= 5 for line in lines), name
        if "containers" in told[name]:
            assert told[name]["exhaustive"] == "true", name
    floors = {
        word.strip() for line in told["importlinter:contract:floors"]["layers"].split("\n") for word in line.split(":")
    }
    assert floors - {""} == set(packages())


APART = {
    "trading/journal/versions": "old layouts as they were, frozen: what follows the present house would change with it",
}
"""Rooms whose constants are nobody's rule of today."""
BY_CHANCE = {
    "'unknown'": "what people are told in alerts; the mark of trades without figures, as journals have it",
    "Required('at most', 0.5)": "goals of measurements that have nothing to do with each other",
    "Required('at most', 5.0)": "likewise",
}
"""Equal values that are two rules: the value, and why."""


def constants_of(file: Path) -> Iterator[tuple[str, str]]:
    """Yield name and value of a module's constants that say more than a round number or a short word."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        name = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(name, ast.Name) and tells(node.value):
            yield name.id, ast.unparse(node.value)


def tells(value: ast.expr) -> bool:
    """Tell whether two modules that write this value write one rule twice, and not the same number by chance."""
    if isinstance(value, ast.Constant):
        if isinstance(value.value, (str, bytes)):
            return len(value.value) > 3
        return isinstance(value.value, (int, float)) and not_round(value.value)
    if isinstance(value, ast.Call):
        # range(1970, 2200), Path("logs"), re.compile("..."); a name for a type is a local word.
        if isinstance(value.func, ast.Name) and value.func.id == "TypeVar":
            return False
        return bool(value.args) and all(isinstance(each, ast.Constant) for each in value.args) and not value.keywords
    if isinstance(value, (ast.Tuple, ast.List, ast.Set)):
        return len(value.elts) > 1 and all(isinstance(each, ast.Constant) for each in value.elts)
    written = value.values if isinstance(value, ast.Dict) else []
    return len(written) > 1 and all(isinstance(each, ast.Constant) for each in written)


def not_round(number: float) -> bool:
    """Tell whether a number has three digits that count, and four places before the point or eight behind it."""
    counted = len(f"{abs(number):.15g}".partition("e")[0].replace(".", "").strip("0"))
    power_of_two = float(number).is_integer() and int(number) & (int(number) - 1) == 0
    return not power_of_two and (counted >= 8 or (counted >= 3 and abs(number) >= 1_000))


def written_twice(places: Iterable[tuple[str, Path]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for room, file in places:
        for name, value in constants_of(file):
            found[value].append(f"{room} {name}")
    return {value: where for value, where in found.items() if len({each.split()[0] for each in where}) > 1}


def test_no_constant_is_written_in_two_modules() -> None:
    """What two rooms must agree on stands in one, and the other imports it: then it cannot come apart."""
    rooms = ((file.relative_to(ROOT).as_posix(), file) for file in files())
    twice = written_twice((room, file) for room, file in rooms if not room.startswith(tuple(APART)))
    assert {value: where for value, where in twice.items() if value not in BY_CHANCE} == {}
    assert set(BY_CHANCE) <= set(twice), "an exception that nothing needs any more goes"


def test_a_constant_written_twice_would_be_found(tmp_path: Path) -> None:
    rules = "A = 'model_compat.json'\nB = {1: 'long', -1: 'short'}\nC = 86_400\nD: range = range(1970, 2200)\n"
    one = f"{rules}E = 20\nF = 4096\nG = 1e18\nH = 'n/a'\n"
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(one, encoding="utf-8")
    found = written_twice((name, tmp_path / f"{name}.py") for name in ("one", "two"))
    assert set(found) == {"'model_compat.json'", "{1: 'long', -1: 'short'}", "86400", "range(1970, 2200)"}
