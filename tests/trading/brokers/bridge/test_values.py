"""Values of the package cross the wire unchanged: an int stays an int, a struct the same struct."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trading.brokers.bridge.arrays import Rows
from trading.brokers.bridge.protocol import Answer, dump_answer, load_answer
from trading.brokers.bridge.refusal import ProtocolError
from trading.brokers.bridge.values import MAX_DEPTH, Codec, Foreign, IntSubclass, portable
from trading.brokers.mt5_package.sequences import filled
from trading.brokers.mt5_package.structs import STRUCTS, OrderSendResult, Tick, TradeRequest

CODEC = Codec({kind.__name__: kind for kind in STRUCTS})
SETTINGS = settings(max_examples=60, deadline=None)

plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64),
    st.floats(),
    st.text(st.characters(exclude_categories=())),
    st.datetimes(timezones=st.just(UTC)),
)
structs = st.sampled_from([kind for kind in STRUCTS if kind.n_fields < 30]).flatmap(
    lambda kind: st.lists(plain, min_size=kind.n_fields, max_size=kind.n_fields).map(kind)
)
values = st.recursive(
    plain | structs,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(tuple),
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(), inner, max_size=3),
    ),
    max_leaves=8,
)
columns = st.sampled_from(["<i8", "<u8", "<f8", "<i4", "<u4", "|b1", "|i1", "<f4", ">i8", "<U5"])
dtypes = st.lists(columns, min_size=1, max_size=8).map(
    lambda kinds: np.dtype([(f"c{i}", k) for i, k in enumerate(kinds)])
)


def over_the_wire(value: object) -> Any:
    rows: list[bytes] = []
    answer, behind = load_answer(dump_answer(Answer(1, 0.0, CODEC.encode(value, rows), None, [1, "Success"]), rows))
    return CODEC.decode(answer.value, behind)


def same(left: Any, right: Any) -> bool:
    """Equal in value and in type, all the way down; NaN equals NaN and 0.0 differs from -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return repr(left) == repr(right)
    if isinstance(left, (tuple, list)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(map(same, left.values(), right.values()))
    return bool(left == right)


@SETTINGS
@given(values)
def test_every_value_comes_back_as_it_was(value: object) -> None:
    assert same(over_the_wire(value), value)


@SETTINGS
@given(st.one_of(dtypes, columns.map(np.dtype)).flatmap(lambda kind: hnp.arrays(kind, st.integers(0, 20))))
def test_arrays_keep_their_dtype_and_bytes_and_can_be_written_to(array: np.ndarray[Any, Any]) -> None:
    back = over_the_wire(array)

    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert back.flags.writeable


@pytest.mark.parametrize("kind", STRUCTS)
def test_each_struct_of_the_package_keeps_its_type_and_the_types_of_its_fields(kind: Any) -> None:
    inner = {"request": filled(TradeRequest)} if "request" in kind.__match_args__ else {}
    value = filled(kind, **inner)
    back = over_the_wire((value, value))

    assert same(back, (value, value))
    assert [type(item) for item in back[0]] == [type(item) for item in value]


def test_the_request_inside_a_result_stays_a_struct() -> None:
    back = over_the_wire(filled(OrderSendResult, request=filled(TradeRequest, symbol="BTCUSD")))

    assert type(back.request) is TradeRequest
    assert back.request.symbol == "BTCUSD"


def test_unsigned_and_signed_extremes_survive() -> None:
    row = np.array([(2**64 - 1, -(2**63), math.inf)], np.dtype([("a", "<u8"), ("b", "<i8"), ("c", "<f8")]))
    assert over_the_wire(row).tolist() == row.tolist()


@pytest.mark.parametrize(
    "value", [np.float64(0.1), np.int64(5), np.uint8(5), np.float32(0.5), np.bool_(True), np.str_("x")], ids=repr
)
def test_numpy_scalars_arrive_as_numpy_scalars_so_that_the_package_can_refuse_them(value: Any) -> None:
    back = over_the_wire(portable(value))
    assert (type(back), back) == (type(value), value)


def test_other_argument_types_arrive_as_what_no_function_takes() -> None:
    class Side(enum.IntEnum):
        BUY = 0

    assert over_the_wire(portable(Decimal("0.1"))) == Foreign("Decimal")
    assert over_the_wire(portable({"volume": Decimal(1)})) == {"volume": Foreign("Decimal")}
    assert type(over_the_wire(portable(Side.BUY))) is IntSubclass
    assert over_the_wire(portable(lambda: None)) == Foreign("function")


def test_times_travel_in_utc_and_naive_ones_are_local_as_in_the_package() -> None:
    noon = datetime(2024, 3, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=3)))
    naive = datetime(2024, 3, 1, 12)  # noqa: DTZ001 (the subject of the test)

    assert over_the_wire(portable(noon)) == noon
    assert over_the_wire(portable(naive)).timestamp() == naive.timestamp()
    with pytest.raises(ProtocolError, match="not in UTC"):
        CODEC.encode(noon)


@pytest.mark.parametrize(
    "value",
    [object(), 1j, {1: 2}, np.zeros((2, 2)), np.array([object()]), 1 << 2000, np.zeros(1, np.dtype("V8"))],
    ids=["object", "complex", "key", "2d", "objects", "huge", "void"],
)
def test_what_has_no_encoding_is_refused(value: object) -> None:
    with pytest.raises(ProtocolError):
        CODEC.encode(value, [])


def test_rows_with_gaps_are_refused() -> None:
    gaps = np.dtype({"names": ["a", "b"], "formats": ["<i4", "<i8"], "offsets": [0, 8], "itemsize": 16})
    with pytest.raises(ProtocolError, match="gaps"):
        CODEC.encode(np.zeros(1, gaps), [])


def nested(depth: int) -> Iterator[Any]:
    value: Any = 1
    for _ in range(depth):
        value = (value,)
    yield value


def test_nesting_has_a_limit_in_both_directions() -> None:
    (deepest,) = nested(MAX_DEPTH)
    (deeper,) = nested(MAX_DEPTH + 1)

    assert over_the_wire(deepest) == deepest
    with pytest.raises(ProtocolError, match="nested"):
        CODEC.encode(deeper)
    with pytest.raises(ProtocolError, match="nested"):
        CODEC.decode(json.loads("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)))


@pytest.mark.parametrize(
    "tree",
    [
        {"t": "pickle", "v": "gASVAAA="},
        {"t": "struct", "v": ["Popen", []]},
        {"t": "struct", "v": ["Tick", [1, 2]]},
        {"t": "struct", "v": [["Tick"], []]},
        {"t": "array", "v": ["|O", 1]},
        {"t": "array", "v": ["<f8", 2]},
        {"t": "array", "v": ["<f8", 10**9]},
        {"t": "array", "v": ["<f8", True]},
        {"t": "array", "v": ["<f8", -1]},
        {"t": "array", "v": ["<U0", 1]},
        {"t": "array", "v": ["<f8"]},
        {"t": "array", "v": [[["a", "<f8"], ["a", "<f8"]], 0]},
        {"t": "array", "v": [[["__class__; import os", "<f8"]], 0]},
        {"t": "scalar", "v": ["<f8", "AAAA AAAAAAA="]},
        {"t": "scalar", "v": ["<f8", "AAAA"]},
        {"t": "float", "v": "1e5"},
        {"t": "time", "v": 1.5},
        {"t": "time", "v": 10**30},
        {"t": "dict", "v": [["a", 1], ["a", 2]]},
        {"t": "dict", "v": [[1, 2]]},
        {"t": "subclass", "v": ["int", 1.0]},
        {"t": "subclass", "v": ["bool", True]},
        {"t": "foreign", "v": "os.system"},
        {"t": "list"},
        {"t": "list", "v": [], "x": 1},
        {"t": ["list"], "v": []},
        {},
        1e999,
        1 << 1025,
    ],
    ids=str,
)
def test_trees_that_encode_never_writes_are_refused(tree: Any) -> None:
    with pytest.raises(ProtocolError):
        CODEC.decode(tree, Rows(b"12345678"))
    with pytest.raises(ProtocolError):
        CODEC.decode(tree)


def test_rows_that_no_array_describes_are_refused() -> None:
    with pytest.raises(ProtocolError, match="more rows"):
        CODEC.decode([1, {"t": "array", "v": ["<i4", 2]}], Rows(b"123456789"))


def test_the_rows_of_several_arrays_follow_in_their_order() -> None:
    first, second = np.arange(3), np.array([(1, 0.5)], np.dtype([("a", "<u2"), ("b", "<f4")]))
    back = over_the_wire((first, [second], first[::2]))

    assert [part.tolist() for part in (back[0], back[1][0], back[2])] == [[0, 1, 2], [(1, 0.5)], [0, 2]]


def test_rows_lie_behind_the_text_as_they_are() -> None:
    rates = np.frombuffer(bytes(range(60)) * 50, np.dtype([(f"c{i}", "<f8") for i in range(7)] + [("s", "<i4")]))
    rows: list[bytes] = []
    data = dump_answer(Answer(1, 0.0, CODEC.encode(rates, rows), None, [1, "Success"]), rows)

    assert data.endswith(rates.tobytes())
    assert len(data) - rates.nbytes < 300


def test_an_array_is_no_argument() -> None:
    with pytest.raises(ProtocolError, match="no argument"):
        CODEC.encode(np.zeros(3))
    assert over_the_wire(portable(np.zeros(3))) == Foreign("ndarray")


@SETTINGS
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_make_a_message_reader_fail_otherwise(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        load_answer(data)


tags = st.sampled_from(["float", "time", "list", "dict", "struct", "array", "scalar", "subclass", "foreign"])
json_trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.fixed_dictionaries({"t": tags, "v": inner}),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(json_trees)
def test_a_tree_either_decodes_to_what_encodes_again_or_is_refused(tree: Any) -> None:
    try:
        value = CODEC.decode(tree, Rows())
    except ProtocolError:
        return
    CODEC.encode(portable(value), [])


def test_a_tick_is_read_by_name_index_and_dictionary() -> None:
    tick = over_the_wire(filled(Tick, bid=1.5))
    assert (tick.bid, tick[1], tick._asdict()["bid"]) == (1.5, 1.5, 1.5)
