"""A benchmark of two checkouts: each figure of the older one stands beside ours, and nothing of ours answers for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench.before import measured_before, ratio
from bench.context import BenchContext, BenchError

BENCHMARK = """
import json, os, sys
words = sys.argv[1:]
assert "PYTHONPATH" not in os.environ
found = {"engine.wide": {"median": 4.0, "unit": words[words.index("--only") + 1], "words": words}}
if "missed" in os.path.basename(os.getcwd()):
    print("below what is promised", file=sys.stderr)
if "broken" in os.path.basename(os.getcwd()):
    sys.exit("no such measure")
json.dump({"results": found}, open(words[words.index("--json") + 1], "w"))
sys.exit(1 if "missed" in os.path.basename(os.getcwd()) else 0)
"""


def checkout(folder: Path, *, environment: bool = True, benchmark: bool = True) -> Path:
    """Make a checkout whose benchmark prints what it was asked."""
    folder.mkdir()
    if environment:
        python = folder / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        python.parent.mkdir(parents=True)
        python.symlink_to(sys.executable)
    if benchmark:
        (folder / "bench").mkdir()
        (folder / "bench" / "__main__.py").write_text(BENCHMARK, encoding="utf-8")
    return folder


@pytest.fixture
def context(tmp_path: Path) -> BenchContext:
    """A quick run that measures on its own bars."""
    folder = tmp_path / "ours"
    folder.mkdir()
    return BenchContext(True, folder, tmp_path / "bars.parquet", None, None, say=lambda line: None)


def test_the_other_checkout_measures_the_same_thing_on_the_same_bars(
    context: BenchContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    found = measured_before(context, checkout(tmp_path / "older"), "engine")
    assert (found["engine.wide"]["median"], found["engine.wide"]["unit"]) == (4.0, "engine")
    words = found["engine.wide"]["words"]
    assert words[words.index("--data") + 1] == str(tmp_path / "bars.parquet")
    assert "--quick" in words and "--models" not in words


def test_a_figure_the_other_misses_is_told_all_the_same(context: BenchContext, tmp_path: Path) -> None:
    assert measured_before(context, checkout(tmp_path / "missed"), "engine")["engine.wide"]["median"] == 4.0


def test_a_benchmark_that_ends_without_figures_is_named_with_its_last_words(
    context: BenchContext, tmp_path: Path
) -> None:
    with pytest.raises(BenchError, match=r"broken exited with 1: no such measure"):
        measured_before(context, checkout(tmp_path / "broken"), "engine")


def test_a_checkout_without_environment_or_benchmark_is_refused_with_the_mend(
    context: BenchContext, tmp_path: Path
) -> None:
    with pytest.raises(BenchError, match=r"no \.venv .* `make setup`"):
        measured_before(context, checkout(tmp_path / "bare", environment=False), "engine")
    with pytest.raises(BenchError, match=r"no benchmark"):
        measured_before(context, checkout(tmp_path / "ancient", benchmark=False), "engine")


def test_a_ratio_needs_both_figures() -> None:
    assert ratio(3.0, 4.0) == 0.75
    assert ratio(None, 4.0) is None
    assert ratio(3.0, None) is None
    assert ratio(3.0, 0.0) is None
