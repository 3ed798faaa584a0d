"""Words of a remote host: whatever comes in, what goes on is text every file, database and console takes."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novosky.remote_text import clean_lines, clean_text


@given(st.text(st.characters(exclude_categories=[])), st.integers(1, 50))
def test_any_text_becomes_valid_short_and_stays_so(text: str, longest: int) -> None:
    for clean in (clean_text, clean_lines):
        cleaned = clean(text, longest)
        cleaned.encode("utf-8")
        assert len(cleaned) <= longest
        assert "\x00" not in cleaned and "\r" not in cleaned and "\x1b" not in cleaned
        assert clean(cleaned, longest) == cleaned
    assert "\n" not in clean_text(text)
    sqlite3.connect(":memory:").execute("SELECT ?", (clean_lines(text),))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("CPI y/y", "CPI y/y"),
        ("  CPI\n y/y\x00 ", "CPI y/y"),
        ("half \ud83d", "half �"),
        ("whole 😀 Übermaß 中文", "whole 😀 Übermaß 中文"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("a\u202egnp.exe", "a gnp.exe"),
        ("x" * 2000, "x" * 999 + "…"),
    ],
)
def test_what_becomes_of_it(text: str, line: str) -> None:
    assert clean_text(text) == line


def test_lines_are_kept_where_they_mean_something() -> None:
    assert clean_lines("a\r\nb\tc\rd") == "a\nb\tc d"
