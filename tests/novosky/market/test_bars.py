"""The bar frame: what is a valid bar, and how an invalid one is reported."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from novosky.errors import DataError
from novosky.market.bars import epoch_seconds, find_gaps, slice_bars, validate_bars


def make_bars(count: int = 6, *, start: str = "2024-01-02", freq: str = "15min") -> pd.DataFrame:
    close = 40_000.0 + np.arange(count) * 10.0
    return pd.DataFrame(
        {
            "time": pd.date_range(start, periods=count, freq=freq, tz="UTC"),
            "open": close - 5.0,
            "high": close + 20.0,
            "low": close - 20.0,
            "close": close,
            "volume": 100.0 + np.arange(count),
        }
    )


def at(bars: pd.DataFrame, row: int, column: str, value: object) -> pd.DataFrame:
    changed = bars.copy()
    changed[column] = [value if i == row else old for i, old in enumerate(bars[column])]
    return changed


def test_valid_bars_come_back_with_equal_values_and_canonical_types() -> None:
    bars = make_bars().astype({"volume": "int32", "open": "float32"})
    bars["time"] = bars["time"].astype("datetime64[s, UTC]").dt.tz_convert("Europe/Berlin")
    frame = validate_bars(bars, source="x")
    assert frame.dtypes.astype(str).tolist() == ["datetime64[ns, UTC]"] + ["float64"] * 5
    pd.testing.assert_frame_equal(frame, make_bars(), check_dtype=False)


def test_the_input_is_not_changed() -> None:
    bars = make_bars()[["close", "low", "high", "open", "volume", "time"]]
    before = bars.copy(deep=True)
    validate_bars(bars, source="x")
    pd.testing.assert_frame_equal(bars, before)


def test_unknown_columns_are_left_out_and_known_ones_put_in_order() -> None:
    bars = make_bars().assign(venue="binance", trades=5, spread=17)[
        ["spread", "venue", "close", "open", "high", "low", "trades", "volume", "time"]
    ]
    frame = validate_bars(bars, source="x")
    assert list(frame.columns) == ["time", "open", "high", "low", "close", "volume", "spread", "trades"]


def test_an_index_that_is_not_a_range_is_replaced_and_labels_are_kept() -> None:
    bars = make_bars()
    bars.index = pd.Index([9, 8, 7, 6, 5, 4])
    bars.attrs["synthetic"] = "null"
    frame = validate_bars(bars, source="x")
    assert frame.index.tolist() == [0, 1, 2, 3, 4, 5]
    assert frame.attrs == {"synthetic": "null"}


CASES: list[tuple[str, Callable[[pd.DataFrame], pd.DataFrame], str]] = [
    ("empty", lambda b: b.iloc[:0], "holds no bars"),
    ("no volume column", lambda b: b.drop(columns="volume"), r"missing column\(s\) volume"),
    ("NaN price", lambda b: at(b, 2, "close", np.nan), r"row 2 \(2024-01-02 00:30.*close is NaN"),
    ("infinite price", lambda b: at(b, 1, "high", np.inf), "row 1 .*high is NaN or infinite"),
    ("NaN volume", lambda b: at(b, 3, "volume", np.nan), "row 3 .*volume is NaN"),
    ("zero price", lambda b: at(b, 4, "low", 0.0), "row 4 .*low is not above zero"),
    ("negative volume", lambda b: at(b, 5, "volume", -1.0), "row 5 .*volume is negative"),
    ("high below low", lambda b: at(b, 2, "high", 39_000.0), "row 2 .*high is below low"),
    ("high below close", lambda b: at(b, 2, "high", 40_019.0), "row 2 .*high is below open or close"),
    ("low above open", lambda b: at(b, 2, "low", 40_016.0), "row 2 .*low is above open or close"),
    (
        "NaN spread",
        lambda b: at(b.assign(spread=5.0), 1, "spread", np.nan),
        "row 1 .*spread is negative, NaN or infinite",
    ),
    (
        "infinite spread",
        lambda b: at(b.assign(spread=5.0), 1, "spread", np.inf),
        "row 1 .*spread is negative, NaN or inf",
    ),
    (
        "negative spread",
        lambda b: at(b.assign(spread=5.0), 1, "spread", -1.0),
        "row 1 .*spread is negative, NaN or infinite",
    ),
    (
        "text in a number column",
        lambda b: at(b.astype({"open": object}), 1, "open", "abc"),
        "column open is not numeric",
    ),
    ("missing time", lambda b: at(b, 2, "time", pd.NaT), "row 2 .*time is missing"),
    ("duplicate time", lambda b: at(b, 2, "time", b["time"][1]), "row 2 .*duplicate time"),
    ("unsorted time", lambda b: at(b, 4, "time", b["time"][1]), "row 4 .*time runs backwards"),
    (
        "off the grid",
        lambda b: at(b, 3, "time", b["time"][3] + pd.Timedelta("1s")),
        "row 3 .*not on the 15-minute grid",
    ),
    ("fraction of a second", lambda b: at(b, 3, "time", b["time"][3] + pd.Timedelta("1ms")), "row 3 .*15-minute grid"),
    ("other timeframe", lambda b: make_bars(freq="30min"), "30 minutes apart, but 15-minute bars"),
    ("naive time", lambda b: b.assign(time=b["time"].dt.tz_localize(None)), "no time zone"),
    ("time as text", lambda b: b.assign(time=b["time"].astype(str)), "not timestamps"),
]


@pytest.mark.parametrize(("change", "message"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_broken_bars_are_an_error_naming_source_row_and_rule(
    change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        validate_bars(change(make_bars()), source="prices.csv")
    assert str(caught.value).startswith("prices.csv: ")


def test_the_number_of_broken_rows_is_told() -> None:
    with pytest.raises(DataError, match=r"row 1 .*; 2 such row"):
        validate_bars(at(at(make_bars(), 1, "volume", -1.0), 4, "volume", -1.0), source="x")


@pytest.mark.parametrize("column", ["trades", "taker_buy_volume"])
def test_figures_that_were_not_published_may_be_missing(column: str) -> None:
    bars = make_bars().assign(**{column: [np.nan, 1, 2, 3, 4, 5]})
    assert np.isnan(validate_bars(bars, source="x")[column].iloc[0])


def test_flat_bars_without_volume_are_valid() -> None:
    bars = make_bars()
    for name in ("open", "high", "low", "close"):
        bars[name] = 40_000.0
    assert len(validate_bars(bars.assign(volume=0.0), source="x")) == 6


def test_gaps_are_valid_and_reported() -> None:
    bars = validate_bars(make_bars(10).drop(index=[2, 3, 7]).reset_index(drop=True), source="x")
    gaps = find_gaps(bars)
    assert [gap.missing for gap in gaps] == [2, 1]
    assert gaps[0].after == pd.Timestamp("2024-01-02 00:15", tz="UTC")
    assert gaps[0].before == pd.Timestamp("2024-01-02 01:00", tz="UTC")
    assert find_gaps(make_bars()) == []


def test_a_gap_among_few_bars_is_not_taken_for_another_timeframe() -> None:
    bars = make_bars(5).drop(index=[2, 3]).reset_index(drop=True)
    assert len(validate_bars(bars, source="x")) == 3


def test_a_single_bar_is_valid_and_has_no_gaps() -> None:
    assert find_gaps(validate_bars(make_bars(1), source="x")) == []


def test_opens_as_epoch_seconds() -> None:
    assert epoch_seconds(make_bars(2)).tolist() == [1_704_153_600, 1_704_154_500]


def test_a_slice_holds_its_start_and_not_its_end_and_keeps_labels() -> None:
    bars = make_bars(10)
    bars.attrs["synthetic"] = "planted"
    part = slice_bars(bars, bars["time"][2], bars["time"][5], source="x")
    assert part["time"].tolist() == bars["time"].tolist()[2:5]
    assert part.index.tolist() == [0, 1, 2]
    assert part.attrs == {"synthetic": "planted"}
    assert len(slice_bars(bars, None, None, source="x")) == 10


def test_a_slice_without_bars_is_an_error_that_tells_what_is_covered() -> None:
    with pytest.raises(DataError, match=r"prices\.csv: no bars between 2025.*covers 2024-01-02 00:00.* to .*02:15"):
        slice_bars(make_bars(10), pd.Timestamp("2025-01-01", tz="UTC"), None, source="prices.csv")
