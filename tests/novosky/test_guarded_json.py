"""The one reader of JSON that others wrote: the right value, or one error that names the place."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novosky.guarded_json import JsonError, array_items, parse_json

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4)
)


@settings(max_examples=200, deadline=None)
@given(_VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_every_json_value_is_read_as_the_standard_decoder_reads_it(value: Any, ascii_only: bool, indent: Any) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert parse_json(text, "x") == value
    assert parse_json(text.encode(), "x") == value
    assert parse_json(b"\xef\xbb\xbf" + text.encode(), "x") == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": NaN}', "f.json: line 1 column 7: a: NaN is no number of JSON"),
        ('{"a":\n [-Infinity]}', "f.json: line 2 column 3: a: -Infinity is no number of JSON"),
        ('{"a": 1e999}', "f.json: line 1 column 7: a: the number 1e999 is too large"),
        ("[9223372036854775808]", "f.json: line 1 column 2: the integer 9223372036854775808 does not fit into 64 bits"),
        ('{"a": {"b": [{"c": 1e999}]}, "d": 1}', "column 20: a.b.c: the number 1e999 is too large"),
        ('{"a": {"b": 1}, "c": NaN}', "column 22: c: NaN is no number of JSON"),
        ("[-9223372036854775809]", "does not fit into 64 bits"),
        ("[" + "9" * 5000 + "]", "does not fit into 64 bits"),
        ('{"a": 1, "b": {"a": 2, "\\u0061": 3}}', "f.json: line 1 column 24: the key 'a' is written twice"),
        ('{"a": {"x": 1}, "a": 2}', "f.json: line 1 column 17: the key 'a' is written twice"),
        ("[" * 65 + "]" * 65, "f.json: line 1 column 65: it is nested deeper than 64 levels"),
        ("[" * 100_000, "nested deeper than 64 levels"),
        ('{"a":' * 5000, "nested deeper than 64 levels"),
        ('["\\ud800 news"]', "holds half a character"),
        ('{"\\udfff": 1}', "holds half a character"),
        ('["\ud83d"]', "holds half a character"),
        ("", "f.json: line 1 column 1: Expecting value"),
        ("<html>502</html>", "f.json: line 1 column 1: Expecting value"),
        ('{"a": "no end', "f.json: line 1 column 7: Unterminated string"),
        ('{"a": "no end\\', "f.json: line 1 column 7: Unterminated string"),
        ('{"a": 1}}', "f.json: line 1 column 9: Extra data"),
        ("]]]", "Expecting value"),
        ("[1,]", "f.json: line 1 column"),
        ("[01]", "f.json: line 1 column"),
        ("[1.2.3]", "f.json: line 1 column"),
        ("['a']", "f.json: line 1 column"),
        ('["a\x00b"]', "f.json: line 1 column 4: Invalid control character"),
    ],
)
def test_what_is_refused_names_the_text_the_place_and_the_reason(text: str, message: str) -> None:
    with pytest.raises(JsonError) as caught:
        parse_json(text, "f.json")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("body", [b"\xff\xfe[\x001\x00]\x00", b'["\xed\xa0\x80"]', b"[\x80]"])
def test_bytes_that_are_not_utf8_are_refused(body: bytes) -> None:
    with pytest.raises(JsonError, match=r"byte \d+ is not UTF-8"):
        parse_json(body, "f.json")


def test_size_is_refused_before_anything_is_decoded() -> None:
    assert parse_json("[1]", "f", max_bytes=3) == [1]
    with pytest.raises(JsonError, match="larger than 3 bytes"):
        parse_json("[11]", "f", max_bytes=3)


def test_the_same_key_may_stand_in_neighbours_and_in_values() -> None:
    text = '[{"a": 1}, {"a": "a", "b": ["a", "a", {"a": 0}], "c": "a"}]'
    assert parse_json(text, "f") == [{"a": 1}, {"a": "a", "b": ["a", "a", {"a": 0}], "c": "a"}]


def test_the_limits_themselves_are_allowed() -> None:
    assert parse_json(f"[{2**63 - 1}, {-(2**63)}, 1.7e308]", "f") == [2**63 - 1, -(2**63), 1.7e308]
    assert parse_json("[" * 64 + "]" * 64, "f") is not None
    assert parse_json('"' + "[" * 1000 + '"', "f") == "[" * 1000


def test_a_whole_pair_is_one_character_and_stays() -> None:
    assert parse_json('["\\ud83d\\ude00", "\\\\ud800"]', "f") == ["😀", "\\ud800"]


def test_half_characters_are_replaced_where_asked() -> None:
    assert parse_json('{"\\ud800": ["a\\udc00b", 1]}', "f", mend_text=True) == {"�": ["a�b", 1]}


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='{}[]",:\\u0d8é1-.eE+NaInfity tru\n\x00') | st.binary(max_size=60))
def test_any_text_is_a_value_or_one_error(text: str | bytes) -> None:
    try:
        parse_json(text, "f")
    except JsonError as error:
        assert str(error).startswith("f: ")


def test_a_hostile_text_costs_no_more_than_its_length() -> None:
    began = time.monotonic()
    for text in ('"' + '\\"' * 1_000_000, "[" + "1" * 2_000_000, "-" * 2_000_000, '{"a":"' * 300_000, "a" * 2_000_000):
        with pytest.raises(JsonError):
            parse_json(text, "f")
    assert time.monotonic() - began < 20


def test_mending_never_makes_one_key_of_two() -> None:
    with pytest.raises(JsonError, match="two keys"):
        parse_json('{"\\ud800": 1, "\\udbff": 2}', "f", mend_text=True)


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ('{"ok": true, "result": [{"a": 1}, {"b": [{"c": "]}"}]}]}', ['{"a": 1}', '{"b": [{"c": "]}"}]}']),
        ('{"x": {"result": [{"a": 1}]}, "result": [7, {"a": ' + "[" * 500 + "]" * 500 + "}, {}]}", [None, "{}"]),
        ('{"result": [{"a": NaN}], "other": [{"b": 1}]}', ['{"a": NaN}']),
        ('{"result": [{"a": 1}, {"b": ', ['{"a": 1}']),
        ('{"other": "result", "list": [{"a": 1}]}', []),
        ("[[{}]]", []),
        ("", []),
        ("]]}}", []),
    ],
)
def test_items_of_an_answer_are_found_by_their_brackets(text: str, items: list[str | None]) -> None:
    found = array_items(text, "result")
    assert [item if wanted is not None else None for item, wanted in zip(found, items, strict=True)] == items
