"""The guarded reader of text tables: whatever a file holds, out come fields with their lines, or a `DataError`."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

from novosky.errors import DataError

_DELIMITERS = ("\t", ";", "|", ",")
_MAGIC = {
    b"\x1f\x8b": "is compressed with gzip; unpack it first",
    b"PK\x03\x04": "is a zip archive or a spreadsheet; unpack it, or save it as CSV first",
    b"PAR1": "is a Parquet file; name it .parquet and use --source parquet",
    b"\xfd7zXZ": "is compressed with xz; unpack it first",
    b"BZh": "is compressed with bzip2; unpack it first",
}
_OTHER_TEXT = {"<!doctype": "a web page", "<html": "a web page", "<?xml": "XML", "{": "JSON", "[": "JSON"}
_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_LINE_END = re.compile(r"\r+\n|\r|\n")
_NUMBER = re.compile(r"[+-]?[\d.,' \u00a0\u202f]*\d[\d.,]*(?:[eE][+-]?\d+)?\Z")
_PREAMBLE_LINES = 5
"""A table begins within so many lines; what stands before it is a title, an address or a comment."""


@dataclass(frozen=True)
class TextTable:
    """A text file's table.

    Attributes
    ----------
    path : Path
    header : tuple of str
        Names of the columns as written, stripped; empty where the file has no header line.
    rows : list of list of str
        The data lines, all as wide as the header or as each other.
    first_line : int
        Number of the first data line in the file, from 1.
    """

    path: Path
    header: tuple[str, ...]
    rows: list[list[str]]
    first_line: int

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.header) or len(self.rows[0])

    def column(self, at: int) -> list[str]:
        """Return the texts of one column."""
        return [row[at] for row in self.rows]

    def place(self, row: int) -> str:
        """Name a row for a message: file and line."""
        return f"{self.path}: line {self.first_line + row}"


def read_table(path: Path) -> TextTable:
    """Read a delimited text file in any usual encoding, with any line ends and delimiter.

    The encoding is told by its byte order mark, or by where the zero bytes stand; the delimiter
    (tab, semicolon, bar, comma) by the first line of the table; lines before the table that
    hold a title, an address or a comment are passed over.

    Raises
    ------
    DataError
        When the file is missing, unreadable, not text, empty, or its lines differ in width;
        names file and line.
    """
    lines = list(_LINE_END.split(_text(path)))
    while lines and not lines[-1].strip():
        lines.pop()
    start = _table_start(path, lines)
    delimiter = _delimiter(lines, start)
    try:
        parsed = list(csv.reader(lines[start:], delimiter=delimiter, skipinitialspace=delimiter != "\t"))
    except csv.Error as error:
        raise DataError(f"{path}: is not a table separated by {delimiter!r} ({error}); export it again") from error
    if len(parsed) != len(lines) - start:
        raise DataError(f"{path}: a quoted field runs over several lines; the file is damaged, export it again")
    headed = not any(_NUMBER.match(field.strip()) for field in parsed[0])
    header = [field.strip() for field in parsed[0]] if headed else []
    rows = parsed[1:] if headed else parsed
    if not rows:
        raise DataError(f"{path}: has a header but no bars; export or download it again")
    _drop_empty_end(header, rows)
    table = TextTable(path, tuple(header), rows, start + 1 + headed)
    _check_widths(table)
    return table


def _text(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: is not a file; check --input")
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; check --input") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: cannot be read ({reason}); check the path and its permissions") from error
    for magic, what in _MAGIC.items():
        if raw.startswith(magic):
            raise DataError(f"{path}: {what}")
    try:
        content = raw.decode(_encoding(raw))
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: is not text ({error.reason} at byte {error.start}); give a CSV or a text export"
        ) from error
    if not content.strip():
        raise DataError(f"{path}: is empty; export or download it again")
    content = content.lstrip("\ufeff")
    beginning = content.lstrip()[:20].lower()
    for mark, what in _OTHER_TEXT.items():
        if beginning.startswith(mark):
            raise DataError(f"{path}: is {what}, not a table; give a CSV or a text export")
    return content


def _encoding(raw: bytes) -> str:
    for mark, name in _BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return name
    # Without a mark: in UTF-16 every other byte of plain figures is zero.
    beginning = raw[:2000]
    even, odd = beginning[::2].count(0), beginning[1::2].count(0)
    if odd > len(beginning) // 4 and even == 0:
        return "utf-16-le"
    if even > len(beginning) // 4 and odd == 0:
        return "utf-16-be"
    return "utf-8-sig"


def _table_start(path: Path, lines: list[str]) -> int:
    """Return the index of the first line of the table."""
    for at, line in enumerate(lines[:_PREAMBLE_LINES]):
        text = line.strip()
        comment = text.startswith(("#", "//", "http://", "https://", "sep=")) or not text
        if not comment and any(mark in text for mark in _DELIMITERS):
            return at
    raise DataError(
        f"{path}: line 1: {lines[0].strip()[:60]!r} is not the beginning of a table; its columns must be "
        "separated by tabs, semicolons or commas"
    )


def _delimiter(lines: list[str], start: int) -> str:
    for line in lines[:start]:
        if line.strip().startswith("sep=") and line.strip()[4:] in _DELIMITERS:
            return line.strip()[4:]
    # A semicolon or tab beside commas separates: the commas are then decimal ones, or stand in names.
    return max(_DELIMITERS, key=lambda mark: (lines[start].count(mark) >= 4, -_DELIMITERS.index(mark)))


def _drop_empty_end(header: list[str], rows: list[list[str]]) -> None:
    """Take off the empty last column of files whose lines end in a delimiter."""
    width = len(header) or len(rows[0])
    one_more = all(len(row) == width + 1 and not row[-1].strip() for row in rows) if header else False
    both = (not header or not header[-1]) and all(len(row) == width and not row[-1].strip() for row in rows)
    if one_more or both:
        for row in rows:
            row.pop()
        if both and header:
            header.pop()


def _check_widths(table: TextTable) -> None:
    width = table.width
    for number, fields in enumerate(table.rows):
        # A decimal comma or a line cut off would otherwise move figures into the wrong column.
        if len(fields) != width:
            raise DataError(
                f"{table.place(number)} has {len(fields)} fields instead of {width}; the file is cut off or "
                "damaged, or its decimal commas are not quoted"
            )
