"""The sources as they stand: packages, files, what a file imports, and what a package offers by name."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Import:
    """One name that a file imports from a module of the house; None stands for the module itself."""

    module: str
    name: str | None


def packages() -> list[str]:
    """Return the top rooms."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return list(told["tool"]["mypy"]["packages"])


def files() -> Iterator[Path]:
    """Yield every file of the product."""
    for package in packages():
        yield from sorted((ROOT / package).rglob("*.py"))


def module_of(file: Path) -> str:
    """Return the dotted name of a file."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> Mapping[str, Path]:
    """Return every module of the product with its file."""
    return {module_of(file): file for file in files()}


@cache
def offers(package: str) -> Mapping[str, str]:
    """Return what a package offers, by name: the module each name lives in, as the stub beside its `__init__` says."""
    stub = modules()[package].with_suffix(".pyi")
    if not stub.is_file():
        return {}
    return {
        alias.name: f"{package}.{node.module}"
        for node in ast.parse(stub.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def imports(file: Path) -> Iterator[Import]:
    """Yield what a file imports from the house, for types alone too; a name that a package offers, from its module."""
    known, here = modules(), module_of(file) if file.is_relative_to(ROOT) else ""
    package = here if file.name == "__init__.py" else here.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, None) for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                offered = offers(module) if module in known and known[module].name == "__init__.py" else {}
                if alias.name in offered:
                    yield Import(offered[alias.name], alias.name)
                elif f"{module}.{alias.name}" in known:
                    yield Import(f"{module}.{alias.name}", None)
                elif module in known:
                    yield Import(module, alias.name)


@dataclass(frozen=True)
class Function:
    """A function with the lines of code in its body: docstring, comments and blank lines are none."""

    file: Path
    name: str
    lines: int


def without_comments(file: Path) -> list[str]:
    """Return the lines of a file that are more than a comment."""
    return [line for line in file.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]


def functions() -> Iterator[Function]:
    """Yield every function of the product."""
    for file in files():
        text = file.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield Function(file, node.name, _code_lines(node, text.splitlines()))


def _code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef, text: list[str]) -> int:
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    inside = {line for each in body for line in range(each.lineno, (each.end_lineno or each.lineno) + 1)}
    counted = (text[line - 1].strip() for line in inside)
    return sum(bool(line) and not line.startswith("#") for line in counted)
